/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading state.yaml.  What can be read of it is taken; a file of which anything was not taken, or
 * that another node wrote, is kept aside as state.yaml.kept-<16 hex digits> before ours takes its
 * place, so that nothing is ever lost by starting.
 */
#ifndef PLN_RUN_STATE_FILE_H
#define PLN_RUN_STATE_FILE_H

#include "base/log.h"
#include "state/state.h"

typedef struct pln_state_file {
    pln_saved_state saved;
    pln_bytes text;
    bool is_flawed; /* There is more in the file than in saved. */
} pln_state_file;

void pln_state_file_fini(pln_state_file *file); /* Accepts a zeroed one. */

/*
 * No file, and an empty one, is an empty state.
 *
 * Owner:  ret is the caller's (pln_state_file_fini), filled on success only.
 * Errors: those of pln_file_read(): what cannot be read must not be overwritten
 */
POLLEN_MUST_USE pollen_err pln_state_file_read(const char *path, const pollen_key *self,
                                               const pln_log *log, pln_state_file *ret);

/*
 * What became of it: says so, and keeps the file aside where that is needed; *ret_kept tells.
 *
 * Errors: those of pln_file_write()
 */
POLLEN_MUST_USE pollen_err pln_state_file_settle(const pln_state_file *file, const char *path,
                                                 const pln_state_loaded *loaded, const pln_log *log,
                                                 bool *ret_kept);

#endif
