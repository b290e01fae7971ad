/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowd in one process, over the modelled QUIC: sim_crowd NODES [SEED]
 *
 * Every node keeps a session with every other by the peer state machine, without gossip: what all
 * say of whom they reach would be the square of the crowd in each of them.  Prints virtual and real
 * times and the most memory that was in use; exits with 1 when not all pairs met.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/clock.h"
#include "world.h"

static const sim_link good = {.delay = PLN_MS(20), .jitter = PLN_MS(5), .mtu = 1472};

static double seconds(pln_dur duration) {
    return (double)duration / 1e9;
}

/* In GiB, as the system counts it. */
static double peak_memory(void) {
    char line[256];
    double kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtod(line + 6, NULL);
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return kib / 1024 / 1024;
}

static size_t sessions(sim_world *world) {
    size_t count = 0;
    for (size_t i = 0; i < sim_node_count(world); i++) {
        count += pln_mesh_session_count(sim_mesh(world, i));
    }
    return count / 2;
}

static void report(sim_world *world, const char *what, pln_ts from, pln_ts began) {
    printf("%-16s %8.2f virtual s %8.1f real s %8zu sessions %12" PRIu64
           " packets, at most %.2f GiB\n",
           what, seconds(sim_world_now(world) - from), seconds(pln_clock_mono() - began),
           sessions(world), sim_traffic(world).sent, peak_memory());
    (void)fflush(stdout);
}

static void populate(sim_world *world, size_t nodes) {
    for (size_t i = 0; i < nodes; i++) {
        (void)sim_add_node(world);
    }
    for (size_t i = 0; i < nodes; i++) {
        for (size_t k = 0; k < i; k++) {
            sim_keep(world, i, k);
        }
    }
}

int main(int argc, char **argv) {
    const size_t nodes = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 1000;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    if (nodes < 2 || nodes > SIM_NODES_MAX) {
        (void)fprintf(stderr, "usage: sim_crowd NODES [SEED], of 2 to %d nodes\n", SIM_NODES_MAX);
        return 2;
    }
    sim_world *world = sim_world_create(seed, &good);
    const pln_ts from = sim_world_now(world);
    pln_ts began = pln_clock_mono();
    populate(world, nodes);
    report(world, "started", from, began);
    bool settled = false;
    for (int i = 0; i < 60 && !settled; i++) {
        settled = sim_run_until(world, sim_all_settled, NULL, PLN_S(5));
        report(world, settled ? "all pairs met" : "meeting", from, began);
    }
    began = pln_clock_mono();
    const pln_ts idle = sim_world_now(world);
    sim_run(world, PLN_S(60));
    report(world, "idle", idle, began);
    settled = settled && sim_all_settled(world, NULL);
    sim_world_destroy(world);
    return settled ? 0 : 1;
}
