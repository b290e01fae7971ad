/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/hostport.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <pollen/addr.h>

#include "wire/utf8.h"

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_clean(const char *text) {
    for (const char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7f) {
            return false;
        }
    }
    return pln_utf8_is_text((const uint8_t *)text, strlen(text));
}

static size_t count(const char *text, char c) {
    size_t found = 0;
    for (const char *at = text; *at != '\0'; at++) {
        found += *at == c ? 1 : 0;
    }
    return found;
}

/* "[host]" or "[host]:port", where host has no brackets. */
static pollen_err normalise_bracketed(const char *text, char *ret) {
    const char *close = strchr(text, ']');
    if (close == NULL || count(text, '[') != 1 || count(text, ']') != 1 || close == text + 1) {
        return POLLEN_EADDR;
    }
    int length;
    if (close[1] == '\0') {
        length = snprintf(ret, PLN_ADDR_TEXT_MAX + 1, "%s:%d", text, POLLEN_PORT_DEFAULT);
    } else if (close[1] == ':' && strchr(close + 2, ':') == NULL) {
        length = snprintf(ret, PLN_ADDR_TEXT_MAX + 1, "%s", text);
    } else {
        return POLLEN_EADDR;
    }
    return length <= PLN_ADDR_TEXT_MAX ? POLLEN_OK : POLLEN_EADDR;
}

static pollen_err normalise_plain(const char *text, char *ret) {
    size_t colons = count(text, ':');
    int length;
    if (strpbrk(text, "[]") != NULL || text[0] == ':') {
        /* "::1" begins with a colon and is an address; ":4000" has no host. */
        if (colons < 2 || strpbrk(text, "[]") != NULL) {
            return POLLEN_EADDR;
        }
    }
    if (colons == 1) {
        length = snprintf(ret, PLN_ADDR_TEXT_MAX + 1, "%s", text);
    } else if (colons == 0 && strchr(text, '%') == NULL) {
        length = snprintf(ret, PLN_ADDR_TEXT_MAX + 1, "%s:%d", text, POLLEN_PORT_DEFAULT);
    } else {
        length = snprintf(ret, PLN_ADDR_TEXT_MAX + 1, "[%s]:%d", text, POLLEN_PORT_DEFAULT);
    }
    return length <= PLN_ADDR_TEXT_MAX ? POLLEN_OK : POLLEN_EADDR;
}

pollen_err pln_hostport_normalise(const char *text, size_t size, char ret[PLN_ADDR_TEXT_MAX + 1]) {
    char trimmed[PLN_ADDR_TEXT_MAX + 1];
    while (size > 0 && is_blank(text[0])) {
        text += 1;
        size -= 1;
    }
    while (size > 0 && is_blank(text[size - 1])) {
        size -= 1;
    }
    if (size == 0 || size > PLN_ADDR_TEXT_MAX || memchr(text, '\0', size) != NULL) {
        return POLLEN_EADDR;
    }
    memcpy(trimmed, text, size);
    trimmed[size] = '\0';
    if (!is_clean(trimmed)) {
        return POLLEN_EADDR;
    }
    char normal[PLN_ADDR_TEXT_MAX + 1];
    pollen_err err =
        trimmed[0] == '[' ? normalise_bracketed(trimmed, normal) : normalise_plain(trimmed, normal);
    if (err == POLLEN_OK) {
        memcpy(ret, normal, strlen(normal) + 1);
    }
    return err;
}
