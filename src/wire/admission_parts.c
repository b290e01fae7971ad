/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/admission_parts.h"

#include <string.h>

bool pln_admission_key(const pln_proto_slot *slot, pollen_key *ret) {
    if (slot->size != POLLEN_KEY_BYTES) {
        return false;
    }
    memcpy(ret->bytes, slot->data, POLLEN_KEY_BYTES);
    return true;
}

bool pln_admission_signature(const pln_proto_slot *slot, pln_signature *ret) {
    if (slot->size != PLN_SIGNATURE_BYTES) {
        return false;
    }
    memcpy(ret->bytes, slot->data, PLN_SIGNATURE_BYTES);
    return true;
}

bool pln_admission_token_id(const pln_proto_slot *slot, char ret[PLN_TOKEN_ID_BYTES]) {
    char text[PLN_TOKEN_ID_BYTES];
    if (slot->size != PLN_TOKEN_ID_BYTES - 1) {
        return false;
    }
    memcpy(text, slot->data, slot->size);
    text[slot->size] = '\0';
    if (!pln_is_uuid(text)) {
        return false;
    }
    memcpy(ret, text, PLN_TOKEN_ID_BYTES);
    return true;
}

static bool is_hex_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool pln_is_uuid(const char *text) {
    for (size_t i = 0; i < PLN_TOKEN_ID_BYTES - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex_digit(text[i])) {
            return false; /* Also at an early end of the text. */
        }
    }
    return text[PLN_TOKEN_ID_BYTES - 1] == '\0';
}

pollen_err pln_admission_seal(const pln_bytes *signed_bytes, const pln_signature *signature,
                              const pln_proto_message *decoded, pln_bytes *ret_wire) {
    pln_out out = {0};
    pln_proto_put_present(&out, 1, signed_bytes->data, signed_bytes->size);
    pln_proto_put_bytes(&out, 2, signature->bytes, PLN_SIGNATURE_BYTES);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, ret_wire);
}
