/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C in commands that wait: a thread takes SIGINT and SIGTERM and tells everybody who asks, by
 * a descriptor, a flag and a cancel.  A second signal, or three seconds, end the process the hard
 * way.
 *
 * Signals belong to the process, so this is the one object of the command that exists once.
 */
#ifndef PLN_CMD_STOPPER_H
#define PLN_CMD_STOPPER_H

#include <stdbool.h>

#include <pollen/mesh.h>

/* Before any other thread.  Does nothing the second time. */
void pln_stopper_start(void);

bool pln_stopper_fired(void);
int pln_stopper_fd(void);                /* Readable once it fired; -1 before the start. */
pollen_cancel *pln_stopper_cancel(void); /* NULL before the start. */
bool pln_stopper_wait(int timeout_ms);   /* Waits; did it fire? */

#endif
