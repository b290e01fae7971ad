/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of idle sessions: one node with a thousand of them, once as the side that accepted and
 * once as the side that dialled; the worse of the two counts.
 */
#include <stdlib.h>

#include "node.h"
#include "rows.h"

typedef struct crowd {
    int sessions;
    bool dials;
} crowd;

enum { TURN_MS = 20 };

/* The other side: as many nodes as sessions, all in one process. */
static void be_crowd(int control, const void *arg) {
    const crowd *what = arg;
    uint16_t port = 0;
    bench_hear(control, &port, sizeof port);
    pollen_mesh **meshes = calloc((size_t)what->sessions, sizeof(pollen_mesh *));
    if (meshes == NULL) {
        bench_die("memory");
    }
    for (int i = 0; i < what->sessions; i++) {
        meshes[i] = bench_mesh((uint32_t)i + 1, true);
        if (what->dials) {
            bench_connect(meshes[i], 0, port);
        }
        const uint16_t own = pollen_mesh_listen_port(meshes[i]);
        bench_tell(control, &own, sizeof own);
    }
    uint8_t word;
    bench_hear(control, &word, sizeof word);
    for (int i = 0; i < what->sessions; i++) {
        pollen_mesh_destroy(meshes[i]);
    }
    free(meshes);
}

/* Until all sessions stand and what handshakes leave behind has been let go. */
static void settle(pollen_mesh *mesh, int sessions, double seconds) {
    const uint64_t end = bench_now_ns() + (uint64_t)(seconds * 1e9);
    while (bench_now_ns() < end || pollen_mesh_connected_peers(mesh, NULL, 0) < (size_t)sessions) {
        bench_dispatch(mesh);
        bench_wait_ms(mesh, TURN_MS);
    }
}

static double bytes_per_session(int sessions, bool crowd_dials) {
    const crowd what = {.sessions = sessions, .dials = crowd_dials};
    bench_child child = bench_fork(be_crowd, &what);
    pollen_mesh *mesh = bench_mesh(0, false);
    const uint64_t before = bench_private_bytes();
    const uint16_t port = pollen_mesh_listen_port(mesh);
    bench_tell(child.control, &port, sizeof port);
    for (int i = 0; i < sessions; i++) {
        while (!bench_is_told(child.control)) {
            bench_dispatch(mesh);
            bench_wait(mesh, child.control);
        }
        uint16_t peer_port;
        bench_hear(child.control, &peer_port, sizeof peer_port);
        if (!crowd_dials) {
            bench_connect(mesh, (uint32_t)i + 1, peer_port);
        }
    }
    settle(mesh, sessions, 3);
    const uint64_t after = bench_private_bytes();
    bench_stop(child.control);
    pollen_mesh_destroy(mesh);
    bench_reap(&child);
    return (double)(after - before) / sessions;
}

bool bench_row_memory(const bench_options *options, bench_sample *ret) {
    const double accepted = bytes_per_session(options->sessions, true);
    const double dialled = bytes_per_session(options->sessions, false);
    *ret = (bench_sample){.ours = (accepted > dialled ? accepted : dialled) / 1024};
    return true;
}
