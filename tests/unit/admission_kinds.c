/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/admission_kinds.h"

#define SIGNED_KIND(member, name)                                                                  \
    static pollen_err member##_decode(const uint8_t *bytes, size_t size, admission_object *ret) {  \
        return pln_##name##_decode(bytes, size, &ret->member);                                     \
    }                                                                                              \
    static pollen_err member##_encode_claims(admission_object *object) {                           \
        return pln_##name##_encode_claims(&object->member);                                        \
    }                                                                                              \
    static pollen_err member##_encode(admission_object *object) {                                  \
        return pln_##name##_encode(&object->member);                                               \
    }                                                                                              \
    static void member##_fini(admission_object *object) {                                          \
        pln_##name##_fini(&object->member);                                                        \
    }                                                                                              \
    static pln_bytes *member##_signed(admission_object *object) {                                  \
        return &object->member.signed_bytes;                                                       \
    }                                                                                              \
    static pln_bytes *member##_wire(admission_object *object) {                                    \
        return &object->member.wire;                                                               \
    }                                                                                              \
    static pln_signature *member##_signature(admission_object *object) {                           \
        return &object->member.signature;                                                          \
    }

SIGNED_KIND(admin, admin_cert)
SIGNED_KIND(member, member_cert)
SIGNED_KIND(join, join_token)
SIGNED_KIND(invite, invite_token)
SIGNED_KIND(revocation, revocation)

static pollen_err trust_decode(const uint8_t *bytes, size_t size, admission_object *ret) {
    return pln_trust_decode(bytes, size, &ret->trust);
}

static pollen_err trust_encode(admission_object *object) {
    return pln_trust_encode(&object->trust);
}

static void trust_fini(admission_object *object) {
    pln_trust_fini(&object->trust);
}

static pln_bytes *trust_wire(admission_object *object) {
    return &object->trust.wire;
}

#define SIGNED_ENTRY(member)                                                                       \
    .decode = member##_decode, .encode_claims = member##_encode_claims, .encode = member##_encode, \
    .fini = member##_fini, .signed_bytes = member##_signed, .wire = member##_wire,                 \
    .signature = member##_signature

const admission_kind admission_kinds[] = {
    {.type = "TrustBundle",
     .object = "trust_bundle",
     .bytes_max = PLN_CERT_BYTES_MAX,
     .decode = trust_decode,
     .encode = trust_encode,
     .fini = trust_fini,
     .wire = trust_wire},
    {.type = "AdminCert",
     .object = "admin_cert",
     .bytes_max = PLN_CERT_BYTES_MAX,
     SIGNED_ENTRY(admin)},
    {.type = "MembershipCert",
     .object = "membership_cert",
     .bytes_max = PLN_CERT_BYTES_MAX,
     SIGNED_ENTRY(member)},
    {.type = "JoinToken",
     .object = "join_token",
     .bytes_max = PLN_TOKEN_BYTES_MAX,
     SIGNED_ENTRY(join)},
    {.type = "InviteToken",
     .object = "invite_token",
     .bytes_max = PLN_TOKEN_BYTES_MAX,
     SIGNED_ENTRY(invite)},
    {.type = "SignedRevocation",
     .object = "revocation",
     .bytes_max = PLN_CERT_BYTES_MAX,
     SIGNED_ENTRY(revocation)},
    {0},
};
