/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mesh core: sessions by peer key over one QUIC endpoint.  It races dials, settles which of
 * several sessions with a peer is the registered one, admits joiners, and carries envelopes and
 * streams.
 *
 * It does no I/O.  Calling order, for whoever drives it: any number of inputs (handle_*,
 * commands); then poll_transmit until false; then poll_event until false (which may lead to more
 * commands); then next_expiry.
 *
 * A command that takes time has an op, a number the caller chose and does not use twice at once;
 * it ends with exactly one OP_DONE, never from within the command itself, and never after
 * pln_mesh_cancel().
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_MESH_MESH_H
#define PLN_MESH_MESH_H

#include <pollen/event.h>
#include <pollen/packet.h>

#include "auth/credentials.h"
#include "auth/ledger.h"
#include "quic/quic.h"

typedef struct pln_mesh pln_mesh;
typedef uint64_t pln_op;        /* 0 names none. */
typedef uint64_t pln_stream_id; /* 0 names none; never used twice. */

typedef struct pln_mesh_config {
    const pln_credentials *creds; /* Copied.  Not enrolled: only invites can be redeemed. */
    pln_rng rng;
    const pln_log *log; /* Borrowed; may be NULL. */
    int64_t tls_identity_ttl_seconds;
    int64_t membership_ttl_seconds; /* Of what is issued here when the invite does not say. */
    pln_dur max_connection_age;     /* 0: never. */
    bool (*is_revoked)(void *ctx,
                       const pollen_key *key); /* May be NULL; subject and issuer are asked. */
    void *is_revoked_ctx;
    pln_congestion congestion;
    bool serve_invites;               /* Only ever with a signer. */
    bool only_mesh_1;                 /* Speak as the reference does, for tests. */
    pln_dur idle_timeout, keep_alive; /* 0: the defaults of base/limits.h. */
} pln_mesh_config;

POLLEN_MUST_USE pollen_err pln_mesh_create(const pln_mesh_config *config, pln_now now,
                                           pln_mesh **ret);
void pln_mesh_destroy(pln_mesh *mesh);

/* Before the first input: the record of redeemed invites.  Errors: POLLEN_ESTATE, POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_mesh_load_ledger(pln_mesh *mesh, const char *text, size_t size,
                                                char *why);

/* ---- Input and output ------------------------------------------------------------------------ */

void pln_mesh_handle_datagram(pln_mesh *mesh, const pln_datagram *datagram, pln_now now);
void pln_mesh_handle_timeout(pln_mesh *mesh, pln_now now);
bool pln_mesh_poll_transmit(pln_mesh *mesh, uint8_t *buf, pln_transmit *ret, pln_now now);
pln_ts pln_mesh_next_expiry(const pln_mesh *mesh);

/* ---- Sessions -------------------------------------------------------------------------------- */

/* OP_DONE: as pollen_mesh_connect().  A peer with a session is done at once.  Paths are copied;
 * tried in order, PLN_DIAL_STAGGER apart, the next one at once when one fails. */
void pln_mesh_connect(pln_mesh *mesh, pln_op op, const pollen_key *peer, const pln_path *paths,
                      size_t path_count, pln_ts deadline, pln_now now);

/* The same, but that paths which are being tried are tried once more, beside: a peer that has just
 * come up answers the newest of them, while those that it missed only repeat themselves after ever
 * longer waits. */
void pln_mesh_connect_again(pln_mesh *mesh, pln_op op, const pollen_key *peer,
                            const pln_path *paths, size_t path_count, pln_ts deadline, pln_now now);

/* OP_DONE when the peer has a session. */
void pln_mesh_wait(pln_mesh *mesh, pln_op op, const pollen_key *peer, pln_ts deadline, pln_now now);

void pln_mesh_close_peer(pln_mesh *mesh, const pollen_key *peer, pollen_end_reason reason,
                         pln_now now);
void pln_mesh_close_all(pln_mesh *mesh, pln_now now); /* Phrase "disconnect". */

/* No more dials, handshakes or ops: the last ones end with POLLEN_ECLOSED, sessions with
 * "disconnect". Output still has to be polled once. */
void pln_mesh_shutdown(pln_mesh *mesh, pln_now now);

/* A revocation became known: closes the subject's sessions. */
void pln_mesh_handle_revoked(pln_mesh *mesh, const pollen_key *subject, pln_now now);

typedef struct pln_session_info {
    pollen_key peer;
    uint64_t generation;
    bool speaks_2;
    size_t envelope_max; /* Largest encoded envelope that pln_mesh_send() takes now. */
    pln_conn_info conn;
    int64_t cert_not_before, cert_not_after;
    uint64_t cert_serial;
    bool cert_renewable;
} pln_session_info;

size_t pln_mesh_session_count(const pln_mesh *mesh);
/* In the order of the keys.  Errors: POLLEN_ENOENT past the end */
POLLEN_MUST_USE pollen_err pln_mesh_session_at(const pln_mesh *mesh, size_t index,
                                               pln_session_info *ret);
/* Errors: POLLEN_ENOTCONN */
POLLEN_MUST_USE pollen_err pln_mesh_session_info(const pln_mesh *mesh, const pollen_key *peer,
                                                 pln_session_info *ret);
static inline bool pln_mesh_has_session(const pln_mesh *mesh, const pollen_key *peer) {
    pln_session_info info;
    return pln_mesh_session_info(mesh, peer, &info) == POLLEN_OK;
}

/* ---- Envelopes ------------------------------------------------------------------------------- */

/*
 * Sends an *encoded* envelope on the peer's session.
 *
 * Owner:  takes the chunk on POLLEN_OK; on error the caller keeps it.
 * Errors: POLLEN_ENOTCONN, POLLEN_EMSGSIZE, POLLEN_EAGAIN
 */
POLLEN_MUST_USE pollen_err pln_mesh_send(pln_mesh *mesh, const pollen_key *peer, pln_chunk *chunk,
                                         pln_now now);

/* OP_DONE with rtt: as pollen_mesh_ping(). */
void pln_mesh_echo(pln_mesh *mesh, pln_op op, const pollen_key *peer, size_t size, pln_ts deadline,
                   pln_now now);

/* ---- Streams --------------------------------------------------------------------------------- */
/* As those of quic/quic.h, with the two-byte port handled here.  POLLEN_ENOENT for a stream that
 * is gone; when a session ends its streams end with STREAM_CLOSED and POLLEN_ENOTCONN.  What they
 * had received can be taken until the event after STREAM_CLOSED is asked for. */

/* OP_DONE with the stream: waits for a session and for stream credit. */
void pln_mesh_open_stream(pln_mesh *mesh, pln_op op, const pollen_key *peer, uint16_t port,
                          pln_ts deadline, pln_now now);
POLLEN_MUST_USE pollen_err pln_mesh_stream_send(pln_mesh *mesh, pln_stream_id stream,
                                                pln_chunk *chunk, bool fin);
size_t pln_mesh_stream_unacked(const pln_mesh *mesh, pln_stream_id stream);
pln_chunk *pln_mesh_stream_recv(pln_mesh *mesh, pln_stream_id stream, bool *ret_fin);
void pln_mesh_stream_reset(pln_mesh *mesh, pln_stream_id stream, uint64_t code);
void pln_mesh_stream_stop(pln_mesh *mesh, pln_stream_id stream, uint64_t code);

/* ---- Joining and certificates ---------------------------------------------------------------- */

/*
 * Redeems an invite at its bootstrap peers, all addresses raced.  OP_DONE carries the join token,
 * verified against the invite's trust and our key; nothing is changed here.  paths[i] belongs to
 * the bootstrap peer targets[i]: addresses in the token may be host names, which only the owner
 * can resolve.
 */
void pln_mesh_redeem(pln_mesh *mesh, pln_op op, const pln_invite_token *invite,
                     const pollen_key *targets, const pln_path *paths, size_t path_count,
                     pln_ts deadline, pln_now now);

/* Applies a join token to the credentials and serves with them.  CREDENTIALS_CHANGED follows when
 * it did. Errors: those of pln_credentials_apply() */
POLLEN_MUST_USE pollen_err pln_mesh_apply(pln_mesh *mesh, const pln_join_token *token, pln_now now);

/* Same key and cluster, or the first credentials.  Errors: POLLEN_EINVAL, POLLEN_ECLUSTER,
 * POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_mesh_set_credentials(pln_mesh *mesh, const pln_credentials *creds,
                                                    pln_now now);
const pln_credentials *pln_mesh_credentials(const pln_mesh *mesh);

/* OP_DONE when the renewed certificate is in use (CREDENTIALS_CHANGED comes before it). */
void pln_mesh_renew(pln_mesh *mesh, pln_op op, const pollen_key *peer, pln_ts deadline,
                    pln_now now);

/* The file that a LEDGER_WRITE event asked for is durable, or could not be written. */
void pln_mesh_ledger_written(pln_mesh *mesh, const char *token_id, pollen_err err, pln_now now);

/* ---- Operations and events ------------------------------------------------------------------- */

void pln_mesh_cancel(pln_mesh *mesh, pln_op op, pln_now now); /* Unknown ops are fine. */

typedef enum pln_mesh_event_kind {
    PLN_MESH_CONNECTED,
    PLN_MESH_DISCONNECTED,
    PLN_MESH_PATH,
    PLN_MESH_OP_DONE,
    PLN_MESH_PACKET,
    PLN_MESH_STREAM_ACCEPTED,
    PLN_MESH_STREAM_READABLE,
    PLN_MESH_STREAM_WRITABLE,
    PLN_MESH_STREAM_RESET,
    PLN_MESH_STREAM_STOPPED,
    PLN_MESH_STREAM_CLOSED,
    PLN_MESH_LEDGER_WRITE,
    PLN_MESH_CREDENTIALS_CHANGED,
    PLN_MESH_WANTED, /* Somebody asked for a peer that has no session; a hint, which may be lost. */
} pln_mesh_event_kind;

typedef struct pln_mesh_event {
    pln_mesh_event_kind kind;
    pollen_key peer;
    uint64_t generation;                /* CONNECTED, DISCONNECTED, PATH */
    pollen_addr addr;                   /* CONNECTED, PATH */
    bool inbound;                       /* CONNECTED */
    bool speaks_2;                      /* CONNECTED */
    pollen_end_reason reason;           /* DISCONNECTED; OP_DONE of a connect that failed */
    pln_op op;                          /* OP_DONE */
    pollen_err err;                     /* OP_DONE, STREAM_CLOSED */
    char detail[PLN_QUIC_PHRASE_BYTES]; /* OP_DONE: the peer's words or what failed last. */
    pln_dur rtt;                        /* OP_DONE of an echo */
    pln_join_token *join_token;    /* OP_DONE of a redeem: the receiver owns it (fini, pln_free). */
    pln_stream_id stream;          /* STREAM_*, OP_DONE of an open */
    uint16_t port;                 /* STREAM_ACCEPTED */
    uint64_t code;                 /* STREAM_RESET; STREAM_STOPPED, where 0 may mean not told */
    pollen_envelope_kind envelope; /* PACKET */
    pln_chunk *body;               /* PACKET: begin..end is the body; the receiver owns it. */
    char token_id[PLN_TOKEN_ID_BYTES]; /* LEDGER_WRITE */
    pln_bytes text;                    /* LEDGER_WRITE: the receiver owns it. */
} pln_mesh_event;

bool pln_mesh_poll_event(pln_mesh *mesh, pln_mesh_event *ret);

typedef struct pln_mesh_stats {
    pln_quic_stats quic;
    uint64_t envelopes_in, envelopes_out, envelopes_garbage, packets_dropped;
    uint64_t sessions_opened, sessions_closed, sessions_refused;
    uint64_t invites_redeemed, invites_refused;
} pln_mesh_stats;

void pln_mesh_get_stats(const pln_mesh *mesh, pln_mesh_stats *ret);

#endif
