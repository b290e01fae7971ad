/* SPDX-License-Identifier: Apache-2.0 */
/* The file of redeemed invites. */
#ifndef PLN_RUN_LEDGER_WRITER_H
#define PLN_RUN_LEDGER_WRITER_H

#include <pollen/mesh.h>

#include "base/bytes.h"

typedef struct pln_ledger_writer {
    char *path; /* NULL: nothing is kept. */
} pln_ledger_writer;

/* state_dir may be NULL.  Errors: POLLEN_ENOMEM, POLLEN_EINVAL (too long) */
POLLEN_MUST_USE pollen_err pln_ledger_writer_init(pln_ledger_writer *ledger, const char *state_dir);
void pln_ledger_writer_fini(pln_ledger_writer *ledger);

/* Before the loop begins: what was recorded.  Errors: POLLEN_ESTATE, those of pln_file_read() */
POLLEN_MUST_USE pollen_err pln_ledger_writer_load(pollen_mesh *mesh);

/* Loop thread.  Takes text; pln_mesh_ledger_written() follows, possibly at once, but for a mesh
 * that closes: then the answers that wait for it are dropped. */
void pln_ledger_writer_push(pollen_mesh *mesh, const char *token_id, pln_bytes text);

#endif
