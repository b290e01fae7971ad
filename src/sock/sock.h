/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hole punching: all punches of a node, without I/O.  A punch makes two nodes behind NATs hear each
 * other and says along which path a QUIC handshake may be tried; it proves nothing about who is at
 * the other end, which is for the handshake.
 *
 * Calling order, for whoever drives it: any number of inputs (start, handle_*, socket_*, won, ...);
 * then poll_transmit until it returns false; then poll_event until it returns false (which may lead
 * to more inputs); then next_expiry.  Inputs never call back.
 *
 * Sockets: besides the main socket (PLN_VIA_MAIN) a punch may want others.  The engine names each
 * by a number of its own, counting from 1 and never used again, and asks for it with OPEN_SOCKET;
 * the owner binds a UDP socket to a free port and answers with socket_opened or socket_failed.
 * Each that was opened is followed by exactly one CLOSE_SOCKET: when its punch ends, or, for one
 * that a session was found over, after pln_sock_release().  QUIC must be served on all of them, for
 * dials in both directions.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_SOCK_SOCK_H
#define PLN_SOCK_SOCK_H

#include "base/addr.h"
#include "base/datagram.h"
#include "base/key.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/time.h"
#include "sock/nat.h"

typedef struct pln_sock pln_sock;

typedef struct pln_sock_config {
    pln_rng rng;
    const pln_log *log;    /* Borrowed for life; may be NULL. */
    size_t sockets_max;    /* 0: PLN_SOCKETS_MAX, which is also the most. */
    bool without_openers;  /* For systems that cannot set the TTL of one datagram. */
    bool loopback_allowed; /* For tests within one machine. */
} pln_sock_config;

/* Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_sock_create(const pln_sock_config *config, pln_sock **ret);
void pln_sock_destroy(pln_sock *sock); /* Raises no events; accepts NULL. */

/* When descriptors are scarce: how many sockets may be open from now on, up to PLN_SOCKETS_MAX.
 * None is closed for it. */
void pln_sock_set_sockets_max(pln_sock *sock, size_t sockets_max);

/* ---- Punches --------------------------------------------------------------------------------- */

typedef enum pln_target_kind {
    PLN_TARGET_OBSERVED, /* Others see the peer there. */
    PLN_TARGET_MAPPED,   /* A port that the peer's router forwards. */
    PLN_TARGET_LAN,      /* An address of its interface. */
} pln_target_kind;

typedef struct pln_punch_target {
    pollen_addr addr;
    pln_target_kind kind;
} pln_punch_target;

typedef struct pln_punch_plan {
    pollen_key peer;
    uint64_t attempt; /* The owner's number, given back in events. */
    size_t target_count;
    pln_punch_target targets[PLN_PUNCH_TARGETS_MAX]; /* The best first; usually the observed one. */
    pln_nat_brief ours;
    pln_nat_brief theirs;
    bool unasked;           /* Only others asked for it: it gives way to those that we want. */
    pollen_key coordinator; /* Who did, when unasked. */
    bool hearsay;           /* That there is such a peer is others' word alone. */
    bool patient;  /* The peer gets through to us, if it was told to: openers alone go at first. */
    bool one_shot; /* The peer sends each probe once, at the start, as the reference does. */
    pln_dur rtt;   /* Between the two, as far as is known: both sides should be told about the same,
                    * as their steps follow from it.  0: not known. */
    pln_ts at;     /* Both sides fire then; a time gone by means now. */
    pln_ts deadline; /* No probe is sent from then on. */
} pln_punch_plan;

/*
 * Starts a punch, of which there is one at a time for each peer.  Its end is an OVER event.  Unfit
 * targets (not sendable, loopback, unspecified) are left out.
 *
 * Owner:  plan is copied.
 * Errors: POLLEN_EADDR   no fit target
 *         POLLEN_EAGAIN  one with this peer is under way: see pln_sock_add_targets()
 *         POLLEN_ELIMIT  PLN_PUNCHES_MAX are under way, or PLN_PUNCHES_UNASKED_MAX unasked ones
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_sock_start(pln_sock *sock, const pln_punch_plan *plan, pln_ts now);

/*
 * As pln_sock_start(); but a punch with this peer that is under way goes on by what is known now:
 * the NATs, the round trip and the attempt are those of the new plan, its targets join the old
 * ones, and a later deadline holds unless only others asked for it.  What was opened stays open,
 * what has been tried is not tried again, and the moments of the methods still count from the first
 * start, so that nothing is lost by starting with what is known at once.
 *
 * Errors: as pln_sock_start(), but for POLLEN_EAGAIN; none for one that is under way
 */
POLLEN_MUST_USE pollen_err pln_sock_replan(pln_sock *sock, const pln_punch_plan *plan, pln_ts now);

/* Whether a handshake may be tried at that address because others say that this peer is there:
 * takes what it costs.  The punch's own TRY events have been counted already. */
bool pln_sock_may_try(pln_sock *sock, const pollen_key *peer, const pollen_addr *to, pln_ts now);

/* An unasked punch with this peer is one that we want from now on.  None: nothing. */
void pln_sock_want(pln_sock *sock, const pollen_key *peer);

/* More addresses for the punch that is under way, such as what a second coordinator sees.  Known
 * and unfit ones, and those beyond the maximum, are left out.  Returns how many are new. */
size_t pln_sock_add_targets(pln_sock *sock, const pollen_key *peer, const pln_punch_target *targets,
                            size_t count, pln_ts now);

/* Ends the punch with OVER (cancelled).  No punch with this peer: nothing. */
void pln_sock_cancel(pln_sock *sock, const pollen_key *peer, pln_ts now);

/*
 * A session with the peer is confirmed over this path.  Ends the punch, if it still runs, with OVER
 * (won).  A socket of the path is the caller's until pln_sock_release(); those over which holes
 * were reported stay open for PLN_PUNCH_LINGER, because the session that survives a tie may be on
 * one of them (tell again then); all others are closed.  Any path may be told, also one that is not
 * of a punch; false when its socket is not open (any more).
 */
bool pln_sock_won(pln_sock *sock, const pollen_key *peer, const pln_path *path, pln_ts now);

/* No session uses that socket any more: CLOSE_SOCKET follows.  Unknown ones are fine. */
void pln_sock_release(pln_sock *sock, uint32_t via);

/* The dial along that hole, or way to be tried, failed: punching goes on at once instead of waiting
 * for its outcome. */
void pln_sock_hole_failed(pln_sock *sock, const pollen_key *peer, const pln_path *path, pln_ts now);

/* Our address, or our NAT, is another: what was held back after failures may be tried again. */
void pln_sock_network_changed(pln_sock *sock);

/* ---- Sockets --------------------------------------------------------------------------------- */

void pln_sock_socket_opened(pln_sock *sock, uint32_t via, uint16_t local_port, pln_ts now);

/* Punching goes on with fewer. */
void pln_sock_socket_failed(pln_sock *sock, uint32_t via, pln_ts now);

/* ---- Datagrams in and out -------------------------------------------------------------------- */

/* A datagram that is not QUIC, from any socket. */
void pln_sock_handle_probe(pln_sock *sock, const pln_datagram *datagram, pln_ts now);

void pln_sock_handle_timeout(pln_sock *sock, pln_ts now); /* Late or spurious calls do nothing. */

/* Fills buf, which has room for PLN_PROBE_BYTES; false when nothing is to be sent now. */
bool pln_sock_poll_transmit(pln_sock *sock, uint8_t *buf, pln_transmit *ret, pln_ts now);

pln_ts pln_sock_next_expiry(const pln_sock *sock);

/* ---- Events ---------------------------------------------------------------------------------- */

/* The methods, the cheapest first. */
typedef enum pln_punch_method {
    PLN_PUNCH_OPEN,     /* Both main sockets at once. */
    PLN_PUNCH_PREDICT,  /* The next ports of a sequential NAT. */
    PLN_PUNCH_SCATTER,  /* Both sequential: some sockets on each side. */
    PLN_PUNCH_BIRTHDAY, /* Many sockets on the hard side, many ports tried by the easy one. */
} pln_punch_method;

const char *pln_punch_method_name(pln_punch_method method); /* "open", "predict", ...  Static. */

typedef enum pln_punch_end {
    PLN_PUNCH_WON,
    PLN_PUNCH_DEADLINE,
    PLN_PUNCH_HOPELESS, /* No method can work for this pair: relay, and try again only when either
                         * side's NAT is another. */
    PLN_PUNCH_HELD,     /* What could have worked was held back by a limit; stats.retry_at. */
    PLN_PUNCH_NO_SOCKETS,
    PLN_PUNCH_CANCELLED,
} pln_punch_end;

const char *pln_punch_end_name(pln_punch_end end); /* "won", "deadline", ...  Static. */

typedef struct pln_punch_stats {
    pln_punch_method method; /* Of the first hole; the last tried when there was none. */
    size_t probes_sent;      /* Requests, openers included; answers are not. */
    size_t answers_sent;
    size_t ways_used;      /* Pairs of socket and destination: what they cost in NAT entries. */
    size_t sockets_opened; /* Beside the main one. */
    size_t sockets_failed; /* Could not be opened, or not within the limits. */
    size_t tries;          /* Ways that TRY was told of. */
    size_t holes;
    pln_dur first_hole_after; /* Since the start; 0 when there was none. */
    pln_ts retry_at;          /* HELD: not before. */
} pln_punch_stats;

typedef enum pln_sock_event_kind {
    PLN_SOCK_OPEN_SOCKET,  /* via */
    PLN_SOCK_CLOSE_SOCKET, /* via */
    /* peer, attempt, path, method, heard: our side of this way is open, and the peer's should be,
     * so that a handshake may be tried along it before any answer has come.  Told of the peer's
     * addresses when the wait for its openers is over, and of every way that a request of the
     * peer's came along.  Both sides are told at about the same time, and both may dial: the mesh
     * keeps one session.  The same is told once, and not after HOLE; probing goes on. */
    PLN_SOCK_TRY,
    /* peer, attempt, path, method: a way is open in both directions.  Both sides learn of it, and
     * both may dial along it.  There may be several; the same is not told twice.  Where TRY was
     * told before, a handshake that got no answer so far is worth beginning again. */
    PLN_SOCK_HOLE,
    PLN_SOCK_OVER, /* peer, attempt, end, stats: once for each punch. */
} pln_sock_event_kind;

typedef struct pln_sock_event {
    pln_sock_event_kind kind;
    uint32_t via;
    pollen_key peer;
    uint64_t attempt;
    pln_path path;
    pln_punch_method method;
    bool heard; /* A request of the peer's came along it. */
    pln_punch_end end;
    pln_punch_stats stats;
} pln_sock_event;

bool pln_sock_poll_event(pln_sock *sock, pln_sock_event *ret);

/* ---- Looking at it --------------------------------------------------------------------------- */

/* Counters for status and tests. */
typedef struct pln_sock_counters {
    size_t punches;      /* Under way. */
    size_t sockets_open; /* Wanted and lent ones included; the main one is not. */
    size_t sockets_lent; /* To sessions. */
    uint64_t probes_in, probes_sent, answers_sent;
    uint64_t ways_used; /* Of all punches: as many flows began in our NAT. */
    uint64_t strangers_answered, strangers_ignored; /* Requests from where no punch aims. */
} pln_sock_counters;

void pln_sock_get_counters(const pln_sock *sock, pln_sock_counters *ret);

/* The stats so far of the punch under way; false when there is none. */
bool pln_sock_get_stats(const pln_sock *sock, const pollen_key *peer, pln_punch_stats *ret);

#endif
