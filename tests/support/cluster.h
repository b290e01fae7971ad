/* SPDX-License-Identifier: Apache-2.0 */
/* A small cluster for tests: throw-away keys and signers at a fixed time. */
#ifndef TESTS_SUPPORT_CLUSTER_H
#define TESTS_SUPPORT_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "auth/token.h"
#include "base/rng.h"

#define TEST_NOW 1770000000

/* Thirty-two times the same byte. */
static inline pollen_seed test_seed_of(uint8_t byte) {
    pollen_seed seed;
    memset(seed.bytes, byte, sizeof(seed.bytes));
    return seed;
}

static inline pollen_key test_key_of(uint8_t byte) {
    pollen_seed seed = test_seed_of(byte);
    return pollen_seed_key(&seed);
}

enum { ROOT = 0x01, ADMIN = 0x02, ALICE = 0x03, BOB = 0x04, RELAY = 0x07, FOREIGN_ROOT = 0x11 };

typedef struct cluster {
    pln_rng_seeded seeded;
    pln_rng rng;
    pln_signer root;
    pln_signer admin; /* By delegation, valid for a day. */
    pln_signer foreign;
    pollen_key alice;
    pollen_key bob;
    pln_bootstraps bootstrap; /* The relay, at one address. */
} cluster;

/* Owner: cluster_fini().  rng borrows from the cluster, which must not move. */
static inline void cluster_init(cluster *c) {
    *c = (cluster){.alice = test_key_of(ALICE), .bob = test_key_of(BOB)};
    c->rng = pln_rng_from_seed(&c->seeded, 1);
    pollen_seed root = test_seed_of(ROOT);
    pollen_seed admin = test_seed_of(ADMIN);
    pollen_seed foreign = test_seed_of(FOREIGN_ROOT);
    pollen_key admin_pub = pollen_seed_key(&admin);
    pollen_key relay = test_key_of(RELAY);
    pln_admin_cert cert;
    const char *addr = "192.0.2.1:60611";
    assert_int_equal(pln_signer_create_root(&root, 5 * 365 * 86400, &c->rng, TEST_NOW, &c->root),
                     POLLEN_OK);
    assert_int_equal(pln_signer_create_root(&foreign, 86400, &c->rng, TEST_NOW, &c->foreign),
                     POLLEN_OK);
    assert_int_equal(pln_admin_cert_issue(&c->root, &admin_pub, 86400, &c->rng, TEST_NOW, &cert),
                     POLLEN_OK);
    assert_int_equal(
        pln_signer_create_delegated(&admin, &c->root.trust, &cert, TEST_NOW, &c->admin), POLLEN_OK);
    assert_int_equal(pln_bootstraps_add(&c->bootstrap, &relay, &addr, 1), POLLEN_OK);
    pln_admin_cert_fini(&cert);
}

static inline void cluster_fini(cluster *c) {
    pln_signer_fini(&c->root);
    pln_signer_fini(&c->admin);
    pln_signer_fini(&c->foreign);
    pln_bootstraps_fini(&c->bootstrap);
}

static inline int cluster_setup(void **state) {
    static cluster c; /* The generator borrows from it, so it must not move. */
    cluster_init(&c);
    *state = &c;
    return 0;
}

static inline int cluster_teardown(void **state) {
    cluster_fini(*state);
    return 0;
}

static inline pln_member_cert cluster_member(cluster *c, const pln_signer *signer,
                                             const pollen_key *subject, int64_t ttl_seconds) {
    pln_member_cert cert;
    pln_member_terms terms = {.ttl_seconds = ttl_seconds};
    assert_int_equal(pln_member_cert_issue(signer, subject, &terms, &c->rng, TEST_NOW, &cert),
                     POLLEN_OK);
    return cert;
}

/* For five minutes, with a membership of ttl_seconds. */
static inline pln_join_token cluster_join(cluster *c, const pln_signer *signer,
                                          const pollen_key *subject, int64_t ttl_seconds) {
    pln_join_token token;
    pln_join_terms terms = {
        .bootstrap = &c->bootstrap, .ttl_seconds = 300, .membership = {.ttl_seconds = ttl_seconds}};
    assert_int_equal(pln_join_issue(signer, subject, &terms, &c->rng, TEST_NOW, &token), POLLEN_OK);
    return token;
}

/* For an hour; subject NULL for an open one. */
static inline pln_invite_token cluster_invite(cluster *c, const pln_signer *signer,
                                              const pollen_key *subject) {
    pln_invite_token token;
    pln_invite_terms terms = {.bootstrap = &c->bootstrap, .subject = subject, .ttl_seconds = 3600};
    assert_int_equal(pln_invite_issue(signer, &terms, &c->rng, TEST_NOW, &token), POLLEN_OK);
    return token;
}

#endif
