/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory: the reference's files with the reference's names and formats.
 *
 *   keys/ed25519.key, .pub          node key       keys/cluster.trust.pb     trust bundle
 *   keys/admin_ed25519.key, .pub    admin key      keys/membership.cert.pb   membership certificate
 *   keys/admin.cert.pb              delegated admin certificate
 *   config.yaml  state.yaml  consumed_invites.json  .state.lock
 *   and two of our own: nat.json  pln.sock
 *
 * Every failing call leaves a sentence that names the file in pollen_last_error().
 */
#ifndef PLN_RUN_STATEDIR_H
#define PLN_RUN_STATEDIR_H

#include <time.h>

#include "auth/credentials.h"
#include "wire/config_yaml.h"

enum { PLN_PATH_BYTES = 4096 };

#define PLN_FILE_CONFIG "config.yaml"
#define PLN_FILE_STATE "state.yaml"
#define PLN_FILE_KEPT ".kept-" /* What follows state.yaml, and 16 hex digits it, in copies of it. */
#define PLN_FILE_LEDGER "consumed_invites.json"
#define PLN_FILE_NAT "nat.json"
#define PLN_FILE_LOCK ".state.lock"
#define PLN_FILE_SOCKET "pln.sock"

/* The default: /var/lib/pln when it exists and we may write it, else ~/.pln.  Into
 * path[PLN_PATH_BYTES].
 * Errors: POLLEN_ENOENT (no home) */
POLLEN_MUST_USE pollen_err pln_statedir_default(char *path);

/* dir/name into path[PLN_PATH_BYTES].  Errors: POLLEN_EINVAL (too long) */
POLLEN_MUST_USE pollen_err pln_statedir_path(const char *dir, const char *name, char *path);

/* The same, for who keeps it: the caller frees *ret.  NULL for no dir.
 * Errors: POLLEN_EINVAL (too long), POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_statedir_dup_path(const char *dir, const char *name, char **ret);

/*
 * Loads the node key; makes one where both halves are missing and create is set; restores a missing
 * public half from the private one.
 *
 * Errors: POLLEN_ENOENT, POLLEN_EKEY (malformed, halves of different keys, a lone public key),
 *         POLLEN_EMODE, those of pln_file_read() and pln_file_write()
 */
POLLEN_MUST_USE pollen_err pln_statedir_load_key(const char *dir, bool create, pollen_seed *ret);

/* The key of a root whose cluster was never finished: an admin key that nobody delegated to.
 * Errors: POLLEN_ENOENT, and as for the node key */
POLLEN_MUST_USE pollen_err pln_statedir_load_root(const char *dir, pollen_seed *ret);

/* The whole of keys/.  Saving refuses to put another private key (POLLEN_EEXIST) or the membership
 * of another cluster (POLLEN_ECLUSTER) in the place of what is there.
 * Errors: as pollen_credentials_load(), and POLLEN_ECONFIG */
POLLEN_MUST_USE pollen_err pln_statedir_load_credentials(const char *dir, pln_wall now,
                                                         pln_credentials *ret);
POLLEN_MUST_USE pollen_err pln_statedir_save_credentials(const char *dir,
                                                         const pln_credentials *creds);

/* A missing file is the default configuration.
 * Errors: POLLEN_ECONFIG, and those of pln_file_read() */
POLLEN_MUST_USE pollen_err pln_statedir_load_config(const char *dir, pln_config *ret);
POLLEN_MUST_USE pollen_err pln_statedir_save_config(const char *dir, const pln_config *config);

/* Removes what writes that were killed left behind before that time. */
void pln_statedir_sweep(const char *dir, const struct timespec *before);

/* Held by the daemon; who takes it sweeps.
 * Errors: POLLEN_EBUSY (another holds it), POLLEN_EPERM, POLLEN_EIO */
POLLEN_MUST_USE pollen_err pln_statedir_lock(const char *dir, int *ret_fd);
void pln_statedir_unlock(int fd);

#endif
