/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of 1,000 bytes: how many a second arrive,
 * and how long a round trip takes when both spin. */
#include "node.h"
#include "rows.h"

enum { PAYLOAD = 1000, TIMEOUT_MS = 10000 };

static const uint8_t payload[PAYLOAD] = {1};

static const pollen_envelope envelope = {
    .kind = POLLEN_ENVELOPE_PAYLOAD, .body = payload, .size = PAYLOAD};

static void count_datagrams(int control, const void *arg) {
    (void)arg;
    pollen_mesh *mesh = bench_mesh(0, false);
    const uint16_t port = pollen_mesh_listen_port(mesh);
    bench_tell(control, &port, sizeof port);
    uint64_t count = 0, turns = 0;
    while (turns++ % 64 != 0 || !bench_stopped(control)) {
        bench_dispatch(mesh);
        pollen_packet packet;
        while (pollen_mesh_recv(mesh, 0, NULL, &packet) == POLLEN_OK) {
            count += packet.envelope.size == PAYLOAD;
            pollen_packet_fini(&packet);
        }
    }
    bench_tell(control, &count, sizeof count);
    pollen_mesh_destroy(mesh);
}

static void flood(pollen_mesh *mesh, const pollen_key *peer, double seconds) {
    const uint64_t end = bench_now_ns() + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < end) {
        pollen_err err = POLLEN_OK;
        for (int i = 0; i < 64 && err == POLLEN_OK; i++) {
            err = pollen_mesh_send(mesh, peer, &envelope);
        }
        if (err != POLLEN_OK && err != POLLEN_EAGAIN) {
            bench_check(err, "send");
        }
        bench_dispatch(mesh);
    }
}

bool bench_row_datagrams(const bench_options *options, bench_sample *ret) {
    double raw = 0;
    if (!bench_udp_throughput(PAYLOAD, options->seconds, &raw)) {
        return false;
    }
    bench_child child = bench_fork(count_datagrams, NULL);
    uint16_t port;
    bench_hear(child.control, &port, sizeof port);
    pollen_mesh *mesh = bench_mesh(1, false);
    bench_connect(mesh, 0, port);
    const pollen_key peer = bench_key(0);
    const uint64_t from = bench_now_ns();
    flood(mesh, &peer, options->seconds);
    const double took = (double)(bench_now_ns() - from) / 1e9;
    bench_stop(child.control);
    uint64_t count = 0;
    bench_hear(child.control, &count, sizeof count);
    pollen_mesh_destroy(mesh);
    bench_reap(&child);
    *ret = (bench_sample){.ours = (double)count / took / 1e3, .against = raw / PAYLOAD / 1e3};
    return true;
}

static void reflect(int control, const void *arg) {
    (void)arg;
    pollen_mesh *mesh = bench_mesh(0, false);
    const uint16_t port = pollen_mesh_listen_port(mesh);
    bench_tell(control, &port, sizeof port);
    uint64_t turns = 0;
    while (turns++ % 1024 != 0 || !bench_stopped(control)) {
        bench_dispatch(mesh);
        pollen_packet packet;
        while (pollen_mesh_recv(mesh, 0, NULL, &packet) == POLLEN_OK) {
            if (packet.envelope.kind == POLLEN_ENVELOPE_PAYLOAD &&
                pollen_mesh_send(mesh, &packet.peer, &packet.envelope) == POLLEN_ENOTCONN) {
                break;
            }
            pollen_packet_fini(&packet);
            bench_dispatch(mesh);
        }
    }
    pollen_mesh_destroy(mesh);
}

/* Nanoseconds until the echo is back, or 0 when it was lost. */
static uint64_t round_trip(pollen_mesh *mesh, const pollen_key *peer) {
    const uint64_t from = bench_now_ns();
    bench_check(pollen_mesh_send(mesh, peer, &envelope), "send");
    while (bench_now_ns() - from < 100000000) {
        bench_dispatch(mesh);
        pollen_packet packet;
        if (pollen_mesh_recv(mesh, 0, NULL, &packet) == POLLEN_OK) {
            const bool is_echo = packet.envelope.kind == POLLEN_ENVELOPE_PAYLOAD;
            pollen_packet_fini(&packet);
            if (is_echo) {
                return bench_now_ns() - from;
            }
        }
    }
    return 0;
}

bool bench_row_round_trip(const bench_options *options, bench_sample *ret) {
    enum { SAMPLES_MAX = 200000 };
    static double samples[SAMPLES_MAX];
    double raw = 0;
    if (!bench_udp_round_trip(PAYLOAD, options->seconds, &raw)) {
        return false;
    }
    bench_child child = bench_fork(reflect, NULL);
    uint16_t port;
    bench_hear(child.control, &port, sizeof port);
    pollen_mesh *mesh = bench_mesh(1, false);
    bench_connect(mesh, 0, port);
    const pollen_key peer = bench_key(0);
    size_t count = 0;
    const uint64_t end = bench_now_ns() + (uint64_t)(options->seconds * 1e9);
    while (bench_now_ns() < end && count < SAMPLES_MAX) {
        const uint64_t took = round_trip(mesh, &peer);
        if (took != 0) {
            samples[count++] = (double)took;
        }
    }
    bench_stop(child.control);
    pollen_mesh_destroy(mesh);
    bench_reap(&child);
    *ret = (bench_sample){.ours = bench_percentile(samples, count, 50) / 1e3, .against = raw / 1e3};
    return count > 0;
}
