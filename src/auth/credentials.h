/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: what a node is (its key), where it belongs (trust and membership certificate), and
 * whether it may sign for the cluster.  Also the rules by which a join token changes them.
 *
 * Thread: one at a time.
 */
#ifndef PLN_AUTH_CREDENTIALS_H
#define PLN_AUTH_CREDENTIALS_H

#include "auth/token.h"

typedef struct pln_credentials {
    pollen_seed seed;
    pollen_key key;
    bool enrolled; /* trust and member_cert are set. */
    pln_trust trust;
    pln_member_cert member_cert;
    bool has_signer;
    pln_signer signer;
} pln_credentials;

void pln_credentials_init(pln_credentials *creds, const pollen_seed *seed);
void pln_credentials_fini(pln_credentials *creds); /* Wipes the secrets. */

/*
 * A new cluster of which this node is root and first member.  Nothing changes on error.
 *
 * Errors: POLLEN_EEXIST (already enrolled, or a signer), POLLEN_EINVAL (ttl <= 0), POLLEN_EKEY,
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_credentials_create_root(pln_credentials *creds,
                                                       const pollen_seed *root_seed,
                                                       int64_t admin_ttl_seconds,
                                                       int64_t membership_ttl_seconds,
                                                       const pln_rng *rng, pln_wall now);

/*
 * Applies a join token: enrols, or replaces the certificate when the token's lasts longer (or the
 * present one is no longer valid); otherwise the present one is kept, which is no error.  Nothing
 * changes on error: in particular a token of another cluster does not touch what there is.
 *
 * Owner:  token is borrowed for the call.
 * Errors: those of pln_join_verify(), POLLEN_ECLUSTER also when the node belongs to, or signs for,
 *         another cluster, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_credentials_apply(pln_credentials *creds,
                                                 const pln_join_token *token, pln_wall now,
                                                 bool *ret_changed);

/*
 * Installs a renewed certificate: same subject and cluster, signatures hold, not_after strictly
 * later, the renewable flag as before.  Nothing changes on error.
 *
 * Errors: POLLEN_ENOTENROLLED, those of pln_member_cert_verify(), POLLEN_ECERT (not later, or flag
 *         changed), POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_credentials_renew(pln_credentials *creds,
                                                 const pln_member_cert *cert, pln_wall now);

/* dst must be zeroed or finished before, and is zeroed on lack of memory. */
POLLEN_MUST_USE pollen_err pln_credentials_copy(pln_credentials *dst, const pln_credentials *src);

#endif
