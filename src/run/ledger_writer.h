/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the record of redeemed invites on a thread of its own, because a disk can take its time
 * and the loop serves every peer.  The thread starts with the first write.
 */
#ifndef PLN_RUN_LEDGER_WRITER_H
#define PLN_RUN_LEDGER_WRITER_H

#include "base/bytes.h"
#include "run/wait.h"
#include "wire/admission.h"

typedef struct pln_ledger_job pln_ledger_job;

typedef struct pln_ledger_writer {
    pln_monitor monitor; /* Guards the rest. */
    pln_ledger_job *head, **tail;
    bool started, stopping;
    pthread_t thread;  /* the owner's */
    pollen_mesh *mesh; /* fixed after init, like path */
    char *path;
} pln_ledger_writer;

/* state_dir may be NULL: nothing is kept.  Errors: POLLEN_ENOMEM, POLLEN_EINVAL (too long) */
POLLEN_MUST_USE pollen_err pln_ledger_writer_init(pln_ledger_writer *writer, pollen_mesh *mesh,
                                                  const char *state_dir);

/* Waits for the write that is under way; those behind it are dropped,
 * and with them the answers that wait for them. */
void pln_ledger_writer_stop(pln_ledger_writer *writer);
void pln_ledger_writer_fini(pln_ledger_writer *writer);

/* Loop thread.  Takes text; pln_mesh_ledger_written() follows, possibly at once. */
void pln_ledger_writer_push(pln_ledger_writer *writer, const char *token_id, pln_bytes text);

#endif
