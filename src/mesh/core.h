/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share: the objects of a mesh and who may call whom.
 *
 * Every QUIC connection that we know of is a pln_link in one table; what it is for decides which
 * file owns it: a dial that has not been confirmed (dial.c), a session (session.c), or an invite
 * connection of either side (invite_server.c, invite_client.c).  Inbound mesh connections become
 * known when their handshake is complete.
 *
 * Memory: an event that must not be lost has its node before the fact that causes it is admitted:
 * an op owns the node of its OP_DONE, a registered session that of its DISCONNECTED, a stream is
 * its own node.
 */
#ifndef PLN_MESH_CORE_H
#define PLN_MESH_CORE_H

#include "auth/verdicts.h"
#include "base/bucket.h"
#include "base/hash.h"
#include "base/heap.h"
#include "mesh/mesh.h"
#include "wire/envelope.h"

/* Surplus sessions that carry streams are let to finish them, for this long: as long again as a
 * session lasts that is rotated by age. */
#define PLN_DRAIN_MAX PLN_S(86400)

/* Rate limits of what peers make us compute or send. */
enum { PLN_ECHO_BURST = 128, PLN_ECHO_PER_S = 1000 };
enum { PLN_INVITE_CHECK_BURST = 64, PLN_INVITE_CHECKS_PER_S = 32 };

/* Packets that wait for pln_mesh_poll_event(); it is polled after every turn, so that this is only
 * reached when one turn brings more. */
enum { PLN_PACKETS_QUEUED_MAX = 16384 };

/* ---- Alarms (mesh.c) ------------------------------------------------------------------------- */

/* A deadline with what to do then.  From init to fini it stays in the heap, so that only init
 * can fail. */
typedef struct pln_alarm {
    pln_timer timer;
    void (*fire)(pln_mesh *mesh, struct pln_alarm *alarm, pln_now now);
} pln_alarm;

bool pln_alarm_init(pln_mesh *mesh, pln_alarm *alarm,
                    void (*fire)(pln_mesh *mesh, pln_alarm *alarm, pln_now now));
void pln_alarm_fini(pln_mesh *mesh, pln_alarm *alarm); /* Accepts a zeroed one. */
void pln_alarm_set(pln_mesh *mesh, pln_alarm *alarm, pln_ts at);
void pln_alarm_off(pln_mesh *mesh, pln_alarm *alarm);
bool pln_alarm_is_on(const pln_alarm *alarm);

/* The least of what is set and at. */
void pln_alarm_set_earlier(pln_mesh *mesh, pln_alarm *alarm, pln_ts at);

/* ---- Events (events.c) ----------------------------------------------------------------------- */

struct pln_mesh_op;
struct pln_mesh_stream;

typedef struct pln_event_link {
    struct pln_event_link *next;
    struct pln_mesh_stream *stream; /* NULL: a node. */
} pln_event_link;

typedef struct pln_event_node {
    pln_event_link link;
    struct pln_mesh_op *op; /* OP_DONE: freed with the event. */
    bool dead;              /* Canceled while queued. */
    pln_mesh_event event;
} pln_event_node;

typedef struct pln_events {
    pln_event_link *head, *tail;
    pln_event_node *spare; /* Linked by link.next. */
    size_t spare_count;
    size_t packets;
} pln_events;

bool pln_events_init(pln_events *events);
void pln_events_fini(pln_events *events);

pln_event_node *pln_events_node(pln_events *events); /* NULL when there is no memory. */
void pln_events_release(pln_events *events, pln_event_node *node);
void pln_events_push(pln_events *events, pln_event_node *node);
void pln_events_push_stream(pln_events *events, pln_event_link *link);

void pln_events_wanted(pln_mesh *mesh, const pollen_key *peer); /* WANTED */

/* A node of the reserve for what cannot be refused: an op that found no memory.  NULL when 16 of
 * them are waiting to be polled. */
pln_event_node *pln_events_node_reserved(pln_events *events);

/* ---- Links (mesh.c) -------------------------------------------------------------------------- */

typedef enum pln_link_kind {
    PLN_LINK_DIAL,
    PLN_LINK_SESSION,
    PLN_LINK_INVITE_SERVER,
    PLN_LINK_INVITE_CLIENT,
} pln_link_kind;

typedef struct pln_link {
    pln_conn_id conn;
    pln_link_kind kind;
    UT_hash_handle hh;
} pln_link;

bool pln_link_add(pln_mesh *mesh, pln_link *link, pln_link_kind kind, pln_conn_id conn);
void pln_link_remove(pln_mesh *mesh, pln_link *link);
pln_link *pln_link_find(const pln_mesh *mesh, pln_conn_id conn);

/* ---- Ops (ops.c) ----------------------------------------------------------------------------- */

typedef enum pln_op_kind {
    PLN_OP_CONNECT,
    PLN_OP_WAIT,
    PLN_OP_ECHO,
    PLN_OP_OPEN,
    PLN_OP_REDEEM,
    PLN_OP_RENEW,
} pln_op_kind;

typedef struct pln_mesh_op {
    pln_op id;
    UT_hash_handle hh;
    pln_op_kind kind;
    bool finished; /* OP_DONE is queued. */
    pollen_key peer;
    struct pln_mesh_op *prev, *next; /* In the list of whom it waits for. */
    pln_alarm deadline;
    pln_event_node *done;
    struct pln_session *session; /* ECHO, RENEW */
    struct pln_redeem *redeem;   /* REDEEM */
    uint64_t echo_id;            /* ECHO: id, or tag of the datagram. */
    size_t echo_size;            /* ECHO */
    pln_ts sent_at;              /* ECHO, RENEW */
    uint16_t port;               /* OPEN */
} pln_mesh_op;

typedef struct pln_op_result {
    pollen_err err;
    pollen_end_reason reason;
    const char *detail; /* May be NULL. */
    pln_dur rtt;
    pln_stream_id stream;
    pln_join_token *join_token; /* Taken. */
} pln_op_result;

/* NULL when it could not start; its OP_DONE is queued then. */
pln_mesh_op *pln_ops_start(pln_mesh *mesh, pln_op id, pln_op_kind kind, const pollen_key *peer,
                           pln_ts deadline);
/* Queues OP_DONE and takes the op out of the list it is in. */
void pln_ops_finish(pln_mesh *mesh, pln_mesh_op *op, const pln_op_result *result);
void pln_ops_finish_err(pln_mesh *mesh, pln_mesh_op *op, pollen_err err);
void pln_ops_finish_list(pln_mesh *mesh, pln_mesh_op **list, const pln_op_result *result);
/* OP_DONE of an op that never started. */
void pln_ops_refuse(pln_mesh *mesh, pln_op id, const pollen_key *peer, pollen_err err);
void pln_ops_free(pln_mesh *mesh, pln_mesh_op *op); /* Its event was polled. */
void pln_ops_finish_all(pln_mesh *mesh, pollen_err err);
void pln_ops_destroy_all(pln_mesh *mesh);

/* ---- Peers and sessions (registry.c, session.c, tiebreak.c) ---------------------------------- */

struct pln_race;

typedef struct pln_mesh_peer {
    pollen_key key;
    UT_hash_handle hh;
    struct pln_session
        *sessions[PLN_SESSIONS_PER_PEER_MAX]; /* In the order of their confirmation. */
    size_t session_count;
    struct pln_session *primary; /* The registered one. */
    pln_event_node *goodbye;     /* DISCONNECTED of the primary. */
    struct pln_race *race;
    pln_mesh_op *waiters; /* WAIT */
    pln_mesh_op *opens;   /* OPEN */
    pln_alarm settle;     /* tiebreak.c */
    pln_ts probe_at;      /* When all sessions were asked for a sign of life. */
    bool settled;         /* The grace is over: surplus sessions only wait for their streams. */
    pln_ts drain_until;   /* When they are cut nevertheless. */
    size_t headers;       /* Accepted streams without a port yet. */
} pln_mesh_peer;

typedef struct pln_session {
    pln_link link;
    pln_mesh_peer *peer;
    uint64_t order;      /* Of confirmation, mesh-wide. */
    uint64_t generation; /* Of its latest registration. */
    bool inbound;
    bool speaks_2;
    bool rotated; /* We replaced it ourselves: closed as soon as its streams are done. */
    pln_ts started_at;
    int64_t cert_not_before, cert_not_after; /* The peer's certificate. */
    int64_t own_not_after;                   /* Of ours in this session. */
    int64_t holds_until;                     /* The peer's newest, that we know of, ends then. */
    uint64_t cert_serial;
    bool cert_renewable;
    pollen_key issuer;
    uint32_t garbage;
    pln_bucket echo_bucket;
    pln_mesh_op *echoes;
    pln_mesh_op *renewals;
    pln_alarm renew_resend;
    pln_alarm expiry;
    pln_ts rotate_at; /* PLN_TS_NEVER: no more. */
    pln_ts age_out_at;
    struct pln_mesh_stream *streams;
    size_t stream_count;
} pln_session;

pln_mesh_peer *pln_registry_find(const pln_mesh *mesh, const pollen_key *key);
pln_mesh_peer *pln_registry_obtain(pln_mesh *mesh, const pollen_key *key); /* NULL: no memory. */
/* Frees the peer when nothing needs it any more. */
void pln_registry_release(pln_mesh *mesh, pln_mesh_peer *peer);
void pln_registry_destroy_all(pln_mesh *mesh);

/* Makes the session the primary: DISCONNECTED(reason) of the old one, CONNECTED of this; wakes who
 * waits. False when there is no memory; nothing changed then. */
bool pln_registry_register(pln_mesh *mesh, pln_session *session, pollen_end_reason reason,
                           pln_now now);
/* The primary is gone: DISCONNECTED. */
void pln_registry_unregister(pln_mesh *mesh, pln_mesh_peer *peer, pollen_end_reason reason);

/* A connection with a verified member is confirmed.  Takes over the connection: on lack of memory
 * it is closed.  Returns the session, or NULL with the reason. */
pln_session *pln_session_start(pln_mesh *mesh, pln_conn_id conn, const pln_conn_info *info,
                               pln_now now, pollen_err *ret_err);
/* The connection is gone; its streams and ops end, and another session of the peer may take its
 * place. */
void pln_session_end(pln_mesh *mesh, pln_session *session, pollen_end_reason reason, pln_now now);
/* Closes the connection with the phrase, then as pln_session_end(). */
void pln_session_close(pln_mesh *mesh, pln_session *session, const char *phrase,
                       pollen_end_reason reason, pln_now now);
/* All sessions of the peer at once, so that none takes another's place. */
void pln_session_close_peer(pln_mesh *mesh, pln_mesh_peer *peer, const char *phrase,
                            pollen_end_reason reason, pln_now now);
void pln_session_on_closed(pln_mesh *mesh, pln_session *session, const pln_quic_closed *closed,
                           pln_now now);
/* Sends an encoded envelope; POLLEN_ENOMEM, or as pln_quic_send_datagram().  Whoever repeats what
 * is not answered need not look: a datagram may be lost anyway. */
pollen_err pln_session_send(pln_mesh *mesh, pln_session *session, const pln_bytes *envelope,
                            uint64_t tag);
/* The same for any connection, such as one of an invite. */
pollen_err pln_mesh_send_conn(pln_mesh *mesh, pln_conn_id conn, const pln_bytes *envelope,
                              uint64_t tag);
pln_ts pln_session_last_rx(const pln_mesh *mesh, const pln_session *session);

void pln_session_free(pln_mesh *mesh, pln_session *session);

/* A session was added to its peer.  False: it is the only one and there is no memory to
 * register it. */
bool pln_tie_on_session(pln_mesh *mesh, pln_session *session, pln_now now);
/* The peer sent a datagram or opened a stream on it. */
void pln_tie_on_used(pln_mesh *mesh, pln_session *session, pln_now now);
/* The primary is about to go, for this reason, and stands in no list any more: registers the best
 * of the others; false when there is none. */
bool pln_tie_replace(pln_mesh *mesh, pln_mesh_peer *peer, pollen_end_reason reason, pln_now now);
/* A session of the peer is gone. */
void pln_tie_on_ended(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now);
void pln_tie_fire(pln_mesh *mesh, pln_alarm *alarm, pln_now now);

/* ---- Dials (dial.c) -------------------------------------------------------------------------- */

typedef struct pln_attempt {
    pln_link link;
    struct pln_race *race;
    struct pln_attempt *prev, *next;
} pln_attempt;

/* Who failed how; the error that says most wins. */
typedef struct pln_failure {
    pollen_err err;
    pollen_end_reason reason;
    char detail[PLN_QUIC_PHRASE_BYTES];
} pln_failure;

typedef struct pln_race {
    pln_mesh_peer *peer;
    pln_path paths[PLN_DIAL_ADDRS_MAX];
    size_t path_count;
    size_t next;           /* First path not tried yet. */
    pln_attempt *attempts; /* The oldest first. */
    size_t attempt_count;
    pln_mesh_op *ops;
    pln_alarm stagger;
    pln_failure failure;
    bool rotation;   /* Replaces a live session. */
    bool confirming; /* Its end is being handled: not to be freed by what that leads to. */
} pln_race;

void pln_dial_on_confirmed(pln_mesh *mesh, pln_attempt *attempt, pln_now now);
void pln_dial_on_closed(pln_mesh *mesh, pln_attempt *attempt, const pln_quic_closed *closed,
                        pln_now now);
/* The peer has a session: connects are done; dials under way finish by themselves. */
void pln_dial_on_registered(pln_mesh *mesh, pln_mesh_peer *peer);
/* An op of the race ended by itself; without any, the race is given up. */
void pln_dial_on_op_gone(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now);
/* Closes dials that nobody waits for. */
void pln_dial_abandon(pln_mesh *mesh, pln_mesh_peer *peer, pln_now now);
/* Dials the path of a live session again, to replace it; false when a race is under way. */
bool pln_dial_rotate(pln_mesh *mesh, pln_session *session, pln_now now);
void pln_dial_destroy(pln_mesh *mesh, pln_race *race);

/* ---- Streams (streams.c) --------------------------------------------------------------------- */

typedef enum pln_stream_state {
    PLN_STREAM_HEADER, /* Accepted, port not read yet: unknown to the owner. */
    PLN_STREAM_OPEN,
    PLN_STREAM_GONE, /* Lives until its last event was polled. */
} pln_stream_state;

typedef struct pln_stream_key {
    pln_conn_id conn;
    int64_t id;
} pln_stream_key;

typedef struct pln_mesh_stream {
    pln_stream_id id;
    pln_stream_key key;
    UT_hash_handle hh;      /* By id. */
    UT_hash_handle hh_quic; /* By key. */
    pln_session *session;   /* NULL when gone. */
    struct pln_mesh_stream *prev, *next;
    pollen_key peer;
    pln_stream_state state;
    uint16_t port;
    uint8_t header[2];
    size_t header_size;
    pln_chunkq rest; /* What came in one chunk with the header, or before the session ended. */
    bool fin;        /* The end was seen while the header was read, and not yet handed on. */
    bool closed;     /* The connection has no more of it. */
    bool silent;     /* The owner does not know it, or no longer. */
    pln_alarm header_alarm;
    pln_event_link event;
    bool queued;
    unsigned flags; /* 1 << pln_mesh_event_kind of what is to be reported. */
    uint64_t reset_code, stopped_code;
    pollen_err err;
} pln_mesh_stream;

void pln_streams_serve(pln_mesh *mesh, pln_mesh_peer *peer); /* Opens what waits to be opened. */
void pln_streams_on_event(pln_mesh *mesh, pln_session *session, const pln_quic_event *event,
                          pln_now now);
void pln_streams_on_session_end(pln_mesh *mesh, pln_session *session);
bool pln_streams_poll(pln_mesh *mesh, pln_mesh_stream *stream, pln_mesh_event *ret);
void pln_streams_end_farewell(pln_mesh *mesh);
/* Gives up a stream that its opener will never hear of. */
void pln_streams_forsake(pln_mesh *mesh, pln_stream_id id);
void pln_streams_destroy_all(pln_mesh *mesh);

/* ---- Envelopes, echo, renewal, expiry -------------------------------------------------------- */

/* Takes the chunk. */
void pln_envelopes_on_datagram(pln_mesh *mesh, pln_session *session, pln_chunk *chunk, pln_now now);

void pln_echo_on_envelope(pln_mesh *mesh, pln_session *session, const uint8_t *body, size_t size,
                          pln_now now);
/* The peer's session is another one now: what was asked on the old one is asked again. */
void pln_echo_on_replaced(pln_mesh *mesh, pln_session *old, pln_session *session, pln_now now);
void pln_echo_on_acked(pln_mesh *mesh, pln_session *session, uint64_t tag, pln_now now);

void pln_renewal_on_request(pln_mesh *mesh, pln_session *session, const uint8_t *body, size_t size,
                            pln_now now);
void pln_renewal_on_response(pln_mesh *mesh, pln_session *session, const uint8_t *body, size_t size,
                             pln_now now);
void pln_renewal_fire(pln_mesh *mesh, pln_alarm *alarm, pln_now now);

/* What was last issued to a subject, for requests that come again. */
typedef struct pln_issued {
    pollen_key subject;
    UT_hash_handle hh; /* Oldest first. */
    uint64_t serial;
    int64_t not_before, not_after;
    pln_ts at;
    pln_bytes answer;
} pln_issued;

/* The latest; NULL when nothing was issued, or so much since then that it is forgotten. */
const pln_issued *pln_issued_find(const pln_mesh *mesh, const pollen_key *subject);
/* Takes the answer.  Without memory it is forgotten at once. */
void pln_issued_note(pln_mesh *mesh, const pln_member_cert *cert, pln_bytes *answer, pln_now now);
void pln_issued_destroy_all(pln_mesh *mesh);

void pln_expiry_start(pln_mesh *mesh, pln_session *session, pln_now now);
void pln_expiry_fire(pln_mesh *mesh, pln_alarm *alarm, pln_now now);
/* A certificate with this end does not hold any more, clocks that differ allowed for. */
bool pln_expiry_is_run_out(int64_t not_after, pln_wall now);
/* Every input comes with a time of day: notes when that clock was set. */
void pln_expiry_on_clock(pln_mesh *mesh, pln_now now);
/* Our certificate changed: sessions that were opened with the old one are replaced. */
void pln_expiry_on_renewed(pln_mesh *mesh, pln_now now);

/* ---- Invites (invite_server.c, invite_client.c) ---------------------------------------------- */

void pln_invite_server_on_confirmed(pln_mesh *mesh, pln_conn_id conn, const pln_conn_info *info,
                                    pln_now now);
void pln_invite_server_on_datagram(pln_mesh *mesh, pln_link *link, const pln_chunk *chunk,
                                   pln_now now);
void pln_invite_server_on_acked(pln_mesh *mesh, pln_link *link, uint64_t tag, pln_now now);
void pln_invite_server_on_closed(pln_mesh *mesh, pln_link *link);
void pln_invite_server_close_all(pln_mesh *mesh, const char *phrase, pln_now now);
void pln_invite_server_destroy_all(pln_mesh *mesh);

void pln_invite_client_on_confirmed(pln_mesh *mesh, pln_link *link, pln_now now);
void pln_invite_client_on_datagram(pln_mesh *mesh, pln_link *link, const pln_chunk *chunk,
                                   pln_now now);
void pln_invite_client_on_closed(pln_mesh *mesh, pln_link *link, const pln_quic_closed *closed,
                                 pln_now now);
/* What the bootstrap peers said so far, if they said anything. */
void pln_invite_client_verdict(const struct pln_redeem *redeem, pln_failure *ret);
/* The op ended: closes what it has and frees it. */
void pln_invite_client_stop(pln_mesh *mesh, struct pln_redeem *redeem, pln_now now);
void pln_invite_client_stop_all(pln_mesh *mesh, pln_now now);
void pln_invite_client_destroy_all(pln_mesh *mesh);

/* ---- Reasons (reasons.c) --------------------------------------------------------------------- */

const char *pln_reason_phrase(pollen_end_reason reason); /* What we say when we close. */
pollen_end_reason pln_reason_of_closed(const pln_quic_closed *closed);
/* The peer gave up all of its sessions with us, not this one alone. */
bool pln_reason_is_final(const pln_quic_closed *closed);
void pln_failure_note(pln_failure *failure, pollen_err err, pollen_end_reason reason,
                      const char *detail);
void pln_failure_of_closed(pln_failure *failure, const pln_quic_closed *closed);
/* Says more than that nobody answered. */
bool pln_failure_is_verdict(const pln_failure *failure);
void pln_text_copy(char *dst, size_t cap, const char *text);

/* ---- The mesh -------------------------------------------------------------------------------- */

struct pln_mesh {
    pln_quic *quic;
    pln_credentials creds;
    pln_verdicts verdicts; /* Signatures found good: a handshake judges its peer twice. */
    pln_rng rng;
    const pln_log *log;
    int64_t membership_ttl_seconds;
    pln_dur max_connection_age;
    int64_t clock_offset; /* Of the time of day from the monotonic clock, seconds. */
    bool (*is_revoked)(void *ctx, const pollen_key *key);
    void *is_revoked_ctx;
    bool serve_invites;
    bool is_shut;
    bool dirty; /* Something may have to be sent. */

    pln_hash_key hash_key;
    pln_heap timers;
    pln_events events;
    pln_link *links;
    pln_mesh_peer *peers;
    pln_mesh_peer **registered; /* Sorted by key. */
    size_t registered_count, registered_cap;
    pln_mesh_op *ops;
    size_t waiter_count;
    pln_mesh_stream *streams, *streams_quic;
    pln_mesh_stream *farewell; /* Its CLOSED was told last: what it has left can be taken. */
    struct pln_invite_conn *invite_conns;
    size_t invite_conn_count;
    pln_bucket invite_bucket;
    struct pln_redeem *redeems;
    struct pln_issued *issued;
    pln_ledger ledger;
    bool ledger_busy; /* One write at a time, so that a failed one cannot be in a later file. */
    char ledger_token_id[PLN_TOKEN_ID_BYTES];

    uint64_t next_generation, next_order, next_tag;
    pln_stream_id next_stream;
    pln_mesh_stats stats;
};

bool pln_mesh_is_revoked(const pln_mesh *mesh, const pollen_key *key);
/* Serves with these credentials from now on and takes them; CREDENTIALS_CHANGED follows. */
POLLEN_MUST_USE pollen_err pln_mesh_install(pln_mesh *mesh, pln_credentials *creds, pln_now now);

#endif
