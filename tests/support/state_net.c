/* SPDX-License-Identifier: Apache-2.0 */
#include "support/state_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "support/state_rig.h"
#include "wire/envelope.h"

static pln_state *new_state(state_net *net, size_t index) {
    pln_state *state = NULL;
    pln_state_config config = {.local = net->keys[index], .rng = *net->rng, .trust = net->trust};
    assert_int_equal(pln_state_create(&config, &state), POLLEN_OK);
    return state;
}

static bool chance(state_net *net, unsigned percent) {
    return percent > 0 && pln_rng_below(net->rng, 100) < percent;
}

static void push(state_net *net, size_t from, size_t to, const pln_bytes *envelope) {
    if (chance(net, net->loss_percent)) {
        return;
    }
    if (net->queued == net->cap) {
        net->cap = net->cap == 0 ? 64 : 2 * net->cap;
        net->queue = pln_realloc(net->queue, net->cap * sizeof(*net->queue));
        assert_non_null(net->queue);
    }
    state_message *message = &net->queue[net->queued++];
    *message = (state_message){.from = from, .to = to};
    assert_true(pln_bytes_copy(&message->envelope, envelope));
}

static void send(state_net *net, size_t from, size_t to, pln_envelopes *list) {
    for (size_t i = 0; i < list->count; i++) {
        size_t size = list->items[i].size;
        net->largest = size > net->largest ? size : net->largest;
        push(net, from, to, &list->items[i]);
        if (chance(net, net->double_percent)) {
            push(net, from, to, &list->items[i]);
        }
    }
    pln_envelopes_fini(list);
}

/* ---- Links ----------------------------------------------------------------------------------- */

static void open_link(state_net *net, size_t a, size_t b) {
    pln_envelopes list = {0};
    bool speaks_2 = !net->reference[a] && !net->reference[b];
    pln_gossip_peer_init(&net->peers[a][b], &net->keys[b], speaks_2, net->envelope_max, net->now);
    assert_int_equal(pln_state_vouch(net->states[a], &net->keys[b], net->now), POLLEN_OK);
    assert_int_equal(pln_state_set_reachable(net->states[a], &net->keys[b], true), POLLEN_OK);
    pln_state_greet(net->states[a], &net->peers[a][b], net->now, &list);
    send(net, a, b, &list);
}

void state_net_link(state_net *net, size_t a, size_t b, bool on) {
    if (net->linked[a][b] == on || a == b) {
        return;
    }
    net->linked[a][b] = on;
    net->linked[b][a] = on;
    if (on) {
        open_link(net, a, b);
        open_link(net, b, a);
    } else {
        pollen_err err = pln_state_set_reachable(net->states[a], &net->keys[b], false);
        assert_int_equal(err, POLLEN_OK);
        err = pln_state_set_reachable(net->states[b], &net->keys[a], false);
        assert_int_equal(err, POLLEN_OK);
    }
}

void state_net_init(state_net *net, size_t count, size_t references, pln_rng *rng,
                    const pln_trust *trust) {
    *net = (state_net){.count = count, .rng = rng, .trust = trust, .envelope_max = 1243};
    assert_true(count <= STATE_NET_MAX);
    for (size_t i = 0; i < count; i++) {
        net->keys[i] = rig_key_of((uint32_t)i + 1);
        net->reference[i] = i < references;
        net->states[i] = new_state(net, i);
    }
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < a; b++) {
            state_net_link(net, a, b, true);
        }
    }
}

void state_net_fini(state_net *net) {
    for (size_t i = 0; i < net->count; i++) {
        pln_state_destroy(net->states[i]);
    }
    for (size_t i = 0; i < net->queued; i++) {
        pln_bytes_fini(&net->queue[i].envelope);
    }
    pln_free(net->queue);
}

void state_net_restart(state_net *net, size_t index) {
    pln_saved_state saved;
    pln_state_loaded loaded;
    assert_int_equal(pln_state_save(net->states[index], &saved), POLLEN_OK);
    pln_state_destroy(net->states[index]);
    net->states[index] = new_state(net, index);
    assert_int_equal(pln_state_load(net->states[index], &saved, &loaded), POLLEN_OK);
    assert_int_equal(loaded.dropped, 0);
    pln_saved_state_fini(&saved);
    for (size_t i = 0; i < net->count; i++) {
        if (net->linked[index][i]) {
            open_link(net, index, i);
            open_link(net, i, index);
        }
    }
}

/* ---- Envelopes ------------------------------------------------------------------------------- */

static void deliver(state_net *net, const state_message *message) {
    pln_state *state = net->states[message->to];
    pln_gossip_peer *peer = &net->peers[message->to][message->from];
    pln_bytes scratch = {0};
    pln_envelopes list = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    pollen_err err = pln_envelope_decode(message->envelope.data, message->envelope.size, &scratch,
                                         &kind, &body, &size);
    assert_int_equal(err, POLLEN_OK);
    if (kind == POLLEN_ENVELOPE_EVENTS) {
        err = pln_state_handle_events(state, peer, body, size, net->now);
    } else if (kind == POLLEN_ENVELOPE_CLOCK) {
        err = pln_state_handle_clock(state, peer, body, size, net->now, &list);
    } else {
        assert_false(net->reference[message->to]);
        err = pln_state_handle_digest(state, peer, body, size, net->now, &list);
    }
    assert_int_equal(err, POLLEN_OK);
    net->delivered += 1;
    net->bytes += message->envelope.size;
    send(net, message->to, message->from, &list);
    pln_bytes_fini(&scratch);
}

void state_net_broadcast(state_net *net) {
    pln_bytes envelope = {0};
    for (size_t i = 0; i < net->count; i++) {
        while (pln_state_poll_broadcast(net->states[i], &envelope)) {
            for (size_t to = 0; to < net->count; to++) {
                if (net->linked[i][to]) {
                    push(net, i, to, &envelope);
                }
            }
            pln_bytes_fini(&envelope);
        }
    }
}

void state_net_run(state_net *net) {
    state_net_broadcast(net);
    for (size_t steps = 0; net->queued > 0; steps++) {
        assert_true(steps < 1000000);
        size_t at = (size_t)pln_rng_below(net->rng, net->queued);
        state_message message = net->queue[at];
        net->queue[at] = net->queue[--net->queued];
        if (net->linked[message.from][message.to]) {
            deliver(net, &message);
        }
        pln_bytes_fini(&message.envelope);
        state_net_broadcast(net);
    }
}

void state_net_round(state_net *net) {
    net->now += PLN_S(10);
    for (size_t a = 0; a < net->count; a++) {
        for (size_t b = 0; b < net->count; b++) {
            pln_envelopes list = {0};
            if (!net->linked[a][b]) {
                continue;
            }
            if (net->reference[a]) {
                pln_state_greet(net->states[a], &net->peers[a][b], net->now, &list);
            } else {
                pln_state_round(net->states[a], &net->peers[a][b], net->now, &list);
            }
            send(net, a, b, &list);
        }
    }
    state_net_run(net);
}

bool state_net_agrees(const state_net *net) {
    pln_bytes first = rig_dump(net->states[0]);
    bool same = true;
    for (size_t i = 1; i < net->count; i++) {
        pln_bytes other = rig_dump(net->states[i]);
        same = same && pln_bytes_equal(&first, &other);
        pln_bytes_fini(&other);
    }
    pln_bytes_fini(&first);
    return same;
}

unsigned state_net_settle(state_net *net, unsigned max) {
    unsigned rounds = 0;
    state_net_run(net);
    while (rounds <= max && !state_net_agrees(net)) {
        state_net_round(net);
        rounds += 1;
    }
    return rounds;
}
