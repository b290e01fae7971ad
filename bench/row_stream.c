/* SPDX-License-Identifier: Apache-2.0 */
/* One stream, as fast as it goes: bytes that the reader got,
 * against raw UDP with packets of our size. */
#include <string.h>

#include "node.h"
#include "rows.h"

enum { BLOCK = 64 * 1024, PACKET = 1444, PORT = 7, TIMEOUT_MS = 10000 };

static void read_all(int control, const void *arg) {
    (void)arg;
    pollen_mesh *mesh = bench_mesh(0, false);
    const uint16_t port = pollen_mesh_listen_port(mesh);
    bench_tell(control, &port, sizeof port);
    pollen_stream *stream;
    bench_check(pollen_mesh_accept_stream(mesh, TIMEOUT_MS, NULL, &stream), "accept");
    static uint8_t block[BLOCK];
    uint64_t bytes = 0, turns = 0;
    while (turns++ % 64 != 0 || !bench_stopped(control)) {
        bench_dispatch(mesh);
        size_t size = 0;
        while (pollen_stream_read(stream, block, sizeof block, 0, NULL, &size) == POLLEN_OK &&
               size > 0) {
            bytes += size;
        }
    }
    bench_tell(control, &bytes, sizeof bytes);
    pollen_stream_close(stream);
    pollen_mesh_destroy(mesh);
}

static void write_for(pollen_mesh *mesh, pollen_stream *stream, double seconds) {
    static uint8_t block[BLOCK];
    memset(block, 0x5a, sizeof block);
    const uint64_t end = bench_now_ns() + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < end) {
        size_t written = 0;
        const pollen_err err = pollen_stream_write(stream, block, sizeof block, 0, NULL, &written);
        if (err != POLLEN_OK && err != POLLEN_ETIMEDOUT) {
            bench_check(err, "write");
        }
        bench_dispatch(mesh);
    }
}

bool bench_row_stream(const bench_options *options, bench_sample *ret) {
    double raw = 0;
    if (!bench_udp_throughput(PACKET, options->seconds, &raw)) {
        return false;
    }
    bench_child child = bench_fork(read_all, NULL);
    uint16_t port;
    bench_hear(child.control, &port, sizeof port);
    pollen_mesh *mesh = bench_mesh(1, false);
    bench_connect(mesh, 0, port);
    const pollen_key peer = bench_key(0);
    pollen_stream *stream;
    bench_check(pollen_mesh_open_stream(mesh, &peer, PORT, TIMEOUT_MS, NULL, &stream), "open");
    const uint64_t from = bench_now_ns();
    write_for(mesh, stream, options->seconds);
    const double took = (double)(bench_now_ns() - from) / 1e9;
    bench_stop(child.control);
    uint64_t bytes = 0;
    bench_hear(child.control, &bytes, sizeof bytes);
    pollen_stream_close(stream);
    pollen_mesh_destroy(mesh);
    bench_reap(&child);
    *ret = (bench_sample){.ours = (double)bytes * 8 / took / 1e9, .against = raw * 8 / 1e9};
    return true;
}
