/* SPDX-License-Identifier: Apache-2.0 */
/* nat.json: what the node remembers of NATs, kept across restarts.  It is worth little enough to be
 * lost: what cannot be read or written is said, and nothing else. */
#ifndef PLN_RUN_NAT_FILE_H
#define PLN_RUN_NAT_FILE_H

#include <pollen/mesh.h>

typedef struct pln_nat_file {
    char *path;     /* NULL: nothing is kept. */
    bool under_way; /* A write: what changes meanwhile waits for its end. */
} pln_nat_file;

/* state_dir may be NULL.  Errors: POLLEN_ENOMEM, POLLEN_EINVAL (too long) */
POLLEN_MUST_USE pollen_err pln_nat_file_init(pln_nat_file *file, const char *state_dir);
void pln_nat_file_fini(pln_nat_file *file); /* Accepts a zeroed one. */

/* Before the loop begins. */
void pln_nat_file_load(pollen_mesh *mesh);

/* At the end of a turn: writes what is new, one write at a time, because peers decide how often the
 * NAT seems another, and the disk is there for revocations and invites as well. */
void pln_nat_file_step(pollen_mesh *mesh);

#endif
