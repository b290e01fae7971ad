/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ledger_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/base64.h"
#include "wire/outbuf.h"

enum { WHY_BYTES = 128 };

static pollen_err fail(char *why, const char *text) {
    if (why != NULL) {
        (void)snprintf(why, WHY_BYTES, "%s", text);
    }
    return POLLEN_ESTATE;
}

void pln_ledger_entries_free(pln_ledger_entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        pln_bytes_fini(&entries[i].answer);
    }
    pln_free(entries);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A null counts as absent, as it does for the reference. */
static const json_t *member(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static pollen_err read_time(const json_t *object, const char *key, int64_t *ret, char *why) {
    const json_t *value = member(object, key);
    if (value == NULL) {
        *ret = 0;
        return POLLEN_OK;
    }
    if (!json_is_integer(value)) {
        return fail(why, "a time must be a whole number");
    }
    *ret = json_integer_value(value);
    return POLLEN_OK;
}

static pollen_err read_subject(const json_t *object, pln_ledger_entry *entry, char *why) {
    const json_t *value = member(object, "subject");
    if (value == NULL) {
        return POLLEN_OK;
    }
    entry->has_subject = true;
    if (!json_is_string(value) ||
        pollen_key_parse(json_string_value(value), &entry->subject) != POLLEN_OK) {
        return fail(why, "a subject must be 64 hex digits");
    }
    return POLLEN_OK;
}

static pollen_err read_answer(const json_t *object, pln_ledger_entry *entry, char *why) {
    const json_t *value = member(object, "answer");
    if (value == NULL) {
        return POLLEN_OK;
    }
    size_t length = json_string_length(value); /* 0 when it is no string. */
    if (!json_is_string(value) || length > PLN_BASE64_TEXT((size_t)PLN_TOKEN_BYTES_MAX)) {
        return fail(why, "an answer must be a join token in base64");
    }
    uint8_t bytes[PLN_TOKEN_BYTES_MAX];
    size_t count;
    if (pln_base64_decode(json_string_value(value), length, bytes, sizeof(bytes), &count) !=
        POLLEN_OK) {
        return fail(why, "an answer must be a join token in base64");
    }
    return pln_bytes_set(&entry->answer, bytes, count) ? POLLEN_OK : POLLEN_ENOMEM;
}

/* *ret_used is false for an id that no token can have: the reference keeps such entries and never
 * finds them. */
static pollen_err read_id(const json_t *object, pln_ledger_entry *entry, bool *ret_used,
                          char *why) {
    const json_t *value = member(object, "tokenID");
    if (value != NULL && !json_is_string(value)) {
        return fail(why, "a token id must be a text");
    }
    const char *text = value != NULL ? json_string_value(value) : "";
    *ret_used = pln_is_uuid(text);
    if (*ret_used) {
        memcpy(entry->token_id, text, PLN_TOKEN_ID_BYTES);
    }
    return POLLEN_OK;
}

static pollen_err read_entry(const json_t *object, pln_ledger_entry *entry, bool *ret_used,
                             char *why) {
    if (!json_is_object(object)) {
        return fail(why, "an invite must be an object");
    }
    pollen_err err = read_id(object, entry, ret_used, why);
    if (err == POLLEN_OK) {
        err = read_time(object, "expiresAtUnix", &entry->expires_at, why);
    }
    if (err == POLLEN_OK) {
        err = read_time(object, "consumedAtUnix", &entry->consumed_at, why);
    }
    if (err == POLLEN_OK) {
        err = read_subject(object, entry, why);
    }
    if (err == POLLEN_OK && *ret_used) {
        err = read_answer(object, entry, why);
    }
    return err;
}

/* By id, then by place in the file, which is the order of the addresses. */
static int compare(const void *a, const void *b) {
    const pln_ledger_entry *left = *(const pln_ledger_entry *const *)a;
    const pln_ledger_entry *right = *(const pln_ledger_entry *const *)b;
    int order = strcmp(left->token_id, right->token_id);
    return order != 0 ? order : (left > right) - (left < right);
}

/* Pointers to the entries in order; NULL when there is no memory.  Owner: the caller. */
static const pln_ledger_entry **order_of(const pln_ledger_entry *entries, size_t count) {
    const pln_ledger_entry **order = pln_calloc(count > 0 ? count : 1, sizeof(*order));
    if (order != NULL && count > 0) {
        for (size_t i = 0; i < count; i++) {
            order[i] = &entries[i];
        }
        qsort(order, count, sizeof(*order), compare);
    }
    return order;
}

/* Sorts by id and keeps the last entry of each. */
static pollen_err settle(pln_ledger_entry **entries, size_t *count) {
    const pln_ledger_entry **order = order_of(*entries, *count);
    pln_ledger_entry *sorted = pln_calloc(*count > 0 ? *count : 1, sizeof(*sorted));
    if (order == NULL || sorted == NULL) {
        pln_free(order);
        pln_free(sorted);
        return POLLEN_ENOMEM;
    }
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        bool again = i + 1 < *count && strcmp(order[i]->token_id, order[i + 1]->token_id) == 0;
        pln_ledger_entry entry = *order[i];
        if (again) {
            pln_bytes_fini(&entry.answer);
        } else {
            sorted[kept++] = entry;
        }
    }
    pln_free(order);
    pln_free(*entries);
    *entries = sorted;
    *count = kept;
    return POLLEN_OK;
}

static pollen_err read_invites(const json_t *invites, pln_ledger_entry **ret_entries,
                               size_t *ret_count, char *why) {
    size_t rows = json_array_size(invites); /* 0 when it is NULL. */
    pln_ledger_entry *entries = pln_calloc(rows > 0 ? rows : 1, sizeof(*entries));
    if (entries == NULL) {
        return POLLEN_ENOMEM;
    }
    size_t count = 0;
    pollen_err err = POLLEN_OK;
    for (size_t i = 0; i < rows && err == POLLEN_OK; i++) {
        bool used = false;
        err = read_entry(json_array_get(invites, i), &entries[count], &used, why);
        if (err == POLLEN_OK && used) {
            count += 1;
        } else {
            pln_bytes_fini(&entries[count].answer);
            entries[count] = (pln_ledger_entry){0};
        }
    }
    if (err == POLLEN_OK) {
        err = settle(&entries, &count);
    }
    if (err != POLLEN_OK) {
        pln_ledger_entries_free(entries, count);
        return err;
    }
    *ret_entries = entries;
    *ret_count = count;
    return POLLEN_OK;
}

static pollen_err read_root(const json_t *root, pln_ledger_entry **ret_entries, size_t *ret_count,
                            char *why) {
    if (root != NULL && !json_is_null(root) && !json_is_object(root)) {
        return fail(why, "an object is needed");
    }
    const json_t *invites = member(root, "invites");
    if (invites != NULL && !json_is_array(invites)) {
        return fail(why, "invites must be a list");
    }
    return read_invites(invites, ret_entries, ret_count, why);
}

static bool is_blank(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0') {
            return false;
        }
    }
    return true;
}

pollen_err pln_ledger_decode(const char *text, size_t size, pln_ledger_entry **ret_entries,
                             size_t *ret_count, char *why) {
    if (size > PLN_LEDGER_TEXT_MAX) {
        return fail(why, "too large");
    }
    json_t *root = NULL;
    if (!is_blank(text, size)) {
        json_error_t error;
        root = json_loadb(text, size, JSON_DECODE_ANY, &error);
        if (root == NULL) {
            if (json_error_code(&error) == json_error_out_of_memory) {
                return POLLEN_ENOMEM;
            }
            if (why != NULL) {
                (void)snprintf(why, WHY_BYTES, "line %d: %.100s", error.line, error.text);
            }
            return POLLEN_ESTATE;
        }
    }
    pollen_err err = read_root(root, ret_entries, ret_count, why);
    json_decref(root);
    return err;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put_answer(pln_out *out, const pln_bytes *answer) {
    char *text = pln_malloc(PLN_BASE64_TEXT(answer->size) + 1);
    if (text == NULL) {
        out->failed = true;
        return;
    }
    (void)pln_base64_encode(answer->data, answer->size, text); /* Ends with a NUL. */
    pln_out_text(out, ",\n      \"answer\": \"");
    pln_out_text(out, text);
    pln_out_text(out, "\"");
    pln_free(text);
}

static void put_entry(pln_out *out, const pln_ledger_entry *entry) {
    pln_out_printf(out, "    {\n      \"tokenID\": \"%s\",\n", entry->token_id);
    pln_out_printf(out, "      \"expiresAtUnix\": %" PRId64 ",\n", entry->expires_at);
    pln_out_printf(out, "      \"consumedAtUnix\": %" PRId64, entry->consumed_at);
    if (entry->has_subject) {
        char hex[POLLEN_KEY_HEX_BYTES];
        pln_out_printf(out, ",\n      \"subject\": \"%s\"", pollen_key_hex(&entry->subject, hex));
    }
    if (entry->answer.size > 0) {
        put_answer(out, &entry->answer);
    }
    pln_out_text(out, "\n    }");
}

pollen_err pln_ledger_encode(const pln_ledger_entry *entries, size_t count, pln_bytes *ret_text) {
    const pln_ledger_entry **order = order_of(entries, count);
    if (order == NULL) {
        return POLLEN_ENOMEM;
    }
    pln_out out = {0};
    pln_bytes text = {0};
    pln_out_text(&out, count > 0 ? "{\n  \"invites\": [\n" : "{\n  \"invites\": []");
    for (size_t i = 0; i < count; i++) {
        put_entry(&out, order[i]);
        pln_out_text(&out, i + 1 < count ? ",\n" : "\n  ]");
    }
    pln_out_text(&out, "\n}\n");
    pln_free(order);
    pollen_err err = pln_out_finish(&out, &text);
    if (err == POLLEN_OK) {
        *ret_text = text;
    }
    return err;
}
