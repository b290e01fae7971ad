/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mesh: sessions between keys.  It owns a UDP socket, keeps at most one registered QUIC session
 * for each peer, and sends and receives envelopes and streams over them.
 *
 * Thread: every function is safe from any thread, but for pollen_mesh_destroy(), which is the last
 *         call. One loop thread owns all state.  An embedder with a loop of its own sets
 *         `external_loop` and drives the mesh by pollen_mesh_fd(), pollen_mesh_timeout_ms() and
 *         pollen_mesh_dispatch(); calls that wait, made from the driving thread, dispatch while
 *         they wait.
 * Waiting: timeouts are milliseconds; 0 only looks, negative waits without limit.  Every waiting
 *         call ends with POLLEN_ECLOSED when the mesh closes, and with POLLEN_ECANCELED when its
 *         pollen_cancel fires.
 * Lifetime: pollen_mesh_close() ends all sessions and waiting calls; streams stay valid handles
 *         (and give POLLEN_ECLOSED) until each is closed; pollen_mesh_destroy() frees the mesh.
 */
#ifndef POLLEN_MESH_H
#define POLLEN_MESH_H

#include <pollen/admission.h>
#include <pollen/event.h>
#include <pollen/packet.h>
#include <pollen/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pollen_mesh pollen_mesh;

/* Lets another thread end a waiting call: fired once, it stays fired. */
typedef struct pollen_cancel pollen_cancel;
POLLEN_API POLLEN_MUST_USE pollen_err pollen_cancel_create(pollen_cancel **ret_cancel);
POLLEN_API void pollen_cancel_fire(pollen_cancel *cancel);
/* After the calls that use it have returned. */
POLLEN_API void pollen_cancel_destroy(pollen_cancel *cancel);

typedef enum pollen_congestion { POLLEN_CONGESTION_BBR, POLLEN_CONGESTION_CUBIC } pollen_congestion;

/* Set the defaults with pollen_mesh_config_init(), which also fills size. */
typedef struct pollen_mesh_config {
    size_t size;
    const pollen_credentials *credentials; /* Copied. */
    uint16_t port;                         /* 0: any. */
    int64_t tls_identity_ttl_seconds;      /* Of the X.509 certificate; default ten years. */
    int64_t membership_ttl_seconds;        /* Of certificates issued here; default a year. */
    int64_t max_connection_age_seconds;    /* 0: never; up to 100 years. */
    /* Asked for the subject and for the issuer of every certificate; true refuses it.  Called on
     * the loop thread and must not call the mesh.  NULL: nobody is revoked. */
    bool (*is_subject_revoked)(void *context, const pollen_key *key);
    void *is_subject_revoked_context;
    /* Where this mesh alone keeps its record of redeemed invites (consumed_invites.json) and, with
     * gossip, what it knows of the cluster (state.yaml).  NULL: both are lost with the process. */
    const char *state_dir;
    pollen_congestion congestion;
    /* Tell and learn what pollen/cluster.h has, and keep sessions with all members in reach;
     * pollen_mesh_advertise() says where we are.  Off, only what is asked for is dialled. */
    bool gossip;
    bool external_loop;
    /* A line of text, level 0 (error) to 3 (debug); from the loop thread.  NULL: silent. */
    void (*log)(void *context, int level, const char *line);
    void *log_context;
    int log_level;
} pollen_mesh_config;

POLLEN_API void pollen_mesh_config_init(pollen_mesh_config *config);

/*
 * Binds one dual-stack UDP socket (IPv4 alone where there is no IPv6) and starts serving.
 *
 * Owner:  config and what it points to are copied, but for the callbacks' contexts.
 * Errors: POLLEN_EINVAL      no credentials, size not filled
 *         POLLEN_EADDRINUSE  the port is taken
 *         POLLEN_ESTATE (malformed), POLLEN_EMODE, POLLEN_ELIMIT (too long) of a file in state_dir,
 *         POLLEN_EPERM, POLLEN_EIO, POLLEN_ENOSPC, POLLEN_ENOMEM, POLLEN_ESYS
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_create(const pollen_mesh_config *config,
                                                         pollen_mesh **ret_mesh);

/* Ends every session with a close the peer sees, and all waiting calls.  Idempotent. */
POLLEN_API void pollen_mesh_close(pollen_mesh *mesh);
POLLEN_API void pollen_mesh_destroy(pollen_mesh *mesh); /* Closes first; accepts NULL. */

POLLEN_API uint16_t pollen_mesh_listen_port(const pollen_mesh *mesh);
POLLEN_API pollen_key pollen_mesh_key(const pollen_mesh *mesh);

/* ---- Sessions -------------------------------------------------------------------------------- */

/*
 * Opens a session with the peer at one of its addresses, tried in order and overlapping; returns at
 * once when there is one already.
 *
 * Errors: POLLEN_EUNREACHABLE  no address answered
 *         POLLEN_EIDENTITY     another key answered
 *         POLLEN_EDENIED       the peer refused our certificate
 *         POLLEN_EREVOKED, POLLEN_EEXPIRED, POLLEN_ECLUSTER, POLLEN_ECERT  we refuse the peer's
 *         POLLEN_EVERSION, POLLEN_EADDR (no usable address), POLLEN_EINVAL (our own key)
 *         POLLEN_ENOTENROLLED, POLLEN_ELIMIT, POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED,
 *         POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_connect(pollen_mesh *mesh, const pollen_key *peer,
                                                          const pollen_addr *addrs,
                                                          size_t addr_count, int timeout_ms,
                                                          pollen_cancel *cancel);

/*
 * Joins by token: applies it to the credentials of this mesh and connects to its bootstrap peers
 * until one session stands.  By invite: redeems it first, over this mesh's own socket.
 * The state directory is not written; see pollen_mesh_credentials().
 *
 * Errors: those of pollen_credentials_apply(), pollen_redeem_invite() and pollen_mesh_connect()
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_join_with_token(pollen_mesh *mesh,
                                                                  const char *token, int timeout_ms,
                                                                  pollen_cancel *cancel);
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_join_with_invite(pollen_mesh *mesh,
                                                                   const char *invite,
                                                                   int timeout_ms,
                                                                   pollen_cancel *cancel);

/* Closes the session, if there is one, and tells the peer why.  Idempotent; does not wait. */
POLLEN_API void pollen_mesh_close_peer_session(pollen_mesh *mesh, const pollen_key *peer,
                                               pollen_end_reason reason);

/* Closes all sessions gracefully and keeps the mesh; does not wait. */
POLLEN_API void pollen_mesh_broadcast_disconnect(pollen_mesh *mesh);

/* Up to cap keys of peers with a session, sorted; returns how many there are. */
POLLEN_API size_t pollen_mesh_connected_peers(pollen_mesh *mesh, pollen_key *keys, size_t cap);

/* Errors: POLLEN_ENOTCONN */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_active_peer_address(pollen_mesh *mesh,
                                                                      const pollen_key *peer,
                                                                      pollen_addr *ret_addr);

/* Errors: POLLEN_ENOTCONN */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_peer_membership_cert(pollen_mesh *mesh,
                                                                       const pollen_key *peer,
                                                                       pollen_cert_info *ret_info);

typedef struct pollen_session_info {
    pollen_addr addr;
    uint64_t generation;
    bool inbound;
    bool punched;         /* Through a hole in a NAT (see pollen/nat.h). */
    bool speaks_2;        /* ALPN pollen/2: payload envelopes and echoes are understood. */
    int64_t connected_ms; /* How long it has been up. */
    uint32_t rtt_us;      /* Smoothed; 0 when unknown. */
    uint64_t cwnd_bytes;
    uint32_t mtu_bytes; /* UDP payload. */
    uint64_t bytes_in, bytes_out, packets_lost;
    uint64_t datagrams_in, datagrams_out, datagrams_dropped;
} pollen_session_info;

/* Errors: POLLEN_ENOTCONN */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_session_info(pollen_mesh *mesh,
                                                               const pollen_key *peer,
                                                               pollen_session_info *ret_info);

/*
 * Keeps a session with this peer from now on: dials it, and dials again after every end, by the
 * peer state machine (pollen/peer.h).  A second call replaces the addresses.  Does not wait.
 *
 * Errors: POLLEN_EADDR (no usable address), POLLEN_EINVAL (our own key), POLLEN_EREVOKED,
 *         POLLEN_ELIMIT, POLLEN_ENOMEM, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_keep_peer(pollen_mesh *mesh,
                                                            const pollen_key *peer,
                                                            const pollen_addr *addrs,
                                                            size_t addr_count);

/*
 * Tells other members the IP addresses at which they may reach this node, the best first, with the
 * port of this mesh; a second call replaces them.  Without gossip it does nothing.
 *
 * Errors: POLLEN_EINVAL, POLLEN_ENOMEM, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_advertise(pollen_mesh *mesh,
                                                            const pollen_addr *addrs,
                                                            size_t addr_count);

/* Snapshots of the kept peers, and of those with a session, in the order of their keys.  Returns
 * how many there are; up to cap are filled. */
POLLEN_API size_t pollen_mesh_peers(pollen_mesh *mesh, pollen_peer *peers, size_t cap);

/* ---- Certificates ---------------------------------------------------------------------------- */

/*
 * Uses other credentials of the same key and cluster (or the first ones of a node that had none)
 * from the next handshake on; sessions stay.
 *
 * Errors: POLLEN_EINVAL (another key), POLLEN_ECLUSTER, POLLEN_ENOTENROLLED, POLLEN_ENOMEM,
 *         POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err
pollen_mesh_update_cert(pollen_mesh *mesh, const pollen_credentials *credentials);

/*
 * Asks the peer, an admin, to renew our certificate, and installs an answer that lasts longer.
 *
 * Errors: POLLEN_ENOTCONN, POLLEN_EDENIED (pollen_last_error() has the peer's words), POLLEN_ECERT
 *         and others of a certificate that does not hold, POLLEN_ETIMEDOUT, POLLEN_ECANCELED,
 *         POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_request_cert_renewal(pollen_mesh *mesh,
                                                                       const pollen_key *peer,
                                                                       int timeout_ms,
                                                                       pollen_cancel *cancel);

/* A copy of the credentials in use, to be saved after a join or a renewal.
 * Owner: the caller.  Errors: POLLEN_ENOMEM, POLLEN_ECLOSED */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_credentials(pollen_mesh *mesh,
                                                              pollen_credentials **ret_credentials);

/* ---- Datagrams ------------------------------------------------------------------------------- */

/*
 * Sends one envelope: an O(1) enqueue that never waits for the network, also when the peer has gone
 * silent.  Not retransmitted.
 *
 * Owner:  the envelope is copied.
 * Errors: POLLEN_ENOTCONN
 *         POLLEN_EMSGSIZE  see pollen_mesh_max_envelope() for the exact maximum of this moment
 *         POLLEN_EAGAIN    the peer's queue is full; nothing was sent
 *         POLLEN_ENOTSUP   a kind of pollen/2 to a peer that speaks pollen/1
 *         POLLEN_EINVAL, POLLEN_ENOMEM, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_send(pollen_mesh *mesh, const pollen_key *peer,
                                                       const pollen_envelope *envelope);

/* The largest body of this kind that pollen_mesh_send() takes now; 0 without a session. */
POLLEN_API size_t pollen_mesh_max_envelope(pollen_mesh *mesh, const pollen_key *peer,
                                           pollen_envelope_kind kind);

/*
 * Waits for the next whole envelope of any peer; peers are served in turn, so that one that floods
 * does not starve the others.  What nodes say to each other by themselves is served by the mesh and
 * does not come here; but gossip of others does without `gossip`, so look at the kind.
 *
 * Owner:  ret_packet is the caller's: pollen_packet_fini().
 * Errors: POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_recv(pollen_mesh *mesh, int timeout_ms,
                                                       pollen_cancel *cancel,
                                                       pollen_packet *ret_packet);

/*
 * Measures a round trip: an echo of size bytes to a peer of pollen/2, else the acknowledgement of a
 * datagram, which the peer may delay by some 25 ms.
 *
 * Errors: POLLEN_ENOTCONN, POLLEN_EMSGSIZE, POLLEN_EAGAIN (the peer's queue is full),
 *         POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED, POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_ping(pollen_mesh *mesh, const pollen_key *peer,
                                                       size_t size, int timeout_ms,
                                                       pollen_cancel *cancel, uint64_t *ret_rtt_us);

/* ---- Events ---------------------------------------------------------------------------------- */

/* Waits for the next event.  Errors: POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_next_event(pollen_mesh *mesh, int timeout_ms,
                                                             pollen_cancel *cancel,
                                                             pollen_event *ret_event);

/* ---- A loop of the embedder's own ------------------------------------------------------------ */

/* Becomes readable when pollen_mesh_dispatch() has work.  Also without external_loop it is valid,
 * for tests.  Owned by the mesh. */
POLLEN_API int pollen_mesh_fd(const pollen_mesh *mesh);

/* How long to wait at most; -1 without limit, 0 when work is due. */
POLLEN_API int pollen_mesh_timeout_ms(const pollen_mesh *mesh);

/* Does what is due and returns; never waits.  With external_loop alone, from one thread at a time.
 * Errors: POLLEN_EINVAL (the mesh has a thread of its own), POLLEN_ECLOSED */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_dispatch(pollen_mesh *mesh);

/* ---- This machine ---------------------------------------------------------------------------- */

/*
 * Addresses of this machine's interfaces that a peer might reach: up, not loopback, link-local or
 * of a container bridge.  Asks nobody outside.  Their port is 0.
 *
 * Returns how many there are; up to cap are filled.
 */
POLLEN_API size_t pollen_advertisable_addrs(pollen_addr *addrs, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
