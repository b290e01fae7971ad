/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "wire/admission.h"
#include "wire/base64.h"

/* A mail program may break lines; even one break per character stays below four times the bytes. */
enum { TOKEN_TEXT_BYTES_MAX = 4 * PLN_TOKEN_BYTES_MAX };

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

pollen_err pln_token_text_decode(const char *text, size_t size, pln_bytes *ret_bytes) {
    while (size > 0 && is_space(text[0])) {
        text += 1;
        size -= 1;
    }
    while (size > 0 && is_space(text[size - 1])) {
        size -= 1;
    }
    if (size == 0 || size > TOKEN_TEXT_BYTES_MAX) {
        return POLLEN_ETOKEN;
    }
    size_t cap = PLN_BASE64_BYTES(size);
    uint8_t *bytes = pln_malloc(cap > 0 ? cap : 1);
    if (bytes == NULL) {
        return POLLEN_ENOMEM;
    }
    size_t count;
    if (pln_base64_decode(text, size, bytes, cap, &count) != POLLEN_OK || count == 0 ||
        count > PLN_TOKEN_BYTES_MAX) {
        pln_free(bytes);
        return POLLEN_ETOKEN;
    }
    *ret_bytes = (pln_bytes){.data = bytes, .size = count};
    return POLLEN_OK;
}

pollen_err pln_token_text_encode(const pln_bytes *token, char **ret_text) {
    char *text = pln_malloc(PLN_BASE64_TEXT(token->size) + 1);
    if (text == NULL) {
        return POLLEN_ENOMEM;
    }
    (void)pln_base64_encode(token->data, token->size, text); /* The text ends with a NUL. */
    *ret_text = text;
    return POLLEN_OK;
}
