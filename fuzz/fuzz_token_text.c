/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens as text. */
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "wire/admission.h"

static bool recode_text(const uint8_t *data, size_t size, pln_bytes *ret) {
    pln_bytes token;
    char *text;
    if (pln_token_text_decode((const char *)data, size, &token) != POLLEN_OK) {
        return false;
    }
    FUZZ_CHECK(token.size > 0);
    FUZZ_CHECK(token.size <= PLN_TOKEN_BYTES_MAX);
    FUZZ_CHECK(pln_token_text_encode(&token, &text) == POLLEN_OK);
    FUZZ_CHECK(pln_bytes_set(ret, text, strlen(text)));
    pln_free(text);
    pln_bytes_fini(&token);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_check_stable(recode_text, data, size);
    return 0;
}
