/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state against the reference's vectors: merging step by step, and state.yaml.  Where we differ
 * on purpose, `differs` below says why.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/key.h"
#include "state/internal.h"
#include "support/rows.h"
#include "support/state_rig.h"

/* What a story's steps from `from` on, and before `end` when it is not 0, are not compared in. */
enum { STATE = 1, SENT = 2, CLOCK = 4, FILE_TEXT = 8 };

static const struct differs {
    const char *story;
    size_t from;
    unsigned what;
    size_t end;
} differs[] = {
    /* An event that we refuse, but that its author may have made, counts as seen: the reference
     * would send it again in every round for ever. */
    {"service-without-name", 0, STATE | CLOCK},
    {"reach-bad-peer", 0, STATE | CLOCK},
    {"revocation-by-delegate", 0, STATE | CLOCK},
    {"revocation-foreign", 0, STATE | CLOCK},
    {"revocation-deleted", 0, STATE | CLOCK},
    {"revocation-empty", 0, STATE | CLOCK},
    {"unknown-change-type", 0, STATE | CLOCK},
    /* The identity of a member is its key; bytes that are none are refused. */
    {"identity-forged", 0, STATE},
    /* Of two events with one counter the same one wins in whatever order they come, a withdrawal
     * first of all: else nodes would differ for ever by what they heard first. */
    {"older-same-attribute", 2, STATE, 3},
    {"tombstone-wins-equal", 1, STATE | FILE_TEXT},
    /* An event of ours about something that we do not have is a leftover of an earlier life, and is
     * withdrawn, because others would keep it for ever. */
    {"self-conflict-unknown-attribute", 0, STATE | SENT | CLOCK},
    /* Such too, and one batch costs one broadcast, however many conflicts it brings. */
    {"self-conflict-twice-in-batch", 0, STATE | SENT | CLOCK},
    /* A counter near its end is refused, and not taken over and wrapped. */
    {"self-conflict-overflow", 0, STATE | CLOCK},
    /* Counters begin at 1: an event below could never be asked for, and so not be known to all. */
    {"counter-zero-new", 0, STATE | CLOCK | FILE_TEXT},
    /* A revocation counts for the subject that was signed, not for the one beside it. */
    {"revocation-subject-mismatch", 0, STATE | FILE_TEXT},
};

static bool compares(const char *story, size_t step, unsigned what) {
    for (size_t i = 0; i < sizeof(differs) / sizeof(differs[0]); i++) {
        if (strcmp(differs[i].story, story) == 0 && step >= differs[i].from &&
            (differs[i].end == 0 || step < differs[i].end) && (differs[i].what & what) != 0) {
            return false;
        }
    }
    return true;
}

/* ---- Texts of both sides --------------------------------------------------------------------- */

static void end_text(pln_out *out, char *text, size_t size) {
    pln_bytes bytes = {0};
    pln_out_put(out, "", 1);
    assert_int_equal(pln_out_finish(out, &bytes), POLLEN_OK);
    assert_true(bytes.size <= size);
    memcpy(text, bytes.data, bytes.size);
    pln_bytes_fini(&bytes);
}

static uint64_t number_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value)) {
        return (uint64_t)json_integer_value(value);
    }
    const char *text = json_string_value(value);
    return text == NULL     ? 0
           : text[0] == '-' ? (uint64_t)strtoll(text, NULL, 10)
                            : strtoull(text, NULL, 10);
}

enum { TEXT_MAX = 4096 };

/* What an event says, without author and counter. */
static void said_by_event(const pln_gossip_event *event, char *text) {
    char hex[POLLEN_KEY_HEX_BYTES];
    pln_out out = {0};
    pln_out_printf(&out, "%s", event->deleted ? "deleted " : "");
    if (event->kind == PLN_CHANGE_NETWORK) {
        pln_out_printf(&out, "network %" PRIu32, event->network.local_port);
        for (size_t i = 0; i < event->network.ip_count; i++) {
            pln_out_printf(&out, " %s", event->network.ips[i]);
        }
    } else if (event->kind == PLN_CHANGE_EXTERNAL_PORT) {
        pln_out_printf(&out, "external_port %" PRIu32, event->external_port);
    } else if (event->kind == PLN_CHANGE_IDENTITY) {
        pln_out_printf(&out, "identity_pub %" PRId64, event->identity.cert_expiry);
    } else if (event->kind == PLN_CHANGE_SERVICE) {
        pln_out_printf(&out, "service %s %" PRIu32, event->service.name, event->service.port);
    } else if (event->kind == PLN_CHANGE_REACHABILITY) {
        pln_out_printf(&out, "reachability %s", pollen_key_hex(&event->reachability.peer, hex));
    } else if (event->kind == PLN_CHANGE_PUBLICLY_ACCESSIBLE) {
        pln_out_text(&out, "publicly_accessible");
    } else if (event->kind == PLN_CHANGE_REVOCATION) {
        pln_revocation revocation;
        assert_int_equal(
            pln_revocation_decode(event->revocation.data, event->revocation.size, &revocation),
            POLLEN_OK);
        pln_out_printf(&out, "revocation %s", pollen_key_hex(&revocation.subject_pub, hex));
        pln_revocation_fini(&revocation);
    }
    end_text(&out, text, TEXT_MAX);
}

static void said_by_row(const json_t *row, char *text) {
    pln_out out = {0};
    size_t i;
    json_t *ip;
    const json_t *change;
    pln_out_printf(&out, "%s", json_is_true(json_object_get(row, "deleted")) ? "deleted " : "");
    if ((change = json_object_get(row, "network")) != NULL) {
        pln_out_printf(&out, "network %" PRIu64, number_of(change, "local_port"));
        json_array_foreach(json_object_get(change, "ips"), i, ip) {
            pln_out_printf(&out, " %s", json_string_value(ip));
        }
    } else if ((change = json_object_get(row, "external_port")) != NULL) {
        pln_out_printf(&out, "external_port %" PRIu64, number_of(change, "external_port"));
    } else if ((change = json_object_get(row, "identity_pub")) != NULL) {
        pln_out_printf(&out, "identity_pub %" PRIu64, number_of(change, "cert_expiry_unix"));
    } else if ((change = json_object_get(row, "service")) != NULL) {
        pln_out_printf(&out, "service %s %" PRIu64, rows_text(change, "name"),
                       number_of(change, "port"));
    } else if ((change = json_object_get(row, "reachability")) != NULL) {
        pln_out_printf(&out, "reachability %s", rows_text(change, "peer_id"));
    } else if (json_object_get(row, "publicly_accessible") != NULL) {
        pln_out_text(&out, "publicly_accessible");
    } else if ((change = json_object_get(row, "revocation")) != NULL) {
        const json_t *entry = json_object_get(json_object_get(change, "revocation"), "entry");
        pln_out_printf(&out, "revocation %s", rows_text(entry, "subject_pub"));
    }
    end_text(&out, text, TEXT_MAX);
}

static int compare_numbers(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(a, b);
}

enum { EVENTS_MAX = 32, LINE_BYTES = 256, LOG_BYTES = EVENTS_MAX * LINE_BYTES };

/* As sets of what is said and of counters: which got which is not meant. */
static void assert_events(const json_t *rows, const pln_gossip_batch *batch, const char *id) {
    static char ours[EVENTS_MAX][TEXT_MAX];
    static char theirs[EVENTS_MAX][TEXT_MAX];
    uint64_t our_counters[EVENTS_MAX];
    uint64_t their_counters[EVENTS_MAX];
    size_t count = json_array_size(rows);
    if (count != batch->count || count > EVENTS_MAX) {
        fail_msg("%s: %zu events, not %zu", id, batch->count, count);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        said_by_row(row, theirs[i]);
        said_by_event(&batch->events[i], ours[i]);
        their_counters[i] = number_of(row, "counter");
        our_counters[i] = batch->events[i].counter;
    }
    qsort(ours, count, TEXT_MAX, compare_texts);
    qsort(theirs, count, TEXT_MAX, compare_texts);
    qsort(our_counters, count, sizeof(uint64_t), compare_numbers);
    qsort(their_counters, count, sizeof(uint64_t), compare_numbers);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(ours[i], theirs[i]) != 0 || our_counters[i] != their_counters[i]) {
            fail_msg("%s: %s@%" PRIu64 ", not %s@%" PRIu64, id, ours[i], our_counters[i], theirs[i],
                     their_counters[i]);
        }
    }
}

/* ---- States ---------------------------------------------------------------------------------- */

static const char *kind_name(uint8_t kind) {
    switch (kind) {
    case PLN_CHANGE_NETWORK:
        return "network";
    case PLN_CHANGE_EXTERNAL_PORT:
        return "external_port";
    case PLN_CHANGE_IDENTITY:
        return "identity_pub";
    case PLN_CHANGE_SERVICE:
        return "service";
    case PLN_CHANGE_REACHABILITY:
        return "reachability";
    case PLN_CHANGE_REVOCATION:
        return "revocation";
    default:
        return "publicly_accessible";
    }
}

/* Sorted, as the vectors' logs, into text[LOG_BYTES]. */
static void join(char (*lines)[LINE_BYTES], size_t count, char *text) {
    size_t used = 0;
    qsort(lines, count, sizeof(lines[0]), compare_texts);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(lines[i]);
        memcpy(text + used, lines[i], size);
        used += size;
    }
    text[used] = '\0';
}

static void our_log(const pln_author *author, bool with_counters, char *text) {
    static char lines[EVENTS_MAX][LINE_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < author->count; i++) {
        const pln_attr *attr = &author->attrs[i];
        char hex[POLLEN_KEY_HEX_BYTES] = "";
        const char *name = hex;
        if (attr->kind == PLN_CHANGE_SERVICE) {
            name = attr->service.name;
        } else if (attr->kind == PLN_CHANGE_REACHABILITY || attr->kind == PLN_CHANGE_REVOCATION) {
            pollen_key_hex(&attr->key, hex);
        }
        if (!attr->loaded) {
            (void)snprintf(lines[count++], sizeof(lines[0]), "%s %s %" PRIu64 " %s\n",
                           kind_name(attr->kind), name, with_counters ? attr->counter : 0,
                           attr->deleted ? "deleted" : "");
        }
    }
    join(lines, count, text);
}

static void their_log(const json_t *node, bool with_counters, char *text) {
    static char lines[EVENTS_MAX][LINE_BYTES];
    size_t count = 0;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(node, "log"), i, entry) {
        const char *counter = json_string_value(json_array_get(entry, 2));
        const char *deleted = json_string_value(json_array_get(entry, 3));
        (void)snprintf(lines[count++], sizeof(lines[0]), "%s %s %s %s\n",
                       json_string_value(json_array_get(entry, 0)),
                       json_string_value(json_array_get(entry, 1)), with_counters ? counter : "0",
                       deleted != NULL ? deleted : "");
    }
    join(lines, count, text);
}

static void assert_visible(const pln_state *state, const json_t *node, const pollen_key *key,
                           const char *id) {
    pln_member_info info = rig_member(state, key);
    const json_t *list = json_object_get(node, "ips");
    const json_t *services = json_object_get(node, "services");
    const json_t *reachable = json_object_get(node, "reachable");
    pln_service_filter filter = {.provider = key};
    pln_author *author = pln_authors_find(state, key);
    size_t i;
    json_t *row;
    size_t standing = 0;
    if (info.local_port != number_of(node, "local_port") ||
        info.external_port != number_of(node, "external_port") ||
        (uint64_t)info.cert_expiry != number_of(node, "cert_expiry") ||
        info.is_public != json_is_true(json_object_get(node, "publicly_accessible")) ||
        info.ip_count != json_array_size(list)) {
        fail_msg("%s: another port, expiry or flag", id);
    }
    json_array_foreach(list, i, row) {
        assert_string_equal(info.ips[i], json_string_value(row));
    }
    if (!info.revoked) {
        assert_int_equal(pln_state_services(state, &filter, NULL, 0), json_array_size(services));
    }
    json_array_foreach(services, i, row) {
        pln_attr *attr = pln_attr_service(author, json_string_value(json_array_get(row, 0)));
        assert_non_null(attr);
        assert_int_equal(attr->service.port, json_integer_value(json_array_get(row, 1)));
    }
    for (i = 0; i < author->count; i++) {
        standing += author->attrs[i].kind == PLN_CHANGE_REACHABILITY && !author->attrs[i].deleted;
    }
    assert_int_equal(standing, json_array_size(reachable));
    json_array_foreach(reachable, i, row) {
        pollen_key peer;
        assert_int_equal(pollen_key_parse(json_string_value(row), &peer), POLLEN_OK);
        assert_true(pln_state_reaches(state, key, &peer));
    }
    const char *last_addr = rows_text(node, "last_addr");
    char text[POLLEN_ADDR_TEXT_BYTES];
    assert_int_equal(info.last_addr.port != 0, last_addr != NULL);
    if (last_addr != NULL) {
        assert_string_equal(pollen_addr_format(&info.last_addr, text), last_addr);
    }
}

static void assert_state(const pln_state *state, const json_t *expected, const char *id,
                         bool renumbered) {
    size_t i;
    json_t *node;
    const json_t *nodes = json_object_get(expected, "nodes");
    const json_t *revoked = json_object_get(expected, "revoked");
    if (json_array_size(nodes) != pln_state_member_count(state)) {
        fail_msg("%s: %zu members", id, pln_state_member_count(state));
    }
    json_array_foreach(nodes, i, node) {
        char ours[LOG_BYTES];
        char theirs[LOG_BYTES];
        pollen_key key;
        assert_int_equal(pollen_key_parse(rows_text(node, "peer_id"), &key), POLLEN_OK);
        const pln_author *author = pln_authors_find(state, &key);
        bool own = author == state->self;
        if (author == NULL || author->seen != number_of(node, "max_counter")) {
            fail_msg("%s: another counter of %s", id, rows_text(node, "peer_id"));
        }
        our_log(author, !(own && renumbered), ours);
        their_log(node, !(own && renumbered), theirs);
        if (strcmp(ours, theirs) != 0) {
            fail_msg("%s: log is\n%s, not\n%s", id, ours, theirs);
        }
        assert_visible(state, node, &key, id);
    }
    assert_int_equal(pln_state_revocations(state)->count, json_array_size(revoked));
    json_array_foreach(revoked, i, node) {
        pollen_key key;
        assert_int_equal(pollen_key_parse(json_string_value(node), &key), POLLEN_OK);
        assert_true(pln_state_is_revoked(state, &key));
    }
}

static void assert_saved(const pln_state *state, const char *expected, const char *id) {
    pln_saved_state saved;
    pln_bytes text = {0};
    assert_int_equal(pln_state_save(state, &saved), POLLEN_OK);
    assert_int_equal(pln_saved_state_encode(&saved, &text), POLLEN_OK);
    if (text.size != strlen(expected) || memcmp(text.data, expected, text.size) != 0) {
        fail_msg("%s: saved as\n%.*s, not\n%s", id, (int)text.size, (const char *)text.data,
                 expected);
    }
    pln_bytes_fini(&text);
    pln_saved_state_fini(&saved);
}

static pln_state *state_of(const json_t *row) {
    pollen_key local;
    pln_trust trust = {0};
    const char *hex = rows_text(row, "trust");
    assert_int_equal(pollen_key_parse(rows_text(row, "local"), &local), POLLEN_OK);
    if (hex != NULL) {
        pln_bytes bytes = vectors_bytes(row, "trust");
        assert_int_equal(pln_trust_decode(bytes.data, bytes.size, &trust), POLLEN_OK);
        pln_bytes_fini(&bytes);
    }
    pln_state *state = rig_state(&local, hex != NULL ? &trust : NULL);
    pln_trust_fini(&trust);
    return state;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static const json_t *arg(const json_t *step, size_t index) {
    return json_array_get(json_object_get(step, "args"), index);
}

static pollen_key key_arg(const json_t *step) {
    pollen_key key;
    assert_int_equal(pollen_key_parse(json_string_value(arg(step, 0)), &key), POLLEN_OK);
    return key;
}

static void set_network(pln_state *state, const json_t *step) {
    const char *ips[4];
    size_t count = json_array_size(arg(step, 0));
    assert_true(count <= 4);
    for (size_t i = 0; i < count; i++) {
        ips[i] = json_string_value(json_array_get(arg(step, 0), i));
    }
    uint16_t port = (uint16_t)json_integer_value(arg(step, 1));
    assert_int_equal(pln_state_set_network(state, ips, count, port), POLLEN_OK);
}

static void publish(pln_state *state, const json_t *step) {
    const char *hex = json_string_value(arg(step, 0));
    uint8_t bytes[512];
    pln_revocation revocation;
    size_t size = strlen(hex) / 2;
    assert_true(size <= sizeof(bytes) && pln_hex_decode(hex, bytes, size));
    assert_int_equal(pln_revocation_decode(bytes, size, &revocation), POLLEN_OK);
    assert_int_equal(pln_state_publish_revocation(state, &revocation), POLLEN_OK);
    pln_revocation_fini(&revocation);
}

static void set_last_addr(pln_state *state, const json_t *step) {
    pollen_key key = key_arg(step);
    pollen_addr addr;
    assert_int_equal(pollen_addr_parse(json_string_value(arg(step, 1)), &addr), POLLEN_OK);
    pln_state_set_last_addr(state, &key, &addr);
}

static void run_local(pln_state *state, const json_t *step) {
    pollen_err err = POLLEN_OK;
    if (rows_is(step, "op", "set_local_network")) {
        set_network(state, step);
    } else if (rows_is(step, "op", "set_external_port")) {
        err = pln_state_set_external_port(state, (uint16_t)json_integer_value(arg(step, 0)));
    } else if (rows_is(step, "op", "set_local_connected")) {
        pollen_key key = key_arg(step);
        err = pln_state_set_reachable(state, &key, json_is_true(arg(step, 1)));
    } else if (rows_is(step, "op", "set_local_publicly_accessible")) {
        err = pln_state_set_public(state, json_is_true(arg(step, 0)));
    } else if (rows_is(step, "op", "set_local_cert_expiry")) {
        err = pln_state_set_cert_expiry(state, json_integer_value(arg(step, 0)));
    } else if (rows_is(step, "op", "upsert_local_service")) {
        err = pln_state_set_service(state, json_string_value(arg(step, 1)),
                                    (uint16_t)json_integer_value(arg(step, 0)));
    } else if (rows_is(step, "op", "remove_local_services")) {
        err = pln_state_remove_service(state, json_string_value(arg(step, 0)));
    } else if (rows_is(step, "op", "publish_revocation")) {
        publish(state, step);
    } else if (rows_is(step, "op", "set_last_addr")) {
        set_last_addr(state, step);
    } else {
        fail_msg("no such operation: %s", rows_text(step, "op"));
    }
    assert_int_equal(err, POLLEN_OK);
}

static pln_gossip_clock clock_of(const json_t *row) {
    const json_t *list = json_object_get(row, "counters");
    pln_gossip_clock clock = {.entries =
                                  pln_calloc(json_array_size(list) + 1, sizeof(pln_clock_entry))};
    size_t i;
    json_t *entry;
    assert_non_null(clock.entries);
    json_array_foreach(list, i, entry) {
        pln_clock_entry *to = &clock.entries[clock.count++];
        assert_int_equal(pollen_key_parse(json_string_value(json_array_get(entry, 0)), &to->peer),
                         POLLEN_OK);
        to->counter = strtoull(json_string_value(json_array_get(entry, 1)), NULL, 10);
    }
    return clock;
}

static void assert_clock(const pln_bytes *envelope, const json_t *row, const char *id) {
    pln_gossip_clock ours = rig_clock(envelope);
    pln_gossip_clock theirs = clock_of(row);
    if (ours.count != theirs.count) {
        fail_msg("%s: a clock of %zu", id, ours.count);
    }
    for (size_t i = 0; i < ours.count; i++) {
        assert_true(pln_key_equal(&ours.entries[i].peer, &theirs.entries[i].peer));
        assert_true(ours.entries[i].counter == theirs.entries[i].counter);
    }
    pln_gossip_clock_fini(&ours);
    pln_gossip_clock_fini(&theirs);
}

static void run_clock(pln_state *state, const json_t *step, const char *id) {
    pollen_key key = rig_key(0x77);
    pln_gossip_peer peer = rig_peer(&key);
    pln_envelopes list = {0};
    pln_state_greet(state, &peer, 0, &list);
    assert_int_equal(list.count, 1);
    assert_clock(&list.items[0], json_object_get(step, "eager_clock"), id);
    pln_state_round(state, &peer, 0, &list);
    assert_clock(&list.items[1], json_object_get(step, "clock"), id);
    pln_envelopes_fini(&list);
}

static void run_missing_for(pln_state *state, const json_t *step, const char *id) {
    pln_gossip_clock clock = clock_of(json_object_get(step, "clock"));
    pln_gossip_batch batch = rig_missing_for(state, &clock);
    assert_events(json_object_get(step, "events"), &batch, id);
    for (size_t i = 1; i < batch.count; i++) {
        int order = pln_key_compare(&batch.events[i - 1].author, &batch.events[i].author);
        assert_true(order < 0 ||
                    (order == 0 && batch.events[i - 1].counter < batch.events[i].counter));
    }
    pln_gossip_batch_fini(&batch);
    pln_gossip_clock_fini(&clock);
}

static void run_apply(pln_state *state, const json_t *step) {
    pollen_key key = rig_key(0x77);
    pln_gossip_peer peer = rig_peer(&key);
    pln_bytes bytes = vectors_bytes(step, "batch");
    assert_int_equal(pln_state_handle_events(state, &peer, bytes.data, bytes.size, 1), POLLEN_OK);
    assert_int_equal(rig_take_revoked(state),
                     json_array_size(json_object_get(step, "revoked_now")));
    pln_bytes_fini(&bytes);
}

/* Returns whether our counters are given anew by it. */
static bool run_step(pln_state *state, const json_t *step, const char *id, size_t index) {
    const char *sent = "events";
    if (rows_is(step, "op", "clock")) {
        if (compares(id, index, CLOCK)) {
            run_clock(state, step, id);
        }
        return false;
    }
    if (rows_is(step, "op", "missing_for")) {
        run_missing_for(state, step, id);
        return false;
    }
    if (rows_is(step, "op", "apply")) {
        sent = "rebroadcast";
        run_apply(state, step);
    } else {
        run_local(state, step);
        /* The issuer's own sessions end as everybody's: it is told as well. */
        size_t told = rows_is(step, "op", "publish_revocation")
                          ? json_array_size(json_object_get(step, "events"))
                          : 0;
        assert_int_equal(rig_take_revoked(state), told);
    }
    pln_gossip_batch batch = rig_broadcast(state);
    if (compares(id, index, SENT)) {
        assert_events(json_object_get(step, sent), &batch, id);
    }
    pln_gossip_batch_fini(&batch);
    return json_array_size(json_object_get(step, "rebroadcast")) > 0;
}

static int load(void **state) {
    *state = vectors_load("state");
    return 0;
}

static int load_disk(void **state) {
    *state = vectors_load("disk");
    return 0;
}

static void every_merge_story_ends_as_the_reference_s(void **vectors) {
    size_t i;
    size_t k;
    json_t *story;
    json_t *step;
    json_array_foreach(rows_of(*vectors, "merge"), i, story) {
        const char *id = rows_text(story, "id");
        pln_state *state = state_of(story);
        bool renumbered = false;
        json_array_foreach(json_object_get(story, "steps"), k, step) {
            renumbered = run_step(state, step, id, k) || renumbered;
            if (json_object_get(step, "state") != NULL && compares(id, k, STATE)) {
                assert_state(state, json_object_get(step, "state"), id, renumbered);
            }
        }
        if (compares(id, SIZE_MAX, FILE_TEXT)) {
            assert_saved(state, rows_text(story, "saved_state_yaml"), id);
        }
        pln_state_destroy(state);
    }
}

static void every_order_of_the_random_batches_ends_alike(void **vectors) {
    size_t i;
    size_t k;
    size_t n;
    json_t *row;
    json_t *order;
    json_t *hex;
    const json_t *local = json_array_get(rows_of(*vectors, "merge"), 0);
    pollen_key from = rig_key(0x77);
    json_array_foreach(rows_of(*vectors, "random"), i, row) {
        json_array_foreach(json_object_get(row, "orders"), k, order) {
            pln_state *state = state_of(local);
            pln_gossip_peer peer = rig_peer(&from);
            json_array_foreach(order, n, hex) {
                uint8_t bytes[8192];
                size_t size = json_string_length(hex) / 2;
                assert_true(size <= sizeof(bytes));
                assert_true(pln_hex_decode(json_string_value(hex), bytes, size));
                assert_int_equal(pln_state_handle_events(state, &peer, bytes, size, 1), POLLEN_OK);
            }
            assert_state(state, json_object_get(row, "state"), rows_text(row, "id"), false);
            pln_state_destroy(state);
        }
    }
}

static void assert_connections(const pln_state *state, const json_t *rows) {
    size_t i;
    json_t *row;
    pln_saved_connection connection;
    json_array_foreach(rows, i, row) {
        assert_int_equal(pln_state_connection_at(state, i, &connection), POLLEN_OK);
        assert_int_equal(connection.remote_port, json_integer_value(json_array_get(row, 1)));
        assert_int_equal(connection.local_port, json_integer_value(json_array_get(row, 2)));
    }
    assert_int_equal(pln_state_connection_at(state, i, &connection), POLLEN_ENOENT);
}

static void every_state_file_is_loaded_and_saved_as_by_the_reference(void **vectors) {
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(*vectors, "state"), i, row) {
        const char *id = rows_text(row, "id");
        const char *text = rows_text(row, "text");
        pln_saved_state saved = {0};
        char why[128];
        pln_state_loaded loaded;
        pollen_err err = POLLEN_OK;
        if (text != NULL) {
            err = pln_saved_state_decode(text, strlen(text), &saved, why);
        }
        if (rows_is(row, "verdict", "reject")) {
            assert_int_equal(err, POLLEN_ESTATE);
            continue;
        }
        assert_int_equal(err, POLLEN_OK);
        pln_state *state = state_of(row);
        assert_int_equal(pln_state_load(state, &saved, &loaded), POLLEN_OK);
        assert_int_equal(pln_state_save_urgency(state), PLN_STATE_SAVED);
        if (compares(id, 0, STATE)) {
            assert_state(state, json_object_get(row, "state"), id, false);
        }
        if (compares(id, 0, FILE_TEXT)) {
            assert_saved(state, rows_text(row, "saved"), id);
        }
        assert_connections(state, json_object_get(row, "connections"));
        pln_state_destroy(state);
        pln_saved_state_fini(&saved);
    }
}

/* The file names one key and the signature another: the signed one is revoked, and the other is
 * not. */
static void a_revocation_counts_for_the_subject_that_was_signed(void **vectors) {
    const json_t *row = rows_find(*vectors, "state", "revocation-subject-mismatch");
    const char *text = rows_text(row, "text");
    pln_saved_state saved;
    pln_state_loaded loaded;
    char why[128];
    assert_int_equal(pln_saved_state_decode(text, strlen(text), &saved, why), POLLEN_OK);
    assert_int_equal(saved.mismatched_revocations, 1);
    pln_state *state = state_of(row);
    assert_int_equal(pln_state_load(state, &saved, &loaded), POLLEN_OK);
    pollen_key signed_key = saved.revocations[0].subject_pub;
    pollen_key beside;
    assert_int_equal(pollen_key_parse(strstr(text, "subjectPub: ") + 12, &beside), POLLEN_EINVAL);
    char hex[POLLEN_KEY_HEX_BYTES] = {0};
    memcpy(hex, strstr(text, "subjectPub: ") + 12, sizeof(hex) - 1);
    assert_int_equal(pollen_key_parse(hex, &beside), POLLEN_OK);
    assert_true(pln_state_is_revoked(state, &signed_key));
    assert_false(pln_state_is_revoked(state, &beside));
    pln_state_destroy(state);
    pln_saved_state_fini(&saved);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_merge_story_ends_as_the_reference_s, load,
                                        vectors_unload),
        cmocka_unit_test_setup_teardown(every_order_of_the_random_batches_ends_alike, load,
                                        vectors_unload),
        cmocka_unit_test_setup_teardown(every_state_file_is_loaded_and_saved_as_by_the_reference,
                                        load_disk, vectors_unload),
        cmocka_unit_test_setup_teardown(a_revocation_counts_for_the_subject_that_was_signed,
                                        load_disk, vectors_unload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
