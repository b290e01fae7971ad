/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519ctx (RFC 8032, 5.1), composed from libsodium's group operations: the only signature the
 * admission objects use.  The context separates the kinds of objects, so that a signature over one
 * can never stand for another.
 *
 * Thread: pure functions of their arguments.
 */
#ifndef PLN_AUTH_ED25519CTX_H
#define PLN_AUTH_ED25519CTX_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/admission.h"

#define PLN_CTX_ADMIN "pollen.admin.v1"
#define PLN_CTX_MEMBERSHIP "pollen.membership.v1"
#define PLN_CTX_JOIN "pollen.join.v1"
#define PLN_CTX_INVITE "pollen.invite.v1"
#define PLN_CTX_REVOCATION "pollen.revocation.v1"

/*
 * Signs deterministically.
 *
 * Owner:  everything is borrowed for the call; the expanded secret is wiped before it returns.
 * Errors: POLLEN_EINVAL  context empty or longer than 255 bytes
 */
POLLEN_MUST_USE pollen_err pln_ed25519ctx_sign(const pollen_seed *seed, const char *context,
                                               const uint8_t *msg, size_t size, pln_signature *ret);

/* True when the signature holds: S below the group order, the cofactorless equation, R compared as
 * bytes, as the reference does; and, beyond it, a key that is neither of small order nor written in
 * a second way, because with such a key one signature fits many messages. */
bool pln_ed25519ctx_verify(const pollen_key *pub, const char *context, const uint8_t *msg,
                           size_t size, const pln_signature *signature);

/* A key that may act as a node or an issuer: canonical, on the curve, not of small order. */
bool pln_key_is_usable(const pollen_key *pub);

void pln_sha256(const uint8_t *bytes, size_t size, uint8_t ret_hash[32]);

/* HKDF-SHA-256 (RFC 5869) for secrets derived from the node key; the label separates their uses.
 * At most 8160 bytes. */
void pln_derive_secret(const pollen_seed *seed, const char *label, uint8_t *ret, size_t size);

/* Overwrites in a way the compiler may not drop; size 0 is fine. */
void pln_secret_wipe(void *bytes, size_t size);

#endif
