/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/state.h"

#include <string.h>

#include "base/key.h"
#include "base/mem.h"
#include "wire/change.h"

/* The key that 64 hex digits of either case name. */
static bool parse_id(const uint8_t *data, size_t size, pollen_key *ret) {
    char hex[POLLEN_KEY_HEX_BYTES];
    if (size != sizeof(hex) - 1) {
        return false;
    }
    memcpy(hex, data, size);
    hex[size] = '\0';
    return pollen_key_parse(hex, ret) == POLLEN_OK;
}

/* ---- GossipEvent: 1 peer_id, 2 counter, 8 deleted, and one change ---------------------------- */

/* The changes are messages, so that the last run of one kind counts and is merged, as in an
 * envelope. */
static const pln_proto_schema event_schema = {
    .count = 11,
    .kinds = {[1] = PLN_FIELD_BYTES,
              [2] = PLN_FIELD_VARINT,
              [3] = PLN_FIELD_REPEATED,
              [4] = PLN_FIELD_REPEATED,
              [5] = PLN_FIELD_REPEATED,
              [6] = PLN_FIELD_REPEATED,
              [7] = PLN_FIELD_REPEATED,
              [8] = PLN_FIELD_VARINT,
              [9] = PLN_FIELD_REPEATED,
              [10] = PLN_FIELD_REPEATED},
};

/* The change that counts: the last run of fields of one kind, where one of another kind ends a
 * run. */
typedef struct run {
    uint32_t number; /* 0: no change. */
    const uint8_t *begin;
    const uint8_t *data;
    size_t size;
    size_t count;
    size_t total;
} run;

static run find_change(const pln_proto_message *msg) {
    run r = {0};
    pln_proto_scan scan = pln_proto_scan_of(msg->bytes, msg->size);
    pln_proto_field field;
    while (pln_proto_next(&scan, &field) == PLN_PROTO_FIELD) {
        if (pln_change_of(field.number) == PLN_CHANGE_NONE) {
            continue;
        }
        if (field.number != r.number) {
            r = (run){.number = field.number, .begin = field.raw};
        }
        r.data = field.data;
        r.size = field.size;
        r.count += 1;
        r.total += field.size;
    }
    return r;
}

static pollen_err read_change(const pln_proto_message *msg, pln_gossip_event *event) {
    run r = find_change(msg);
    pln_bytes joined = {0};
    if (r.number == 0) {
        event->kind = event->unknown.size > 0 ? PLN_CHANGE_UNKNOWN : PLN_CHANGE_NONE;
        return POLLEN_OK;
    }
    if (r.count > 1) {
        size_t left = (size_t)(msg->bytes + msg->size - r.begin);
        if (!pln_proto_join(r.begin, left, r.number, r.total, &joined)) {
            return POLLEN_ENOMEM;
        }
        r.data = joined.data;
        r.size = joined.size;
    }
    pollen_err err = pln_change_read(pln_change_of(r.number), r.data, r.size, event);
    pln_bytes_fini(&joined);
    if (err == POLLEN_ELIMIT) {
        pln_change_fini(event);
        event->kind = PLN_CHANGE_UNKNOWN;
        return POLLEN_OK;
    }
    return err;
}

static pollen_err read_event(const pln_proto_message *msg, pln_gossip_event *event) {
    pln_out unknown = {0};
    const pln_proto_slot *id = &msg->slots[1];
    event->has_author = parse_id(id->data, id->size, &event->author);
    event->counter = msg->slots[2].value;
    event->deleted = msg->slots[8].value != 0;
    pln_proto_put_unknown(&unknown, msg);
    pollen_err err = pln_out_finish(&unknown, &event->unknown);
    return err == POLLEN_OK ? read_change(msg, event) : err;
}

pollen_err pln_gossip_event_decode(const uint8_t *bytes, size_t size, pln_gossip_event *ret) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&event_schema, bytes, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_gossip_event event = {0};
    err = read_event(&msg, &event);
    pln_proto_message_fini(&msg);
    if (err != POLLEN_OK) {
        pln_gossip_event_fini(&event);
        return err;
    }
    *ret = event;
    return POLLEN_OK;
}

static void write_event(const pln_gossip_event *event, pln_out *out) {
    char hex[POLLEN_KEY_HEX_BYTES];
    if (event->has_author) {
        pln_proto_put_string(out, 1, pollen_key_hex(&event->author, hex));
    }
    pln_proto_put_u64(out, 2, event->counter);
    pln_proto_put_bool(out, 8, event->deleted);
    if (event->kind != PLN_CHANGE_NONE && event->kind != PLN_CHANGE_UNKNOWN) {
        pln_out change = {0};
        pln_change_write(event, &change);
        pln_proto_put_message(out, (uint32_t)event->kind, &change);
    }
    pln_out_put(out, event->unknown.data, event->unknown.size);
}

static pollen_err finish(pln_out *out, pln_bytes *ret) {
    pln_bytes bytes = {0};
    pollen_err err = pln_out_finish(out, &bytes);
    if (err == POLLEN_OK) {
        *ret = bytes;
    }
    return err;
}

pollen_err pln_gossip_event_encode(const pln_gossip_event *event, pln_bytes *ret) {
    pln_out out = {0};
    write_event(event, &out);
    return finish(&out, ret);
}

void pln_gossip_event_fini(pln_gossip_event *event) {
    pln_change_fini(event);
    pln_bytes_fini(&event->unknown);
    *event = (pln_gossip_event){0};
}

/* ---- Lists: 1 elements ----------------------------------------------------------------------- */

typedef struct list_form {
    size_t most;
    bool (*reserve)(void *list, size_t count); /* False without memory; count may be 0. */
    pollen_err (*read)(void *list, const pln_proto_field *field);
} list_form;

static pollen_err read_elements(const list_form *form, const pln_proto_message *msg, void *list) {
    size_t count = msg->slots[1].count;
    if (count > form->most) {
        return POLLEN_EPROTO;
    }
    pollen_err err = form->reserve(list, count) ? POLLEN_OK : POLLEN_ENOMEM;
    pln_proto_scan scan = pln_proto_scan_of(msg->bytes, msg->size);
    pln_proto_field field;
    while (err == POLLEN_OK && pln_proto_next_of(&scan, 1, &field)) {
        err = form->read(list, &field);
    }
    return err;
}

/* On an error the list is left half filled. */
static pollen_err read_list(const list_form *form, const uint8_t *bytes, size_t size, void *list) {
    static const pln_proto_schema schema = {.count = 2, .kinds = {[1] = PLN_FIELD_REPEATED}};
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, bytes, size, &msg);
    if (err == POLLEN_OK) {
        err = read_elements(form, &msg, list);
        pln_proto_message_fini(&msg);
    }
    return err;
}

/* ---- GossipEventBatch: 1 events -------------------------------------------------------------- */

static bool reserve_events(void *list, size_t count) {
    pln_gossip_batch *batch = list;
    batch->events = pln_calloc(count > 0 ? count : 1, sizeof(*batch->events));
    return batch->events != NULL;
}

static pollen_err read_next_event(void *list, const pln_proto_field *field) {
    pln_gossip_batch *batch = list;
    pollen_err err =
        pln_gossip_event_decode(field->data, field->size, &batch->events[batch->count]);
    batch->count += err == POLLEN_OK;
    return err;
}

pollen_err pln_gossip_batch_decode(const uint8_t *bytes, size_t size, pln_gossip_batch *ret) {
    static const list_form form = {
        .most = PLN_GOSSIP_EVENTS_MAX, .reserve = reserve_events, .read = read_next_event};
    pln_gossip_batch batch = {0};
    pollen_err err = read_list(&form, bytes, size, &batch);
    if (err != POLLEN_OK) {
        pln_gossip_batch_fini(&batch);
        return err;
    }
    *ret = batch;
    return POLLEN_OK;
}

pollen_err pln_gossip_batch_encode(const pln_gossip_batch *batch, pln_bytes *ret) {
    pln_out out = {0};
    for (size_t i = 0; i < batch->count; i++) {
        pln_out event = {0};
        write_event(&batch->events[i], &event);
        pln_proto_put_message(&out, 1, &event);
    }
    return finish(&out, ret);
}

size_t pln_gossip_event_overhead(size_t event_size) {
    return 1 + pln_varint_size(event_size);
}

void pln_gossip_batch_fini(pln_gossip_batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        pln_gossip_event_fini(&batch->events[i]);
    }
    pln_free(batch->events);
    *batch = (pln_gossip_batch){0};
}

/* ---- GossipVectorClock: 1 counters, a map: 1 key, 2 value ------------------------------------ */

static bool reserve_entries(void *list, size_t count) {
    pln_gossip_clock *clock = list;
    clock->entries = pln_calloc(count > 0 ? count : 1, sizeof(*clock->entries));
    return clock->entries != NULL;
}

static pollen_err read_next_entry(void *list, const pln_proto_field *field) {
    static const pln_proto_schema schema = {
        .count = 3, .kinds = {[1] = PLN_FIELD_BYTES, [2] = PLN_FIELD_VARINT}};
    pln_gossip_clock *clock = list;
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, field->data, field->size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_clock_entry *entry = &clock->entries[clock->count];
    if (parse_id(msg.slots[1].data, msg.slots[1].size, &entry->peer)) {
        entry->counter = msg.slots[2].value;
        clock->count += 1;
    }
    pln_proto_message_fini(&msg);
    return POLLEN_OK;
}

/* Insertion, because it keeps the order of equals, and a clock that another node sent is sorted
 * already or short. */
static void sort_entries(pln_gossip_clock *clock) {
    for (size_t i = 1; i < clock->count; i++) {
        pln_clock_entry entry = clock->entries[i];
        size_t at = i;
        while (at > 0 && pln_key_compare(&clock->entries[at - 1].peer, &entry.peer) > 0) {
            clock->entries[at] = clock->entries[at - 1];
            at -= 1;
        }
        clock->entries[at] = entry;
    }
}

static void drop_doubles(pln_gossip_clock *clock) {
    size_t kept = 0;
    for (size_t i = 0; i < clock->count; i++) {
        if (kept > 0 && pln_key_equal(&clock->entries[kept - 1].peer, &clock->entries[i].peer)) {
            kept -= 1;
        }
        clock->entries[kept++] = clock->entries[i];
    }
    clock->count = kept;
}

pollen_err pln_gossip_clock_decode(const uint8_t *bytes, size_t size, pln_gossip_clock *ret) {
    static const list_form form = {
        .most = PLN_CLOCK_ENTRIES_MAX, .reserve = reserve_entries, .read = read_next_entry};
    pln_gossip_clock clock = {0};
    pollen_err err = read_list(&form, bytes, size, &clock);
    if (err != POLLEN_OK) {
        pln_gossip_clock_fini(&clock);
        return err;
    }
    sort_entries(&clock);
    drop_doubles(&clock);
    *ret = clock;
    return POLLEN_OK;
}

pollen_err pln_gossip_clock_encode(const pln_gossip_clock *clock, pln_bytes *ret) {
    pln_out out = {0};
    for (size_t i = 0; i < clock->count; i++) {
        char hex[POLLEN_KEY_HEX_BYTES];
        pln_out entry = {0};
        pln_proto_put_present(&entry, 1, pollen_key_hex(&clock->entries[i].peer, hex),
                              sizeof(hex) - 1);
        pln_proto_put_present_u64(&entry, 2, clock->entries[i].counter);
        pln_proto_put_message(&out, 1, &entry);
    }
    return finish(&out, ret);
}

void pln_gossip_clock_fini(pln_gossip_clock *clock) {
    pln_free(clock->entries);
    *clock = (pln_gossip_clock){0};
}
