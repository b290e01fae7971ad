/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC behind one small interface: an endpoint that many connections share, without I/O.  The only
 * room that sees ngtcp2 and GnuTLS.
 *
 * Calling order, for whoever drives it: any number of inputs (handle_*, commands); then
 * poll_transmit until it returns false; then poll_event until it returns false (which may lead to
 * more commands); then next_expiry.  Inputs never call back, except `verify`, which judges a peer's
 * certificate in the middle of a handshake and must not call into the endpoint.
 *
 * A connection is named by an id; an id of a connection that is gone is refused with POLLEN_ENOENT.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_QUIC_QUIC_H
#define PLN_QUIC_QUIC_H

#include "base/addr.h"
#include "base/chunk.h"
#include "base/datagram.h"
#include "base/key.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/time.h"

typedef struct pln_quic pln_quic;
typedef uint64_t pln_conn_id; /* 0 names none. */

typedef enum pln_alpn {
    PLN_ALPN_NONE,
    PLN_ALPN_MESH_1, /* "pollen/1": the reference's protocol. */
    PLN_ALPN_MESH_2, /* "pollen/2": the same, and what the reference cannot say. */
    PLN_ALPN_INVITE, /* "pollen-invite/1" */
} pln_alpn;

/* A peer whose TLS signature has been checked: it holds this key.  All else is for verify. */
typedef struct pln_quic_peer {
    pollen_key key;
    pln_alpn alpn;
    bool inbound;
    const uint8_t *member_cert; /* Encoded, from the certificate's extension; NULL: none. */
    size_t member_cert_size;
} pln_quic_peer;

typedef enum pln_congestion {
    PLN_CONGESTION_BBR, /* The default: a lossy path starves CUBIC. */
    PLN_CONGESTION_CUBIC,
} pln_congestion;

typedef struct pln_quic_config {
    const pollen_seed *seed; /* Copied; TLS key, and the root of reset and token secrets. */
    pln_rng rng;             /* The endpoint's own choices; TLS draws its own. */
    const pln_log *log;      /* Borrowed for the endpoint's life; may be NULL. */
    /* POLLEN_OK lets the handshake finish; anything else fails it with bad_certificate and is
     * reported in the connection's end. */
    pollen_err (*verify)(void *ctx, const pln_quic_peer *peer, pln_now now);
    void *verify_ctx;
    pln_congestion congestion;
    int64_t tls_identity_ttl_seconds;
    pln_dur idle_timeout;      /* 0: PLN_IDLE_TIMEOUT. */
    pln_dur keep_alive;        /* 0: PLN_KEEP_ALIVE. */
    pln_dur handshake_timeout; /* 0: PLN_HANDSHAKE_TIMEOUT. */
    bool accept_mesh;          /* Serve the mesh ALPNs (needs an identity). */
    bool accept_invites;       /* Serve the invite ALPN. */
    bool only_mesh_1;          /* Speak as the reference does, for tests. */
} pln_quic_config;

/* Errors: POLLEN_EKEY, POLLEN_ENOMEM, POLLEN_ESYS (a library would not initialise) */
POLLEN_MUST_USE pollen_err pln_quic_create(const pln_quic_config *config, pln_now now,
                                           pln_quic **ret);
void pln_quic_destroy(pln_quic *quic); /* Sends nothing; accepts NULL. */

/*
 * Makes the X.509 certificate that carries this MembershipCert and uses it from the next handshake
 * on; sessions keep what they were opened with.  Before the first call the endpoint has a bare
 * certificate, which serves the invite ALPN alone.
 *
 * Errors: POLLEN_ECERT, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_quic_set_identity(pln_quic *quic, const uint8_t *member_cert,
                                                 size_t size, pln_wall now);
void pln_quic_set_accept(pln_quic *quic, bool mesh, bool invites);

/* ---- Datagrams in and out -------------------------------------------------------------------- */

/* True for bytes that belong here and not to the probe protocol (RFC 9443 style, by the first
 * byte). */
bool pln_quic_is_quic(const uint8_t *data, size_t size);

void pln_quic_handle_datagram(pln_quic *quic, const pln_datagram *datagram, pln_now now);
void pln_quic_handle_timeout(pln_quic *quic, pln_now now); /* Late or spurious calls do nothing. */

/* Fills buf, which has room for PLN_TRANSMIT_BYTES; false when nothing is to be sent now. */
bool pln_quic_poll_transmit(pln_quic *quic, uint8_t *buf, pln_transmit *ret, pln_now now);

pln_ts pln_quic_next_expiry(const pln_quic *quic);

/* ---- Connections ----------------------------------------------------------------------------- */

/*
 * Starts a handshake towards a key; mesh dials offer pollen/2 and pollen/1, invite dials their own
 * ALPN.  CONNECTED or CLOSED follows as an event.
 *
 * Errors: POLLEN_EADDR (not sendable), POLLEN_ENOTENROLLED (mesh dial without an identity),
 *         POLLEN_ELIMIT, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_quic_dial(pln_quic *quic, const pln_path *path,
                                         const pollen_key *expected, bool invite, pln_now now,
                                         pln_conn_id *ret);

/*
 * Closes with an application code and phrase (RFC 9000, 19.19); before the handshake is complete
 * the peer sees a transport error instead.  The id is gone at once and no CLOSED event follows; the
 * endpoint answers late packets with the close for three PTOs.  Unknown ids are fine.
 *
 * Owner: phrase is copied.
 */
void pln_quic_close(pln_quic *quic, pln_conn_id conn, uint64_t code, const char *phrase,
                    pln_now now);

typedef struct pln_conn_info {
    pollen_key peer; /* Zero until known; the expected key on the dialler. */
    pln_alpn alpn;
    bool inbound;   /* The peer initiated. */
    bool connected; /* As the CONNECTED event. */
    pln_path path;
    pln_ts started_at;   /* First packet sent or received. */
    pln_ts connected_at; /* PLN_TS_NEVER before. */
    pln_ts last_rx_at;   /* Of an authenticated packet. */
    pln_dur rtt;         /* Smoothed; 0 before the first sample. */
    uint64_t cwnd;
    size_t mtu; /* Current UDP payload bytes. */
    uint64_t bytes_in, bytes_out;
    uint64_t packets_lost; /* 0 so far: ngtcp2 1.11 does not count them. */
    uint64_t datagrams_in, datagrams_out, datagrams_dropped;
} pln_conn_info;

POLLEN_MUST_USE pollen_err pln_quic_conn_info(const pln_quic *quic, pln_conn_id conn,
                                              pln_conn_info *ret);

/* Encoded MembershipCert that the peer presented; NULL when bare or unknown.  Borrowed until the
 * end. */
const uint8_t *pln_quic_peer_cert(const pln_quic *quic, pln_conn_id conn, size_t *ret_size);

/* Asks the peer for a sign of life now: an ack-eliciting packet that loss recovery repeats. */
void pln_quic_ping(pln_quic *quic, pln_conn_id conn, pln_now now);

/* ---- DATAGRAM frames ------------------------------------------------------------------------- */

/* The largest payload that fits the path and the peer's limit at this moment; 0 before CONNECTED
 * and for an unknown id. */
size_t pln_quic_datagram_max(const pln_quic *quic, pln_conn_id conn);

/*
 * O(1) enqueue.  tag 0, or a number that comes back in DATAGRAM_ACKED.
 *
 * Owner:  takes the chunk on POLLEN_OK; on error the caller keeps it.
 * Errors: POLLEN_ENOENT, POLLEN_EMSGSIZE (empty, or above pln_quic_datagram_max()), POLLEN_EAGAIN
 */
POLLEN_MUST_USE pollen_err pln_quic_send_datagram(pln_quic *quic, pln_conn_id conn,
                                                  pln_chunk *chunk, uint64_t tag);

/* ---- Streams --------------------------------------------------------------------------------- */
/* Bidirectional byte streams; a stream is named by connection and QUIC stream id.  All calls give
 * POLLEN_ENOENT for a stream that is gone. */

/* Errors: POLLEN_EAGAIN (no stream credit now: STREAMS_AVAILABLE tells when), POLLEN_ENOENT */
POLLEN_MUST_USE pollen_err pln_quic_stream_open(pln_quic *quic, pln_conn_id conn,
                                                int64_t *ret_stream);

/*
 * Queues bytes, and the end of the sending side with fin (then chunk may be NULL).
 *
 * Owner:  takes the chunk on POLLEN_OK.
 * Errors: POLLEN_ENOENT, POLLEN_ECLOSED (after fin or reset, or when the connection has ended)
 */
POLLEN_MUST_USE pollen_err pln_quic_stream_send(pln_quic *quic, pln_conn_id conn, int64_t stream,
                                                pln_chunk *chunk, bool fin);

/* Bytes taken and not yet acknowledged: what a sender limits itself by.  Falling below
 * PLN_STREAM_SEND_LOW raises STREAM_WRITABLE. */
size_t pln_quic_stream_unacked(const pln_quic *quic, pln_conn_id conn, int64_t stream);
enum { PLN_STREAM_SEND_LOW = 1024 * 1024, PLN_STREAM_SEND_HIGH = 4 * 1024 * 1024 };

/* Takes the next received chunk (NULL when there is none now), which gives its bytes back to the
 * peer as flow-control credit.  *ret_fin: nothing will follow. */
pln_chunk *pln_quic_stream_recv(pln_quic *quic, pln_conn_id conn, int64_t stream, bool *ret_fin);

/* RESET_STREAM for our side; STOP_SENDING for the peer's, whose bytes are dropped from then on. */
void pln_quic_stream_reset(pln_quic *quic, pln_conn_id conn, int64_t stream, uint64_t code);
void pln_quic_stream_stop(pln_quic *quic, pln_conn_id conn, int64_t stream, uint64_t code);

/* ---- Events ---------------------------------------------------------------------------------- */

typedef enum pln_quic_event_kind {
    PLN_QUIC_CONNECTED, /* Dialler: the server confirmed us; acceptor: the handshake is complete. */
    /* Exactly once, unless we closed it; the id is gone after this event, but that until the next
     * one is asked for, pln_quic_stream_recv() still gives what its streams had received.  Also for
     * an inbound connection that failed before it was CONNECTED, whose id nobody has heard of
     * before. */
    PLN_QUIC_CLOSED,
    PLN_QUIC_DATAGRAM,
    PLN_QUIC_DATAGRAM_ACKED,
    PLN_QUIC_STREAM_OPENED, /* By the peer. */
    /* Bytes or the end; not repeated until pln_quic_stream_recv() ran dry. */
    PLN_QUIC_STREAM_READABLE,
    PLN_QUIC_STREAM_WRITABLE,
    PLN_QUIC_STREAM_RESET, /* The peer reset its side: code. */
    /* The peer wants no more of ours, which has been reset.  The code is 0 unless the stream is
     * closed already: before, ngtcp2 1.11 does not tell it. */
    PLN_QUIC_STREAM_STOPPED,
    /* Both sides ended and acknowledged, and what came was taken; the id is gone. */
    PLN_QUIC_STREAM_CLOSED,
    PLN_QUIC_STREAMS_AVAILABLE,
    PLN_QUIC_PATH_CHANGED, /* The peer moved, and the new path is validated. */
} pln_quic_event_kind;

typedef enum pln_quic_end {
    PLN_QUIC_END_IDLE,      /* Nothing heard for the idle timeout. */
    PLN_QUIC_END_HANDSHAKE, /* The handshake did not finish in time. */
    PLN_QUIC_END_RESET,     /* Stateless reset: the peer lost its state. */
    PLN_QUIC_END_APP,       /* The peer closed with an application code and phrase. */
    PLN_QUIC_END_TRANSPORT, /* The peer closed with a transport or crypto error: code. */
    PLN_QUIC_END_VERIFY,    /* We refused the peer: err. */
    PLN_QUIC_END_ERROR,     /* Protocol violation or lack of memory on our side: err, code. */
} pln_quic_end;

#define PLN_QUIC_PHRASE_BYTES 128

typedef struct pln_quic_closed {
    pln_quic_end end;
    uint64_t code;
    pollen_err err; /* POLLEN_EIDENTITY, what verify returned, POLLEN_EVERSION, ... */
    char phrase[PLN_QUIC_PHRASE_BYTES]; /* The peer's words, printable ASCII only, cut. */
} pln_quic_closed;

typedef struct pln_quic_event {
    pln_quic_event_kind kind;
    pln_conn_id conn;
    int64_t stream;
    uint64_t code;          /* STREAM_RESET, STREAM_STOPPED */
    uint64_t tag;           /* DATAGRAM_ACKED */
    pln_chunk *datagram;    /* DATAGRAM: the receiver owns it. */
    pln_quic_closed closed; /* CLOSED */
} pln_quic_event;

bool pln_quic_poll_event(pln_quic *quic, pln_quic_event *ret);

/* Counters of the endpoint, for status and tests. */
typedef struct pln_quic_stats {
    uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out;
    uint64_t dropped_unknown; /* No connection, not an Initial, no reset due. */
    uint64_t dropped_limit;   /* Refused by a limit or a source's allowance. */
    uint64_t retries_sent, resets_sent, resets_received;
    size_t connections, handshakes;
} pln_quic_stats;

void pln_quic_get_stats(const pln_quic *quic, pln_quic_stats *ret);

#endif
