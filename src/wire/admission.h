/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission objects: what proves that a key belongs to a cluster (pollen.admission.v1).
 *
 * Protobuf stops at this edge: an encoded object is decoded, checked for structure (key and
 * signature lengths, required parts, counts, UUIDs, UTF-8) and converted; nothing here judges
 * signatures or times.
 *
 * A signature covers the canonical re-encoding of the claims: ascending field numbers, defaults
 * omitted, sub-messages that are present written even if empty, unknown fields kept byte-exact at
 * the end.  A decoded object therefore carries two encodings that the decoder made: `wire`, its
 * whole canonical form, and `signed_bytes`, the canonical form of its claims alone.  They stay
 * empty in an object that is being built, until its encode function fills them.
 *
 * Owner: an object owns its encodings and lists; *_fini() frees them and accepts a zeroed object.
 */
#ifndef PLN_WIRE_ADMISSION_H
#define PLN_WIRE_ADMISSION_H

#include <stdbool.h>

#include <pollen/addr.h>
#include <pollen/key.h>

#include "base/bytes.h"
#include "base/limits.h"

#define PLN_SIGNATURE_BYTES 64
#define PLN_TOKEN_ID_BYTES 37 /* A UUID in text and a NUL. */

typedef struct pln_signature {
    uint8_t bytes[PLN_SIGNATURE_BYTES];
} pln_signature;

typedef struct pln_trust {
    pollen_key cluster_id; /* SHA-256 of root_pub; equality is for auth to check. */
    pollen_key root_pub;
    pln_bytes wire;
} pln_trust;

typedef struct pln_admin_cert {
    pollen_key cluster_id;
    pollen_key admin_pub;
    int64_t not_before;
    int64_t not_after;
    uint64_t serial;
    pln_signature signature;
    pln_bytes signed_bytes;
    pln_bytes wire;
} pln_admin_cert;

typedef struct pln_member_cert {
    pollen_key cluster_id;
    pollen_key subject_pub;
    pollen_key issuer_admin_pub;
    int64_t not_before;
    int64_t not_after;
    uint64_t serial;
    bool non_renewable;
    pln_admin_cert issuer;
    pln_signature signature;
    pln_bytes signed_bytes;
    pln_bytes wire;
} pln_member_cert;

/* Addresses stay text, because a token may name a host that the joiner resolves. */
typedef struct pln_bootstrap {
    pollen_key peer_pub;
    char **addrs;
    size_t addr_count;
} pln_bootstrap;

typedef struct pln_bootstraps {
    pln_bootstrap *items;
    size_t count;
} pln_bootstraps;

typedef struct pln_join_token {
    char token_id[PLN_TOKEN_ID_BYTES];
    pln_trust trust;
    pln_admin_cert issuer;
    pln_member_cert member_cert;
    pln_bootstraps bootstrap;
    int64_t issued_at;
    int64_t expires_at;
    pln_signature signature;
    pln_bytes signed_bytes;
    pln_bytes wire;
} pln_join_token;

typedef struct pln_invite_token {
    char token_id[PLN_TOKEN_ID_BYTES];
    pln_trust trust;
    pln_admin_cert issuer;
    pln_bootstraps bootstrap;
    bool has_subject;
    pollen_key subject_pub;
    int64_t issued_at;
    int64_t expires_at;
    int64_t membership_ttl_seconds;
    bool non_renewable;
    pln_signature signature;
    pln_bytes signed_bytes;
    pln_bytes wire;
} pln_invite_token;

typedef struct pln_revocation {
    pollen_key cluster_id;
    pollen_key subject_pub;
    int64_t revoked_at;
    pollen_key issuer_admin_pub;
    pln_signature signature;
    pln_bytes signed_bytes;
    pln_bytes wire;
} pln_revocation;

/*
 * Decode and check the structure.
 *
 * Owner:  bytes are borrowed for the call; ret is filled only on success, the caller calls
 *         *_fini().
 * Errors: POLLEN_EPROTO  malformed, a required part missing, a length or count out of range,
 *                        over-long
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_trust_decode(const uint8_t *bytes, size_t size, pln_trust *ret);
POLLEN_MUST_USE pollen_err pln_admin_cert_decode(const uint8_t *bytes, size_t size,
                                                 pln_admin_cert *ret);
POLLEN_MUST_USE pollen_err pln_member_cert_decode(const uint8_t *bytes, size_t size,
                                                  pln_member_cert *ret);
POLLEN_MUST_USE pollen_err pln_join_token_decode(const uint8_t *bytes, size_t size,
                                                 pln_join_token *ret);
POLLEN_MUST_USE pollen_err pln_invite_token_decode(const uint8_t *bytes, size_t size,
                                                   pln_invite_token *ret);
POLLEN_MUST_USE pollen_err pln_revocation_decode(const uint8_t *bytes, size_t size,
                                                 pln_revocation *ret);

/*
 * Building, in two steps: *_encode_claims() fills signed_bytes from the fields (embedded objects
 * need their `wire` already), the caller signs them into `signature`, then *_encode() fills wire.
 *
 * Errors: POLLEN_EINVAL  an embedded object has no wire, or a count is over its limit
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_trust_encode(pln_trust *trust);
POLLEN_MUST_USE pollen_err pln_admin_cert_encode_claims(pln_admin_cert *cert);
POLLEN_MUST_USE pollen_err pln_admin_cert_encode(pln_admin_cert *cert);
POLLEN_MUST_USE pollen_err pln_member_cert_encode_claims(pln_member_cert *cert);
POLLEN_MUST_USE pollen_err pln_member_cert_encode(pln_member_cert *cert);
POLLEN_MUST_USE pollen_err pln_join_token_encode_claims(pln_join_token *token);
POLLEN_MUST_USE pollen_err pln_join_token_encode(pln_join_token *token);
POLLEN_MUST_USE pollen_err pln_invite_token_encode_claims(pln_invite_token *token);
POLLEN_MUST_USE pollen_err pln_invite_token_encode(pln_invite_token *token);
POLLEN_MUST_USE pollen_err pln_revocation_encode_claims(pln_revocation *revocation);
POLLEN_MUST_USE pollen_err pln_revocation_encode(pln_revocation *revocation);

/* Deep copies; dst must be zeroed or finished before, and is zeroed on lack of memory. */
POLLEN_MUST_USE pollen_err pln_trust_copy(pln_trust *dst, const pln_trust *src);
POLLEN_MUST_USE pollen_err pln_admin_cert_copy(pln_admin_cert *dst, const pln_admin_cert *src);
POLLEN_MUST_USE pollen_err pln_member_cert_copy(pln_member_cert *dst, const pln_member_cert *src);
POLLEN_MUST_USE pollen_err pln_bootstraps_copy(pln_bootstraps *dst, const pln_bootstraps *src);

/* Appends a peer, or adds the addresses it does not have yet to the entry that exists. */
POLLEN_MUST_USE pollen_err pln_bootstraps_add(pln_bootstraps *list, const pollen_key *peer,
                                              const char *const *addrs, size_t addr_count);

void pln_trust_fini(pln_trust *trust);
void pln_admin_cert_fini(pln_admin_cert *cert);
void pln_member_cert_fini(pln_member_cert *cert);
void pln_join_token_fini(pln_join_token *token);
void pln_invite_token_fini(pln_invite_token *token);
void pln_revocation_fini(pln_revocation *revocation);
void pln_bootstraps_fini(pln_bootstraps *list);

/* 8-4-4-4-12 hex digits of either case and any version, then the end of text. */
bool pln_is_uuid(const char *text);

/*
 * The command-line form of a token: standard base64 with padding.  White space around is trimmed,
 * CR and LF inside are ignored; anything else foreign, or wrong padding, is refused.
 *
 * Owner:  ret_bytes / ret_text are the caller's (pln_bytes_fini, pln_free).
 * Errors: POLLEN_ETOKEN  not such text, or longer than a token may be
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_token_text_decode(const char *text, size_t size,
                                                 pln_bytes *ret_bytes);
POLLEN_MUST_USE pollen_err pln_token_text_encode(const pln_bytes *token, char **ret_text);

#endif
