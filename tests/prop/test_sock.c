/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random calls to the punching engine, against what its owner may rely on: every socket that is
 * opened is closed once, nothing is sent over one that is not open or to where no punch aims, every
 * punch ends once, and no allowance is exceeded.  POLLEN_SEED=n replays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sock/probe.h"
#include "sock/sock.h"
#include "support/seed.h"
#include "support/sock_drain.h"

enum { PEERS = 6, STEPS = 12000, RUNS = 6, VIAS_MAX = 60000, RECENT = 64 };

typedef enum via_state { UNHEARD, ASKED, OPEN, LENT, CLOSED } via_state;

typedef struct model_peer {
    bool running;
    uint64_t attempt;
    pln_punch_plan plan; /* With what was added. */
    size_t try_count;
    pln_path tries[PLN_PUNCH_TRIES_MAX];
    size_t hole_count;
    pln_path holes[PLN_PUNCH_HOLES_MAX];
} model_peer;

typedef struct sent {
    pln_path path;
    pln_probe probe;
} sent;

typedef struct world {
    pln_rng_seeded seeded[2];
    pln_rng rng;
    pln_sock *sock;
    pln_ts start, now;
    uint64_t attempts;
    model_peer peers[PEERS];
    uint8_t vias[VIAS_MAX];
    uint32_t via_last;
    size_t in_use; /* Asked for or open. */
    size_t sockets_max;
    sent recent[RECENT]; /* Requests of ours, to be answered. */
    size_t recent_count;
    uint64_t requests_in, answers_out, requests_out;
} world;

static uint64_t pick(world *w, uint64_t below) {
    return pln_rng_below(&w->rng, below);
}

static bool chance(world *w, unsigned percent) {
    return pick(w, 100) < percent;
}

static pollen_key key_of(size_t peer) {
    pollen_key key;
    memset(key.bytes, (int)peer + 1, sizeof(key.bytes));
    return key;
}

/* A handful of addresses, so that peers share some; the last ones must never be sent to. */
static pollen_addr draw_addr(world *w) {
    static const uint8_t ips[][4] = {
        {198, 51, 100, 1}, {198, 51, 100, 2}, {203, 0, 113, 9},
        {192, 168, 1, 7},  {127, 0, 0, 1},    {224, 0, 0, 1},
    };
    pollen_addr addr = pln_addr_ipv4(ips[pick(w, 6)], (uint16_t)(40000 + pick(w, 4)));
    addr.port = chance(w, 3) ? 0 : addr.port;
    return addr;
}

/* ---- What comes out -------------------------------------------------------------------------- */

static bool is_usable(const world *w, uint32_t via) {
    return via == PLN_VIA_MAIN ||
           (via < VIAS_MAX && (w->vias[via] == OPEN || w->vias[via] == LENT));
}

static bool same_ip(const pollen_addr *a, const pollen_addr *b) {
    return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static bool is_aimed_at(const world *w, const pollen_addr *addr) {
    for (size_t i = 0; i < PEERS; i++) {
        const model_peer *peer = &w->peers[i];
        for (size_t k = 0; peer->running && k < peer->plan.target_count; k++) {
            if (same_ip(&peer->plan.targets[k].addr, addr)) {
                return true;
            }
        }
    }
    return false;
}

static void check_sent(void *arg, const uint8_t *buf, const pln_transmit *to) {
    world *w = arg;
    pln_probe probe;
    assert_int_equal(to->size, 17);
    assert_int_equal(to->segment, 17);
    assert_true(pln_probe_decode(buf, to->size, &probe));
    assert_true(is_usable(w, to->path.via));
    assert_true(pln_addr_is_sendable(&to->path.remote));
    if (probe.kind == PLN_PROBE_RESPONSE) {
        w->answers_out++;
        assert_true(w->answers_out <= w->requests_in);
        return;
    }
    w->requests_out++;
    assert_true(w->requests_out <= 4000 + (w->now - w->start) / PLN_MS(1));
    assert_true(to->ttl == 0 || to->ttl == 2);
    assert_false(pln_addr_is_loopback(&to->path.remote));
    assert_true(is_aimed_at(w, &to->path.remote));
    w->recent[w->recent_count % RECENT] = (sent){.path = to->path, .probe = probe};
    w->recent_count++;
}

static void open_or_fail(world *w, uint32_t via) {
    if (chance(w, 5)) {
        w->vias[via] = CLOSED;
        w->in_use--;
        pln_sock_socket_failed(w->sock, via, w->now);
    } else {
        w->vias[via] = OPEN;
        pln_sock_socket_opened(w->sock, via, (uint16_t)(10000 + via % 50000), w->now);
    }
}

static model_peer *peer_of(world *w, const pln_sock_event *event) {
    model_peer *peer = &w->peers[event->peer.bytes[0] - 1];
    assert_true(peer->running);
    assert_int_equal(peer->attempt, event->attempt);
    return peer;
}

static bool has_path(const pln_path *paths, size_t count, const pln_path *path) {
    for (size_t i = 0; i < count; i++) {
        if (pln_path_equal(&paths[i], path)) {
            return true;
        }
    }
    return false;
}

static void check_way(world *w, const pln_sock_event *event) {
    model_peer *peer = peer_of(w, event);
    assert_true(is_usable(w, event->path.via));
    assert_true(is_aimed_at(w, &event->path.remote));
    assert_false(has_path(peer->holes, peer->hole_count, &event->path));
    if (event->kind == PLN_SOCK_HOLE) {
        assert_true(peer->hole_count < PLN_PUNCH_HOLES_MAX);
        peer->holes[peer->hole_count++] = event->path;
        return;
    }
    assert_false(has_path(peer->tries, peer->try_count, &event->path));
    assert_true(peer->try_count < PLN_PUNCH_TRIES_MAX);
    peer->tries[peer->try_count++] = event->path;
}

static void check_event(void *arg, const pln_sock_event *event) {
    world *w = arg;
    switch (event->kind) {
    case PLN_SOCK_OPEN_SOCKET:
        assert_int_equal(event->via, w->via_last + 1);
        assert_true(event->via < VIAS_MAX);
        w->via_last = event->via;
        w->vias[event->via] = ASKED;
        w->in_use++;
        assert_true(w->in_use <= PLN_SOCKETS_MAX);
        if (!chance(w, 10)) {
            open_or_fail(w, event->via);
        }
        break;
    case PLN_SOCK_CLOSE_SOCKET:
        assert_int_equal(w->vias[event->via], OPEN);
        w->vias[event->via] = CLOSED;
        w->in_use--;
        break;
    case PLN_SOCK_TRY:
    case PLN_SOCK_HOLE:
        check_way(w, event);
        break;
    case PLN_SOCK_OVER:
        assert_true(event->stats.probes_sent <= 2600 + 100 * (w->now - w->start) / PLN_S(1));
        assert_true(event->stats.ways_used <= 1300 + 100);
        peer_of(w, event)->running = false;
        break;
    }
}

static void drain(world *w) {
    const sock_owner owner = {.arg = w, .sent = check_sent, .told = check_event};
    sock_drain(w->sock, &owner, w->now);
    assert_true(pln_sock_next_expiry(w->sock) > w->now);
}

/* ---- What goes in ---------------------------------------------------------------------------- */

static pln_nat_brief draw_brief(world *w) {
    pln_nat_brief brief = {
        .mapping = (pollen_nat_mapping)pick(w, 4),
        .allocation = (pollen_nat_allocation)pick(w, 4),
        .step = (uint16_t)(chance(w, 20) ? 256 : pick(w, 3)),
        .port_count = pick(w, 3),
    };
    for (size_t i = 0; i < PLN_NAT_PORTS_MAX; i++) {
        brief.ports[i] = (uint16_t)pick(w, 65536);
    }
    return brief;
}

/* What the engine makes of a list: fit ones once. */
static void add_to_model(pln_punch_plan *plan, const pln_punch_target *targets, size_t count) {
    for (size_t i = 0; i < count && plan->target_count < PLN_PUNCH_TARGETS_MAX; i++) {
        bool known =
            !pln_addr_is_sendable(&targets[i].addr) || pln_addr_is_loopback(&targets[i].addr);
        for (size_t k = 0; k < plan->target_count; k++) {
            known = known || pollen_addr_equal(&plan->targets[k].addr, &targets[i].addr);
        }
        if (!known) {
            plan->targets[plan->target_count++] = targets[i];
        }
    }
}

static size_t draw_targets(world *w, pln_punch_target *targets) {
    size_t count = pick(w, 7);
    for (size_t i = 0; i < count; i++) {
        targets[i] = (pln_punch_target){.addr = draw_addr(w), .kind = (pln_target_kind)pick(w, 3)};
    }
    return count;
}

static void start(world *w) {
    size_t index = pick(w, PEERS);
    model_peer *peer = &w->peers[index];
    w->attempts++;
    pln_punch_plan plan = {
        .peer = key_of(index),
        .attempt = w->attempts,
        .ours = draw_brief(w),
        .theirs = draw_brief(w),
        .one_shot = chance(w, 20),
        .at = w->now + PLN_MS(pick(w, 300)) - PLN_MS(100),
    };
    plan.deadline = plan.at + PLN_MS(pick(w, 4000));
    plan.target_count = draw_targets(w, plan.targets);
    model_peer fresh = {.running = true, .attempt = w->attempts, .plan = plan};
    fresh.plan.target_count = 0;
    add_to_model(&fresh.plan, plan.targets, plan.target_count);
    model_peer before = *peer;
    if (!peer->running && fresh.plan.target_count > 0) {
        *peer = fresh;
    }
    bool anew = chance(w, 40);
    pollen_err err =
        anew ? pln_sock_replan(w->sock, &plan, w->now) : pln_sock_start(w->sock, &plan, w->now);
    if (before.running && anew) {
        peer->attempt = plan.attempt;
        add_to_model(&peer->plan, plan.targets, plan.target_count);
    }
    pollen_err expected = before.running                 ? (anew ? POLLEN_OK : POLLEN_EAGAIN)
                          : fresh.plan.target_count == 0 ? POLLEN_EADDR
                                                         : POLLEN_OK;
    assert_int_equal(err, expected);
}

static void add_targets(world *w) {
    size_t index = pick(w, PEERS);
    pollen_key key = key_of(index);
    pln_punch_target targets[PLN_PUNCH_TARGETS_MAX];
    size_t count = draw_targets(w, targets);
    model_peer *peer = &w->peers[index];
    size_t before = peer->plan.target_count;
    if (peer->running) {
        add_to_model(&peer->plan, targets, count);
    }
    size_t added = pln_sock_add_targets(w->sock, &key, targets, count, w->now);
    assert_int_equal(added, peer->running ? peer->plan.target_count - before : 0);
}

static uint32_t draw_via(world *w) {
    if (w->via_last == 0 || chance(w, 30)) {
        return PLN_VIA_MAIN;
    }
    return w->via_last - (uint32_t)pick(w, w->via_last < 300 ? w->via_last : 300);
}

static void win(world *w) {
    size_t index = pick(w, PEERS);
    pollen_key key = key_of(index);
    pln_path path = {.via = draw_via(w), .remote = draw_addr(w)};
    const model_peer *peer = &w->peers[index];
    if (peer->hole_count > 0 && chance(w, 70)) {
        path = peer->holes[pick(w, peer->hole_count)];
    }
    bool usable = is_usable(w, path.via);
    assert_int_equal(pln_sock_won(w->sock, &key, &path, w->now), usable);
    if (usable && path.via != PLN_VIA_MAIN) {
        w->vias[path.via] = LENT;
    }
}

static void release(world *w, uint32_t via) {
    if (w->vias[via] == LENT) {
        w->vias[via] = OPEN; /* Until CLOSE_SOCKET. */
    }
    pln_sock_release(w->sock, via);
}

static void hear(world *w, const pln_path *path, const pln_probe *probe) {
    uint8_t bytes[PLN_PROBE_BYTES];
    pln_probe_encode(probe, bytes);
    pln_datagram datagram = {.path = *path, .data = bytes, .size = sizeof(bytes)};
    w->requests_in += probe->kind == PLN_PROBE_REQUEST;
    pln_sock_handle_probe(w->sock, &datagram, w->now);
}

static void hear_anything(world *w) {
    pln_path path = {.via = draw_via(w), .remote = draw_addr(w)};
    pln_probe probe = {.kind = chance(w, 80) ? PLN_PROBE_REQUEST : PLN_PROBE_RESPONSE};
    pln_rng_fill(&w->rng, probe.nonce, sizeof(probe.nonce));
    hear(w, &path, &probe);
}

/* The far end answers one of our last requests, mostly from where it went. */
static void hear_answer(world *w) {
    if (w->recent_count == 0) {
        return;
    }
    sent s = w->recent[pick(w, w->recent_count < RECENT ? w->recent_count : RECENT)];
    s.probe.kind = chance(w, 95) ? PLN_PROBE_RESPONSE : PLN_PROBE_REQUEST;
    if (chance(w, 20)) {
        s.path.remote.port = (uint16_t)(1024 + pick(w, 60000));
    }
    hear(w, &s.path, &s.probe);
}

static void late_socket(world *w) {
    uint32_t via = draw_via(w);
    if (via != PLN_VIA_MAIN && w->vias[via] == ASKED) {
        open_or_fail(w, via);
    }
}

static void pass_time(world *w, pln_dur span) {
    pln_ts end = w->now + span;
    while (pln_sock_next_expiry(w->sock) <= end) {
        pln_ts next = pln_sock_next_expiry(w->sock);
        assert_true(next > w->now);
        w->now = next + (chance(w, 20) ? pick(w, PLN_MS(3)) : 0);
        pln_sock_handle_timeout(w->sock, w->now);
        drain(w);
    }
    w->now = w->now > end ? w->now : end;
}

static void step(world *w) {
    pollen_key key = key_of(pick(w, PEERS));
    pln_path path = {.via = draw_via(w), .remote = draw_addr(w)};
    switch (pick(w, 14)) {
    case 0:
        start(w);
        break;
    case 1:
        add_targets(w);
        break;
    case 2:
        if (chance(w, 20)) {
            pln_sock_cancel(w->sock, &key, w->now);
        }
        break;
    case 3:
        if (chance(w, 10)) {
            win(w);
        }
        break;
    case 4:
        release(w, draw_via(w));
        break;
    case 5:
        pln_sock_hole_failed(w->sock, &key, &path, w->now);
        break;
    case 6:
        if (chance(w, 20)) {
            pln_sock_network_changed(w->sock);
        }
        break;
    case 7:
        pln_sock_set_sockets_max(w->sock, pick(w, 600));
        break;
    case 8:
    case 9:
        hear_anything(w);
        break;
    case 10:
        if (chance(w, 30)) {
            hear_answer(w);
        }
        break;
    case 11:
        late_socket(w);
        break;
    default:
        pass_time(w, PLN_MS(pick(w, 300)));
        break;
    }
    drain(w);
}

static void end(world *w) {
    for (uint32_t via = 1; via <= w->via_last; via++) {
        if (w->vias[via] == ASKED) {
            open_or_fail(w, via);
        }
        release(w, via);
    }
    for (size_t i = 0; i < PEERS; i++) {
        pollen_key key = key_of(i);
        pln_sock_cancel(w->sock, &key, w->now);
    }
    drain(w);
    pass_time(w, PLN_S(3));
    for (uint32_t via = 1; via <= w->via_last; via++) {
        assert_int_equal(w->vias[via], CLOSED);
    }
    assert_int_equal(w->in_use, 0);
    assert_true(pln_sock_next_expiry(w->sock) == PLN_TS_NEVER);
    pln_sock_counters counters;
    pln_sock_get_counters(w->sock, &counters);
    assert_int_equal(counters.punches, 0);
    assert_int_equal(counters.sockets_open, 0);
    assert_int_equal(counters.sockets_lent, 0);
    assert_int_equal(counters.probes_sent, w->requests_out);
    assert_int_equal(counters.answers_sent, w->answers_out);
}

static void an_owner_may_rely_on_it(void **state) {
    (void)state;
    pln_rng_seeded seeds;
    pln_rng seed_rng = test_rng(&seeds);
    world *w = malloc(sizeof(*w));
    assert_non_null(w);
    for (int run = 0; run < RUNS; run++) {
        memset(w, 0, sizeof(*w));
        w->rng = pln_rng_from_seed(&w->seeded[0], pln_rng_u64(&seed_rng));
        w->start = PLN_S(100000);
        w->now = w->start;
        pln_sock_config config = {
            .rng = pln_rng_from_seed(&w->seeded[1], pln_rng_u64(&seed_rng)),
            .without_openers = run % 3 == 2,
        };
        assert_int_equal(pln_sock_create(&config, &w->sock), POLLEN_OK);
        for (int i = 0; i < STEPS; i++) {
            step(w);
        }
        end(w);
        pln_sock_destroy(w->sock);
    }
    free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_may_rely_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
