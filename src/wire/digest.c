/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/digest.h"

#include <string.h>

#include "base/assert.h"
#include "base/key.h"
#include "wire/admission_parts.h"
#include "wire/body.h"

static const pln_proto_schema schema = {
    .count = 8,
    .kinds = {[1] = PLN_FIELD_BYTES,
              [2] = PLN_FIELD_BYTES,
              [3] = PLN_FIELD_VARINT,
              [4] = PLN_FIELD_REPEATED,
              [5] = PLN_FIELD_REPEATED,
              [6] = PLN_FIELD_REPEATED,
              [7] = PLN_FIELD_VARINT},
};

/* A key, or none where it is empty; *ret_present tells. */
static bool read_bound(const pln_proto_slot *slot, pollen_key *ret, bool *ret_present) {
    *ret_present = slot->size > 0;
    return pln_body_optional_key(slot, ret);
}

/* ---- Items: a key, and one or two numbers ---------------------------------------------------- */

typedef pollen_err (*read_item)(const pln_proto_message *msg, pln_digest *digest);

static pollen_err read_span(const pln_proto_message *msg, pln_digest *digest) {
    PLN_ASSERT(digest->span_count < PLN_DIGEST_ITEMS_MAX);
    pln_digest_span *span = &digest->spans[digest->span_count++];
    span->hash = msg->slots[2].value;
    return read_bound(&msg->slots[1], &span->to, &span->has_to) ? POLLEN_OK : POLLEN_EPROTO;
}

static pollen_err read_entry(const pln_proto_message *msg, pln_digest *digest) {
    PLN_ASSERT(digest->entry_count < PLN_DIGEST_ITEMS_MAX);
    pln_digest_entry *entry = &digest->entries[digest->entry_count++];
    entry->counter = msg->slots[2].value;
    entry->hash = msg->slots[3].value;
    return pln_admission_key(&msg->slots[1], &entry->author) ? POLLEN_OK : POLLEN_EPROTO;
}

static pollen_err read_want(const pln_proto_message *msg, pln_digest *digest) {
    PLN_ASSERT(digest->want_count < PLN_DIGEST_ITEMS_MAX);
    pln_digest_want *want = &digest->wants[digest->want_count++];
    want->above = msg->slots[2].value;
    return pln_admission_key(&msg->slots[1], &want->author) ? POLLEN_OK : POLLEN_EPROTO;
}

static pollen_err read_items(const pln_proto_message *whole, uint32_t number, read_item read,
                             pln_digest *digest) {
    static const pln_proto_schema item_schema = {
        .count = 4,
        .kinds = {[1] = PLN_FIELD_BYTES, [2] = PLN_FIELD_VARINT, [3] = PLN_FIELD_VARINT}};
    if (whole->slots[number].count > PLN_DIGEST_ITEMS_MAX) {
        return POLLEN_EPROTO;
    }
    pln_proto_scan scan = pln_proto_scan_of(whole->bytes, whole->size);
    pln_proto_field field;
    while (pln_proto_next_of(&scan, number, &field)) {
        pln_proto_message msg;
        pollen_err err = pln_proto_read(&item_schema, field.data, field.size, &msg);
        if (err != POLLEN_OK) {
            return err;
        }
        err = read(&msg, digest);
        pln_proto_message_fini(&msg);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    return POLLEN_OK;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static bool spans_grow(const pln_digest *digest) {
    const pollen_key *begin = &digest->from;
    for (size_t i = 0; i < digest->span_count; i++) {
        const pln_digest_span *span = &digest->spans[i];
        if (span->has_to ? pln_key_compare(begin, &span->to) >= 0 : i + 1 < digest->span_count) {
            return false;
        }
        begin = &span->to;
    }
    return true;
}

static bool entries_grow(const pln_digest *digest) {
    for (size_t i = 0; i < digest->entry_count; i++) {
        const pollen_key *author = &digest->entries[i].author;
        bool behind = i == 0 ? pln_key_compare(author, &digest->from) >= 0
                             : pln_key_compare(author, &digest->entries[i - 1].author) > 0;
        if (!behind || (digest->has_to && pln_key_compare(author, &digest->to) >= 0)) {
            return false;
        }
    }
    return true;
}

static pollen_err read_digest(const pln_proto_message *msg, pln_digest *digest) {
    bool has_from;
    digest->listed = msg->slots[3].value != 0;
    digest->more = msg->slots[7].value != 0;
    if (!read_bound(&msg->slots[1], &digest->from, &has_from) ||
        !read_bound(&msg->slots[2], &digest->to, &digest->has_to)) {
        return POLLEN_EPROTO;
    }
    pollen_err err = read_items(msg, 4, read_span, digest);
    if (err == POLLEN_OK) {
        err = read_items(msg, 5, read_entry, digest);
    }
    if (err == POLLEN_OK) {
        err = read_items(msg, 6, read_want, digest);
    }
    if (err == POLLEN_OK && (!spans_grow(digest) || !entries_grow(digest))) {
        err = POLLEN_EPROTO;
    }
    return err;
}

pollen_err pln_digest_decode(const uint8_t *body, size_t size, pln_digest *ret) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_digest digest = {.listed = false};
    err = read_digest(&msg, &digest);
    pln_proto_message_fini(&msg);
    if (err == POLLEN_OK) {
        *ret = digest;
    }
    return err;
}

static void put_key(pln_out *out, uint32_t number, bool present, const pollen_key *key) {
    pln_proto_put_bytes(out, number, key->bytes, present ? POLLEN_KEY_BYTES : 0);
}

pollen_err pln_digest_encode(const pln_digest *digest, pln_bytes *ret) {
    PLN_ASSERT(digest->span_count <= PLN_DIGEST_ITEMS_MAX);
    PLN_ASSERT(digest->entry_count <= PLN_DIGEST_ITEMS_MAX);
    PLN_ASSERT(digest->want_count <= PLN_DIGEST_ITEMS_MAX);
    pln_out out = {0};
    put_key(&out, 1, !pln_key_is_zero(&digest->from), &digest->from);
    put_key(&out, 2, digest->has_to, &digest->to);
    pln_proto_put_bool(&out, 3, digest->listed);
    for (size_t i = 0; i < digest->span_count; i++) {
        const pln_digest_span *span = &digest->spans[i];
        pln_out item = {0};
        put_key(&item, 1, span->has_to, &span->to);
        pln_proto_put_u64(&item, 2, span->hash);
        pln_proto_put_message(&out, 4, &item);
    }
    for (size_t i = 0; i < digest->entry_count; i++) {
        const pln_digest_entry *entry = &digest->entries[i];
        pln_out item = {0};
        put_key(&item, 1, true, &entry->author);
        pln_proto_put_u64(&item, 2, entry->counter);
        pln_proto_put_u64(&item, 3, entry->hash);
        pln_proto_put_message(&out, 5, &item);
    }
    for (size_t i = 0; i < digest->want_count; i++) {
        const pln_digest_want *want = &digest->wants[i];
        pln_out item = {0};
        put_key(&item, 1, true, &want->author);
        pln_proto_put_u64(&item, 2, want->above);
        pln_proto_put_message(&out, 6, &item);
    }
    pln_proto_put_bool(&out, 7, digest->more);
    return pln_body_finish(POLLEN_ENVELOPE_DIGEST, &out, ret);
}
