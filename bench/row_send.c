/* SPDX-License-Identifier: Apache-2.0 */
/* How long a call of pollen_mesh_send() takes when the peer is stopped,
 * against one that is well. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node.h"
#include "rows.h"

enum { CALLS = 20000, PAUSE_NS = 20000 };

static const uint8_t payload[200] = {1};

static void swallow(int control, const void *arg) {
    (void)arg;
    pollen_mesh *mesh = bench_mesh(0, true);
    const uint16_t port = pollen_mesh_listen_port(mesh);
    bench_tell(control, &port, sizeof port);
    while (!bench_stopped(control)) {
        pollen_packet packet;
        if (pollen_mesh_recv(mesh, 100, NULL, &packet) == POLLEN_OK) {
            pollen_packet_fini(&packet);
        }
    }
    pollen_mesh_destroy(mesh);
}

static double p99_of_sends(pollen_mesh *mesh, const pollen_key *peer) {
    static double samples[CALLS];
    const pollen_envelope envelope = {
        .kind = POLLEN_ENVELOPE_PAYLOAD, .body = payload, .size = sizeof payload};
    for (int i = 0; i < CALLS; i++) {
        const uint64_t from = bench_now_ns();
        const pollen_err err = pollen_mesh_send(mesh, peer, &envelope);
        samples[i] = (double)(bench_now_ns() - from);
        if (err != POLLEN_OK && err != POLLEN_EAGAIN) {
            bench_check(err, "send");
        }
        const struct timespec pause = {.tv_nsec = PAUSE_NS};
        /* tidy: allow banned: the pace of the calls is what is measured, nothing is waited for */
        (void)nanosleep(&pause, NULL);
    }
    return bench_percentile(samples, CALLS, 99);
}

bool bench_row_send(const bench_options *options, bench_sample *ret) {
    (void)options;
    bench_child child = bench_fork(swallow, NULL);
    uint16_t port;
    bench_hear(child.control, &port, sizeof port);
    pollen_mesh *mesh = bench_mesh(1, true);
    bench_connect(mesh, 0, port);
    const pollen_key peer = bench_key(0);
    const double healthy = p99_of_sends(mesh, &peer);
    if (kill(child.pid, SIGSTOP) != 0) {
        bench_die("SIGSTOP");
    }
    const double stopped = p99_of_sends(mesh, &peer);
    (void)kill(child.pid, SIGCONT);
    bench_stop(child.control);
    pollen_mesh_destroy(mesh);
    bench_reap(&child);
    *ret = (bench_sample){.ours = stopped / 1e3, .against = healthy / 1e3};
    return true;
}
