/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handshake costs the server in CPU time: every client is a new member with a certificate of its own,
 * so that nothing but the admin's certificate can be known from before.
 */
#include "node.h"
#include "public_key.h"
#include "rows.h"

static void serve(int control, const void *arg) {
    (void)arg;
    pollen_mesh *mesh = bench_mesh(0, false);
    const uint16_t port = pollen_mesh_listen_port(mesh);
    bench_tell(control, &port, sizeof port);
    uint64_t cpu = 0;
    bool warm = false;
    for (;;) {
        bench_check(pollen_mesh_dispatch(mesh), "dispatch");
        if (bench_is_told(control)) {
            uint8_t word = 0;
            bench_hear(control, &word, sizeof word);
            const uint64_t now = bench_cpu_ns();
            if (warm) {
                cpu = now - cpu;
                bench_tell(control, &cpu, sizeof cpu);
                break;
            }
            cpu = now;
            warm = true;
        }
        bench_wait(mesh, control); /* Sleeps, so that only work counts as CPU time. */
    }
    pollen_mesh_destroy(mesh);
}

static void meet(uint32_t index, uint16_t port) {
    pollen_mesh *mesh = bench_mesh(index, false);
    bench_connect(mesh, 0, port);
    pollen_mesh_destroy(mesh);
}

bool bench_row_handshake(const bench_options *options, bench_sample *ret) {
    enum { WARM_UP = 20, MEETINGS = 300 };
    const double keys = bench_public_key_cpu_ns(options->seconds / 4);
    bench_child child = bench_fork(serve, NULL);
    uint16_t port;
    bench_hear(child.control, &port, sizeof port);
    uint32_t index = 1;
    for (; index <= WARM_UP; index++) {
        meet(index, port);
    }
    bench_stop(child.control);
    for (; index <= WARM_UP + MEETINGS; index++) {
        meet(index, port);
    }
    bench_stop(child.control);
    uint64_t cpu = 0;
    bench_hear(child.control, &cpu, sizeof cpu);
    bench_reap(&child);
    *ret = (bench_sample){.ours = (double)cpu / MEETINGS / 1e3, .against = keys / 1e3};
    return true;
}
