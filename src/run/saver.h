/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps state.yaml current: soon after a change, at once after a revocation, and when the mesh
 * closes.  A disk that is slow or full delays writing and nothing else.
 *
 * A write takes a copy of the state, made on the loop; the text is made and written on the writer's
 * thread.  One is under way at a time.
 */
#ifndef PLN_RUN_SAVER_H
#define PLN_RUN_SAVER_H

#include "base/time.h"
#include "run/state_file.h"

typedef struct pollen_mesh pollen_mesh;
typedef struct pln_state_write pln_state_write;

/* Waits until what the state holds now is saved.  Embedded in what waits. */
typedef struct pln_save_waiter pln_save_waiter;
struct pln_save_waiter {
    pln_save_waiter *next;
    uint64_t serial; /* Of the first write that has it. */
    void (*done)(pln_save_waiter *waiter, pollen_err err);
};

typedef struct pln_saver {
    char *dir, *path;     /* NULL: nothing is kept. */
    pln_state_file *file; /* Read, and not taken before the node is a member. */
    pln_state_write *under_way;
    uint64_t serial; /* Of the last write that was begun. */
    pln_ts due;      /* PLN_TS_NEVER while there is nothing to write. */
    pln_ts spaced_until;
    pln_ts retry_at;
    bool has_to; /* Write, although the state is as it was read: the file was flawed. */
    pln_save_waiter *waiters;
} pln_saver;

/* state_dir may be NULL.  Errors: POLLEN_ENOMEM, POLLEN_EINVAL (too long) */
POLLEN_MUST_USE pollen_err pln_saver_init(pln_saver *saver, const char *state_dir);
void pln_saver_fini(pln_saver *saver); /* Accepts a zeroed one. */

/* ---- Loop thread, or before it ------------------------------------------------------------- */

/* Reads the file.  Errors: those of pln_state_file_read() and pln_state_file_settle() */
POLLEN_MUST_USE pollen_err pln_saver_load(pollen_mesh *mesh);

/* The node has become a member: what was read before is taken now. */
void pln_saver_on_enrolled(pollen_mesh *mesh);

/* At the end of a turn: begins a write when one is due. */
void pln_saver_step(pollen_mesh *mesh);
pln_ts pln_saver_next_expiry(const pln_saver *saver);

/* Done at once when there is nothing to wait for. */
void pln_saver_wait(pollen_mesh *mesh, pln_save_waiter *waiter);

/* The mesh closes, the writer has stopped: the last write, here and now. */
void pln_saver_finish(pollen_mesh *mesh);

#endif
