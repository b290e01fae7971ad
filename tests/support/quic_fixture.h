/* SPDX-License-Identifier: Apache-2.0 */
/* Two endpoints, each the whole world of the other: what most tests of QUIC begin with.  A test's
 * setup is quic_fixture_start() with a seed of its own. */
#ifndef TESTS_SUPPORT_QUIC_FIXTURE_H
#define TESTS_SUPPORT_QUIC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/quic_pair.h"

typedef struct fixture {
    quic_pair pair;
    quic_node *a;
    quic_node *b;
} fixture;

static inline fixture *quic_fixture_start(void **state, uint64_t seed) {
    static fixture the;
    quic_pair_init(&the.pair, seed);
    the.a = quic_pair_add(&the.pair, NULL);
    the.b = quic_pair_add(&the.pair, NULL);
    *state = &the;
    return &the;
}

static inline int teardown(void **state) {
    fixture *f = *state;
    quic_pair_fini(&f->pair);
    return 0;
}

static inline void connect_pair(fixture *f) {
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_true(quic_node_connected(f->a));
    assert_true(quic_node_connected(f->b));
}

static inline pln_quic_stats stats_of(const quic_node *node) {
    pln_quic_stats stats;
    pln_quic_get_stats(node->quic, &stats);
    return stats;
}

#endif
