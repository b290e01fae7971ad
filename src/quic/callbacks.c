/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ngtcp2 tells us.  A callback notes and returns: see the design notes in internal.h.
 */
#include "base/assert.h"
#include "quic/internal.h"

void pln_quic_rand(uint8_t *bytes, size_t count, const ngtcp2_rand_ctx *ctx) {
    const pln_quic *quic = ctx->native_handle;
    pln_rng_fill(&quic->config.rng, bytes, count);
}

static int out_of_memory(quic_conn *conn) {
    conn->fault = POLLEN_ENOMEM;
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

/* ---- Handshake ------------------------------------------------------------------------------- */

static int on_crypto_data(ngtcp2_conn *ng, ngtcp2_encryption_level level, uint64_t offset,
                          const uint8_t *data, size_t size, void *user_data) {
    (void)ng;
    (void)offset;
    return pln_quic_tls_feed(user_data, level, data, size);
}

static int on_handshake_completed(ngtcp2_conn *ng, void *user_data) {
    quic_conn *conn = user_data;
    if (!pln_quic_tls_confirm(conn)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if (conn->inbound) {
        /* The client has switched to a connection id of ours. */
        const ngtcp2_cid *initial = ngtcp2_conn_get_client_initial_dcid(ng);
        pln_quic_cid_remove(conn, initial->data, initial->datalen);
        pln_quic_conn_connected(conn);
    }
    return 0;
}

/* Only now does a client know that the server accepts its certificate. */
static int on_handshake_confirmed(ngtcp2_conn *ng, void *user_data) {
    (void)ng;
    pln_quic_conn_connected(user_data);
    return 0;
}

static int on_path_challenge(ngtcp2_conn *ng, uint8_t *data, void *user_data) {
    (void)ng;
    const quic_conn *conn = user_data;
    pln_rng_fill(&conn->quic->config.rng, data, NGTCP2_PATH_CHALLENGE_DATALEN);
    return 0;
}

/* ---- Connection ids and resets --------------------------------------------------------------- */

static int on_new_cid(ngtcp2_conn *ng, ngtcp2_cid *cid, uint8_t *token, size_t size,
                      void *user_data) {
    (void)ng;
    quic_conn *conn = user_data;
    pln_quic *quic = conn->quic;
    PLN_ASSERT(size == QUIC_CID_BYTES); /* All of ours have one size. */
    pln_quic_cid_random(quic, cid);
    if (ngtcp2_crypto_generate_stateless_reset_token(token, quic->reset_secret,
                                                     sizeof(quic->reset_secret), cid) != 0 ||
        !pln_quic_cid_add(conn, cid->data, cid->datalen)) {
        return out_of_memory(conn);
    }
    return 0;
}

static int on_remove_cid(ngtcp2_conn *ng, const ngtcp2_cid *cid, void *user_data) {
    (void)ng;
    pln_quic_cid_remove(user_data, cid->data, cid->datalen);
    return 0;
}

static int on_dcid_status(ngtcp2_conn *ng, ngtcp2_connection_id_status_type type, uint64_t seq,
                          const ngtcp2_cid *cid, const uint8_t *token, void *user_data) {
    (void)ng;
    (void)cid;
    quic_conn *conn = user_data;
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE) {
        conn->handshake_sent = true; /* For a dialler this is the first that is heard of ids. */
    }
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_DEACTIVATE) {
        pln_quic_token_remove(conn, seq);
    } else if (token != NULL && !pln_quic_token_add(conn, seq, token)) {
        return out_of_memory(conn);
    }
    return 0;
}

static int on_stateless_reset(ngtcp2_conn *ng, const ngtcp2_pkt_stateless_reset *reset,
                              void *user_data) {
    (void)ng;
    (void)reset;
    quic_conn *conn = user_data;
    conn->was_reset = true;
    return 0;
}

static int on_path_validation(ngtcp2_conn *ng, uint32_t flags, const ngtcp2_path *path,
                              const ngtcp2_path *old_path, ngtcp2_path_validation_result result,
                              void *user_data) {
    (void)flags;
    (void)old_path;
    quic_conn *conn = user_data;
    if (result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS ||
        !ngtcp2_path_eq(path, ngtcp2_conn_get_path(ng))) {
        return 0;
    }
    pln_path validated = pln_quic_path_decode(path);
    if (!pln_path_equal(&validated, &conn->path)) {
        conn->path = validated;
        pln_quic_conn_event(conn, CONN_EV_PATH);
    }
    return 0;
}

/* ---- Datagrams ------------------------------------------------------------------------------- */

static int on_datagram(ngtcp2_conn *ng, uint32_t flags, const uint8_t *data, size_t size,
                       void *user_data) {
    (void)ng;
    (void)flags;
    /* A server sends none before it has accepted us: that says what HANDSHAKE_DONE does, which may
     * have been lost and is repeated only some round trips later. */
    pln_quic_conn_connected(user_data);
    /* Lack of memory loses the datagram, as the network might have. */
    (void)pln_quic_datagram_received(user_data, data, size);
    return 0;
}

static int on_datagram_acked(ngtcp2_conn *ng, uint64_t tag, void *user_data) {
    (void)ng;
    pln_quic_datagram_acked(user_data, tag);
    return 0;
}

/* ---- Streams --------------------------------------------------------------------------------- */

static int on_stream_open(ngtcp2_conn *ng, int64_t id, void *user_data) {
    quic_conn *conn = user_data;
    if (ngtcp2_is_bidi_stream(id) == 0) {
        /* No protocol of ours uses them. */
        return ngtcp2_conn_shutdown_stream_read(ng, 0, id, 0) == 0 ? 0 : out_of_memory(conn);
    }
    quic_stream *stream = pln_quic_stream_create(conn, id);
    if (stream == NULL || ngtcp2_conn_set_stream_user_data(ng, id, stream) != 0) {
        return out_of_memory(conn);
    }
    pln_quic_stream_event(stream, STREAM_EV_OPENED);
    return 0;
}

/* The library's signature.  NOLINTNEXTLINE(readability-function-size) */
static int on_stream_data(ngtcp2_conn *ng, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t size, void *user_data,
                          void *stream_user_data) {
    (void)offset;
    quic_conn *conn = user_data;
    quic_stream *stream = stream_user_data;
    bool fin = (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0;
    if (stream == NULL || stream->rx_closed) {
        ngtcp2_conn_extend_max_offset(ng, size);
        (void)ngtcp2_conn_extend_max_stream_offset(ng, id, size); /* Fails only without memory. */
        return 0;
    }
    return pln_quic_stream_received(stream, data, size, fin) ? 0 : out_of_memory(conn);
}

static int on_stream_acked(ngtcp2_conn *ng, int64_t id, uint64_t offset, uint64_t size,
                           void *user_data, void *stream_user_data) {
    (void)ng;
    (void)id;
    (void)offset;
    (void)user_data;
    if (stream_user_data != NULL) {
        pln_quic_stream_acked(stream_user_data, size);
    }
    return 0;
}

static int on_stream_reset(ngtcp2_conn *ng, int64_t id, uint64_t final_size, uint64_t code,
                           void *user_data, void *stream_user_data) {
    (void)ng;
    (void)id;
    (void)final_size;
    (void)user_data;
    if (stream_user_data != NULL) {
        pln_quic_stream_was_reset(stream_user_data, code);
    }
    return 0;
}

static int on_stream_close(ngtcp2_conn *ng, uint32_t flags, int64_t id, uint64_t code,
                           void *user_data, void *stream_user_data) {
    (void)user_data;
    bool has_code = (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0;
    if (stream_user_data != NULL) {
        pln_quic_stream_detached(stream_user_data, has_code, code);
    } else if (ngtcp2_is_bidi_stream(id) == 0) {
        ngtcp2_conn_extend_max_streams_uni(ng, 1);
    }
    return 0;
}

static int on_stream_credit(ngtcp2_conn *ng, int64_t id, uint64_t max_data, void *user_data,
                            void *stream_user_data) {
    (void)ng;
    (void)id;
    (void)max_data;
    (void)user_data;
    quic_stream *stream = stream_user_data;
    if (stream != NULL && pln_quic_stream_wants(stream)) {
        pln_quic_stream_ready(stream);
    }
    return 0;
}

static int on_streams_available(ngtcp2_conn *ng, uint64_t max_streams, void *user_data) {
    (void)ng;
    (void)max_streams;
    quic_conn *conn = user_data;
    if (conn->streams_wanted) {
        conn->streams_wanted = false;
        pln_quic_conn_event(conn, CONN_EV_STREAMS);
    }
    return 0;
}

/* ---- The tables ------------------------------------------------------------------------------ */

#define COMMON_CALLBACKS                                                                           \
    .recv_crypto_data = on_crypto_data, .handshake_completed = on_handshake_completed,             \
    .encrypt = ngtcp2_crypto_encrypt_cb, .decrypt = ngtcp2_crypto_decrypt_cb,                      \
    .hp_mask = ngtcp2_crypto_hp_mask_cb, .recv_stream_data = on_stream_data,                       \
    .acked_stream_data_offset = on_stream_acked, .stream_open = on_stream_open,                    \
    .stream_close = on_stream_close, .recv_stateless_reset = on_stateless_reset,                   \
    .extend_max_local_streams_bidi = on_streams_available, .rand = pln_quic_rand,                  \
    .get_new_connection_id = on_new_cid, .remove_connection_id = on_remove_cid,                    \
    .update_key = ngtcp2_crypto_update_key_cb, .path_validation = on_path_validation,              \
    .stream_reset = on_stream_reset, .extend_max_stream_data = on_stream_credit,                   \
    .dcid_status = on_dcid_status,                                                                 \
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,                             \
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,                         \
    .recv_datagram = on_datagram, .ack_datagram = on_datagram_acked,                               \
    .get_path_challenge_data = on_path_challenge,                                                  \
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb

static const ngtcp2_callbacks CLIENT_CALLBACKS = {
    COMMON_CALLBACKS,
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .handshake_confirmed = on_handshake_confirmed,
};

static const ngtcp2_callbacks SERVER_CALLBACKS = {
    COMMON_CALLBACKS,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
};

const ngtcp2_callbacks *pln_quic_callbacks(bool server) {
    return server ? &SERVER_CALLBACKS : &CLIENT_CALLBACKS;
}
