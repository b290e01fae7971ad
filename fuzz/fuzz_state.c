/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state that is handed one envelope after the other: a byte that says from whom and what, two
 * bytes of length, the body.  In the end its sums must be those of what it holds.
 */
#include "base/mem.h"
#include "fuzz.h"
#include "state/internal.h"

enum { PEERS = 3 };

static void fill_zero(void *ctx, uint8_t *bytes, size_t count) {
    (void)ctx;
    for (size_t i = 0; i < count; i++) {
        bytes[i] = 0;
    }
}

static pollen_key key_of(uint8_t byte) {
    pollen_key key;
    for (size_t i = 0; i < sizeof(key.bytes); i++) {
        key.bytes[i] = byte;
    }
    return key;
}

static void hand(pln_state *state, pln_gossip_peer *peer, uint8_t what, const uint8_t *body,
                 size_t size, pln_ts now) {
    pln_envelopes list = {0};
    pln_bytes envelope = {0};
    pln_state_event event;
    pollen_err err;
    if (what % 4 == 0) {
        err = pln_state_handle_events(state, peer, body, size, now);
    } else if (what % 4 == 1) {
        err = pln_state_handle_clock(state, peer, body, size, now, &list);
    } else if (what % 4 == 2) {
        err = pln_state_handle_digest(state, peer, body, size, now, &list);
    } else {
        pln_state_round(state, peer, now, &list);
        err = POLLEN_OK;
    }
    FUZZ_CHECK(err == POLLEN_OK || err == POLLEN_EPROTO || err == POLLEN_ELIMIT);
    for (size_t i = 0; i < list.count; i++) {
        FUZZ_CHECK(list.items[i].size <= PLN_ENVELOPE_BYTES_MAX);
    }
    pln_envelopes_fini(&list);
    while (pln_state_poll_broadcast(state, &envelope)) {
        pln_bytes_fini(&envelope);
    }
    while (pln_state_poll_event(state, &event)) {
    }
}

static void check_author(const pln_author *author, size_t *bytes) {
    uint64_t max = 0;
    size_t counted = sizeof(*author);
    for (size_t i = 0; i < author->count; i++) {
        const pln_attr *attr = &author->attrs[i];
        counted += pln_attr_bytes(attr);
        max = attr->counter > max ? attr->counter : max;
        FUZZ_CHECK(attr->counter > 0 || attr->renew);
        FUZZ_CHECK(attr->counter <= PLN_STATE_COUNTER_MAX);
    }
    FUZZ_CHECK(author->bytes == counted);
    FUZZ_CHECK(author->max == max);
    FUZZ_CHECK(author->seen >= max);
    FUZZ_CHECK(author->services <= PLN_STATE_SERVICES_MAX);
    FUZZ_CHECK(author->reachable <= PLN_STATE_REACHABLE_MAX);
    *bytes += counted;
}

static void check_all(const pln_state *state) {
    size_t bytes = 0;
    for (size_t i = 0; i < state->count; i++) {
        check_author(state->authors[i], &bytes);
    }
    FUZZ_CHECK(state->bytes == bytes);
    FUZZ_CHECK(state->pending == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pln_state_config config = {.local = key_of('U'), .rng = {.fill = fill_zero}};
    pln_state *state = NULL;
    pln_gossip_peer peers[PEERS];
    pln_ts now = 0;
    FUZZ_CHECK(pln_state_create(&config, &state) == POLLEN_OK);
    for (uint8_t i = 0; i < PEERS; i++) {
        pollen_key key = key_of((uint8_t)('a' + i));
        pln_gossip_peer_init(&peers[i], &key, i > 0, 1243, now);
        FUZZ_CHECK(i == 0 || pln_state_vouch(state, &key, now) == POLLEN_OK);
    }
    while (size >= 3) {
        size_t body_size = (size_t)data[1] << 8 | data[2];
        size_t most = size - 3;
        body_size = body_size < most ? body_size : most;
        hand(state, &peers[data[0] / 4 % PEERS], data[0], data + 3, body_size, now);
        now += PLN_MS(300);
        data += 3 + body_size;
        size -= 3 + body_size;
    }
    check_all(state);
    pln_state_destroy(state);
    return 0;
}
