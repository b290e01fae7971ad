/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random lives of a few states under loss, doubling and reordering: when the changes end and the
 * network heals, all come to know the same, and each knows of itself what it last set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "support/cluster.h"
#include "support/seed.h"
#include "support/state_net.h"
#include "support/state_rig.h"
#include "wire/state.h"

enum { STATES = 5, CHANGES = 120, SETTLE_ROUNDS = 400 };

typedef struct life {
    pln_rng_seeded seeded;
    pln_rng rng;
    cluster cluster;
    state_net net;
    bool restarts;
    bool forgeries;
    uint16_t ports[STATES]; /* The external port that each set last. */
} life;

static uint64_t draw(life *l, uint64_t bound) {
    return pln_rng_below(&l->rng, bound);
}

static void set_network(life *l, size_t who) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    const char *ip = text;
    (void)snprintf(text, sizeof(text), "192.0.2.%u", (unsigned)draw(l, 255));
    assert_int_equal(
        pln_state_set_network(l->net.states[who], &ip, draw(l, 2), (uint16_t)draw(l, 65536)),
        POLLEN_OK);
}

static void set_service(life *l, size_t who) {
    static const char *const names[] = {"web", "db", "mail", "x"};
    const char *name = names[draw(l, 4)];
    pln_state *state = l->net.states[who];
    assert_int_equal(draw(l, 2) == 0 ? pln_state_remove_service(state, name)
                                     : pln_state_set_service(state, name, 1 + (uint16_t)draw(l, 9)),
                     POLLEN_OK);
}

static void set_external_port(life *l, size_t who) {
    l->ports[who] = 1 + (uint16_t)draw(l, 60000);
    assert_int_equal(pln_state_set_external_port(l->net.states[who], l->ports[who]), POLLEN_OK);
}

static void publish(life *l, size_t who) {
    pollen_key subject = rig_key((uint8_t)draw(l, 4));
    pln_revocation revocation;
    assert_int_equal(pln_revocation_issue(&l->cluster.root, &subject,
                                          TEST_NOW + (int64_t)draw(l, 3), &revocation),
                     POLLEN_OK);
    assert_int_equal(pln_state_publish_revocation(l->net.states[who], &revocation), POLLEN_OK);
    pln_revocation_fini(&revocation);
}

/* Somebody says of somebody what that one never said. */
static void forge(life *l, size_t who) {
    size_t victim = (size_t)draw(l, STATES);
    uint64_t counter = draw(l, 60);
    const pollen_key *author = &l->net.keys[victim];
    pln_gossip_event event =
        draw(l, 2) == 0 ? rig_service(author, counter, draw(l, 2) == 0 ? "web" : "forged", 7)
                        : rig_external_port(author, counter, 1 + (uint32_t)draw(l, 9));
    event.deleted = draw(l, 4) == 0;
    pln_gossip_batch batch = {.events = &event, .count = 1};
    assert_int_equal(rig_apply(l->net.states[who], &l->net.keys[(who + 1) % STATES], &batch),
                     POLLEN_OK);
    pln_gossip_event_fini(&event);
}

static void change(life *l) {
    size_t who = (size_t)draw(l, STATES);
    size_t with = (size_t)draw(l, STATES);
    switch (draw(l, 9)) {
    case 0:
        set_network(l, who);
        break;
    case 1:
        set_service(l, who);
        break;
    case 2:
        set_external_port(l, who);
        break;
    case 3:
        assert_int_equal(pln_state_set_public(l->net.states[who], draw(l, 2) == 0), POLLEN_OK);
        break;
    case 4:
        publish(l, who);
        break;
    case 5:
        state_net_link(&l->net, who, with, draw(l, 2) == 0);
        break;
    case 6:
        if (l->restarts) {
            state_net_restart(&l->net, who);
            set_external_port(l, who);
        }
        break;
    case 7:
        if (l->forgeries) {
            forge(l, who);
        }
        break;
    default:
        state_net_round(&l->net);
        break;
    }
}

static void live(life *l) {
    l->net.loss_percent = 40;
    l->net.double_percent = 20;
    for (size_t i = 0; i < CHANGES; i++) {
        change(l);
        if (draw(l, 3) == 0) {
            state_net_run(&l->net);
        }
    }
    /* Some loss stays: repair may not depend on a quiet network. */
    l->net.loss_percent = 10;
    for (size_t a = 0; a < STATES; a++) {
        for (size_t b = 0; b < a; b++) {
            state_net_link(&l->net, a, b, true);
        }
    }
    unsigned rounds = state_net_settle(&l->net, SETTLE_ROUNDS);
    if (rounds > SETTLE_ROUNDS) {
        rig_assert_equal(l->net.states[0], l->net.states[1]);
        rig_assert_equal(l->net.states[0], l->net.states[2]);
        rig_assert_equal(l->net.states[0], l->net.states[3]);
        rig_assert_equal(l->net.states[0], l->net.states[4]);
    }
    assert_true(rounds <= SETTLE_ROUNDS);
    assert_true(l->net.largest <= PLN_ENVELOPE_BYTES_TARGET + 143);
    for (size_t i = 0; i < STATES; i++) {
        if (l->ports[i] != 0) {
            assert_int_equal(rig_member(l->net.states[0], &l->net.keys[i]).external_port,
                             l->ports[i]);
        }
    }
}

static void live_many(unsigned lives, size_t references, bool restarts, bool forgeries) {
    uint64_t seed = test_seed();
    for (unsigned i = 0; i < lives; i++) {
        static life l;
        l = (life){.restarts = restarts, .forgeries = forgeries};
        l.rng = pln_rng_from_seed(&l.seeded, seed + i);
        cluster_init(&l.cluster);
        state_net_init(&l.net, STATES, references, &l.rng, &l.cluster.root.trust);
        live(&l);
        state_net_fini(&l.net);
        cluster_fini(&l.cluster);
    }
}

static void nodes_of_pollen_2_come_to_agree(void **state) {
    (void)state;
    live_many(60, 0, true, false);
}

static void forged_events_end_in_agreement_too(void **state) {
    (void)state;
    live_many(60, 0, true, true);
}

/* One of them is the reference: it only sends clocks and answers them. */
static void one_reference_among_them_agrees_too(void **state) {
    (void)state;
    live_many(30, 1, false, false);
}

static void most_of_them_references_agree_too(void **state) {
    (void)state;
    live_many(30, STATES - 1, false, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_of_pollen_2_come_to_agree),
        cmocka_unit_test(forged_events_end_in_agreement_too),
        cmocka_unit_test(one_reference_among_them_agrees_too),
        cmocka_unit_test(most_of_them_references_agree_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
