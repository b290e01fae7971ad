/* SPDX-License-Identifier: Apache-2.0 */
/* Admission objects.  The first byte chooses the kind. */
#include "fuzz.h"
#include "wire/admission.h"

/* The canonical form of the whole, after the signed one is found to be stable too. */
#define RECODE(name, type)                                                                         \
    static bool recode_##name(const uint8_t *data, size_t size, pln_bytes *ret) {                  \
        type object;                                                                               \
        type again;                                                                                \
        if (pln_##name##_decode(data, size, &object) != POLLEN_OK) {                               \
            return false;                                                                          \
        }                                                                                          \
        FUZZ_CHECK(pln_##name##_decode(object.wire.data, object.wire.size, &again) == POLLEN_OK);  \
        FUZZ_CHECK(pln_bytes_equal(&object.signed_bytes, &again.signed_bytes));                    \
        FUZZ_CHECK(pln_bytes_copy(ret, &object.wire));                                             \
        FUZZ_CHECK(pln_##name##_encode_claims(&again) == POLLEN_OK);                               \
        FUZZ_CHECK(pln_##name##_encode(&again) == POLLEN_OK);                                      \
        pln_##name##_fini(&object);                                                                \
        pln_##name##_fini(&again);                                                                 \
        return true;                                                                               \
    }

RECODE(admin_cert, pln_admin_cert)
RECODE(member_cert, pln_member_cert)
RECODE(join_token, pln_join_token)
RECODE(invite_token, pln_invite_token)
RECODE(revocation, pln_revocation)

static bool recode_trust(const uint8_t *data, size_t size, pln_bytes *ret) {
    pln_trust trust;
    if (pln_trust_decode(data, size, &trust) != POLLEN_OK) {
        return false;
    }
    FUZZ_CHECK(pln_bytes_copy(ret, &trust.wire));
    pln_trust_fini(&trust);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const fuzz_recode kinds[] = {recode_trust,      recode_admin_cert,   recode_member_cert,
                                        recode_join_token, recode_invite_token, recode_revocation};
    if (size > 0) {
        fuzz_check_stable(kinds[data[0] % (sizeof(kinds) / sizeof(kinds[0]))], data + 1, size - 1);
    }
    return 0;
}
