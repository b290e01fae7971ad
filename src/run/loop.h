/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: one turn of it, sleeping between turns, and its end. */
#ifndef PLN_RUN_LOOP_H
#define PLN_RUN_LOOP_H

#include <pollen/mesh.h>

#include "run/cmdq.h"

/* The loop's own thread; arg is the mesh. */
void *pln_loop_main(void *arg);

/* Does all that is due, without waiting; ready as from pln_poller_wait(). */
void pln_loop_turn(pollen_mesh *mesh, unsigned ready);

/* The last turn: tells peers and callers that this is the end. */
void pln_loop_shutdown(pollen_mesh *mesh);

/* The core's events, until there are no more; true when there was one. */
bool pln_loop_handle_events(pollen_mesh *mesh);

/* The command of a link: hands its outbox to the core. */
void pln_loop_run_link(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state);

/* ---- Any thread ------------------------------------------------------------------------------ */

void pln_loop_wake(pollen_mesh *mesh);

/* With an external loop: this thread is the one that dispatches. */
bool pln_loop_is_driver(pollen_mesh *mesh);

/* The mesh closes or has closed. */
bool pln_loop_is_closed(pollen_mesh *mesh);

/* A waiting call begins / has returned; pollen_mesh_destroy() waits for them. */
void pln_loop_enter(pollen_mesh *mesh);
void pln_loop_leave(pollen_mesh *mesh);

#endif
