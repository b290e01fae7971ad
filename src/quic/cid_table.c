/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connection a datagram belongs to: by the connection ids that we gave out (and the first
 * one, which the client made up), and by the tokens whose appearance in a datagram's last bytes is
 * a stateless reset. Such a datagram carries a random connection id, so that only its token tells.
 */
#include <string.h>

#include "base/assert.h"
#include "quic/internal.h"

void pln_quic_cid_random(pln_quic *quic, ngtcp2_cid *ret) {
    uint8_t bytes[QUIC_CID_BYTES];
    pln_rng_fill(&quic->config.rng, bytes, sizeof(bytes));
    ngtcp2_cid_init(ret, bytes, sizeof(bytes));
}

static bool make_key(const uint8_t *bytes, size_t size, quic_cid_key *ret) {
    *ret = (quic_cid_key){.size = (uint8_t)size};
    if (size == 0 || size > sizeof(ret->bytes)) {
        return false;
    }
    memcpy(ret->bytes, bytes, size);
    return true;
}

static quic_cid *find_cid(const pln_quic *quic, const uint8_t *bytes, size_t size) {
    quic_cid_key key;
    quic_cid *cid = NULL;
    if (make_key(bytes, size, &key)) {
        PLN_MAP_FIND(&quic->hash_key, quic->cids, &key, sizeof(key), cid);
    }
    return cid;
}

quic_conn *pln_quic_cid_find(const pln_quic *quic, const uint8_t *bytes, size_t size) {
    const quic_cid *cid = find_cid(quic, bytes, size);
    return cid != NULL ? cid->conn : NULL;
}

bool pln_quic_cid_add(quic_conn *conn, const uint8_t *bytes, size_t size) {
    pln_quic *quic = conn->quic;
    if (find_cid(quic, bytes, size) != NULL) {
        return false; /* 2^-64 for our own; for a client's, somebody else has it. */
    }
    quic_cid *cid = pln_calloc(1, sizeof(*cid));
    if (cid == NULL || !make_key(bytes, size, &cid->key)) {
        pln_free(cid);
        return false;
    }
    PLN_MAP_ADD(&quic->hash_key, quic->cids, key, sizeof(cid->key), cid);
    if (!PLN_MAP_ADDED(cid)) {
        pln_free(cid);
        return false;
    }
    cid->conn = conn;
    cid->next = conn->cids;
    conn->cids = cid;
    return true;
}

void pln_quic_cid_remove(quic_conn *conn, const uint8_t *bytes, size_t size) {
    quic_cid *cid = find_cid(conn->quic, bytes, size);
    if (cid == NULL || cid->conn != conn) {
        return;
    }
    for (quic_cid **link = &conn->cids; *link != NULL; link = &(*link)->next) {
        if (*link == cid) {
            *link = cid->next;
            break;
        }
    }
    HASH_DEL(conn->quic->cids, cid);
    pln_free(cid);
}

void pln_quic_cid_clear(quic_conn *conn) {
    while (conn->cids != NULL) {
        quic_cid *cid = conn->cids;
        PLN_ASSERT(conn->quic->cids != NULL);
        conn->cids = cid->next;
        HASH_DEL(conn->quic->cids, cid);
        pln_free(cid);
    }
}

/* ---- Reset tokens ---------------------------------------------------------------------------- */

static quic_token *find_token(const pln_quic *quic, const uint8_t *bytes) {
    quic_token *token = NULL;
    PLN_MAP_FIND(&quic->hash_key, quic->tokens, bytes, NGTCP2_STATELESS_RESET_TOKENLEN, token);
    return token;
}

quic_conn *pln_quic_token_find(const pln_quic *quic, const uint8_t *bytes) {
    const quic_token *token = find_token(quic, bytes);
    return token != NULL ? token->conn : NULL;
}

bool pln_quic_token_add(quic_conn *conn, uint64_t seq, const uint8_t *bytes) {
    pln_quic *quic = conn->quic;
    if (find_token(quic, bytes) != NULL) {
        return true; /* A peer that repeats tokens only hurts itself. */
    }
    quic_token *token = pln_calloc(1, sizeof(*token));
    if (token == NULL) {
        return false;
    }
    memcpy(token->bytes, bytes, sizeof(token->bytes));
    PLN_MAP_ADD(&quic->hash_key, quic->tokens, bytes, sizeof(token->bytes), token);
    if (!PLN_MAP_ADDED(token)) {
        pln_free(token);
        return false;
    }
    token->conn = conn;
    token->seq = seq;
    token->next = conn->tokens;
    conn->tokens = token;
    return true;
}

void pln_quic_token_remove(quic_conn *conn, uint64_t seq) {
    for (quic_token **link = &conn->tokens; *link != NULL; link = &(*link)->next) {
        quic_token *token = *link;
        if (token->seq == seq) {
            *link = token->next;
            HASH_DEL(conn->quic->tokens, token);
            pln_free(token);
            return;
        }
    }
}

void pln_quic_token_clear(quic_conn *conn) {
    while (conn->tokens != NULL) {
        quic_token *token = conn->tokens;
        PLN_ASSERT(conn->quic->tokens != NULL);
        conn->tokens = token->next;
        HASH_DEL(conn->quic->tokens, token);
        pln_free(token);
    }
}
