/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state.yaml that does not parse.  Files are torn at their end, where a machine lost power, so
 * the text up to the last whole entries is tried.  The revocations stand at the end and must not be
 * lost with it.
 */
#include <string.h>

#include "base/mem.h"
#include "wire/state_yaml.h"

/* The last entry is the torn one; before it might be the head of a list that has none now. */
enum { CUTS_MAX = 4 };

/* The begin of the last line before end that starts a list's entry; 0 when there is none. */
static size_t last_entry(const char *text, size_t end) {
    while (end > 0) {
        size_t line = end;
        while (line > 0 && text[line - 1] != '\n') {
            line--;
        }
        size_t at = line;
        while (at < end && text[at] == ' ') {
            at++;
        }
        if (at + 1 < end && text[at] == '-' && text[at + 1] == ' ') {
            return line;
        }
        end = line > 0 ? line - 1 : 0;
    }
    return 0;
}

/* Where the readable part ends. */
static pollen_err read_begin(const char *text, size_t size, pln_saved_state *ret, size_t *ret_end) {
    const char *nul = memchr(text, '\0', size);
    size_t end = nul == NULL ? size : (size_t)(nul - text);
    for (int i = 0; i < CUTS_MAX && end > 0; i++) {
        const pollen_err err = pln_saved_state_decode(text, end, ret, NULL);
        if (err != POLLEN_ESTATE) {
            *ret_end = end;
            return err;
        }
        end = last_entry(text, end);
    }
    *ret = (pln_saved_state){0};
    *ret_end = 0;
    return POLLEN_OK;
}

/* The value of a line that may hold a revocation, without quotes; NULL for any other line.  Owner:
 * the caller's */
static pollen_err data_of(const char *line, size_t size, char **ret) {
    static const char name[] = "data:";
    *ret = NULL;
    while (size > 0 && (*line == ' ' || *line == '-')) {
        line++;
        size--;
    }
    if (size < sizeof(name) - 1 || memcmp(line, name, sizeof(name) - 1) != 0) {
        return POLLEN_OK;
    }
    line += sizeof(name) - 1;
    size -= sizeof(name) - 1;
    while (size > 0 && strchr(" \"'", line[0]) != NULL) {
        line++;
        size--;
    }
    while (size > 0 && strchr(" \"'\r", line[size - 1]) != NULL) {
        size--;
    }
    *ret = pln_malloc(size + 1);
    if (*ret == NULL) {
        return POLLEN_ENOMEM;
    }
    memcpy(*ret, line, size);
    (*ret)[size] = '\0';
    return POLLEN_OK;
}

static pollen_err take_line(const char *line, size_t size, pln_saved_state *state) {
    char *data;
    pollen_err err = data_of(line, size, &data);
    if (err == POLLEN_OK && data != NULL) {
        err = pln_saved_state_add_revocation(state, data);
    }
    pln_free(data);
    return err == POLLEN_EPROTO ? POLLEN_OK : err;
}

static pollen_err take_revocations(const char *text, size_t size, pln_saved_state *state) {
    for (size_t begin = 0; begin < size;) {
        const char *end = memchr(text + begin, '\n', size - begin);
        const size_t line = end == NULL ? size - begin : (size_t)(end - text) - begin;
        const pollen_err err = take_line(text + begin, line, state);
        if (err != POLLEN_OK) {
            return err;
        }
        begin += line + 1;
    }
    return POLLEN_OK;
}

pollen_err pln_saved_state_salvage(const char *text, size_t size, pln_saved_state *ret) {
    pln_saved_state state = {0};
    size_t end = 0;
    pollen_err err = read_begin(text, size, &state, &end);
    if (err == POLLEN_OK) {
        err = take_revocations(text + end, size - end, &state);
    }
    if (err != POLLEN_OK) {
        pln_saved_state_fini(&state);
        return err;
    }
    *ret = state;
    return POLLEN_OK;
}
