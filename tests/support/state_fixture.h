/* SPDX-License-Identifier: Apache-2.0 */
/* A state of ours, another member that it may hear of, and a revocation of a third. */
#ifndef TESTS_SUPPORT_STATE_FIXTURE_H
#define TESTS_SUPPORT_STATE_FIXTURE_H

#include "base/key.h"
#include "base/mem.h"
#include "support/cluster.h"
#include "support/state_rig.h"

#define US rig_key(0x55)
#define PEER rig_key(0x11)
#define THEM rig_key(0x22)

typedef struct fixture {
    cluster cluster;
    pln_state *state;
    pollen_key us, peer, them;
    pln_revocation revocation; /* Of them. */
} fixture;

static inline int setup(void **arg) {
    static fixture f;
    f = (fixture){.us = US, .peer = PEER, .them = THEM};
    cluster_init(&f.cluster);
    f.state = rig_state(&f.us, &f.cluster.root.trust);
    assert_int_equal(pln_revocation_issue(&f.cluster.root, &f.them, TEST_NOW, &f.revocation),
                     POLLEN_OK);
    *arg = &f;
    return 0;
}

static inline int teardown(void **arg) {
    fixture *f = *arg;
    pln_state_destroy(f->state);
    pln_revocation_fini(&f->revocation);
    cluster_fini(&f->cluster);
    return 0;
}

static inline void apply(fixture *f, pln_gossip_event event) {
    rig_apply_one(f->state, &f->peer, &event);
}

/* The one event that is to be broadcast.  Owner: the caller. */
static inline pln_gossip_event only_broadcast(fixture *f) {
    pln_gossip_batch batch = rig_broadcast(f->state);
    assert_int_equal(batch.count, 1);
    pln_gossip_event event = batch.events[0];
    pln_free(batch.events);
    assert_true(pln_key_equal(&event.author, &f->us));
    return event;
}

static inline void assert_silent(fixture *f) {
    pln_bytes envelope = {0};
    assert_false(pln_state_poll_broadcast(f->state, &envelope));
}

static inline void drain(fixture *f) {
    pln_gossip_batch batch = rig_broadcast(f->state);
    pln_gossip_batch_fini(&batch);
}

static inline pln_gossip_batch missing_above(fixture *f, uint64_t counter) {
    pln_clock_entry entry = {.peer = f->us, .counter = counter};
    pln_gossip_clock clock = {.entries = &entry, .count = counter > 0 ? 1 : 0};
    return rig_missing_for(f->state, &clock);
}

static inline size_t count_kind(const pln_gossip_batch *batch, pln_change_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        count += batch->events[i].kind == kind ? 1 : 0;
    }
    return count;
}

static inline pollen_addr addr_of(const char *text) {
    pollen_addr addr;
    assert_int_equal(pollen_addr_parse(text, &addr), POLLEN_OK);
    return addr;
}

/* Saves and gives a new state of ours that has loaded it. */
static inline pln_state *reborn(fixture *f) {
    pln_saved_state saved;
    pln_saved_state read;
    pln_state_loaded loaded;
    pln_bytes text = {0};
    char why[128];
    assert_int_equal(pln_state_save(f->state, &saved), POLLEN_OK);
    assert_int_equal(pln_saved_state_encode(&saved, &text), POLLEN_OK);
    assert_int_equal(pln_saved_state_decode((const char *)text.data, text.size, &read, why),
                     POLLEN_OK);
    pln_state *state = rig_state(&f->us, &f->cluster.root.trust);
    assert_int_equal(pln_state_load(state, &read, &loaded), POLLEN_OK);
    pln_saved_state_fini(&saved);
    pln_saved_state_fini(&read);
    pln_bytes_fini(&text);
    return state;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
