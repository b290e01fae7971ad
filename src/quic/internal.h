/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share: the endpoint, its connections and their streams.
 *
 * Design notes
 *
 * A connection lives twice.  To its owner it lives from dial (or the CONNECTED event) to the CLOSED
 * event or pln_quic_close(): that is its slot, which its id names.  On the wire it lives on for
 * three PTOs as a stored CONNECTION_CLOSE (or as silence) under its connection ids: that is
 * `linger`.  The big parts, the ngtcp2_conn and the TLS session, are gone by then.  The struct is
 * freed when both lives are over.
 *
 * No function of ngtcp2 that can close a stream, read or write may run inside one of its callbacks.
 * Callbacks therefore only note what happened; everything else happens in the next turn of the
 * connection, for which it waits in the endpoint's ready list.
 *
 * Events are not queued: each connection and stream has flags of what there is to tell, so that
 * nothing a peer does makes the list of events grow.
 */
#ifndef PLN_QUIC_INTERNAL_H
#define PLN_QUIC_INTERNAL_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/heap.h"
#include "quic/admit.h"
#include "quic/quic.h"
#include "quic/x509.h"

#define PLN_QUIC_ROOM "quic"

enum {
    QUIC_CID_BYTES = 8, /* Of our own; all the same, because a short header does not tell. */
    QUIC_SECRET_BYTES = 32,
    QUIC_CLOSE_BYTES = 1200, /* Room for a stored CONNECTION_CLOSE. */
    /* The largest datagram we take and send: jumbo Ethernet.  ngtcp2's decryption buffer grows to
     * the largest packet that ever came, so that this bounds what a peer can make a connection
     * hold. */
    QUIC_UDP_BYTES_MAX = 8952,
};

/* Credit for received bytes, each stream's and that of a connection as a whole.  ngtcp2 lets the
 * two grow without looking at each other, so that a stream's could reach the connection's, and one
 * reader that lags would then stop all streams of its peer.  The connection's is at its end from
 * the start. */
#define QUIC_WINDOW_STREAM (512ull * 1024)
#define QUIC_WINDOW_STREAM_MAX (6ull * 1024 * 1024)
#define QUIC_WINDOW_CONN (15ull * 1024 * 1024)

/* Before the first sample.  RFC 9002, 6.2.2, takes 333 ms, so that the first lost packet of a
 * handshake is repeated after a second.  Peers are mostly nearer: from 100 ms it is repeated after
 * 0.3 s, at the price of one packet sent twice on a longer path. */
#define QUIC_INITIAL_RTT (100 * NGTCP2_MILLISECONDS)

typedef struct quic_conn quic_conn;
typedef struct quic_stream quic_stream;

/* ---- TLS credentials ------------------------------------------------------------------------- */

/* A certificate and its key, shared by the sessions that were opened with it. */
typedef struct quic_identity {
    unsigned refs;
    gnutls_certificate_credentials_t creds;
} quic_identity;

/* ---- Streams --------------------------------------------------------------------------------- */

enum {
    STREAM_EV_OPENED = 1u << 0,
    STREAM_EV_READABLE = 1u << 1,
    STREAM_EV_RESET = 1u << 2,
    STREAM_EV_STOPPED = 1u << 3,
    STREAM_EV_WRITABLE = 1u << 4,
    STREAM_EV_CLOSED = 1u << 5,
};

typedef struct quic_stream_key {
    pln_conn_id conn;
    int64_t stream;
} quic_stream_key;

struct quic_stream {
    quic_stream_key key;
    UT_hash_handle hh;
    quic_conn *conn;
    quic_stream *all_next, *all_prev;     /* All of the connection's. */
    quic_stream *ready_next, *ready_prev; /* Those with something to send and the credit for it. */
    quic_stream *ev_next, *ev_prev;       /* Those with something to tell. */
    bool ready;
    bool ev_listed;
    unsigned events;
    uint64_t reset_code;
    uint64_t stop_code;

    bool attached; /* ngtcp2 still has it. */

    /* Sending: chunks stay until acknowledged, because ngtcp2 keeps pointers into them. */
    pln_chunk *tx_head, *tx_tail;
    pln_chunk *tx_cursor;  /* First chunk with unsent bytes; NULL when all are sent. */
    size_t tx_cursor_sent; /* Bytes of it that are sent. */
    size_t tx_head_acked;  /* Bytes of tx_head that are acknowledged. */
    size_t tx_unacked;     /* Bytes taken and not yet acknowledged. */
    bool tx_any_sent;
    bool tx_fin_queued, tx_fin_sent;
    bool tx_closed; /* Reset by us or stopped by the peer: nothing more is sent. */
    bool tx_full;   /* At or above PLN_STREAM_SEND_LOW: WRITABLE is due. */

    pln_chunkq rx;
    bool rx_fin;      /* The end has arrived. */
    bool rx_fin_read; /* And was handed on. */
    bool rx_closed;   /* Stopped by us or reset by the peer: nothing more is handed on. */
    bool rx_told;     /* READABLE was raised and the queue has not run dry since. */
};

/* ---- Connections ----------------------------------------------------------------------------- */

/* A path as ngtcp2 wants it: our names, dressed as socket addresses. */
typedef struct quic_sockpath {
    ngtcp2_path path;
    struct sockaddr_in6 local;
    struct sockaddr_in6 remote;
} quic_sockpath;

typedef struct quic_cid_key {
    uint8_t size;
    uint8_t bytes[NGTCP2_MAX_CIDLEN];
} quic_cid_key;

/* A connection id that leads here; also chained per connection, for the end. */
typedef struct quic_cid {
    quic_cid_key key;
    UT_hash_handle hh;
    quic_conn *conn;
    struct quic_cid *next;
} quic_cid;

/* A stateless reset token that ends the connection. */
typedef struct quic_token {
    uint8_t bytes[NGTCP2_STATELESS_RESET_TOKENLEN];
    UT_hash_handle hh;
    quic_conn *conn;
    uint64_t seq;
    struct quic_token *next;
} quic_token;

typedef struct quic_tagged {
    pln_chunk *chunk;
    uint64_t tag;
} quic_tagged;

/* A ring that grows by doubling up to its limit. */
typedef struct quic_sendq {
    quic_tagged *slots;
    size_t cap;
    size_t first;
    size_t count;
} quic_sendq;

/* A 1-RTT packet that came before its time. */
typedef struct quic_held {
    struct quic_held *next;
    uint8_t ecn;
    size_t size;
    uint8_t data[];
} quic_held;

typedef enum quic_linger {
    LINGER_NONE,     /* Alive, or gone from the wire. */
    LINGER_CLOSING,  /* Answers with the stored close. */
    LINGER_DRAINING, /* Says nothing. */
} quic_linger;

enum {
    CONN_EV_CONNECTED = 1u << 0,
    CONN_EV_PATH = 1u << 1,
    CONN_EV_STREAMS = 1u << 2,
    CONN_EV_CLOSED = 1u << 3,
};

struct quic_conn {
    pln_quic *quic;
    pln_conn_id id;
    bool has_slot;
    ngtcp2_conn *ng; /* NULL once closed. */

    gnutls_session_t tls;    /* NULL once the handshake is over. */
    quic_identity *identity; /* Held while tls lives; NULL on invite dials. */
    ngtcp2_crypto_conn_ref ref;
    bool tls_over;      /* To be freed before the next turn. */
    bool verified;      /* The peer's certificate passed every check. */
    uint8_t alert;      /* To send instead of what GnuTLS would; 0 none. */
    pollen_err refusal; /* Why we refuse the peer; POLLEN_OK while we do not. */
    pollen_err fault;   /* What went wrong inside a callback. */

    bool inbound;
    bool invite; /* Dialled with, or negotiated, the invite ALPN. */
    bool counted_handshake;
    bool connected;
    bool was_reset;
    bool ping;
    bool streams_wanted;
    bool handshake_sent; /* Dialler: its last flight is out, and ngtcp2 ready for 1-RTT packets. */
    pln_alpn alpn;
    pollen_key peer;
    bool peer_known; /* peer is proven, not just expected. */
    pln_bytes member_cert;
    pln_path path; /* Validated. */
    pln_path hint_path;
    pollen_addr hint_local;
    pln_ts started_at, connected_at, last_rx_at, last_tx_at;
    pln_dur keep_alive;
    uint64_t bytes_in, bytes_out;
    uint64_t datagrams_in, datagrams_out, datagrams_dropped;

    quic_held *held, *held_last;
    size_t held_count;

    quic_cid *cids;
    quic_token *tokens;
    pln_timer timer;

    quic_conn *ready_next, *ready_prev;
    bool ready;
    quic_conn *ev_next, *ev_prev;
    bool ev_listed;
    unsigned events;
    bool told_connected;
    pln_quic_closed closed;

    quic_sendq tx_datagrams;
    pln_chunkq rx_datagrams;
    uint64_t *acked_tags;
    size_t acked_count, acked_cap;

    quic_stream *streams_first, *streams_last;
    quic_stream *ready_streams_first, *ready_streams_last;
    quic_stream *ev_streams_first, *ev_streams_last;
    quic_stream *quiet; /* Which silent stream to ask next whether the peer stopped it. */

    quic_conn *half_open_next, *half_open_prev; /* While counted_handshake. */

    quic_linger linger;
    quic_conn *linger_next, *linger_prev;
    uint8_t *close_packet;
    size_t close_size;
    pln_transmit close_to;
    unsigned close_heard; /* Packets since; the 1st, 2nd, 4th, ... are answered. */
    bool close_due;
};

/* ---- The endpoint ---------------------------------------------------------------------------- */

typedef struct quic_slot {
    quic_conn *conn;
    uint32_t generation;
    uint32_t next_free;
} quic_slot;

/* A packet that belongs to no connection. */
typedef struct quic_stray {
    struct quic_stray *next;
    pln_transmit to;
    uint8_t data[];
} quic_stray;

struct pln_quic {
    pln_quic_config config;
    pollen_seed seed;
    pollen_key key;
    pln_now now; /* Of the current call; never goes back. */

    gnutls_priority_t priority;
    gnutls_privkey_t privkey;
    quic_identity *mesh; /* NULL before pln_quic_set_identity(). */
    quic_identity *bare;

    pln_hash_key hash_key;
    uint8_t reset_secret[QUIC_SECRET_BYTES];
    uint8_t retry_secret[2][QUIC_SECRET_BYTES]; /* Current and previous. */
    pln_ts retry_rotated_at;
    pln_ts reset_sent_at;
    bool reset_ever_sent;
    pln_meters *admit;        /* Of addresses that anybody may have written. */
    pln_meters *admit_proven; /* Of those that a Retry reached. */

    quic_slot *slots;
    uint32_t slot_count, slot_cap, slot_free;
    quic_cid *cids;
    quic_token *tokens;
    quic_stream *streams;
    pln_heap timers;
    quic_conn *ready_first, *ready_last;
    quic_conn *ev_first, *ev_last;
    quic_conn *farewell; /* Its CLOSED was told last: what its streams received is still there. */
    quic_conn *linger_first, *linger_last; /* Oldest first. */
    size_t lingering;
    quic_conn *half_open_first, *half_open_last; /* Inbound and unfinished, oldest first. */

    quic_stray *strays, *strays_last;
    size_t stray_count;

    /* A packet that did not fit the batch it was made for. */
    uint8_t stash[QUIC_UDP_BYTES_MAX];
    size_t stash_size;
    pln_transmit stash_to;

    pln_quic_stats stats;
};

/* ---- endpoint.c ------------------------------------------------------------------------------ */

void pln_quic_set_now(pln_quic *quic, pln_now now);

/* ---- path.c ---------------------------------------------------------------------------------- */

void pln_quic_path_encode(const pln_path *path, quic_sockpath *ret);
pln_path pln_quic_path_decode(const ngtcp2_path *path);

/* ---- cid_table.c ----------------------------------------------------------------------------- */

void pln_quic_cid_random(pln_quic *quic, ngtcp2_cid *ret);
bool pln_quic_cid_add(quic_conn *conn, const uint8_t *bytes, size_t size);
void pln_quic_cid_remove(quic_conn *conn, const uint8_t *bytes, size_t size);
quic_conn *pln_quic_cid_find(const pln_quic *quic, const uint8_t *bytes, size_t size);
void pln_quic_cid_clear(quic_conn *conn);

bool pln_quic_token_add(quic_conn *conn, uint64_t seq, const uint8_t *token);
void pln_quic_token_remove(quic_conn *conn, uint64_t seq);
quic_conn *pln_quic_token_find(const pln_quic *quic, const uint8_t *token);
void pln_quic_token_clear(quic_conn *conn);

/* ---- stray.c --------------------------------------------------------------------------------- */

void pln_quic_stray_version(pln_quic *quic, const pln_datagram *datagram,
                            const ngtcp2_version_cid *head);
void pln_quic_stray_reset(pln_quic *quic, const pln_datagram *datagram);
void pln_quic_stray_retry(pln_quic *quic, const pln_datagram *datagram, const ngtcp2_pkt_hd *head);
void pln_quic_stray_refuse(pln_quic *quic, const pln_datagram *datagram, const ngtcp2_pkt_hd *head,
                           uint64_t code);
/* Whether the token is a Retry token of ours, good for this source; then the first DCID. */
bool pln_quic_retry_verify(pln_quic *quic, const pln_datagram *datagram, const ngtcp2_pkt_hd *head,
                           ngtcp2_cid *ret_odcid);
bool pln_quic_stray_take(pln_quic *quic, uint8_t *buf, pln_transmit *ret);
void pln_quic_stray_clear(pln_quic *quic);

/* ---- tls.c ----------------------------------------------------------------------------------- */

pollen_err pln_quic_tls_init(pln_quic *quic, pln_wall now);
void pln_quic_tls_fini(pln_quic *quic);
pollen_err pln_quic_identity_create(pln_quic *quic, const uint8_t *member_cert, size_t size,
                                    pln_wall now, quic_identity **ret);
void pln_quic_identity_unref(quic_identity *identity);
bool pln_quic_derive(const pollen_seed *seed, const char *label, uint8_t *secret, size_t size);

bool pln_quic_tls_open(quic_conn *conn);
void pln_quic_tls_close(quic_conn *conn);
/* 0, or an error of ngtcp2 after which the alert is set. */
int pln_quic_tls_feed(quic_conn *conn, ngtcp2_encryption_level level, const uint8_t *data,
                      size_t size);
pln_alpn pln_quic_tls_alpn(gnutls_session_t session);
bool pln_quic_alpn_allowed(const quic_conn *conn, pln_alpn alpn);
/* Whether what was negotiated may be used: the last look before the connection counts. */
bool pln_quic_tls_confirm(quic_conn *conn);

/* ---- verify.c -------------------------------------------------------------------------------- */

int pln_quic_verify_peer(gnutls_session_t session);

/* ---- conn.c ---------------------------------------------------------------------------------- */

quic_conn *pln_quic_conn_find(const pln_quic *quic, pln_conn_id id);
pollen_err pln_quic_conn_accept(pln_quic *quic, const pln_datagram *datagram,
                                const ngtcp2_pkt_hd *head, const ngtcp2_cid *odcid,
                                quic_conn **ret);
void pln_quic_conn_release_slot(quic_conn *conn);
void pln_quic_conn_destroy(quic_conn *conn);
void pln_quic_conn_drop_state(quic_conn *conn); /* ngtcp2, TLS, what waits to be sent. */
void pln_quic_conn_ready(quic_conn *conn);
void pln_quic_conn_unready(quic_conn *conn);
void pln_quic_conn_set_timer(quic_conn *conn);
void pln_quic_conn_connected(quic_conn *conn);
void pln_quic_conn_end_handshake(quic_conn *conn); /* It no longer counts as unfinished. */
void pln_quic_params_init(const quic_conn *conn, ngtcp2_transport_params *params);

/* ---- held.c ---------------------------------------------------------------------------------- */

/* How much of a datagram the connection may read now; keeps the rest. */
size_t pln_quic_hold_early(quic_conn *conn, const pln_datagram *datagram);
int pln_quic_read_held(quic_conn *conn); /* 0 or an error of ngtcp2. */
void pln_quic_held_clear(quic_conn *conn);

/* ---- callbacks.c ----------------------------------------------------------------------------- */

const ngtcp2_callbacks *pln_quic_callbacks(bool server);
void pln_quic_rand(uint8_t *bytes, size_t count, const ngtcp2_rand_ctx *ctx);

/* ---- conn_close.c ---------------------------------------------------------------------------- */

/* An error of ngtcp2: ends the connection and, where one is due, sends a CONNECTION_CLOSE. */
void pln_quic_conn_fail(quic_conn *conn, int error);
void pln_quic_conn_timed_out(quic_conn *conn);
void pln_quic_linger_end(quic_conn *conn); /* Its time is over. */
void pln_quic_linger_packet(quic_conn *conn, const pln_datagram *datagram);
bool pln_quic_linger_transmit(quic_conn *conn, uint8_t *buf, pln_transmit *ret);

/* ---- conn_write.c ---------------------------------------------------------------------------- */

/* One batch; false when the connection has nothing to send now and left the ready list. */
bool pln_quic_conn_transmit(quic_conn *conn, uint8_t *buf, pln_transmit *ret);

/* ---- datagrams.c ----------------------------------------------------------------------------- */

size_t pln_quic_datagram_limit(const quic_conn *conn);
quic_tagged *pln_quic_sendq_head(quic_sendq *q); /* NULL when empty. */
void pln_quic_sendq_pop(quic_sendq *q);          /* Frees the head. */
void pln_quic_sendq_clear(quic_sendq *q);
bool pln_quic_datagram_received(quic_conn *conn, const uint8_t *data, size_t size);
void pln_quic_datagram_acked(quic_conn *conn, uint64_t tag);

/* ---- streams.c ------------------------------------------------------------------------------- */

quic_stream *pln_quic_stream_create(quic_conn *conn, int64_t id);
void pln_quic_stream_destroy(quic_stream *stream);
void pln_quic_streams_clear(quic_conn *conn);
void pln_quic_end_farewell(pln_quic *quic); /* The event after CLOSED is asked for. */
bool pln_quic_stream_received(quic_stream *stream, const uint8_t *data, size_t size, bool fin);
void pln_quic_stream_acked(quic_stream *stream, uint64_t bytes);
void pln_quic_stream_was_reset(quic_stream *stream, uint64_t code);
void pln_quic_stream_was_stopped(quic_stream *stream, uint64_t code);
void pln_quic_stream_detached(quic_stream *stream, bool has_code, uint64_t code);
void pln_quic_stream_ready(quic_stream *stream);
void pln_quic_stream_unready(quic_stream *stream);
bool pln_quic_stream_wants(const quic_stream *stream); /* To send something. */
/* What to send next, at most count vectors and about `bytes`; *ret_fin when that is all there will
 * be. */
size_t pln_quic_stream_peek(const quic_stream *stream, ngtcp2_vec *vec, size_t count, size_t bytes,
                            bool *ret_fin);
void pln_quic_stream_sent(quic_stream *stream, size_t bytes, bool fin);

/* ---- events.c -------------------------------------------------------------------------------- */

void pln_quic_conn_event(quic_conn *conn, unsigned events); /* 0: look again. */
void pln_quic_stream_event(quic_stream *stream, unsigned events);
void pln_quic_stream_forget_events(quic_stream *stream);
void pln_quic_conn_forget_events(quic_conn *conn);

/* ---- Lists ----------------------------------------------------------------------------------- */

/* Doubly linked, with first and last pointers; `link` is the prefix of the element's next and
 * prev. */
#define QUIC_LIST_PUSH(first, last, element, link)                                                 \
    do {                                                                                           \
        PLN_ASSERT((element)->link##_next == NULL && (element)->link##_prev == NULL);              \
        (element)->link##_next = NULL;                                                             \
        (element)->link##_prev = (last);                                                           \
        if ((last) != NULL) {                                                                      \
            (last)->link##_next = (element);                                                       \
        } else {                                                                                   \
            (first) = (element);                                                                   \
        }                                                                                          \
        (last) = (element);                                                                        \
    } while (0)

#define QUIC_LIST_REMOVE(first, last, element, link)                                               \
    do {                                                                                           \
        PLN_ASSERT((element)->link##_prev != NULL || (first) == (element));                        \
        PLN_ASSERT((element)->link##_next != NULL || (last) == (element));                         \
        if ((element)->link##_prev != NULL) {                                                      \
            (element)->link##_prev->link##_next = (element)->link##_next;                          \
        } else {                                                                                   \
            (first) = (element)->link##_next;                                                      \
        }                                                                                          \
        if ((element)->link##_next != NULL) {                                                      \
            (element)->link##_next->link##_prev = (element)->link##_prev;                          \
        } else {                                                                                   \
            (last) = (element)->link##_prev;                                                       \
        }                                                                                          \
        (element)->link##_next = NULL;                                                             \
        (element)->link##_prev = NULL;                                                             \
    } while (0)

#endif
