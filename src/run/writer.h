/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes files on a thread of its own, because a disk can take its time and the loop serves every
 * peer.  The thread starts with the first write; writes are done one after the other, in order.
 */
#ifndef PLN_RUN_WRITER_H
#define PLN_RUN_WRITER_H

#include <sys/types.h>

#include "base/bytes.h"
#include "run/cmdq.h"
#include "run/wait.h"

enum { PLN_WRITE_WORDS_BYTES = 192 };

/* Embedded in what is written. */
typedef struct pln_write pln_write;
struct pln_write {
    pln_cmd cmd; /* On its way back. */
    pln_write *next;
    const char *path; /* Borrowed until done() */
    mode_t mode;
    /* Makes the content; on the writer's thread.  Owner: ret_text is the writer's. */
    pollen_err (*encode)(pln_write *write, pln_bytes *ret_text);
    /* Loop thread: the file is durable, or err and words say why not; POLLEN_ECLOSED when nobody
     * knows because the mesh closes.  Frees what the write is embedded in. */
    void (*done)(pln_write *write, pollen_mesh *mesh);
    pollen_err err;
    char words[PLN_WRITE_WORDS_BYTES];
};

typedef struct pln_writer {
    pln_monitor monitor; /* Guards the lists and stopping. */
    pln_write *head, **tail;
    pln_write *returned; /* Written when the loop took nothing any more. */
    bool stopping;
    bool started; /* the owner's, like thread */
    pthread_t thread;
    pollen_mesh *mesh; /* fixed after init */
} pln_writer;

void pln_writer_init(pln_writer *writer, pollen_mesh *mesh);
void pln_writer_fini(pln_writer *writer); /* After pln_writer_stop(). */

/* Loop thread.  False when there is no thread: the caller keeps the write. */
POLLEN_MUST_USE bool pln_writer_push(pln_writer *writer, pln_write *write);

/* Loop thread: waits for the write that is under way; done() runs for all that are left. */
void pln_writer_stop(pln_writer *writer);

#endif
