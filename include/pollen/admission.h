/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission: who belongs to a cluster.  A cluster is a root key; its admins sign membership
 * certificates; an invite is the right of one key to be issued one.
 *
 * Credentials are what a node is: its private key, and once enrolled its trust bundle, its
 * membership certificate, and for an admin the key that signs.  A mesh is created from them and
 * keeps a copy.
 *
 * Lifetime: pollen_credentials_destroy() wipes the secrets.
 * Thread: one thread at a time may use an object; different objects are independent.
 */
#ifndef POLLEN_ADMISSION_H
#define POLLEN_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/addr.h>
#include <pollen/key.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pollen_credentials pollen_credentials;

/*
 * A node of its own that belongs to no cluster yet.
 *
 * Owner:  seed is copied; ret is the caller's.
 * Errors: POLLEN_EKEY, POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err
pollen_credentials_create(const pollen_seed *seed, pollen_credentials **ret_credentials);
POLLEN_API void pollen_credentials_destroy(pollen_credentials *credentials); /* Accepts NULL. */

/*
 * Makes the node root and first member of a new cluster, whose root key is root_seed.
 *
 * Errors: POLLEN_EEXIST  already enrolled
 *         POLLEN_EKEY, POLLEN_ENOMEM, POLLEN_ESYS
 */
POLLEN_API POLLEN_MUST_USE pollen_err
pollen_credentials_create_cluster(pollen_credentials *credentials, const pollen_seed *root_seed);

/*
 * Reads / writes the key files of a state directory: keys/ below dir, in the formats of the
 * reference.  Loading a directory without a node key gives POLLEN_ENOENT and creates nothing.
 * Saving writes each file atomically and syncs it; a file that did not change is not written.
 *
 * Errors: POLLEN_ENOENT  no such directory, or no node key in it
 *         POLLEN_EMODE   a directory or key that others may write, or a private key that others
 *                        may read
 *         POLLEN_EKEY    a malformed key, halves that do not belong together, a lone public key
 *         POLLEN_ECERT, POLLEN_ECLUSTER, POLLEN_ESUBJECT, POLLEN_ESIGNATURE
 *                        loading: the stored certificates do not hold; an expired one loads
 *         POLLEN_ECONFIG loading: a malformed config.yaml, which a root's own certificate needs
 *         POLLEN_EEXIST  saving: another private key is there, which is never overwritten
 *         POLLEN_ECLUSTER  saving: a membership of another cluster is there
 *         POLLEN_EIO, POLLEN_ENOSPC, POLLEN_EPERM, POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_credentials_load(const char *dir,
                                                              pollen_credentials **ret_credentials);
POLLEN_API POLLEN_MUST_USE pollen_err pollen_credentials_save(const pollen_credentials *credentials,
                                                              const char *dir);

POLLEN_API pollen_key pollen_credentials_key(const pollen_credentials *credentials);
POLLEN_API bool pollen_credentials_enrolled(const pollen_credentials *credentials);
POLLEN_API bool pollen_credentials_is_admin(const pollen_credentials *credentials);

/* Errors: POLLEN_ENOTENROLLED */
POLLEN_API POLLEN_MUST_USE pollen_err
pollen_credentials_cluster(const pollen_credentials *credentials, pollen_key *ret_cluster_id);

/* Unix seconds. */
typedef struct pollen_cert_info {
    int64_t not_before;
    int64_t not_after;
    uint64_t serial;
    bool renewable;
} pollen_cert_info;

/* Errors: POLLEN_ENOTENROLLED */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_credentials_cert(const pollen_credentials *credentials,
                                                              pollen_cert_info *ret_info);

/* Where a joining node finds its first peer. */
typedef struct pollen_bootstrap {
    pollen_key peer;
    const char *const *addrs; /* "host:port"; names are resolved by the joiner. */
    size_t addr_count;
} pollen_bootstrap;

/* Set the defaults with pollen_invite_options_init(), which also fills size. */
typedef struct pollen_invite_options {
    size_t size;
    const pollen_bootstrap *bootstrap; /* At least one. */
    size_t bootstrap_count;
    const pollen_key *subject;      /* NULL: whoever redeems it first. */
    int64_t ttl_seconds;            /* Of the invite; default 300. */
    int64_t membership_ttl_seconds; /* Of the certificate; 0: default of the redeeming node. */
    bool non_renewable;
} pollen_invite_options;

POLLEN_API void pollen_invite_options_init(pollen_invite_options *options);

/*
 * Issues an invite: text to be pasted, a secret until it is used.
 *
 * Owner:  ret_text is freed with pollen_text_free().
 * Errors: POLLEN_ENOTADMIN  the credentials may not sign
 *         POLLEN_EINVAL     no bootstrap peer, a ttl out of range
 *         POLLEN_ENOMEM, POLLEN_ESYS
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_invite_create(const pollen_credentials *credentials,
                                                           const pollen_invite_options *options,
                                                           char **ret_text);

/* Issues a join token: the finished certificate of a key that is known already.
 * Errors: as above. */
POLLEN_API POLLEN_MUST_USE pollen_err
pollen_join_token_create(const pollen_credentials *credentials, const pollen_key *subject,
                         const pollen_invite_options *options, char **ret_text);

POLLEN_API void pollen_text_free(char *text); /* Wipes it; accepts NULL. */

/*
 * Redeems an invite at one of its bootstrap peers and returns the join token it gives, without
 * changing anything here; pollen_credentials_apply() then enrols.  Opens a socket of its own for
 * the time of the call.  The same key may redeem again until the invite expires and gets the same
 * answer.
 *
 * Thread: any; blocks up to timeout_ms.
 * Errors: POLLEN_ETOKEN       not a token, or not an invite
 *         POLLEN_EEXPIRED, POLLEN_ESIGNATURE, POLLEN_ECERT, POLLEN_ESUBJECT
 *                             it does not hold for this key
 *         POLLEN_ECONSUMED    another key used it
 *         POLLEN_ECLUSTER     the answer belongs to another cluster than the invite
 *         POLLEN_EDENIED      refused for another reason: pollen_last_error() has the peer's words
 *         POLLEN_EUNREACHABLE no bootstrap peer answered
 *         POLLEN_ETIMEDOUT, POLLEN_ESYS, POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_redeem_invite(const pollen_seed *seed,
                                                           const char *invite, int timeout_ms,
                                                           char **ret_join_token);

/*
 * Enrols by a join token, or takes its certificate when that lasts longer than the present one.
 *
 * Errors: POLLEN_ETOKEN, POLLEN_EEXPIRED, POLLEN_ESIGNATURE, POLLEN_ECERT, POLLEN_ESUBJECT
 *         POLLEN_ECLUSTER  enrolled in another cluster already; nothing changed
 *         POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_credentials_apply(pollen_credentials *credentials,
                                                               const char *join_token);

/* What the last failed call of this thread failed on, with peer and address where there is one; ""
 * when there is nothing to add.  Valid until the thread's next call. */
POLLEN_API const char *pollen_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
