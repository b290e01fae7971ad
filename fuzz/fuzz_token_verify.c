/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stranger can send as admission: the bytes are read as each kind of object and judged
 * against one fixed cluster, whose keys are throw-away (tests/vectors/keys.json).
 *
 * Invariants: what decoded has a canonical form, which decodes to itself and gets the same verdict;
 * what is accepted for the cluster is of the cluster.
 */
#include <stdint.h>
#include <string.h>

#include "auth/revocation.h"
#include "auth/token.h"
#include "base/assert.h"
#include "base/key.h"

#define NOW 1770000000

typedef struct world {
    pln_trust trust;
    pollen_key subject;
} world;

static world world_create(void) {
    pollen_seed root;
    pollen_seed node;
    memset(root.bytes, 0x01, sizeof(root.bytes));
    memset(node.bytes, 0x03, sizeof(node.bytes));
    world w = {.subject = pollen_seed_key(&node)};
    pollen_key root_pub = pollen_seed_key(&root);
    PLN_ASSERT(pln_trust_create(&root_pub, &w.trust) == POLLEN_OK);
    return w;
}

static void try_member_cert(const world *w, const uint8_t *data, size_t size) {
    pln_member_cert cert;
    if (pln_member_cert_decode(data, size, &cert) != POLLEN_OK) {
        return;
    }
    pollen_err err = pln_member_cert_verify(&cert, &w->trust, &cert.subject_pub, NOW);
    pln_member_cert again;
    PLN_ASSERT(pln_member_cert_decode(cert.wire.data, cert.wire.size, &again) == POLLEN_OK);
    PLN_ASSERT(pln_bytes_equal(&again.wire, &cert.wire));
    PLN_ASSERT(pln_member_cert_verify(&again, &w->trust, &again.subject_pub, NOW) == err);
    PLN_ASSERT(err != POLLEN_OK || pln_key_equal(&cert.cluster_id, &w->trust.cluster_id));
    pln_member_cert_fini(&again);
    pln_member_cert_fini(&cert);
}

static void try_join_token(const world *w, const uint8_t *data, size_t size) {
    pln_join_token token;
    if (pln_join_token_decode(data, size, &token) != POLLEN_OK) {
        return;
    }
    pollen_err err = pln_join_verify(&token, &w->trust, &w->subject, NOW);
    pln_join_token again;
    PLN_ASSERT(pln_join_token_decode(token.wire.data, token.wire.size, &again) == POLLEN_OK);
    PLN_ASSERT(pln_bytes_equal(&again.wire, &token.wire));
    PLN_ASSERT(pln_join_verify(&again, &w->trust, &w->subject, NOW) == err);
    PLN_ASSERT(err != POLLEN_OK || pln_trust_equal(&token.trust, &w->trust));
    /* Also for a foreign one, which the check above turns away at the door. */
    pollen_err alone = pln_join_verify(&token, NULL, &w->subject, NOW);
    PLN_ASSERT(alone == err || err == POLLEN_ECLUSTER);
    pln_join_token_fini(&again);
    pln_join_token_fini(&token);
}

static void try_invite_token(const world *w, const uint8_t *data, size_t size) {
    pln_invite_token token;
    if (pln_invite_token_decode(data, size, &token) != POLLEN_OK) {
        return;
    }
    pollen_err err = pln_invite_verify_local(&token, &w->trust, &w->subject, NOW);
    pln_invite_token again;
    PLN_ASSERT(pln_invite_token_decode(token.wire.data, token.wire.size, &again) == POLLEN_OK);
    PLN_ASSERT(pln_bytes_equal(&again.wire, &token.wire));
    PLN_ASSERT(pln_invite_verify_local(&again, &w->trust, &w->subject, NOW) == err);
    if (err == POLLEN_OK) {
        PLN_ASSERT(pln_trust_equal(&token.trust, &w->trust));
        PLN_ASSERT(pln_invite_verify(&token, &w->subject, NOW) == POLLEN_OK);
        PLN_ASSERT(token.bootstrap.count > 0);
        PLN_ASSERT(NOW < token.expires_at);
    }
    pln_invite_token_fini(&again);
    pln_invite_token_fini(&token);
}

static void try_revocation(const world *w, const uint8_t *data, size_t size) {
    pln_revocation revocation;
    if (pln_revocation_decode(data, size, &revocation) != POLLEN_OK) {
        return;
    }
    pln_revocations set;
    bool added = false;
    pln_revocations_init(&set);
    pollen_err err = pln_revocations_add(&set, &revocation, &w->trust, &added);
    PLN_ASSERT(added == (err == POLLEN_OK));
    PLN_ASSERT(pln_revocations_has(&set, &revocation.subject_pub) == added);
    pln_revocations_fini(&set);
    pln_revocation_fini(&revocation);
}

/* As a command line gets it. */
static void try_text(const world *w, const uint8_t *data, size_t size) {
    pln_bytes bytes = {.data = NULL};
    if (pln_token_text_decode((const char *)data, size, &bytes) == POLLEN_OK) {
        try_join_token(w, bytes.data, bytes.size);
        try_invite_token(w, bytes.data, bytes.size);
    }
    pln_bytes_fini(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    world w = world_create();
    try_member_cert(&w, data, size);
    try_join_token(&w, data, size);
    try_invite_token(&w, data, size);
    try_revocation(&w, data, size);
    try_text(&w, data, size);
    pln_trust_fini(&w.trust);
    return 0;
}
