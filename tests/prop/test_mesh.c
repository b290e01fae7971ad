/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random lives of four meshes: dials, closes, kills, restarts, cancels, streams, loss.  At every
 * moment events come in pairs and ops end once; when the wire is good again, each pair of nodes
 * agrees on whether it has a session and on which one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/key.h"
#include "support/mesh_pair.h"
#include "support/seed.h"

enum { NODES = 4, STEPS = 60, LIVES = 12 };

typedef struct life {
    mp_world *world;
    mp_node *nodes[NODES];
    pln_rng_seeded rng_state;
    pln_rng rng;
} life;

static size_t draw(life *l, size_t bound) {
    return (size_t)pln_rng_below(&l->rng, bound);
}

/* CONNECTED and DISCONNECTED of one peer alternate, and the last one is true. */
static void expect_pairs(const mp_node *node, const mp_node *peer) {
    bool is_up = false;
    uint64_t generation = 0;
    for (size_t i = 0; i < node->event_count; i++) {
        const pln_mesh_event *event = &node->events[i];
        if (!pln_key_equal(&event->peer, mp_key(peer))) {
            continue;
        }
        if (event->kind == PLN_MESH_CONNECTED) {
            assert_false(is_up);
            assert_true(event->generation > generation);
            generation = event->generation;
            is_up = true;
        } else if (event->kind == PLN_MESH_DISCONNECTED) {
            assert_true(is_up);
            assert_int_equal(event->generation, generation);
            is_up = false;
        }
    }
    assert_int_equal(is_up, mp_has_session(node, peer));
}

static void expect_done_at_most_once(const mp_node *node) {
    for (pln_op op = 1; op < node->next_op; op++) {
        size_t count = 0;
        for (size_t i = 0; i < node->event_count; i++) {
            count += node->events[i].kind == PLN_MESH_OP_DONE && node->events[i].op == op;
        }
        assert_true(count <= 1);
    }
}

static void check(life *l) {
    for (size_t i = 0; i < NODES; i++) {
        if (l->nodes[i]->mesh == NULL) {
            continue;
        }
        expect_done_at_most_once(l->nodes[i]);
        for (size_t k = 0; k < NODES; k++) {
            if (i != k) {
                expect_pairs(l->nodes[i], l->nodes[k]);
            }
        }
    }
}

static void restart(mp_node *node) {
    mp_kill(node);
    mp_forget(node);
    mp_start(node);
}

static void act(life *l) {
    mp_world *world = l->world;
    mp_node *from = l->nodes[draw(l, NODES)];
    mp_node *to = l->nodes[draw(l, NODES)];
    pln_ts deadline = world->now.mono + PLN_S(1 + draw(l, 10));
    switch (draw(l, 12)) {
    case 0:
        restart(from);
        break;
    case 1:
        pln_mesh_close_peer(from->mesh, mp_key(to), POLLEN_END_GRACEFUL, world->now);
        break;
    case 2:
        pln_mesh_cancel(from->mesh, from->next_op - 1, world->now);
        break;
    case 3:
        pln_mesh_open_stream(from->mesh, from->next_op++, mp_key(to), 80, deadline, world->now);
        break;
    case 4:
        pln_mesh_echo(from->mesh, from->next_op++, mp_key(to), 8, deadline, world->now);
        break;
    case 5:
        world->loss_percent = (uint32_t)draw(l, 40);
        break;
    case 6:
        pln_mesh_renew(from->mesh, from->next_op++, mp_key(to), deadline, world->now);
        break;
    case 7:
        (void)mp_connect(to, from); /* And at once the other way. */
        (void)mp_connect(from, to);
        break;
    case 8:
        (void)mp_send(from, to, "to whom it may concern");
        break;
    default:
        (void)mp_connect(from, to);
        break;
    }
    mp_run(world, PLN_MS(1 + draw(l, 400)));
    mp_run(world, draw(l, 8) == 0 ? PLN_S(draw(l, 12)) : 0);
}

static void heal(life *l) {
    l->world->loss_percent = 0;
    mp_run(l->world, PLN_S(45)); /* What hangs idles out. */
    for (size_t i = 0; i < NODES; i++) {
        size_t sessions = 0;
        for (size_t k = 0; k < NODES; k++) {
            if (i == k) {
                continue;
            }
            bool has = mp_has_session(l->nodes[i], l->nodes[k]);
            assert_int_equal(has, mp_has_session(l->nodes[k], l->nodes[i]));
            sessions += has;
        }
        assert_int_equal(mp_sessions(l->nodes[i]), sessions);
    }
}

static void live(uint64_t seed) {
    life l = {.world = mp_create(seed)};
    l.rng = pln_rng_from_seed(&l.rng_state, seed);
    l.world->delay = PLN_MS(5 + draw(&l, 100));
    for (size_t i = 0; i < NODES; i++) {
        l.nodes[i] = mp_add(l.world);
    }
    for (int step = 0; step < STEPS; step++) {
        act(&l);
        check(&l);
    }
    heal(&l);
    check(&l);
    for (size_t i = 1; i < NODES; i++) {
        mp_join(l.nodes[i], l.nodes[0]);
    }
    mp_destroy(l.world);
}

static void random_lives_keep_their_promises(void **state) {
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t i = 0; i < LIVES; i++) {
        live(seed + i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lives_keep_their_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
