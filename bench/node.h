/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meshes for the benchmark, driven by the measuring thread itself.  Both processes derive the same
 * keys from the same numbers, so that nothing has to be exchanged but ports.
 */
#ifndef BENCH_NODE_H
#define BENCH_NODE_H

#include <pollen/pollen.h>

#include "bench.h"

/* Member `index` of the benchmark's cluster; 0 is its root.
 * Threaded: with a loop thread of its own. */
pollen_mesh *bench_mesh(uint32_t index, bool threaded);
pollen_key bench_key(uint32_t index);

pollen_addr bench_loopback(uint16_t port);

/* Connects or ends the program. */
void bench_connect(pollen_mesh *mesh, uint32_t peer, uint16_t port);

/* Ends the program on an error. */
void bench_check(pollen_err err, const char *what);

void bench_dispatch(pollen_mesh *mesh);

/* Sleeps until the mesh has work, or something can be heard on control. */
void bench_wait(pollen_mesh *mesh, int control);
void bench_wait_ms(pollen_mesh *mesh, int ms);

#endif
