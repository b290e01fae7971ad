/* SPDX-License-Identifier: Apache-2.0 */
/* Gossip events, batches and clocks against the reference's vectors, and against hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/fail_mem.h"
#include "support/rows.h"
#include "wire/protowrite.h"
#include "wire/state.h"

static int load(void **state) {
    *state = vectors_load("state");
    return 0;
}

static pollen_err recode_event(const uint8_t *bytes, size_t size, pln_bytes *ret) {
    pln_gossip_event event;
    pollen_err err = pln_gossip_event_decode(bytes, size, &event);
    if (err == POLLEN_OK) {
        err = pln_gossip_event_encode(&event, ret);
        pln_gossip_event_fini(&event);
    }
    return err;
}

static pollen_err recode_batch(const uint8_t *bytes, size_t size, pln_bytes *ret) {
    pln_gossip_batch batch;
    pollen_err err = pln_gossip_batch_decode(bytes, size, &batch);
    if (err == POLLEN_OK) {
        err = pln_gossip_batch_encode(&batch, ret);
        pln_gossip_batch_fini(&batch);
    }
    return err;
}

static pollen_err recode_clock(const uint8_t *bytes, size_t size, pln_bytes *ret) {
    pln_gossip_clock clock;
    pollen_err err = pln_gossip_clock_decode(bytes, size, &clock);
    if (err == POLLEN_OK) {
        err = pln_gossip_clock_encode(&clock, ret);
        pln_gossip_clock_fini(&clock);
    }
    return err;
}

typedef pollen_err (*recode)(const uint8_t *bytes, size_t size, pln_bytes *ret);

/* NULL for the record of a service, which is a type of the definitions and never on the wire. */
static recode recode_of(const json_t *row) {
    if (rows_is(row, "type", "GossipEvent")) {
        return recode_event;
    }
    if (rows_is(row, "type", "GossipEventBatch")) {
        return recode_batch;
    }
    if (rows_is(row, "type", "GossipVectorClock")) {
        return recode_clock;
    }
    assert_true(rows_is(row, "type", "Service"));
    return NULL;
}

static void every_state_message_is_read_and_written(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "encode"), i, row) {
        recode again = recode_of(row);
        const char *sorted = rows_text(row, "deterministic") != NULL ? "deterministic" : "bytes";
        if (again == NULL) {
            continue;
        }
        pln_bytes bytes = vectors_bytes(row, "bytes");
        pln_bytes canonical = vectors_bytes(row, sorted);
        pln_bytes out = {0};
        assert_int_equal(again(bytes.data, bytes.size, &out), POLLEN_OK);
        if (!pln_bytes_equal(&out, &canonical)) {
            fail_msg("%s: other bytes", rows_text(row, "id"));
        }
        pln_bytes_fini(&out);
        pln_bytes_fini(&bytes);
        pln_bytes_fini(&canonical);
    }
}

/* All batches that the merge stories bring, among them broken and strange ones: none is malformed,
 * and writing what was read is the end of it. */
static void every_batch_of_the_merge_stories_is_read(void **state) {
    size_t i;
    size_t k;
    size_t batches = 0;
    json_t *story;
    json_t *step;
    json_array_foreach(rows_of(*state, "merge"), i, story) {
        json_array_foreach(json_object_get(story, "steps"), k, step) {
            if (rows_text(step, "batch") == NULL) {
                continue;
            }
            pln_bytes bytes = vectors_bytes(step, "batch");
            pln_bytes once = {0};
            pln_bytes twice = {0};
            assert_int_equal(recode_batch(bytes.data, bytes.size, &once), POLLEN_OK);
            assert_int_equal(recode_batch(once.data, once.size, &twice), POLLEN_OK);
            assert_true(pln_bytes_equal(&once, &twice));
            batches += 1;
            pln_bytes_fini(&bytes);
            pln_bytes_fini(&once);
            pln_bytes_fini(&twice);
        }
    }
    assert_true(batches > 40);
}

static const json_t *event_row(void **state, const char *id) {
    return rows_find(*state, "encode", id);
}

static pln_gossip_event event_of(void **state, const char *id) {
    pln_bytes bytes = vectors_bytes(event_row(state, id), "bytes");
    pln_gossip_event event;
    assert_int_equal(pln_gossip_event_decode(bytes.data, bytes.size, &event), POLLEN_OK);
    pln_bytes_fini(&bytes);
    return event;
}

static void events_have_the_fields_named(void **state) {
    pln_gossip_event event = event_of(state, "network");
    assert_true(event.has_author);
    assert_int_equal(event.author.bytes[0], 0xed);
    assert_true(event.counter == 2);
    assert_int_equal(event.kind, PLN_CHANGE_NETWORK);
    assert_int_equal(event.network.ip_count, 2);
    assert_string_equal(event.network.ips[1], "2001:db8::1");
    assert_int_equal(event.network.local_port, 60611);
    pln_gossip_event_fini(&event);

    event = event_of(state, "identity-min");
    assert_int_equal(event.kind, PLN_CHANGE_IDENTITY);
    assert_true(event.identity.has_key);
    assert_true(event.identity.cert_expiry == INT64_MIN);
    pln_gossip_event_fini(&event);

    event = event_of(state, "service-deleted");
    assert_int_equal(event.kind, PLN_CHANGE_SERVICE);
    assert_true(event.deleted);
    assert_string_equal(event.service.name, "web");
    assert_int_equal(event.service.port, 0);
    pln_gossip_event_fini(&event);

    event = event_of(state, "reachability");
    assert_int_equal(event.kind, PLN_CHANGE_REACHABILITY);
    assert_true(event.reachability.has_peer);
    assert_int_equal(event.reachability.peer.bytes[0], 0xca);
    pln_gossip_event_fini(&event);

    event = event_of(state, "revocation");
    assert_int_equal(event.kind, PLN_CHANGE_REVOCATION);
    assert_int_equal(event.revocation.size, 176);
    pln_gossip_event_fini(&event);

    event = event_of(state, "counter-max");
    assert_int_equal(event.kind, PLN_CHANGE_PUBLICLY_ACCESSIBLE);
    assert_true(event.counter == UINT64_MAX);
    pln_gossip_event_fini(&event);

    event = event_of(state, "event-no-change");
    assert_int_equal(event.kind, PLN_CHANGE_NONE);
    pln_gossip_event_fini(&event);
}

/* ---- Events that are not understood ---------------------------------------------------------- */

#define AUTHOR "ED4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1"

static pln_bytes finish(pln_out *out) {
    pln_bytes bytes = {0};
    assert_int_equal(pln_out_finish(out, &bytes), POLLEN_OK);
    return bytes;
}

/* An event of counter 9 with one change. */
static pln_gossip_event event_with(uint32_t number, pln_out *change) {
    pln_out out = {0};
    pln_gossip_event event;
    pln_proto_put_string(&out, 1, AUTHOR);
    pln_proto_put_u64(&out, 2, 9);
    pln_proto_put_message(&out, number, change);
    pln_bytes bytes = finish(&out);
    assert_int_equal(pln_gossip_event_decode(bytes.data, bytes.size, &event), POLLEN_OK);
    pln_bytes_fini(&bytes);
    return event;
}

static void assert_unknown(pln_gossip_event event) {
    assert_int_equal(event.kind, PLN_CHANGE_UNKNOWN);
    assert_true(event.has_author);
    assert_int_equal(event.author.bytes[0], 0xed);
    assert_true(event.counter == 9);
    pln_gossip_event_fini(&event);
}

static void a_change_of_a_later_version_is_kept_whole(void **state) {
    (void)state;
    pln_out change = {0};
    pln_bytes bytes;
    pln_proto_put_string(&change, 1, "future");
    pln_gossip_event event = event_with(11, &change);
    assert_int_equal(event.kind, PLN_CHANGE_UNKNOWN);
    assert_int_equal(event.unknown.size, 10);
    assert_int_equal(pln_gossip_event_encode(&event, &bytes), POLLEN_OK);
    assert_int_equal(bytes.size, 66 + 2 + 10);
    pln_bytes_fini(&bytes);
    assert_unknown(event);
}

static pln_gossip_event service_named(const char *name, size_t size) {
    pln_out change = {0};
    pln_proto_put_present(&change, 1, name, size);
    return event_with(PLN_CHANGE_SERVICE, &change);
}

/* One event that is out of bounds must not cost the others of its batch, which are of other
 * authors. */
static void a_change_out_of_bounds_is_remembered_as_unknown(void **state) {
    (void)state;
    char name[PLN_SERVICE_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    pln_gossip_event event = service_named(name, PLN_SERVICE_NAME_MAX);
    assert_int_equal(event.kind, PLN_CHANGE_SERVICE);
    pln_gossip_event_fini(&event);
    assert_unknown(service_named(name, sizeof(name)));
    assert_unknown(service_named("a\0b", 3));
    assert_unknown(service_named("\xff", 1));

    pln_out change = {0};
    pln_proto_put_bytes(&change, 1, name, 31);
    assert_unknown(event_with(PLN_CHANGE_IDENTITY, &change));
    pln_proto_put_bytes(&change, 1, name, 64);
    assert_unknown(event_with(PLN_CHANGE_REACHABILITY, &change));
    pln_proto_put_bytes(&change, 1, name, 10);
    assert_unknown(event_with(PLN_CHANGE_REACHABILITY, &change));
}

static void addresses_of_a_node_are_limited(void **state) {
    (void)state;
    for (size_t count = PLN_GOSSIP_IPS_MAX; count <= PLN_GOSSIP_IPS_MAX + 1; count++) {
        pln_out change = {0};
        for (size_t i = 0; i < count; i++) {
            pln_proto_put_present(&change, 1, "192.0.2.1", 9);
        }
        pln_gossip_event event = event_with(PLN_CHANGE_NETWORK, &change);
        assert_int_equal(event.kind,
                         count == PLN_GOSSIP_IPS_MAX ? PLN_CHANGE_NETWORK : PLN_CHANGE_UNKNOWN);
        pln_gossip_event_fini(&event);
    }
}

static void a_revocation_in_an_event_is_limited(void **state) {
    (void)state;
    static const uint8_t zeros[PLN_CERT_BYTES_MAX + 1];
    for (size_t size = PLN_CERT_BYTES_MAX; size <= sizeof(zeros); size++) {
        pln_out change = {0};
        pln_proto_put_present(&change, 1, zeros, size);
        pln_gossip_event event = event_with(PLN_CHANGE_REVOCATION, &change);
        assert_int_equal(event.kind,
                         size == PLN_CERT_BYTES_MAX ? PLN_CHANGE_REVOCATION : PLN_CHANGE_UNKNOWN);
        pln_gossip_event_fini(&event);
    }
}

static void an_author_that_is_no_key_is_nobody(void **state) {
    (void)state;
    static const char *const ids[] = {"", "ed", (AUTHOR "0"),
                                      ("ZZ4928c628d1c2c6eae90338905995612959273a5"
                                       "c63f93636c14614ac8737d1")};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        pln_out out = {0};
        pln_gossip_event event;
        pln_proto_put_string(&out, 1, ids[i]);
        pln_proto_put_u64(&out, 2, 1);
        pln_bytes bytes = finish(&out);
        assert_int_equal(pln_gossip_event_decode(bytes.data, bytes.size, &event), POLLEN_OK);
        assert_false(event.has_author);
        pln_gossip_event_fini(&event);
        pln_bytes_fini(&bytes);
    }
}

/* ---- Changes that come twice ----------------------------------------------------------------- */

static pln_gossip_event only_event(const char *hex) {
    uint8_t bytes[64];
    size_t size = strlen(hex) / 2;
    pln_gossip_event event;
    assert_true(pln_hex_decode(hex, bytes, size));
    assert_int_equal(pln_gossip_event_decode(bytes, size, &event), POLLEN_OK);
    return event;
}

static void the_last_change_on_the_wire_counts(void **state) {
    (void)state;
    pln_gossip_event event = only_event("1a0b0a093139322e302e322e3122020805");
    assert_int_equal(event.kind, PLN_CHANGE_EXTERNAL_PORT);
    assert_int_equal(event.external_port, 5);
    pln_gossip_event_fini(&event);
    event = only_event("22020805"
                       "1a0b0a093139322e302e322e31");
    assert_int_equal(event.kind, PLN_CHANGE_NETWORK);
    assert_int_equal(event.network.ip_count, 1);
    pln_gossip_event_fini(&event);
}

static void the_same_change_twice_is_merged(void **state) {
    (void)state;
    pln_gossip_event event =
        only_event("1a0b0a093139322e302e322e311a0b0a093139322e302e322e321a0410c3d903");
    assert_int_equal(event.kind, PLN_CHANGE_NETWORK);
    assert_int_equal(event.network.ip_count, 2);
    assert_string_equal(event.network.ips[1], "192.0.2.2");
    assert_int_equal(event.network.local_port, 60611);
    pln_gossip_event_fini(&event);
}

static void a_known_field_of_another_wire_type_is_refused(void **state) {
    (void)state;
    static const uint8_t fixed_counter[] = {0x11, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t bytes_counter[] = {0x12, 0};
    static const uint8_t varint_author[] = {0x08, 0};
    static const uint8_t varint_change[] = {0x18, 0};
    static const uint8_t group_change[] = {0x1b, 0x1c};
    pln_bytes out = {0};
    assert_int_equal(recode_event(fixed_counter, sizeof(fixed_counter), &out), POLLEN_EPROTO);
    assert_int_equal(recode_event(bytes_counter, sizeof(bytes_counter), &out), POLLEN_EPROTO);
    assert_int_equal(recode_event(varint_author, sizeof(varint_author), &out), POLLEN_EPROTO);
    assert_int_equal(recode_event(varint_change, sizeof(varint_change), &out), POLLEN_EPROTO);
    assert_int_equal(recode_event(group_change, sizeof(group_change), &out), POLLEN_EPROTO);
}

/* ---- Batches --------------------------------------------------------------------------------- */

static void events_of_a_batch_are_limited(void **state) {
    (void)state;
    for (size_t count = PLN_GOSSIP_EVENTS_MAX; count <= PLN_GOSSIP_EVENTS_MAX + 1; count++) {
        pln_out out = {0};
        pln_gossip_batch batch;
        for (size_t i = 0; i < count; i++) {
            pln_proto_put_present(&out, 1, NULL, 0);
        }
        pln_bytes bytes = finish(&out);
        pollen_err err = pln_gossip_batch_decode(bytes.data, bytes.size, &batch);
        assert_int_equal(err, count == PLN_GOSSIP_EVENTS_MAX ? POLLEN_OK : POLLEN_EPROTO);
        if (err == POLLEN_OK) {
            assert_int_equal(batch.count, count);
            pln_gossip_batch_fini(&batch);
        }
        pln_bytes_fini(&bytes);
    }
}

static void an_event_adds_its_overhead_to_a_batch(void **state) {
    (void)state;
    for (size_t ip = 100; ip < 160; ip++) {
        char text[161];
        char *ips[] = {text};
        memset(text, '1', ip);
        text[ip] = '\0';
        pln_gossip_event event = {.kind = PLN_CHANGE_NETWORK,
                                  .network = {.ips = ips, .ip_count = 1}};
        pln_gossip_batch batch = {.events = &event, .count = 1};
        pln_bytes alone;
        pln_bytes whole;
        assert_int_equal(pln_gossip_event_encode(&event, &alone), POLLEN_OK);
        assert_int_equal(pln_gossip_batch_encode(&batch, &whole), POLLEN_OK);
        assert_int_equal(whole.size, alone.size + pln_gossip_event_overhead(alone.size));
        pln_bytes_fini(&alone);
        pln_bytes_fini(&whole);
    }
}

/* ---- Clocks ---------------------------------------------------------------------------------- */

static void put_entry(pln_out *out, const char *id, uint64_t counter) {
    pln_out entry = {0};
    pln_proto_put_present(&entry, 1, id, strlen(id));
    pln_proto_put_present_u64(&entry, 2, counter);
    pln_proto_put_message(out, 1, &entry);
}

static const char *id_of(uint8_t first, char text[POLLEN_KEY_HEX_BYTES]) {
    pollen_key key = {.bytes = {first}};
    return pollen_key_hex(&key, text);
}

static void a_clock_is_sorted_and_its_last_entries_count(void **state) {
    (void)state;
    char text[POLLEN_KEY_HEX_BYTES];
    pln_out out = {0};
    pln_gossip_clock clock;
    put_entry(&out, id_of(3, text), 1);
    put_entry(&out, id_of(1, text), 9);
    put_entry(&out, "nobody", 7);
    put_entry(&out, id_of(3, text), 5);
    put_entry(&out, id_of(2, text), 2);
    put_entry(&out, id_of(3, text), 4);
    put_entry(&out, id_of(1, text), 8);
    pln_bytes bytes = finish(&out);
    assert_int_equal(pln_gossip_clock_decode(bytes.data, bytes.size, &clock), POLLEN_OK);
    assert_int_equal(clock.count, 3);
    for (size_t i = 0; i < 3; i++) {
        static const uint64_t counters[] = {8, 2, 4};
        assert_int_equal(clock.entries[i].peer.bytes[0], i + 1);
        assert_true(clock.entries[i].counter == counters[i]);
    }
    pln_gossip_clock_fini(&clock);
    pln_bytes_fini(&bytes);
}

static void entries_of_a_clock_are_limited(void **state) {
    (void)state;
    for (size_t count = PLN_CLOCK_ENTRIES_MAX; count <= PLN_CLOCK_ENTRIES_MAX + 1; count++) {
        char text[POLLEN_KEY_HEX_BYTES];
        pln_out out = {0};
        pln_gossip_clock clock;
        for (size_t i = 0; i < count; i++) {
            put_entry(&out, id_of((uint8_t)(255 - i), text), i);
        }
        pln_bytes bytes = finish(&out);
        pollen_err err = pln_gossip_clock_decode(bytes.data, bytes.size, &clock);
        assert_int_equal(err, count == PLN_CLOCK_ENTRIES_MAX ? POLLEN_OK : POLLEN_EPROTO);
        if (err == POLLEN_OK) {
            assert_int_equal(clock.count, 256);
            pln_gossip_clock_fini(&clock);
        }
        pln_bytes_fini(&bytes);
    }
}

/* ---- Hostile bytes and lack of memory -------------------------------------------------------- */

static void every_truncation_of_a_state_message_ends_well(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "encode"), i, row) {
        recode again = recode_of(row);
        pln_bytes whole = vectors_bytes(row, "bytes");
        for (size_t size = 0; again != NULL && size < whole.size && size < 500; size++) {
            pln_bytes part = exact_bytes(whole.data, size);
            pln_bytes out = {0};
            pollen_err err = again(part.data, part.size, &out);
            assert_true(err == POLLEN_OK || err == POLLEN_EPROTO);
            pln_bytes_fini(&out);
            pln_bytes_fini(&part);
        }
        pln_bytes_fini(&whole);
    }
}

static void every_state_message_without_memory_leaves_nothing(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*state, "encode"), i, row) {
        recode again = recode_of(row);
        pln_bytes bytes = vectors_bytes(row, "bytes");
        for (size_t n = 1; again != NULL; n++) {
            pln_bytes out = {0};
            long live = fail_mem_live();
            fail_mem_arm(n);
            pollen_err err = again(bytes.data, bytes.size, &out);
            bool failed = fail_mem_disarm();
            assert_int_equal(err, failed ? POLLEN_ENOMEM : POLLEN_OK);
            pln_bytes_fini(&out);
            assert_int_equal(fail_mem_live(), live);
            if (!failed) {
                break;
            }
        }
        pln_bytes_fini(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_message_is_read_and_written),
        cmocka_unit_test(every_batch_of_the_merge_stories_is_read),
        cmocka_unit_test(events_have_the_fields_named),
        cmocka_unit_test(a_change_of_a_later_version_is_kept_whole),
        cmocka_unit_test(a_change_out_of_bounds_is_remembered_as_unknown),
        cmocka_unit_test(addresses_of_a_node_are_limited),
        cmocka_unit_test(a_revocation_in_an_event_is_limited),
        cmocka_unit_test(an_author_that_is_no_key_is_nobody),
        cmocka_unit_test(the_last_change_on_the_wire_counts),
        cmocka_unit_test(the_same_change_twice_is_merged),
        cmocka_unit_test(a_known_field_of_another_wire_type_is_refused),
        cmocka_unit_test(events_of_a_batch_are_limited),
        cmocka_unit_test(an_event_adds_its_overhead_to_a_batch),
        cmocka_unit_test(a_clock_is_sorted_and_its_last_entries_count),
        cmocka_unit_test(entries_of_a_clock_are_limited),
        cmocka_unit_test(every_truncation_of_a_state_message_ends_well),
        cmocka_unit_test(every_state_message_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, load, vectors_unload);
}
