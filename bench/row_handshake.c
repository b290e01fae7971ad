/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handshake costs a busy server in CPU time: several clients at once, each a new member with
 * a certificate of its own, so that nothing but the admin's certificate can be known from before.
 */
#include <pthread.h>
#include <stdatomic.h>

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

typedef struct crowd {
    atomic_uint next; /* Member that has not met the server yet. */
    unsigned end;
    uint16_t port;
} crowd;

static void *meet_in_turn(void *arg) {
    crowd *all = arg;
    for (unsigned index; (index = atomic_fetch_add(&all->next, 1)) < all->end;) {
        pollen_mesh *mesh = bench_mesh(index, false);
        bench_connect(mesh, 0, all->port);
        pollen_mesh_destroy(mesh);
    }
    return NULL;
}

static void meet(crowd *all, unsigned count) {
    enum { AT_ONCE = 8 };
    pthread_t threads[AT_ONCE];
    all->end = atomic_load(&all->next) + count;
    for (int i = 0; i < AT_ONCE; i++) {
        if (pthread_create(&threads[i], NULL, meet_in_turn, all) != 0) {
            bench_die("thread");
        }
    }
    for (int i = 0; i < AT_ONCE; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&all->next, all->end);
}

bool bench_row_handshake(const bench_options *options, bench_sample *ret) {
    enum { WARM_UP = 40, MEETINGS = 400 };
    const double keys = bench_public_key_cpu_ns(options->seconds / 4);
    bench_child child = bench_fork(serve, NULL);
    crowd all = {.next = 1};
    bench_hear(child.control, &all.port, sizeof all.port);
    meet(&all, WARM_UP);
    bench_stop(child.control);
    meet(&all, MEETINGS);
    bench_stop(child.control);
    uint64_t cpu = 0;
    bench_hear(child.control, &cpu, sizeof cpu);
    bench_reap(&child);
    *ret = (bench_sample){.ours = (double)cpu / MEETINGS / 1e3, .against = keys / 1e3};
    return true;
}
