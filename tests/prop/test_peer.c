/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random inputs to the peer store, against a model that is written from the rules in words and
 * searches lists.  The model takes over a delay's jitter, within its bounds, from the store.
 * POLLEN_SEED=n replays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "support/peer_rig.h"
#include "support/seed.h"

enum { PEERS = 7, ADDRS = 6, LIST_MAX = 3, STEPS = 4000, RUNS = 40 };

typedef struct list {
    pollen_addr addrs[LIST_MAX];
    size_t count;
} list;

typedef struct model_peer {
    pollen_peer_state state;
    pollen_connect_stage stage;
    unsigned failed;
    uint64_t due, deadline, attempt;
    uint64_t generation, connected_at, lost_at;
    bool ended, inbound, hurried, asked_for, refused, permanent;
    unsigned cycles, refusals;
    pollen_addr last;
    list learnt, configured;
    uint16_t port;
} model_peer;

typedef struct world {
    peer_rig rig;
    pln_rng rng;
    uint64_t now;
    model_peer peers[PEERS];
    size_t pending[PEERS]; /* Peers with an output, in order. */
    size_t pending_count;
    uint64_t attempts;   /* Ids given out. */
    uint64_t credit;     /* Of the rate: a dial costs an interval. */
    uint64_t generation; /* The newest of all. */
} world;

static uint64_t pick(world *w, uint64_t below) {
    return pln_rng_below(&w->rng, below);
}

/* ---- The model ------------------------------------------------------------------------------- */

static void drop_pending(world *w, size_t i) {
    size_t kept = 0;
    for (size_t k = 0; k < w->pending_count; k++) {
        if (w->pending[k] != i) {
            w->pending[kept++] = w->pending[k];
        }
    }
    w->pending_count = kept;
}

static void add_pending(world *w, size_t i) {
    drop_pending(w, i);
    w->pending[w->pending_count++] = i;
}

/* Reads the due time from the store and checks that it is the delay with some jitter. */
static void wait_for(world *w, size_t i, uint64_t delay) {
    uint64_t next = rig_peer(&w->rig, (uint32_t)i).next_action_ns;
    assert_true(next >= w->now + delay);
    assert_true(next <= w->now + delay + delay / 100 * w->rig.config.jitter_percent);
    w->peers[i].due = next;
}

static void set_state(world *w, size_t i, pollen_peer_state state) {
    model_peer *p = &w->peers[i];
    drop_pending(w, i);
    p->lost_at = p->state == POLLEN_PEER_CONNECTED ? w->now : p->lost_at;
    if (p->state == POLLEN_PEER_CONNECTED && w->now - p->connected_at >= PLN_S(60)) {
        p->refusals = 0;
    }
    p->state = state;
    p->attempt = 0;
    p->deadline = POLLEN_PEER_NEVER;
    p->hurried = false;
    p->refused = false;
}

static void start_over(model_peer *p) {
    p->stage = p->last.port != 0 ? POLLEN_STAGE_EAGER_RETRY : POLLEN_STAGE_DIRECT;
    p->failed = 0;
}

static uint64_t doubled(uint64_t base, unsigned times, uint64_t max) {
    for (unsigned i = 0; i < times && base < max; i++) {
        base *= 2;
    }
    return base < max ? base : max;
}

static void wait_for_refusal(world *w, size_t i) {
    wait_for(w, i, doubled(PLN_S(60), w->peers[i].refusals++, PLN_S(3600)));
}

static void model_failed(world *w, size_t i, pollen_end_reason reason) {
    model_peer *p = &w->peers[i];
    bool hurried = p->hurried;
    if (reason == POLLEN_END_DENIED || reason == POLLEN_END_REVOKED ||
        reason == POLLEN_END_CERT_EXPIRED) {
        set_state(w, i, POLLEN_PEER_UNREACHABLE);
        p->refused = true;
        p->asked_for = false;
        p->failed = 0;
        wait_for_refusal(w, i);
        return;
    }
    p->failed++;
    bool is_last = false;
    if (p->stage == POLLEN_STAGE_EAGER_RETRY) {
        p->stage = POLLEN_STAGE_DIRECT;
        p->failed = 0;
    } else if (p->failed == 2) {
        is_last = p->stage == POLLEN_STAGE_PUNCH;
        p->stage = POLLEN_STAGE_PUNCH;
        p->failed = 0;
    }
    if (hurried) {
        set_state(w, i, POLLEN_PEER_DISCOVERED);
        if (is_last) {
            start_over(p);
        }
        p->due = w->now;
    } else if (is_last) {
        set_state(w, i, POLLEN_PEER_UNREACHABLE);
        p->asked_for = false;
        uint64_t most = PLN_S(p->permanent ? 60 : 300);
        if (p->lost_at != POLLEN_PEER_NEVER && (w->now - p->lost_at) / 30 < most) {
            most = (w->now - p->lost_at) / 30 > PLN_S(20) ? (w->now - p->lost_at) / 30 : PLN_S(20);
        }
        wait_for(w, i, doubled(PLN_S(20), p->cycles++, most));
    } else {
        set_state(w, i, POLLEN_PEER_DISCOVERED);
        wait_for(w, i, p->failed == 0 ? PLN_MS(500) : PLN_S(1));
    }
}

static bool list_has(const list *l, pollen_addr addr) {
    for (size_t i = 0; i < l->count; i++) {
        if (pollen_addr_equal(&l->addrs[i], &addr)) {
            return true;
        }
    }
    return false;
}

static void model_discover(world *w, size_t i, const pollen_peer_input *input) {
    model_peer *p = &w->peers[i];
    list told = {.count = input->addr_count};
    bool has_new = input->addr.port != 0 && !pollen_addr_equal(&input->addr, &p->last);
    p->port = input->port != 0 ? input->port : p->port;
    for (size_t k = 0; k < told.count; k++) {
        told.addrs[k] = input->addrs[k];
        told.addrs[k].port = told.addrs[k].port != 0 ? told.addrs[k].port : p->port;
        has_new = has_new ||
                  !(list_has(&p->learnt, told.addrs[k]) || list_has(&p->configured, told.addrs[k]));
    }
    *(input->permanent ? &p->configured : &p->learnt) = told;
    p->permanent = p->permanent || input->permanent;
    p->last = input->addr.port != 0 ? input->addr : p->last;
    if (p->state == POLLEN_PEER_ABSENT ||
        (p->state == POLLEN_PEER_UNREACHABLE && has_new && !p->refused)) {
        set_state(w, i, POLLEN_PEER_DISCOVERED);
        start_over(p);
        p->cycles = 0;
        p->due = w->now;
    }
}

static void model_connect(world *w, size_t i, const pollen_peer_input *input) {
    model_peer *p = &w->peers[i];
    bool is_known = p->state != POLLEN_PEER_ABSENT;
    if (input->generation != 0 && is_known && input->generation <= p->generation) {
        return;
    }
    if (input->generation == 0 && input->attempt != 0 &&
        (!is_known || input->attempt != p->attempt)) {
        return;
    }
    if (p->state != POLLEN_PEER_CONNECTED) {
        set_state(w, i, POLLEN_PEER_CONNECTED);
    }
    if (input->addr.port != 0) {
        p->learnt = (list){.addrs = {input->addr}, .count = 1};
        p->last = input->addr;
        p->port = input->addr.port;
    }
    p->generation = input->generation > p->generation ? input->generation : p->generation;
    p->ended = false;
    p->inbound = input->inbound;
    p->connected_at = w->now;
    p->stage = POLLEN_STAGE_DIRECT;
    p->failed = 0;
    p->cycles = 0;
    p->asked_for = false;
    add_pending(w, i);
}

static void model_lost(world *w, size_t i, const pollen_peer_input *input) {
    model_peer *p = &w->peers[i];
    uint64_t g = input->generation;
    if (p->state == POLLEN_PEER_ABSENT || (g != 0 && g < p->generation) ||
        (g != 0 && g == p->generation && p->ended)) {
        return;
    }
    p->generation = g > p->generation ? g : p->generation;
    p->ended = true;
    if (p->state == POLLEN_PEER_DISCOVERED || p->state == POLLEN_PEER_UNREACHABLE) {
        return;
    }
    set_state(w, i, POLLEN_PEER_DISCOVERED);
    start_over(p);
    static const unsigned seconds[] = {3, 1, 5, 3, 3, 1, 3}; /* By the number of the reason. */
    if (input->reason == POLLEN_END_DENIED || input->reason == POLLEN_END_REVOKED) {
        wait_for_refusal(w, i);
    } else {
        wait_for(w, i, PLN_S(seconds[input->reason]));
    }
}

static void model_retry(world *w, size_t i) {
    model_peer *p = &w->peers[i];
    if (p->state == POLLEN_PEER_CONNECTED) {
        return;
    }
    p->asked_for = true;
    if (p->state == POLLEN_PEER_CONNECTING) {
        p->hurried = true;
        return;
    }
    if (p->state != POLLEN_PEER_DISCOVERED) {
        set_state(w, i, POLLEN_PEER_DISCOVERED);
    }
    start_over(p);
    p->cycles = 0;
    p->refusals = 0;
    p->due = w->now;
}

static void model_forget(world *w, size_t i) {
    drop_pending(w, i);
    w->peers[i] = (model_peer){.deadline = POLLEN_PEER_NEVER,
                               .due = POLLEN_PEER_NEVER,
                               .connected_at = POLLEN_PEER_NEVER,
                               .lost_at = POLLEN_PEER_NEVER};
}

/* ---- The model's ticks ----------------------------------------------------------------------- */

static uint64_t interval_of(const world *w) {
    unsigned rate = w->rig.config.dials_per_second;
    return rate == 0 ? 0 : PLN_S(1) / rate;
}

static size_t running(const world *w) {
    size_t count = 0;
    for (size_t i = 0; i < PEERS; i++) {
        count += w->peers[i].state == POLLEN_PEER_CONNECTING;
    }
    return count;
}

static bool waits(const model_peer *p) {
    return p->state == POLLEN_PEER_DISCOVERED || p->state == POLLEN_PEER_UNREACHABLE;
}

static bool is_favoured(const model_peer *p) {
    return p->permanent || p->asked_for || (p->connected_at != POLLEN_PEER_NEVER && p->cycles == 0);
}

/* How long until the budget has a place for the peer; NEVER when only an end makes one. */
static uint64_t budget_wait(const world *w, const model_peer *p) {
    const pollen_peer_store_config *config = &w->rig.config;
    size_t kept_places = is_favoured(p) ? 0 : config->dials_max / 4;
    if (config->dials_max != 0 && running(w) + kept_places >= config->dials_max) {
        return POLLEN_PEER_NEVER;
    }
    uint64_t kept_starts = is_favoured(p) ? 0 : config->dials_burst / 4;
    uint64_t needed = (1 + kept_starts) * interval_of(w);
    return needed > w->credit ? needed - w->credit : 0;
}

static void pass_time(world *w, uint64_t now) {
    uint64_t full = w->rig.config.dials_burst * interval_of(w);
    w->credit = w->credit + (now - w->now) < full ? w->credit + (now - w->now) : full;
    w->now = now;
}

static size_t next_dial(const world *w) {
    size_t best = PEERS;
    for (size_t i = 0; i < PEERS; i++) {
        const model_peer *p = &w->peers[i];
        if (waits(p) && p->due <= w->now && budget_wait(w, p) == 0 &&
            (best == PEERS || p->due < w->peers[best].due)) {
            best = i;
        }
    }
    return best;
}

static void model_tick(world *w) {
    for (size_t i = 0; i < PEERS; i++) {
        if (w->peers[i].state == POLLEN_PEER_CONNECTING && w->peers[i].deadline <= w->now) {
            model_failed(w, i, POLLEN_END_UNKNOWN);
        }
    }
    for (size_t i = next_dial(w); i < PEERS; i = next_dial(w)) {
        model_peer *p = &w->peers[i];
        if (p->state == POLLEN_PEER_UNREACHABLE) {
            start_over(p);
        }
        set_state(w, i, POLLEN_PEER_CONNECTING);
        p->attempt = ++w->attempts;
        p->deadline = w->now + PLN_S(p->stage == POLLEN_STAGE_PUNCH ? 10 : 5);
        w->credit -= interval_of(w);
        add_pending(w, i);
    }
}

static uint64_t model_next_expiry(const world *w) {
    uint64_t next = POLLEN_PEER_NEVER;
    for (size_t i = 0; i < PEERS; i++) {
        const model_peer *p = &w->peers[i];
        if (p->state == POLLEN_PEER_CONNECTING && p->deadline < next) {
            next = p->deadline;
        }
        uint64_t wait = budget_wait(w, p);
        if (waits(p) && wait != POLLEN_PEER_NEVER) {
            uint64_t at = p->due > w->now + wait ? p->due : w->now + wait;
            next = at < next ? at : next;
        }
    }
    return next > w->now ? next : w->now;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static size_t model_addrs(const model_peer *p, pollen_addr *addrs) {
    size_t count = 0;
    for (size_t i = 0; i < p->configured.count; i++) {
        addrs[count++] = p->configured.addrs[i];
    }
    for (size_t i = 0; i < p->learnt.count; i++) {
        if (!list_has(&p->configured, p->learnt.addrs[i])) {
            addrs[count++] = p->learnt.addrs[i];
        }
    }
    return count;
}

static void compare_addrs(const model_peer *p, const pollen_addr *given, size_t count) {
    pollen_addr addrs[2 * LIST_MAX];
    assert_int_equal(count, model_addrs(p, addrs));
    for (size_t i = 0; i < count; i++) {
        assert_true(pollen_addr_equal(&given[i], &addrs[i]));
    }
}

static void compare_peer(const world *w, size_t i) {
    const model_peer *p = &w->peers[i];
    pollen_key key = rig_key((uint32_t)i);
    pollen_peer given;
    pollen_err err = pollen_peer_store_find(w->rig.store, &key, &given);
    assert_int_equal(err, p->state == POLLEN_PEER_ABSENT ? POLLEN_ENOENT : POLLEN_OK);
    if (err != POLLEN_OK) {
        return;
    }
    assert_int_equal(given.state, p->state);
    assert_int_equal(given.stage, p->stage);
    assert_int_equal(given.stage_attempts, p->failed);
    assert_int_equal(given.next_action_ns, p->due);
    assert_int_equal(given.deadline_ns, p->deadline);
    assert_int_equal(given.attempt, p->attempt);
    assert_int_equal(given.generation, p->generation);
    assert_int_equal(given.connected_at_ns, p->connected_at);
    assert_int_equal(given.permanent, p->permanent);
    assert_int_equal(given.unreachable_cycles, p->cycles);
    assert_int_equal(given.refusals, p->refusals);
    assert_int_equal(given.observed_port, p->port);
    assert_true(pollen_addr_equal(&given.last_addr, &p->last));
    compare_addrs(p, given.addrs, given.addr_count);
}

static void compare_output(const world *w, size_t i, const pollen_peer_output *given) {
    static const pollen_peer_output_kind kinds[] = {
        [POLLEN_STAGE_EAGER_RETRY] = POLLEN_PEER_OUTPUT_ATTEMPT_EAGER_CONNECT,
        [POLLEN_STAGE_DIRECT] = POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT,
        [POLLEN_STAGE_PUNCH] = POLLEN_PEER_OUTPUT_REQUEST_PUNCH_COORDINATION,
    };
    const model_peer *p = &w->peers[i];
    pollen_key key = rig_key((uint32_t)i);
    assert_memory_equal(&given->peer, &key, sizeof(key));
    assert_int_equal(given->attempt, p->attempt);
    if (p->state == POLLEN_PEER_CONNECTED) {
        assert_int_equal(given->kind, POLLEN_PEER_OUTPUT_CONNECTED);
        assert_int_equal(given->generation, p->generation);
        assert_int_equal(given->inbound, p->inbound);
        assert_true(pollen_addr_equal(&given->addr, &p->last));
        return;
    }
    assert_int_equal(given->kind, kinds[p->stage]);
    assert_int_equal(given->deadline_ns, p->deadline);
    if (p->stage == POLLEN_STAGE_EAGER_RETRY) {
        assert_true(pollen_addr_equal(&given->addr, &p->last));
    } else {
        compare_addrs(p, given->addrs, given->addr_count);
    }
}

static void pull_outputs(world *w) {
    pollen_peer_output output;
    for (size_t k = 0; k < w->pending_count; k++) {
        assert_true(pollen_peer_store_poll_output(w->rig.store, &output));
        compare_output(w, w->pending[k], &output);
    }
    w->pending_count = 0;
    assert_false(pollen_peer_store_poll_output(w->rig.store, &output));
}

/* ---- Random inputs --------------------------------------------------------------------------- */

static pollen_addr random_addr(world *w) {
    pollen_addr addr = rig_addr("192.0.2.1:60611");
    addr.ip[15] = (uint8_t)(1 + pick(w, ADDRS));
    addr.port = pick(w, 4) == 0 ? 0 : (uint16_t)(7000 + pick(w, 2));
    return addr;
}

/* Mostly of now, sometimes of the past, sometimes unknown. */
static uint64_t random_generation(world *w, const model_peer *p, bool is_new) {
    uint64_t kind = pick(w, 10);
    if (kind == 0) {
        return 0;
    }
    if (kind == 1) {
        return pick(w, w->generation + 1);
    }
    return is_new || kind == 2 ? ++w->generation : p->generation;
}

static uint64_t random_attempt(world *w, const model_peer *p) {
    return pick(w, 5) == 0 ? pick(w, w->attempts + 2) : p->attempt;
}

static uint64_t random_advance(world *w) {
    uint64_t next = pollen_peer_store_next_expiry(w->rig.store);
    switch (pick(w, 6)) {
    case 0:
        return w->now + pick(w, PLN_MS(300));
    case 1:
        return w->now + pick(w, PLN_S(20));
    case 2:
        return pick(w, 20) == 0 ? w->now + pick(w, PLN_S(4000)) : w->now;
    case 3:
    case 4:
        return next != POLLEN_PEER_NEVER && next > w->now ? next - pick(w, 2) : w->now;
    default:
        return w->now;
    }
}

static pollen_peer_input random_input(world *w, size_t i, pollen_addr *addrs) {
    static const pollen_peer_input_kind kinds[] = {
        POLLEN_PEER_INPUT_TICK,           POLLEN_PEER_INPUT_TICK,
        POLLEN_PEER_INPUT_TICK,           POLLEN_PEER_INPUT_TICK,
        POLLEN_PEER_INPUT_CONNECT_FAILED, POLLEN_PEER_INPUT_CONNECT_FAILED,
        POLLEN_PEER_INPUT_CONNECT_FAILED, POLLEN_PEER_INPUT_DISCOVER,
        POLLEN_PEER_INPUT_DISCOVER,       POLLEN_PEER_INPUT_CONNECT,
        POLLEN_PEER_INPUT_DISCONNECTED,   POLLEN_PEER_INPUT_DISCONNECTED,
        POLLEN_PEER_INPUT_MOVED,          POLLEN_PEER_INPUT_RETRY,
        POLLEN_PEER_INPUT_FORGET,
    };
    const model_peer *p = &w->peers[i];
    pollen_peer_input input = {
        .kind = kinds[pick(w, sizeof(kinds) / sizeof(kinds[0]))],
        .peer = rig_key((uint32_t)i),
        .addrs = addrs,
        .addr_count = pick(w, LIST_MAX + 1),
        .port = pick(w, 2) == 0 ? 0 : 60611,
        .permanent = pick(w, 40) == 0,
        .inbound = pick(w, 2) == 0,
        .attempt = random_attempt(w, p),
        .reason = (pollen_end_reason)pick(w, pick(w, 4) == 0 ? POLLEN_END_DENIED + 1
                                                             : POLLEN_END_CERT_EXPIRED),
    };
    for (size_t k = 0; k < LIST_MAX; k++) {
        addrs[k] = random_addr(w);
    }
    input.addr = random_addr(w);
    input.generation = random_generation(w, p, input.kind == POLLEN_PEER_INPUT_CONNECT);
    return input;
}

static void feed_model(world *w, size_t i, const pollen_peer_input *input) {
    model_peer *p = &w->peers[i];
    switch (input->kind) {
    case POLLEN_PEER_INPUT_TICK:
        model_tick(w);
        break;
    case POLLEN_PEER_INPUT_DISCOVER:
        model_discover(w, i, input);
        break;
    case POLLEN_PEER_INPUT_CONNECT:
        model_connect(w, i, input);
        break;
    case POLLEN_PEER_INPUT_CONNECT_FAILED:
        if (p->state == POLLEN_PEER_CONNECTING && input->attempt == p->attempt) {
            model_failed(w, i, input->reason);
        }
        break;
    case POLLEN_PEER_INPUT_DISCONNECTED:
        model_lost(w, i, input);
        break;
    case POLLEN_PEER_INPUT_MOVED:
        if (p->state == POLLEN_PEER_CONNECTED && input->addr.port != 0 &&
            (input->generation == 0 || input->generation == p->generation)) {
            p->learnt = (list){.addrs = {input->addr}, .count = 1};
            p->last = input->addr;
            p->port = input->addr.port;
        }
        break;
    case POLLEN_PEER_INPUT_RETRY:
        model_retry(w, i);
        break;
    case POLLEN_PEER_INPUT_FORGET:
        model_forget(w, i);
        break;
    }
}

static void step_world(world *w) {
    pollen_addr addrs[LIST_MAX];
    size_t i = (size_t)pick(w, PEERS);
    pass_time(w, random_advance(w));
    pollen_peer_input input = random_input(w, i, addrs);
    bool is_refused =
        input.kind == POLLEN_PEER_INPUT_FORGET && w->peers[i].permanent && !input.permanent;
    assert_int_equal(pollen_peer_store_step(w->rig.store, w->now, &input),
                     is_refused ? POLLEN_EPERM : POLLEN_OK);
    if (!is_refused) {
        feed_model(w, i, &input);
    }
    for (size_t k = 0; k < PEERS; k++) {
        compare_peer(w, k);
    }
    uint64_t next = pollen_peer_store_next_expiry(w->rig.store);
    assert_int_equal(next > w->now ? next : w->now, model_next_expiry(w));
    if (pick(w, 4) != 0) {
        pull_outputs(w);
    }
}

static void open_world(world *w, pln_rng rng) {
    *w = (world){.rng = rng};
    rig_init(&w->rig);
    w->rig.config.random = rng.fill;
    w->rig.config.random_context = rng.ctx;
    w->rig.config.jitter_percent = (unsigned)pick(w, 3) * 20;
    w->rig.config.dials_max = (unsigned)pick(w, 7);
    w->rig.config.dials_per_second = (unsigned)pick(w, 3) * 2;
    w->rig.config.dials_burst = 1 + (unsigned)pick(w, 6);
    rig_open(&w->rig);
    w->credit = w->rig.config.dials_burst * interval_of(w);
    for (size_t i = 0; i < PEERS; i++) {
        model_forget(w, i);
    }
}

static void test_the_store_does_what_the_model_does(void **state) {
    (void)state;
    pln_rng_seeded seeded;
    pln_rng rng = test_rng(&seeded);
    for (int run = 0; run < RUNS; run++) {
        world w;
        open_world(&w, rng);
        for (int step = 0; step < STEPS; step++) {
            step_world(&w);
        }
        rig_close(&w.rig);
    }
}

/* ---- Same inputs, same outputs --------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ at[i]) * 0x100000001b3u; /* FNV-1a. */
    }
    return hash;
}

static uint64_t run_hash(uint64_t seed) {
    pln_rng_seeded seeded;
    world w;
    uint64_t hash = 0xcbf29ce484222325u;
    open_world(&w, pln_rng_from_seed(&seeded, seed));
    for (int step = 0; step < STEPS; step++) {
        pollen_addr addrs[LIST_MAX];
        pass_time(&w, random_advance(&w));
        pollen_peer_input input = random_input(&w, (size_t)pick(&w, PEERS), addrs);
        pollen_err err = pollen_peer_store_step(w.rig.store, w.now, &input);
        assert_true(err == POLLEN_OK || err == POLLEN_EPERM);
        pollen_peer_output output;
        while (pollen_peer_store_poll_output(w.rig.store, &output)) {
            hash = mix(hash, &output.kind, sizeof(output.kind));
            hash = mix(hash, &output.peer, sizeof(output.peer));
            hash = mix(hash, &output.attempt, sizeof(output.attempt));
            hash = mix(hash, &output.deadline_ns, sizeof(output.deadline_ns));
        }
    }
    rig_close(&w.rig);
    return hash;
}

static void test_a_run_replays_to_the_order_of_outputs(void **state) {
    (void)state;
    uint64_t seed = test_seed();
    assert_int_equal(run_hash(seed), run_hash(seed));
    assert_int_not_equal(run_hash(seed), run_hash(seed + 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_store_does_what_the_model_does),
        cmocka_unit_test(test_a_run_replays_to_the_order_of_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
