/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays the traces of tests/vectors/peer.json: other code's account of the same state machine,
 * with exact delays and no limit on dials.  Every output and every snapshot has to be the same, but
 * for three things that we mean to do otherwise, and that the traces mark:
 *
 *   D-45  An attempt that nobody reports on has a deadline and fails by itself; a retry that is
 *         asked for while an attempt runs is kept for when it fails.
 *   D-50  Each time in a row that all stages fail, the wait is twice the one before.
 *   D-51  An unreachable peer is dialled at once when it has an address that it did not have.
 *
 * From such a step on a peer is out of step with its trace; it is compared again once a session of
 * it has levelled the difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/key.h"
#include "base/time.h"
#include "support/peer_rig.h"
#include "support/rows.h"

enum { PEERS = 4, UNREACHABLE_CYCLE_MS = 20000 };

typedef struct replay {
    peer_rig rig;
    const json_t *trace;
    const json_t *step;
    int64_t now;
    pollen_key keys[PEERS];
    bool strayed[PEERS]; /* Out of step with the trace. */
    uint64_t generation; /* Of the newest session of all. */
    pollen_peer before[PEERS];
    size_t compared;   /* Steps in which all peers were compared. */
    size_t deviations; /* Marked steps at which we did otherwise. */
} replay;

/* ---- Reading --------------------------------------------------------------------------------- */

static size_t peer_number(const char *name) {
    assert_true(name[0] == 'p' && name[1] >= '0' && name[1] < '0' + PEERS);
    return (size_t)(name[1] - '0');
}

static pollen_addr addr_of(const char *ip, uint16_t port) {
    char text[128];
    bool is_ipv6 = strchr(ip, ':') != NULL;
    snprintf(text, sizeof(text), is_ipv6 ? "[%s]:9" : "%s:9", ip);
    pollen_addr addr = rig_addr(text);
    addr.port = port;
    return addr;
}

static int64_t number_of(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static size_t read_ips(const json_t *list, pollen_addr *addrs, uint16_t port) {
    assert_true(json_is_array(list));
    assert_true(json_array_size(list) <= POLLEN_PEER_ADDRS_MAX);
    size_t i;
    json_t *ip;
    json_array_foreach((json_t *)list, i, ip) {
        addrs[i] = addr_of(json_string_value(ip), port);
    }
    return json_array_size(list);
}

static pollen_end_reason reason_of(const char *name) {
    static const struct {
        const char *name;
        pollen_end_reason reason;
    } names[] = {
        {"idle_timeout", POLLEN_END_IDLE_TIMEOUT},   {"stateless_reset", POLLEN_END_RESET},
        {"graceful", POLLEN_END_GRACEFUL},           {"unknown", POLLEN_END_UNKNOWN},
        {"cert_rotation", POLLEN_END_CERT_ROTATION}, {"cert_expired", POLLEN_END_CERT_EXPIRED},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, name) == 0) {
            return names[i].reason;
        }
    }
    rows_fail("no such reason", name);
    return POLLEN_END_NONE;
}

static bool same_word(const char *ours, const char *theirs) {
    return strcmp(ours, theirs) == 0 ||
           (strcmp(ours, "eager_retry") == 0 && strcmp(theirs, "eager") == 0);
}

/* ---- Feeding --------------------------------------------------------------------------------- */

static pollen_peer_input_kind kind_of(const char *name) {
    for (int kind = POLLEN_PEER_INPUT_DISCOVER; kind <= POLLEN_PEER_INPUT_MOVED; kind++) {
        if (strcmp(pollen_peer_input_name((pollen_peer_input_kind)kind), name) == 0) {
            return (pollen_peer_input_kind)kind;
        }
    }
    rows_fail("no such input", name);
    return POLLEN_PEER_INPUT_TICK;
}

/* The traces know neither attempts nor generations: results are of the attempt that runs, each
 * session is newer than all before, and a disconnect is about the session there is, or else about
 * one that we were never told of. */
static void feed(replay *r) {
    const json_t *in = json_object_get(r->step, "in");
    pollen_peer_input input = {.kind = kind_of(rows_text(in, "in"))};
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    const pollen_peer *before = NULL;
    if (input.kind != POLLEN_PEER_INPUT_TICK) {
        size_t number = peer_number(rows_text(in, "peer"));
        input.peer = r->keys[number];
        before = &r->before[number];
    }
    switch (input.kind) {
    case POLLEN_PEER_INPUT_DISCOVER:
        input.port = (uint16_t)number_of(in, "port");
        input.addrs = addrs;
        input.addr_count = read_ips(json_object_get(in, "ips"), addrs, 0);
        input.addr = rig_addr(rows_text(in, "last_addr"));
        break;
    case POLLEN_PEER_INPUT_CONNECT:
        input.addr = addr_of(rows_text(in, "ip"), (uint16_t)number_of(in, "port"));
        input.inbound = json_is_true(json_object_get(in, "inbound"));
        input.attempt = input.inbound ? 0 : before->attempt;
        input.generation = ++r->generation;
        break;
    case POLLEN_PEER_INPUT_CONNECT_FAILED:
        input.attempt = before->attempt;
        input.reason = POLLEN_END_UNKNOWN;
        break;
    case POLLEN_PEER_INPUT_DISCONNECTED:
        input.generation =
            before->state == POLLEN_PEER_CONNECTED ? before->generation : ++r->generation;
        input.reason = reason_of(rows_text(in, "reason"));
        break;
    case POLLEN_PEER_INPUT_TICK:
    case POLLEN_PEER_INPUT_RETRY:
    case POLLEN_PEER_INPUT_FORGET:
    case POLLEN_PEER_INPUT_MOVED:
        break;
    }
    assert_int_equal(rig_step(&r->rig, r->now, &input), POLLEN_OK);
}

/* ---- Comparing outputs ----------------------------------------------------------------------- */

static const json_t *expected_output(const replay *r, size_t number) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(r->step, "out"), i, row) {
        if (peer_number(rows_text(row, "peer")) == number) {
            return row;
        }
    }
    return NULL;
}

static const pollen_peer_output *given_output(const replay *r, size_t number) {
    for (size_t i = 0; i < r->rig.output_count; i++) {
        if (pln_key_equal(&r->rig.outputs[i].peer, &r->keys[number])) {
            return &r->rig.outputs[i];
        }
    }
    return NULL;
}

static void compare_addrs(const pollen_addr *given, size_t count, const json_t *ips,
                          uint16_t port) {
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    assert_int_equal(count, read_ips(ips, addrs, port));
    for (size_t i = 0; i < count; i++) {
        assert_true(pollen_addr_equal(&given[i], &addrs[i]));
    }
}

static void compare_output(const pollen_peer_output *given, const json_t *row,
                           const pollen_peer *after) {
    const char *name = rows_text(row, "out");
    bool is_connected = strcmp(name, "peer_connected") == 0;
    assert_string_equal(pollen_peer_output_name(given->kind), is_connected ? "connected" : name);
    assert_int_equal(given->attempt, after->attempt);
    if (is_connected) {
        pollen_addr addr = addr_of(rows_text(row, "ip"), (uint16_t)number_of(row, "port"));
        assert_true(pollen_addr_equal(&given->addr, &addr));
        assert_int_equal(given->inbound, json_is_true(json_object_get(row, "inbound")));
        return;
    }
    assert_int_not_equal(given->attempt, 0);
    if (given->kind == POLLEN_PEER_OUTPUT_ATTEMPT_EAGER_CONNECT) {
        pollen_addr addr = rig_addr(rows_text(row, "addr"));
        assert_true(pollen_addr_equal(&given->addr, &addr));
        return;
    }
    const json_t *port = json_object_get(row, "port");
    compare_addrs(given->addrs, given->addr_count, json_object_get(row, "ips"),
                  port != NULL ? (uint16_t)json_integer_value(port) : after->observed_port);
}

/* The traces give the outputs of a tick in the order of the peers, since the order they had was
 * random; ours is by due time, then by key. */
static void check_order(const replay *r) {
    for (size_t i = 1; i < r->rig.output_count; i++) {
        const pollen_peer *a = NULL;
        const pollen_peer *b = NULL;
        for (size_t n = 0; n < PEERS; n++) {
            a = pln_key_equal(&r->keys[n], &r->rig.outputs[i - 1].peer) ? &r->before[n] : a;
            b = pln_key_equal(&r->keys[n], &r->rig.outputs[i].peer) ? &r->before[n] : b;
        }
        assert_true(
            a->next_action_ns < b->next_action_ns ||
            (a->next_action_ns == b->next_action_ns && pln_key_compare(&a->key, &b->key) < 0));
    }
}

/* ---- Comparing snapshots --------------------------------------------------------------------- */

static const json_t *expected_peer(const replay *r, size_t number) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(r->step, "peers"), i, row) {
        if (peer_number(json_string_value(json_array_get(row, 0))) == number) {
            return row;
        }
    }
    return NULL;
}

static bool same_time(uint64_t ns, const json_t *ms) {
    return json_is_null(ms) ? ns == POLLEN_PEER_NEVER
                            : ns == PLN_MS((uint64_t)json_integer_value(ms));
}

/* State, stage, attempts, next action. */
static bool same_progress(const pollen_peer *peer, const json_t *row) {
    return same_word(pollen_peer_state_name(peer->state),
                     json_string_value(json_array_get(row, 1))) &&
           same_word(pollen_connect_stage_name(peer->stage),
                     json_string_value(json_array_get(row, 2))) &&
           (json_int_t)peer->stage_attempts == json_integer_value(json_array_get(row, 3)) &&
           same_time(peer->next_action_ns, json_array_get(row, 4));
}

/* What is known of the peer, whatever its progress. */
static void compare_knowledge(const pollen_peer *peer, const json_t *row) {
    assert_true(same_time(peer->connected_at_ns, json_array_get(row, 5)));
    pollen_addr last = rig_addr(json_string_value(json_array_get(row, 6)));
    assert_true(pollen_addr_equal(&peer->last_addr, &last));
    assert_int_equal(peer->observed_port, json_integer_value(json_array_get(row, 8)));
    compare_addrs(peer->addrs, peer->addr_count, json_array_get(row, 7), peer->observed_port);
}

static bool find_peer(const replay *r, size_t number, pollen_peer *ret) {
    *ret = (pollen_peer){.key = r->keys[number]};
    return pollen_peer_store_find(r->rig.store, &r->keys[number], ret) == POLLEN_OK;
}

static void compare_peer(replay *r, size_t number) {
    const json_t *row = expected_peer(r, number);
    const json_t *out = expected_output(r, number);
    const pollen_peer_output *given = given_output(r, number);
    pollen_peer peer;
    assert_int_equal(find_peer(r, number, &peer), row != NULL);
    if (row == NULL) {
        assert_null(out);
        assert_null(given);
        return;
    }
    compare_knowledge(&peer, row);
    if (r->strayed[number]) {
        r->strayed[number] = !same_progress(&peer, row) || peer.state != POLLEN_PEER_CONNECTED;
        return;
    }
    assert_true(same_progress(&peer, row));
    assert_int_equal(out != NULL, given != NULL);
    if (out != NULL) {
        compare_output(given, out, &peer);
    }
}

/* ---- The marked steps ------------------------------------------------------------------------ */

static size_t marked_peer(const replay *r) {
    const char *name = rows_text(json_object_get(r->step, "in"), "peer");
    return name != NULL ? peer_number(name) : 0;
}

/* D-45. */
static void check_attempt_ends(replay *r, const pollen_peer *before, const pollen_peer *after) {
    if (rows_is(json_object_get(r->step, "in"), "in", "retry")) {
        /* The attempt goes on; that the wish is kept shows when it fails. */
        assert_int_equal(after->state, POLLEN_PEER_CONNECTING);
        assert_int_equal(after->attempt, before->attempt);
        return;
    }
    if (rig_ms(before->deadline_ns) <= r->now) {
        assert_int_equal(after->state, POLLEN_PEER_DISCOVERED);
        assert_int_equal(after->stage_attempts, 1);
        assert_int_equal(rig_ms(after->next_action_ns), r->now + 1000);
    } else {
        assert_int_equal(after->state, POLLEN_PEER_CONNECTING);
    }
}

/* D-51.  False when no address was new, so that there is nothing to do otherwise. */
static bool check_wakes(const replay *r, const pollen_peer *before, const pollen_peer *after) {
    bool has_new = !pollen_addr_equal(&before->last_addr, &after->last_addr);
    for (size_t i = 0; i < after->addr_count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < before->addr_count; k++) {
            is_known = is_known || pollen_addr_equal(&after->addrs[i], &before->addrs[k]);
        }
        has_new = has_new || !is_known;
    }
    if (!has_new) {
        assert_int_equal(after->state, POLLEN_PEER_UNREACHABLE);
        assert_int_equal(after->next_action_ns, before->next_action_ns);
        return false;
    }
    assert_int_equal(after->state, POLLEN_PEER_DISCOVERED);
    assert_int_equal(rig_ms(after->next_action_ns), r->now);
    assert_int_equal(after->stage,
                     after->last_addr.port != 0 ? POLLEN_STAGE_EAGER_RETRY : POLLEN_STAGE_DIRECT);
    return true;
}

/* D-50. */
static void check_grows(const replay *r, const pollen_peer *after) {
    assert_int_equal(after->state, POLLEN_PEER_UNREACHABLE);
    assert_true(after->unreachable_cycles > 1);
    assert_int_equal(rig_ms(after->next_action_ns),
                     r->now + ((int64_t)UNREACHABLE_CYCLE_MS << (after->unreachable_cycles - 1)));
}

static void check_deviation(replay *r) {
    const char *pitfall = rows_text(r->step, "pitfall");
    if (pitfall == NULL) {
        return;
    }
    size_t number = marked_peer(r);
    pollen_peer after;
    assert_true(find_peer(r, number, &after));
    if (r->strayed[number]) {
        return;
    }
    if (strcmp(pitfall, "D-45") == 0) {
        check_attempt_ends(r, &r->before[number], &after);
    } else if (strcmp(pitfall, "D-51") == 0) {
        if (!check_wakes(r, &r->before[number], &after)) {
            return;
        }
    } else {
        assert_string_equal(pitfall, "D-50");
        check_grows(r, &after);
    }
    r->deviations++;
    r->strayed[number] = true;
}

/* ---- Replaying ------------------------------------------------------------------------------- */

static bool any_strayed(const replay *r) {
    return r->strayed[0] || r->strayed[1] || r->strayed[2] || r->strayed[3];
}

static void replay_step(replay *r) {
    r->now = number_of(r->step, "t");
    for (size_t i = 0; i < PEERS; i++) {
        (void)find_peer(r, i, &r->before[i]); /* An absent one has no attempt and no state. */
    }
    feed(r);
    check_order(r);
    check_deviation(r);
    for (size_t i = 0; i < PEERS; i++) {
        compare_peer(r, i);
    }
    r->compared += any_strayed(r) ? 0 : 1;
}

static void replay_trace(replay *r) {
    memset(r->strayed, 0, sizeof(r->strayed));
    r->generation = 0;
    rig_init(&r->rig);
    rig_open(&r->rig);
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(r->trace, "steps"), i, step) {
        r->step = step;
        replay_step(r);
    }
    rig_close(&r->rig);
}

/* Prints where it stands, because cmocka only tells the line. */
static void replay_list(const char *list, size_t *ret_compared, size_t *ret_deviations) {
    json_t *root = vectors_load("peer");
    replay *r = test_calloc(1, sizeof(*r));
    size_t i;
    json_t *row;
    json_array_foreach(rows_of(root, "keys"), i, row) {
        assert_int_equal(pollen_key_parse(json_string_value(json_array_get(row, 1)), &r->keys[i]),
                         POLLEN_OK);
    }
    json_array_foreach(rows_of(root, list), i, row) {
        printf("%s\n", rows_text(row, "id"));
        r->trace = row;
        replay_trace(r);
    }
    *ret_compared = r->compared;
    *ret_deviations = r->deviations;
    printf("%s: %zu steps compared in full, %zu deviations\n", list, r->compared, r->deviations);
    test_free(r);
    json_decref(root);
}

static void test_every_pair_and_every_story_replays(void **state) {
    (void)state;
    size_t compared = 0;
    size_t deviations = 0;
    replay_list("scenarios", &compared, &deviations);
    assert_int_equal(compared, 802); /* Of 824. */
    assert_int_equal(deviations, 8);
}

static void test_random_traces_replay(void **state) {
    (void)state;
    size_t compared = 0;
    size_t deviations = 0;
    replay_list("random", &compared, &deviations);
    assert_int_equal(compared, 1584); /* Of 1800. */
    assert_int_equal(deviations, 13);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair_and_every_story_replays),
        cmocka_unit_test(test_random_traces_replay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
