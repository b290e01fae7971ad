/* SPDX-License-Identifier: Apache-2.0 */
#include "support/state_rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/key.h"
#include "base/mem.h"
#include "state/internal.h"
#include "wire/envelope.h"

pollen_key rig_key(uint8_t byte) {
    pollen_key key;
    memset(key.bytes, byte, sizeof(key.bytes));
    return key;
}

pollen_key rig_key_of(uint32_t number) {
    static pln_rng_seeded seeded;
    pln_rng rng = pln_rng_from_seed(&seeded, number);
    pollen_key key;
    pln_rng_fill(&rng, key.bytes, sizeof(key.bytes));
    return key;
}

static void fill_same(void *ctx, uint8_t *bytes, size_t count) {
    static uint8_t next;
    (void)ctx;
    for (size_t i = 0; i < count; i++) {
        next = (uint8_t)(next * 5 + 17);
        bytes[i] = next;
    }
}

pln_state *rig_state(const pollen_key *local, const pln_trust *trust) {
    pln_state *state = NULL;
    pln_state_config config = {.local = *local, .rng = {.fill = fill_same}, .trust = trust};
    assert_int_equal(pln_state_create(&config, &state), POLLEN_OK);
    return state;
}

/* ---- Envelopes ------------------------------------------------------------------------------- */

static void append(pln_gossip_batch *batch, pln_gossip_batch *more) {
    if (more->count > 0) {
        size_t size = (batch->count + more->count) * sizeof(*batch->events);
        batch->events = pln_realloc(batch->events, size);
        assert_non_null(batch->events);
        memcpy(batch->events + batch->count, more->events, more->count * sizeof(*more->events));
        batch->count += more->count;
    }
    more->count = 0; /* The events have moved. */
    pln_gossip_batch_fini(more);
}

const uint8_t *rig_body(const pln_bytes *envelope, pollen_envelope_kind kind, size_t *ret_size) {
    pln_bytes scratch = {0};
    pollen_envelope_kind found;
    const uint8_t *body;
    assert_int_equal(
        pln_envelope_decode(envelope->data, envelope->size, &scratch, &found, &body, ret_size),
        POLLEN_OK);
    assert_int_equal(scratch.size, 0);
    assert_int_equal(found, kind);
    return body;
}

pln_gossip_clock rig_clock(const pln_bytes *envelope) {
    size_t size;
    const uint8_t *body = rig_body(envelope, POLLEN_ENVELOPE_CLOCK, &size);
    pln_gossip_clock clock;
    assert_int_equal(pln_gossip_clock_decode(body, size, &clock), POLLEN_OK);
    return clock;
}

static bool try_read_events(const pln_bytes *envelope, pln_gossip_batch *batch) {
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
    pln_gossip_batch more = {0};
    assert_int_equal(
        pln_envelope_decode(envelope->data, envelope->size, &scratch, &kind, &body, &size),
        POLLEN_OK);
    assert_int_equal(scratch.size, 0);
    if (kind != POLLEN_ENVELOPE_EVENTS) {
        return false;
    }
    assert_int_equal(pln_gossip_batch_decode(body, size, &more), POLLEN_OK);
    append(batch, &more);
    return true;
}

void rig_read_events(const pln_bytes *envelope, pln_gossip_batch *batch) {
    assert_true(try_read_events(envelope, batch));
}

pln_gossip_batch rig_broadcast(pln_state *state) {
    pln_gossip_batch batch = {0};
    pln_bytes envelope = {0};
    while (pln_state_poll_broadcast(state, &envelope)) {
        rig_read_events(&envelope, &batch);
        pln_bytes_fini(&envelope);
    }
    return batch;
}

pln_gossip_batch rig_take_events(pln_envelopes *list) {
    pln_gossip_batch batch = {0};
    for (size_t i = 0; i < list->count; i++) {
        (void)try_read_events(&list->items[i], &batch);
    }
    pln_envelopes_fini(list);
    return batch;
}

pln_gossip_batch rig_missing_for(pln_state *state, const pln_gossip_clock *clock) {
    pollen_key key = rig_key(0x77);
    pln_gossip_peer peer = rig_peer(&key);
    pln_envelopes list = {0};
    pln_bytes body = {0};
    assert_int_equal(pln_gossip_clock_encode(clock, &body), POLLEN_OK);
    assert_int_equal(pln_state_handle_clock(state, &peer, body.data, body.size, 0, &list),
                     POLLEN_OK);
    pln_bytes_fini(&body);
    return rig_take_events(&list);
}

/* ---- Input ----------------------------------------------------------------------------------- */

pln_gossip_peer rig_peer(const pollen_key *key) {
    pln_gossip_peer peer;
    pln_gossip_peer_init(&peer, key, false, 1243, 0);
    return peer;
}

pollen_err rig_apply(pln_state *state, const pollen_key *key, const pln_gossip_batch *batch) {
    pln_gossip_peer peer = rig_peer(key);
    pln_bytes body = {0};
    assert_int_equal(pln_gossip_batch_encode(batch, &body), POLLEN_OK);
    pollen_err err = pln_state_handle_events(state, &peer, body.data, body.size, 1);
    pln_bytes_fini(&body);
    return err;
}

void rig_apply_one(pln_state *state, const pollen_key *peer, pln_gossip_event *event) {
    pln_gossip_batch batch = {.events = event, .count = 1};
    assert_int_equal(rig_apply(state, peer, &batch), POLLEN_OK);
    pln_gossip_event_fini(event);
}

static pln_gossip_event new_event(const pollen_key *author, uint64_t counter,
                                  pln_change_kind kind) {
    return (pln_gossip_event){
        .has_author = true, .author = *author, .counter = counter, .kind = kind};
}

pln_gossip_event rig_network(const pollen_key *author, uint64_t counter, const char *ip,
                             uint32_t port) {
    pln_gossip_event event = new_event(author, counter, PLN_CHANGE_NETWORK);
    event.network.ips = pln_calloc(1, sizeof(char *));
    assert_non_null(event.network.ips);
    event.network.ips[0] = pln_strdup(ip);
    event.network.ip_count = 1;
    event.network.local_port = port;
    return event;
}

pln_gossip_event rig_external_port(const pollen_key *author, uint64_t counter, uint32_t port) {
    pln_gossip_event event = new_event(author, counter, PLN_CHANGE_EXTERNAL_PORT);
    event.external_port = port;
    return event;
}

pln_gossip_event rig_service(const pollen_key *author, uint64_t counter, const char *name,
                             uint32_t port) {
    pln_gossip_event event = new_event(author, counter, PLN_CHANGE_SERVICE);
    event.service.name = pln_strdup(name);
    event.service.port = port;
    return event;
}

pln_gossip_event rig_reachability(const pollen_key *author, uint64_t counter,
                                  const pollen_key *peer) {
    pln_gossip_event event = new_event(author, counter, PLN_CHANGE_REACHABILITY);
    event.reachability = (pln_reachability_change){.has_peer = true, .peer = *peer};
    return event;
}

pln_gossip_event rig_public(const pollen_key *author, uint64_t counter) {
    return new_event(author, counter, PLN_CHANGE_PUBLICLY_ACCESSIBLE);
}

pln_gossip_event rig_identity(const pollen_key *author, uint64_t counter, int64_t expiry) {
    pln_gossip_event event = new_event(author, counter, PLN_CHANGE_IDENTITY);
    event.identity = (pln_identity_change){.has_key = true, .key = *author, .cert_expiry = expiry};
    return event;
}

pln_gossip_event rig_revocation(const pollen_key *author, uint64_t counter,
                                const pln_revocation *revocation) {
    pln_gossip_event event = new_event(author, counter, PLN_CHANGE_REVOCATION);
    assert_true(pln_bytes_copy(&event.revocation, &revocation->wire));
    return event;
}

pln_gossip_event rig_deleted(pln_gossip_event event) {
    event.deleted = true;
    return event;
}

/* ---- Looking at it --------------------------------------------------------------------------- */

static void dump_name(pln_out *out, const pln_attr *attr) {
    char hex[POLLEN_KEY_HEX_BYTES];
    pln_out_printf(out, "  %d ", attr->kind);
    if (attr->kind == PLN_CHANGE_SERVICE) {
        pln_out_printf(out, "%s ", attr->service.name);
    } else if (attr->kind == PLN_CHANGE_REACHABILITY || attr->kind == PLN_CHANGE_REVOCATION) {
        pln_out_printf(out, "%s ", pollen_key_hex(&attr->key, hex));
    }
}

static void dump_value(pln_out *out, const pln_attr *attr) {
    if (attr->deleted) {
        pln_out_text(out, "deleted");
    } else if (attr->kind == PLN_CHANGE_SERVICE) {
        pln_out_printf(out, "%" PRIu32, attr->service.port);
    } else if (attr->kind == PLN_CHANGE_EXTERNAL_PORT) {
        pln_out_printf(out, "%" PRIu32, attr->external_port);
    } else if (attr->kind == PLN_CHANGE_IDENTITY) {
        pln_out_printf(out, "%" PRId64, attr->identity.cert_expiry);
    } else if (attr->kind == PLN_CHANGE_NETWORK) {
        for (size_t i = 0; i < attr->network.ip_count; i++) {
            pln_out_printf(out, "%s ", attr->network.ips[i]);
        }
        pln_out_printf(out, "%" PRIu32, attr->network.local_port);
    }
}

static void dump_author(pln_out *out, const pln_author *author) {
    char hex[POLLEN_KEY_HEX_BYTES];
    pln_out_printf(out, "%s\n", pollen_key_hex(&author->key, hex));
    for (size_t i = 0; i < author->count; i++) {
        const pln_attr *attr = &author->attrs[i];
        if (attr->loaded) {
            continue;
        }
        dump_name(out, attr);
        dump_value(out, attr);
        pln_out_printf(out, " @%" PRIu64 "\n", attr->counter);
    }
}

pln_bytes rig_dump(const pln_state *state) {
    pln_out out = {0};
    pln_bytes text = {0};
    for (size_t i = 0; i < state->count; i++) {
        if (state->authors[i]->count > 0) {
            dump_author(&out, state->authors[i]);
        }
    }
    for (size_t i = 0; i < state->revocations.count; i++) {
        char hex[POLLEN_KEY_HEX_BYTES];
        const pln_revocation *revocation = pln_revocations_at(&state->revocations, i);
        pln_out_printf(&out, "revoked %s\n", pollen_key_hex(&revocation->subject_pub, hex));
    }
    pln_out_put(&out, "", 1);
    assert_int_equal(pln_out_finish(&out, &text), POLLEN_OK);
    return text;
}

/* Some text before the place, and from it. */
static int excerpt(const pln_bytes *text, size_t at, const char **ret) {
    size_t begin = at > 300 ? at - 300 : 0;
    *ret = (const char *)text->data + begin;
    return (int)(text->size - 1 - begin < 640 ? text->size - 1 - begin : 640);
}

static void assert_same_text(const pln_bytes *x, const pln_bytes *y) {
    size_t at = 0;
    while (at < x->size && at < y->size && x->data[at] == y->data[at]) {
        at += 1;
    }
    if (at < x->size || at < y->size) {
        const char *of_x;
        const char *of_y;
        int size_x = excerpt(x, at, &of_x);
        int size_y = excerpt(y, at, &of_y);
        fail_msg("they differ:\n%.*s\n--- and:\n%.*s", size_x, of_x, size_y, of_y);
    }
}

void rig_assert_equal(const pln_state *a, const pln_state *b) {
    pln_bytes x = rig_dump(a);
    pln_bytes y = rig_dump(b);
    assert_same_text(&x, &y);
    pln_bytes_fini(&x);
    pln_bytes_fini(&y);
}

static pln_bytes text_of(const pln_state *state, const pollen_key *author) {
    pln_out out = {0};
    pln_bytes text = {0};
    dump_author(&out, pln_authors_find(state, author));
    pln_out_put(&out, "", 1);
    assert_int_equal(pln_out_finish(&out, &text), POLLEN_OK);
    return text;
}

void rig_assert_same_author(const pln_state *a, const pln_state *b, const pollen_key *author) {
    pln_bytes x = text_of(a, author);
    pln_bytes y = text_of(b, author);
    assert_same_text(&x, &y);
    pln_bytes_fini(&x);
    pln_bytes_fini(&y);
}

pln_member_info rig_member(const pln_state *state, const pollen_key *key) {
    pln_member_info info;
    assert_int_equal(pln_state_member(state, key, &info), POLLEN_OK);
    return info;
}

bool rig_knows(const pln_state *state, const pollen_key *key) {
    pln_member_info info;
    return pln_state_member(state, key, &info) == POLLEN_OK;
}

uint32_t rig_service_port(const pln_state *state, const pollen_key *provider, const char *name) {
    pln_service_filter filter = {.name = name, .provider = provider};
    pln_service_info found;
    size_t count = pln_state_services(state, &filter, &found, 1);
    assert_true(count <= 1);
    return count == 1 ? found.port : 0;
}

size_t rig_take_revoked(pln_state *state) {
    size_t count = 0;
    pln_state_event event;
    while (pln_state_poll_event(state, &event)) {
        count += event.kind == PLN_STATE_REVOKED ? 1 : 0;
    }
    return count;
}

bool rig_take_event(pln_state *state, pln_state_event_kind kind, const pollen_key *key) {
    bool found = false;
    pln_state_event event;
    while (pln_state_poll_event(state, &event)) {
        found = found || (event.kind == kind && pln_key_equal(&event.key, key));
    }
    return found;
}
