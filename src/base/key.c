/* SPDX-License-Identifier: Apache-2.0 */
#include "base/key.h"

#include "base/bytes.h"

char *pollen_key_hex(const pollen_key *key, char *hex) {
    return pln_hex_encode(key->bytes, POLLEN_KEY_BYTES, hex);
}

pollen_err pollen_key_parse(const char *text, pollen_key *ret_key) {
    pollen_key key;
    if (text == NULL || !pln_hex_decode(text, key.bytes, POLLEN_KEY_BYTES)) {
        return POLLEN_EINVAL;
    }
    *ret_key = key;
    return POLLEN_OK;
}

char *pln_key_short(const pollen_key *key, char *text) {
    return pln_hex_encode(key->bytes, (PLN_KEY_SHORT_BYTES - 1) / 2, text);
}
