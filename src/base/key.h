/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers on peer keys that the public header does not need. */
#ifndef PLN_BASE_KEY_H
#define PLN_BASE_KEY_H

#include <stdbool.h>
#include <string.h>

#include <pollen/key.h>

#define PLN_KEY_SHORT_BYTES 9 /* The first 8 hex digits and a NUL, as logs show a peer. */

static inline int pln_key_compare(const pollen_key *a, const pollen_key *b) {
    return memcmp(a->bytes, b->bytes, POLLEN_KEY_BYTES);
}

static inline bool pln_key_equal(const pollen_key *a, const pollen_key *b) {
    return pln_key_compare(a, b) == 0;
}

static inline bool pln_key_is_zero(const pollen_key *key) {
    static const pollen_key zero;
    return pln_key_equal(key, &zero);
}

/* Into text[PLN_KEY_SHORT_BYTES]; returns text. */
char *pln_key_short(const pollen_key *key, char *text);

#endif
