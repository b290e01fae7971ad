/* SPDX-License-Identifier: Apache-2.0 */
/* What several verbs do with the state directory.  Each reports its own error. */
#ifndef PLN_CMD_HOME_H
#define PLN_CMD_HOME_H

#include <pollen/admission.h>

#include "pln/cli.h"

enum { PLN_HOME_KEPT_BYTES = 64 };

/*
 * Loads the credentials of cli's directory; where there is no node key yet and create is set, makes
 * the directory and the key.
 *
 * Owner:  ret_credentials is the caller's.
 */
POLLEN_MUST_USE pln_exit pln_home_load(pln_cli *cli, bool create,
                                       pollen_credentials **ret_credentials);

/* Makes a cluster of which this node is root and first member, and saves it. */
POLLEN_MUST_USE pln_exit pln_home_create_cluster(pln_cli *cli, pollen_credentials *credentials,
                                                 pollen_key *ret_root);

/* Keeps every other command and the daemon from changing the directory;
 * pln_statedir_unlock(*ret_fd). */
POLLEN_MUST_USE pln_exit pln_home_lock(pln_cli *cli, int *ret_fd);

/* What to do where no daemon runs.  One that is started where nothing is set up makes a cluster of
 * its own, which whoever was invited to another one had better know before. */
const char *pln_home_start_hint(const pln_cli *cli);

/* A copy of state.yaml that a node kept aside, because it could not take all of it: any one, so
 * that whoever wants all removes or moves each in turn.  False when there is none. */
bool pln_home_find_kept(const pln_cli *cli, char ret_name[PLN_HOME_KEPT_BYTES]);

#endif
