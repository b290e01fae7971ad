/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pem.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "wire/base64.h"

enum { KEY_BYTES = 32 };

/* A text that ends anywhere, so that no terminating NUL is needed. */
typedef struct span {
    const char *at;
    size_t size;
} span;

/* Takes the next line, without its end, from text; false at the end of text. */
static bool take_line(span *text, span *ret_line) {
    if (text->size == 0) {
        return false;
    }
    const char *newline = memchr(text->at, '\n', text->size);
    size_t length = newline != NULL ? (size_t)(newline - text->at) : text->size;
    *ret_line = (span){.at = text->at, .size = length};
    size_t taken = newline != NULL ? length + 1 : length;
    text->at += taken;
    text->size -= taken;
    while (ret_line->size > 0 && strchr(" \t\r", ret_line->at[ret_line->size - 1]) != NULL &&
           ret_line->at[ret_line->size - 1] != '\0') {
        ret_line->size -= 1;
    }
    return true;
}

static bool starts_with(const span *line, const char *prefix) {
    size_t size = strlen(prefix);
    return line->size >= size && memcmp(line->at, prefix, size) == 0;
}

/* "-----BEGIN label-----", or END. */
static bool is_border(const span *line, const char *verb, const char *label) {
    char border[96];
    int length = snprintf(border, sizeof(border), "-----%s %s-----", verb, label);
    PLN_ASSERT(length > 0 && (size_t)length < sizeof(border));
    return line->size == (size_t)length && memcmp(line->at, border, line->size) == 0;
}

static bool has_colon(const span *line) {
    return line->size > 0 && memchr(line->at, ':', line->size) != NULL;
}

/* The lines between headers (if there are any) and the end border. */
static bool find_body(span *text, const char *label, span *ret_body) {
    span body = *text;
    span line;
    bool in_headers = false;
    while (take_line(text, &line)) {
        if (is_border(&line, "END", label)) {
            body.size = (size_t)(line.at - body.at);
            *ret_body = body;
            return true;
        }
        if (starts_with(&line, "-----")) {
            return false;
        }
        /* Base64 has no colon, so this is a header; an empty line ends them. */
        if (has_colon(&line) || (in_headers && line.size == 0)) {
            in_headers = line.size > 0;
            body = *text;
        }
    }
    return false;
}

/* The compiler may not drop it, as it may a memset() before the end of a function. */
static void wipe(volatile uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = 0;
    }
}

pollen_err pln_pem_decode(const char *text, size_t size, const char *label, uint8_t ret_key[32]) {
    span rest = {.at = text, .size = size};
    span line;
    span body;
    do {
        if (!take_line(&rest, &line)) {
            return POLLEN_EKEY;
        }
    } while (!starts_with(&line, "-----BEGIN "));
    if (!is_border(&line, "BEGIN", label) || !find_body(&rest, label, &body)) {
        return POLLEN_EKEY;
    }
    uint8_t key[KEY_BYTES];
    size_t count;
    pollen_err err = pln_base64_decode(body.at, body.size, key, sizeof(key), &count);
    if (err == POLLEN_OK && count == KEY_BYTES) {
        memcpy(ret_key, key, KEY_BYTES);
    } else {
        err = POLLEN_EKEY;
    }
    wipe(key, sizeof(key));
    return err;
}

size_t pln_pem_encode(const char *label, const uint8_t key[32], char *text) {
    char body[PLN_BASE64_TEXT(KEY_BYTES) + 1];
    (void)pln_base64_encode(key, KEY_BYTES, body); /* The text ends with a NUL. */
    int length = snprintf(text, PLN_PEM_TEXT_BYTES, "-----BEGIN %s-----\n%s\n-----END %s-----\n",
                          label, body, label);
    wipe((uint8_t *)body, sizeof(body));
    PLN_ASSERT(length > 0 && length < PLN_PEM_TEXT_BYTES);
    return (size_t)length;
}
