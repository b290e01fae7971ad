/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that belong to no connection: answers to strangers.  Each is smaller than what it
 * answers, and none of them elicits another, except a Retry, which elicits the handshake.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "quic/internal.h"

enum { STRAY_BYTES_MAX = 600 };

/* RFC 9000, 10.3: at least 21 bytes, and one less than the trigger up to 43, so that no loop can
 * form; beyond that any size that looks like an ordinary short packet. */
enum { RESET_BYTES_MIN = NGTCP2_STATELESS_RESET_TOKENLEN + NGTCP2_MIN_STATELESS_RESET_RANDLEN };
enum { RESET_BYTES_MAX = 42 };

#define RETRY_TOKEN_LIFE PLN_S(30)
#define RETRY_SECRET_LIFE PLN_S(600)

static void push(pln_quic *quic, const pln_datagram *cause, const uint8_t *data, size_t size) {
    PLN_ASSERT(size > 0);
    PLN_ASSERT(size <= STRAY_BYTES_MAX);
    PLN_ASSERT((quic->strays == NULL) == (quic->stray_count == 0));
    if (quic->stray_count >= PLN_STRAYS_MAX) {
        quic->stats.dropped_limit++; /* Whoever caused it will ask again. */
        return;
    }
    quic_stray *stray = pln_malloc(sizeof(*stray) + size);
    if (stray == NULL) {
        return;
    }
    stray->next = NULL;
    stray->to =
        (pln_transmit){.path = cause->path, .local = cause->local, .size = size, .segment = size};
    memcpy(stray->data, data, size);
    if (quic->strays_last != NULL) {
        quic->strays_last->next = stray;
    } else {
        quic->strays = stray;
    }
    quic->strays_last = stray;
    quic->stray_count++;
}

static quic_stray *pop(pln_quic *quic) {
    quic_stray *stray = quic->strays;
    if (stray != NULL) {
        PLN_ASSERT(quic->stray_count > 0);
        quic->strays = stray->next;
        if (quic->strays == NULL) {
            quic->strays_last = NULL;
        }
        quic->stray_count--;
    }
    return stray;
}

bool pln_quic_stray_take(pln_quic *quic, uint8_t *buf, pln_transmit *ret) {
    quic_stray *stray = pop(quic);
    if (stray == NULL) {
        return false;
    }
    *ret = stray->to;
    memcpy(buf, stray->data, stray->to.size);
    pln_free(stray);
    return true;
}

void pln_quic_stray_clear(pln_quic *quic) {
    for (quic_stray *stray = pop(quic); stray != NULL; stray = pop(quic)) {
        pln_free(stray);
    }
}

void pln_quic_stray_version(pln_quic *quic, const pln_datagram *datagram,
                            const ngtcp2_version_cid *head) {
    /* RFC 9000, 5.2.2: small ones are not answered, or we would amplify. */
    if (datagram->size < NGTCP2_MAX_UDP_PAYLOAD_SIZE) {
        quic->stats.dropped_unknown++;
        return;
    }
    static const uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    uint8_t packet[STRAY_BYTES_MAX];
    uint8_t unused = 0;
    pln_rng_fill(&quic->config.rng, &unused, 1);
    /* With the fixed bit, or the answer would pass for a probe where it arrives. */
    ngtcp2_ssize size = ngtcp2_pkt_write_version_negotiation(
        packet, sizeof(packet), (uint8_t)(unused | 0x40), head->scid, head->scidlen, head->dcid,
        head->dcidlen, versions, 1);
    if (size > 0) {
        push(quic, datagram, packet, (size_t)size);
    }
}

static bool may_reset(pln_quic *quic) {
    pln_ts now = quic->now.mono;
    if (quic->reset_ever_sent && pln_ts_since(quic->reset_sent_at, now) < PLN_RESET_INTERVAL) {
        return false;
    }
    quic->reset_ever_sent = true;
    quic->reset_sent_at = now;
    return true;
}

void pln_quic_stray_reset(pln_quic *quic, const pln_datagram *datagram) {
    size_t size = datagram->size - 1 < RESET_BYTES_MAX ? datagram->size - 1 : RESET_BYTES_MAX;
    if (datagram->size <= RESET_BYTES_MIN || !may_reset(quic)) {
        quic->stats.dropped_unknown++;
        return;
    }
    PLN_ASSERT(size < datagram->size); /* Or two that know neither would answer for ever. */
    PLN_ASSERT(size >= RESET_BYTES_MIN);
    ngtcp2_cid cid;
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
    ngtcp2_cid_init(&cid, datagram->data + 1, QUIC_CID_BYTES);
    if (ngtcp2_crypto_generate_stateless_reset_token(token, quic->reset_secret,
                                                     sizeof(quic->reset_secret), &cid) != 0) {
        return;
    }
    uint8_t random[RESET_BYTES_MAX];
    uint8_t packet[RESET_BYTES_MAX];
    pln_rng_fill(&quic->config.rng, random, sizeof(random));
    ngtcp2_ssize written = ngtcp2_pkt_write_stateless_reset(packet, size, token, random,
                                                            size - NGTCP2_STATELESS_RESET_TOKENLEN);
    if (written > 0) {
        quic->stats.resets_sent++;
        push(quic, datagram, packet, (size_t)written);
    }
}

/* ---- Retry ----------------------------------------------------------------------------------- */

/* A token is good under the secret it was made with and for one rotation after, never longer than
 * its own life. */
static void rotate_retry_secret(pln_quic *quic) {
    if (pln_ts_since(quic->retry_rotated_at, quic->now.mono) < RETRY_SECRET_LIFE) {
        return;
    }
    memcpy(quic->retry_secret[1], quic->retry_secret[0], QUIC_SECRET_BYTES);
    pln_rng_fill(&quic->config.rng, quic->retry_secret[0], QUIC_SECRET_BYTES);
    quic->retry_rotated_at = quic->now.mono;
}

void pln_quic_stray_retry(pln_quic *quic, const pln_datagram *datagram, const ngtcp2_pkt_hd *head) {
    quic_sockpath from;
    ngtcp2_cid scid;
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2];
    uint8_t packet[STRAY_BYTES_MAX];
    rotate_retry_secret(quic);
    pln_quic_path_encode(&datagram->path, &from);
    pln_quic_cid_random(quic, &scid);
    ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token2(
        token, quic->retry_secret[0], QUIC_SECRET_BYTES, head->version, from.path.remote.addr,
        from.path.remote.addrlen, &scid, &head->dcid, quic->now.mono);
    if (token_size < 0) {
        return;
    }
    ngtcp2_ssize size =
        ngtcp2_crypto_write_retry(packet, sizeof(packet), head->version, &head->scid, &scid,
                                  &head->dcid, token, (size_t)token_size);
    if (size > 0) {
        quic->stats.retries_sent++;
        push(quic, datagram, packet, (size_t)size);
    }
}

bool pln_quic_retry_verify(pln_quic *quic, const pln_datagram *datagram, const ngtcp2_pkt_hd *head,
                           ngtcp2_cid *ret_odcid) {
    quic_sockpath from;
    pln_quic_path_encode(&datagram->path, &from);
    for (int i = 0; i < 2; i++) {
        int result = ngtcp2_crypto_verify_retry_token2(
            ret_odcid, head->token, head->tokenlen, quic->retry_secret[i], QUIC_SECRET_BYTES,
            head->version, from.path.remote.addr, from.path.remote.addrlen, &head->dcid,
            RETRY_TOKEN_LIFE, quic->now.mono);
        if (result == 0) {
            return true;
        }
    }
    return false;
}

/* ---- Refusal --------------------------------------------------------------------------------- */

void pln_quic_stray_refuse(pln_quic *quic, const pln_datagram *datagram, const ngtcp2_pkt_hd *head,
                           uint64_t code) {
    uint8_t packet[STRAY_BYTES_MAX];
    ngtcp2_ssize size = ngtcp2_crypto_write_connection_close(
        packet, sizeof(packet), head->version, &head->scid, &head->dcid, code, NULL, 0);
    if (size > 0) {
        push(quic, datagram, packet, (size_t)size);
    }
}
