/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Join tokens (a membership certificate and where to go with it) and invite tokens (the right of
 * one key to be issued one).  Decode and verify into locals, commit to state last.
 *
 * Thread: functions of their arguments.
 */
#ifndef PLN_AUTH_TOKEN_H
#define PLN_AUTH_TOKEN_H

#include "auth/signer.h"

/* A longer-lived invite is not redeemed: each one redeemed is remembered as long as it lives, so
 * this bounds the ledger. */
#define PLN_INVITE_TTL_MAX_SECONDS (30ll * 86400)

/* How long a join token that answers an invite may be used; what is left of the invite, if less. */
#define PLN_JOIN_TTL_SECONDS 300

/* ---- Invites --------------------------------------------------------------------------------- */

typedef struct pln_invite_terms {
    const pln_bootstraps *bootstrap; /* At least one peer. */
    const pollen_key *subject;       /* NULL: whoever comes first. */
    int64_t ttl_seconds;             /* Of the token itself. */
    int64_t membership_ttl_seconds;  /* 0: the redeemer's default. */
    bool non_renewable;
} pln_invite_terms;

/*
 * Owner:  ret is the caller's (pln_invite_token_fini), filled only on success.
 * Errors: POLLEN_EINVAL    no bootstrap peer or one without an address, ttl out of range
 *         POLLEN_EKEY      unusable subject
 *         POLLEN_EEXPIRED  the signer's own certificate is outside its window
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_invite_issue(const pln_signer *signer, const pln_invite_terms *terms,
                                            const pln_rng *rng, pln_wall now,
                                            pln_invite_token *ret);

/*
 * What a holder can check: the token is consistent in itself, which proves nothing about whose it
 * is.  A token that is bound to a key matches any holder when subject is NULL.
 *
 * Errors: POLLEN_ECERT       the embedded trust does not hold
 *         POLLEN_ESIGNATURE  of the token or its issuer
 *         POLLEN_EKEY        the issuer's key is unusable
 *         POLLEN_ESUBJECT    bound to another key than subject
 *         POLLEN_EEXPIRED    the token or its issuer is outside its window
 */
POLLEN_MUST_USE pollen_err pln_invite_verify(const pln_invite_token *token,
                                             const pollen_key *subject, pln_wall now);

/*
 * What the redeeming node checks: first that the token is this cluster's, because anybody can make
 * a root key and sign a consistent token with it; then all of pln_invite_verify(); then that it has
 * not expired even within the skew, and that its lifetime is sane.
 *
 * Errors: as above, and POLLEN_ECLUSTER  the embedded trust is not the local one
 *                       POLLEN_ETOKEN    lives longer than PLN_INVITE_TTL_MAX_SECONDS
 */
POLLEN_MUST_USE pollen_err pln_invite_verify_local(const pln_invite_token *token,
                                                   const pln_trust *trust,
                                                   const pollen_key *subject, pln_wall now);

/* The token sends its holder to this relay.  Each signer keeps a ledger of its own, so an invite is
 * used once for certain only where the relays it does not name refuse it. */
bool pln_invite_names_relay(const pln_invite_token *token, const pollen_key *relay);

/*
 * The answer to a verified invite.
 *
 * Owner:  ret is the caller's (pln_join_token_fini), filled only on success.
 * Errors: POLLEN_EEXPIRED  nothing is left of the invite, or the signer's own certificate is over
 *         POLLEN_EINVAL    default_ttl_seconds <= 0 and needed
 *         POLLEN_EKEY      unusable subject
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_invite_redeem(const pln_signer *signer,
                                             const pln_invite_token *invite,
                                             const pollen_key *subject, int64_t default_ttl_seconds,
                                             const pln_rng *rng, pln_wall now, pln_join_token *ret);

/* ---- Join tokens ----------------------------------------------------------------------------- */

typedef struct pln_join_terms {
    const pln_bootstraps *bootstrap; /* May be empty. */
    int64_t ttl_seconds;
    pln_member_terms membership;
} pln_join_terms;

/*
 * Owner:  ret is the caller's (pln_join_token_fini), filled only on success.
 * Errors: those of pln_member_cert_issue(); POLLEN_EINVAL also for a bootstrap peer without address
 */
POLLEN_MUST_USE pollen_err pln_join_issue(const pln_signer *signer, const pollen_key *subject,
                                          const pln_join_terms *terms, const pln_rng *rng,
                                          pln_wall now, pln_join_token *ret);

/*
 * Whoever knows which cluster the token must be of (because it redeemed an invite of it, or belongs
 * to it) passes that trust; without one the token only proves that it is consistent.
 *
 * Errors: POLLEN_ECLUSTER  trust (when not NULL) is not the embedded one
 *         as pln_invite_verify(), and those of pln_member_cert_verify() for the certificate inside
 */
POLLEN_MUST_USE pollen_err pln_join_verify(const pln_join_token *token, const pln_trust *trust,
                                           const pollen_key *subject, pln_wall now);

#endif
