/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint: its life, its clock, and whose turn it is. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "quic/internal.h"

/* ---- Life ------------------------------------------------------------------------------------ */

static void set_defaults(pln_quic_config *config) {
    if (config->idle_timeout == 0) {
        config->idle_timeout = PLN_IDLE_TIMEOUT;
    }
    if (config->keep_alive == 0) {
        config->keep_alive = PLN_KEEP_ALIVE;
    }
    if (config->handshake_timeout == 0) {
        config->handshake_timeout = PLN_HANDSHAKE_TIMEOUT;
    }
}

static pollen_err init_secrets(pln_quic *quic) {
    const pln_rng *rng = &quic->config.rng;
    pln_rng_fill(rng, quic->hash_key.bytes, sizeof(quic->hash_key.bytes));
    pln_rng_fill(rng, quic->retry_secret[0], QUIC_SECRET_BYTES);
    pln_rng_fill(rng, quic->retry_secret[1], QUIC_SECRET_BYTES);
    quic->retry_rotated_at = quic->now.mono;
    /* From the seed, so that after a restart we can reset the connections of our earlier life. */
    return pln_quic_derive(&quic->seed, "stateless reset", quic->reset_secret, QUIC_SECRET_BYTES)
               ? POLLEN_OK
               : POLLEN_ESYS;
}

pollen_err pln_quic_create(const pln_quic_config *config, pln_now now, pln_quic **ret) {
    PLN_ASSERT(config->seed != NULL);
    PLN_ASSERT(config->rng.fill != NULL);
    pln_quic *quic = pln_calloc(1, sizeof(*quic));
    if (quic == NULL) {
        return POLLEN_ENOMEM;
    }
    quic->config = *config;
    quic->config.seed = NULL;
    quic->seed = *config->seed;
    quic->key = pollen_seed_key(config->seed);
    quic->now = now;
    quic->slot_free = UINT32_MAX;
    set_defaults(&quic->config);
    pln_heap_init(&quic->timers);
    pollen_err err = init_secrets(quic);
    if (err == POLLEN_OK) {
        quic->admit = pln_admit_create(&quic->hash_key);
        quic->admit_proven = pln_admit_create(&quic->hash_key);
        err = quic->admit != NULL && quic->admit_proven != NULL ? pln_quic_tls_init(quic, now.wall)
                                                                : POLLEN_ENOMEM;
    }
    if (err != POLLEN_OK) {
        pln_quic_destroy(quic);
        return err;
    }
    *ret = quic;
    return POLLEN_OK;
}

void pln_quic_destroy(pln_quic *quic) {
    if (quic == NULL) {
        return;
    }
    pln_quic_end_farewell(quic);
    for (uint32_t i = 0; i < quic->slot_cap; i++) {
        if (quic->slots[i].conn != NULL) {
            pln_quic_conn_destroy(quic->slots[i].conn);
        }
    }
    PLN_ASSERT(quic->stats.connections == 0);
    while (quic->linger_first != NULL) {
        pln_quic_conn_destroy(quic->linger_first);
    }
    pln_quic_stray_clear(quic);
    pln_quic_tls_fini(quic);
    pln_meters_destroy(quic->admit);
    pln_meters_destroy(quic->admit_proven);
    pln_heap_fini(&quic->timers);
    pln_free(quic->slots);
    gnutls_memset(quic, 0, sizeof(*quic)); /* Secrets. */
    pln_free(quic);
}

pollen_err pln_quic_set_identity(pln_quic *quic, const uint8_t *member_cert, size_t size,
                                 pln_wall now) {
    quic_identity *identity = NULL;
    if (size == 0 || size > PLN_CERT_BYTES_MAX) {
        return POLLEN_ECERT;
    }
    pollen_err err = pln_quic_identity_create(quic, member_cert, size, now, &identity);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_quic_identity_unref(quic->mesh);
    quic->mesh = identity;
    return POLLEN_OK;
}

void pln_quic_set_accept(pln_quic *quic, bool mesh, bool invites) {
    quic->config.accept_mesh = mesh;
    quic->config.accept_invites = invites;
}

/* ngtcp2 aborts when its clock goes back: a caller's mistake must not. */
void pln_quic_set_now(pln_quic *quic, pln_now now) {
    quic->now.wall = now.wall;
    if (now.mono > quic->now.mono) {
        quic->now.mono = now.mono;
    }
}

/* ---- Turns ----------------------------------------------------------------------------------- */

static void run_timer(quic_conn *conn) {
    pln_quic *quic = conn->quic;
    if (conn->ng == NULL) {
        pln_quic_linger_end(conn);
        return;
    }
    pln_ts handshake_over = pln_ts_add(conn->started_at, quic->config.handshake_timeout);
    if (!conn->connected && pln_ts_reached(handshake_over, quic->now.mono)) {
        pln_quic_conn_timed_out(conn);
        return;
    }
    pln_quic_conn_ready(conn); /* Its turn begins with what is due. */
}

void pln_quic_handle_timeout(pln_quic *quic, pln_now now) {
    pln_quic_set_now(quic, now);
    for (pln_timer *timer = pln_heap_pop(&quic->timers, quic->now.mono); timer != NULL;
         timer = pln_heap_pop(&quic->timers, quic->now.mono)) {
        run_timer(PLN_TIMER_OWNER(timer, quic_conn, timer));
    }
}

static bool take_packets(pln_quic *quic, uint8_t *buf, pln_transmit *ret) {
    for (;;) {
        if (quic->stash_size > 0) {
            PLN_ASSERT(quic->stash_size <= sizeof(quic->stash));
            memcpy(buf, quic->stash, quic->stash_size);
            *ret = quic->stash_to;
            quic->stash_size = 0;
            return true;
        }
        if (pln_quic_stray_take(quic, buf, ret)) {
            return true;
        }
        if (quic->ready_first == NULL) {
            return false;
        }
        if (pln_quic_conn_transmit(quic->ready_first, buf, ret)) {
            return true;
        }
    }
}

bool pln_quic_poll_transmit(pln_quic *quic, uint8_t *buf, pln_transmit *ret, pln_now now) {
    pln_quic_set_now(quic, now);
    if (!take_packets(quic, buf, ret)) {
        return false;
    }
    PLN_ASSERT(ret->segment > 0);
    PLN_ASSERT(ret->size > 0);
    quic->stats.datagrams_out += (ret->size + ret->segment - 1) / ret->segment;
    quic->stats.bytes_out += ret->size;
    return true;
}

pln_ts pln_quic_next_expiry(const pln_quic *quic) {
    bool waiting = quic->ready_first != NULL || quic->stash_size > 0 || quic->strays != NULL;
    return waiting ? quic->now.mono : pln_heap_next(&quic->timers);
}

/* ---- Looking in ------------------------------------------------------------------------------ */

pollen_err pln_quic_conn_info(const pln_quic *quic, pln_conn_id id, pln_conn_info *ret) {
    const quic_conn *conn = pln_quic_conn_find(quic, id);
    if (conn == NULL) {
        return POLLEN_ENOENT;
    }
    *ret = (pln_conn_info){.peer = conn->peer,
                           .alpn = conn->alpn,
                           .inbound = conn->inbound,
                           .connected = conn->connected,
                           .path = conn->path,
                           .started_at = conn->started_at,
                           .connected_at = conn->connected_at,
                           .last_rx_at = conn->last_rx_at,
                           .bytes_in = conn->bytes_in,
                           .bytes_out = conn->bytes_out,
                           .datagrams_in = conn->datagrams_in,
                           .datagrams_out = conn->datagrams_out,
                           .datagrams_dropped = conn->datagrams_dropped};
    if (conn->ng != NULL) {
        ngtcp2_conn_info info;
        ngtcp2_conn_get_conn_info(conn->ng, &info);
        ret->rtt = conn->connected ? info.smoothed_rtt : 0;
        ret->cwnd = info.cwnd;
        ret->mtu = ngtcp2_conn_get_path_max_tx_udp_payload_size(conn->ng);
    }
    return POLLEN_OK;
}

const uint8_t *pln_quic_peer_cert(const pln_quic *quic, pln_conn_id id, size_t *ret_size) {
    const quic_conn *conn = pln_quic_conn_find(quic, id);
    *ret_size = conn != NULL ? conn->member_cert.size : 0;
    return conn != NULL ? conn->member_cert.data : NULL;
}

void pln_quic_ping(pln_quic *quic, pln_conn_id id, pln_now now) {
    pln_quic_set_now(quic, now);
    quic_conn *conn = pln_quic_conn_find(quic, id);
    if (conn != NULL && conn->ng != NULL) {
        conn->ping = true;
        pln_quic_conn_ready(conn);
    }
}

void pln_quic_get_stats(const pln_quic *quic, pln_quic_stats *ret) {
    *ret = quic->stats;
}
