/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peer store: which peers are known, and when to dial which of them how.  A state machine that
 * does no I/O: it is told what happened and when, and answers with what to do.  pollen_mesh can be
 * driven by it, and so can any other transport.
 *
 *   Discovered -> Connecting -> Connected -> Discovered ..    a session, and when lost, another
 *                 Connecting -> Discovered                    an attempt failed; again soon
 *                 Connecting -> Unreachable -> Connecting ..  all stages failed; again later
 *
 * An attempt has one of three stages, each tried so often before the next: EagerRetry (once, at the
 * last address, skipped when there is none), Direct (twice, at all addresses), Punch (twice).  It
 * has an id and a deadline.  Results of an attempt that is over, and events of a session older than
 * the newest one known, change nothing.
 *
 * Beside this machine, a store that is alone probes.  It is alone while no peer has a session; then
 * every permanent peer is to be dialled each second, whatever its state and its delays, so that a
 * node that was there before its only peer, or came back before it, joins about a second after
 * it.  At most eight peers at once, in turn.  A probe has no id and no deadline and counts for no
 * stage; what comes of it is a CONNECT or nothing, but for a refusal, which ends the probing of
 * that peer until it is dialled again by itself or RETRY forgets the refusal.
 *
 * Calling order: any number of pollen_peer_store_step(); then pollen_peer_store_poll_output() until
 * false; then pollen_peer_store_next_expiry() says when the next tick has something to do.  An
 * output not yet pulled is withdrawn when a later input overtakes it.
 *
 * Same inputs at the same times, same outputs, in the same order: peers that are due are served by
 * due time, then by key.  Times are nanoseconds of any clock that never goes back.
 *
 * Thread: a store may be used by one thread at a time.
 */
#ifndef POLLEN_PEER_H
#define POLLEN_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/addr.h>
#include <pollen/event.h>
#include <pollen/key.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POLLEN_PEER_ADDRS_MAX 16     /* Of one peer; further ones are dropped. */
#define POLLEN_PEER_NEVER UINT64_MAX /* A time that does not come, or has not been. */

typedef struct pollen_peer_store pollen_peer_store;

typedef enum pollen_peer_state {
    POLLEN_PEER_ABSENT, /* Not in the store; never in a snapshot. */
    POLLEN_PEER_DISCOVERED,
    POLLEN_PEER_CONNECTING,
    POLLEN_PEER_CONNECTED,
    POLLEN_PEER_UNREACHABLE,
} pollen_peer_state;

typedef enum pollen_connect_stage {
    POLLEN_STAGE_NONE,
    POLLEN_STAGE_EAGER_RETRY, /* At the address of the last session. */
    POLLEN_STAGE_DIRECT,      /* At every known address. */
    POLLEN_STAGE_PUNCH,       /* Through NATs, coordinated by a third peer. */
} pollen_connect_stage;

/* Set the defaults with pollen_peer_store_config_init(), which also fills size. */
typedef struct pollen_peer_store_config {
    size_t size;
    /* Where jitter comes from; needed unless jitter_percent is 0. */
    void (*random)(void *context, uint8_t *bytes, size_t count);
    void *random_context;
    unsigned jitter_percent; /* Each delay grows by up to this much; default 20, 0: exact. */
    /* A quarter of what may be dialled is kept for peers that are permanent, that had a session
     * until now, or that a RETRY asked for. */
    unsigned dials_max;         /* Attempts at once; default 64, 0: no limit. */
    unsigned dials_per_second;  /* Default 50, 0: no limit. */
    unsigned dials_burst;       /* So many may start at once; default 50. */
    uint64_t eager_timeout_ns;  /* Deadlines of an attempt; default 5 s, ... */
    uint64_t direct_timeout_ns; /* ... 5 s, */
    uint64_t punch_timeout_ns;  /* ... 10 s. */
    /* 20 s, doubled every time, up to this; default 300 s.  For a peer that had a session, up to a
     * thirtieth of the time since then. */
    uint64_t unreachable_delay_max_ns;
    uint64_t permanent_delay_max_ns; /* The same for permanent peers; default 60 s. */
    uint64_t refused_delay_ns;       /* After a refusal, doubled every time; default 60 s, ... */
    uint64_t refused_delay_max_ns;   /* ... up to this; default an hour. */
    size_t peers_max;                /* Default and maximum 131072. */
    uint64_t probe_interval_ns;      /* Default 1 s, 0: no probes. */
} pollen_peer_store_config;

POLLEN_API void pollen_peer_store_config_init(pollen_peer_store_config *config);

/*
 * Owner:  config is copied, but for the context of its callback; destroy the store.
 * Errors: POLLEN_EINVAL (size not filled, jitter without a source, a time or peers_max of 0),
 *         POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err
pollen_peer_store_create(const pollen_peer_store_config *config, pollen_peer_store **ret_store);
POLLEN_API void pollen_peer_store_destroy(pollen_peer_store *store); /* Accepts NULL. */

/* ---- Input ----------------------------------------------------------------------------------- */

typedef enum pollen_peer_input_kind {
    /* Addresses became known: they replace those known before.  An unknown peer is dialled at
     * the next tick, and so is an unreachable one when an address is new to it, unless it is
     * unreachable because of a refusal. */
    POLLEN_PEER_INPUT_DISCOVER,
    POLLEN_PEER_INPUT_TICK,    /* Time has passed: fails overdue attempts, starts due ones. */
    POLLEN_PEER_INPUT_CONNECT, /* A session stands, whoever initiated it. */
    /* The attempt is over.  REVOKED, DENIED and CERT_EXPIRED are refusals: the peer was reached, so
     * that no other stage would do better.  Attempt 0: a probe is, of which only a refusal says
     * anything. */
    POLLEN_PEER_INPUT_CONNECT_FAILED,
    /* The session ended.  REVOKED and DENIED are refusals. */
    POLLEN_PEER_INPUT_DISCONNECTED,
    /* Forgets all back-off and dials at the next tick.  While an attempt runs it goes on; should
     * it fail, the next one follows without delay. */
    POLLEN_PEER_INPUT_RETRY,
    POLLEN_PEER_INPUT_FORGET, /* Removes the peer, in whatever state. */
    POLLEN_PEER_INPUT_MOVED,  /* The session moved to another address. */
} pollen_peer_input_kind;

/* Fields that a kind does not name are not looked at. */
typedef struct pollen_peer_input {
    pollen_peer_input_kind kind;
    pollen_key peer; /* All but TICK. */

    const pollen_addr *addrs; /* DISCOVER: in the order to be dialled.  Port 0 stands for `port`. */
    size_t addr_count;
    uint16_t port; /* DISCOVER: 0 for the one known before. */
    /* DISCOVER: configured, not learnt.  The peer can not be forgotten any more, and these
     * addresses stay beside all that is learnt, until the next permanent DISCOVER of the peer.
     * FORGET: forgets also such a peer, one that was revoked for example. */
    bool permanent;
    /* DISCOVER: what it makes to be dialled at the next tick is left alone until then.  One session
     * is wanted, not two: a peer that learns of us as we do of it can be given time to dial. */
    uint64_t not_before_ns;

    /* DISCOVER: address of the last session, port 0 when not known.  CONNECT, MOVED: the far
     * end's, port 0 when it has none that could be dialled. */
    pollen_addr addr;
    bool inbound;     /* CONNECT */
    uint64_t attempt; /* CONNECT_FAILED; CONNECT: 0 when no attempt led to it. */
    /* CONNECT, DISCONNECTED, MOVED: see pollen_event.  0 for a caller that has none; then a
     * CONNECT is late when its attempt is, and the others never are. */
    uint64_t generation;
    pollen_end_reason reason; /* DISCONNECTED, CONNECT_FAILED */
} pollen_peer_input;

/*
 * Feeds one input.
 *
 * Owner:  input and what it points to are borrowed for the call.
 * Errors: POLLEN_EINVAL (unknown kind, time went back), POLLEN_EPERM (FORGET of a permanent peer),
 *         POLLEN_ELIMIT (one more peer than peers_max), POLLEN_ENOMEM; the store is unchanged
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_peer_store_step(pollen_peer_store *store,
                                                             uint64_t now_ns,
                                                             const pollen_peer_input *input);

/* ---- Output ---------------------------------------------------------------------------------- */

typedef enum pollen_peer_output_kind {
    POLLEN_PEER_OUTPUT_CONNECTED,             /* Once for each session. */
    POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT,       /* Dial all addresses. */
    POLLEN_PEER_OUTPUT_ATTEMPT_EAGER_CONNECT, /* Dial the one address. */
    POLLEN_PEER_OUTPUT_REQUEST_PUNCH_COORDINATION,
    POLLEN_PEER_OUTPUT_PROBE, /* Dial all addresses, beside what is under way. */
} pollen_peer_output_kind;

/* Fields that a kind does not name are zero. */
typedef struct pollen_peer_output {
    pollen_peer_output_kind kind;
    pollen_key peer;
    /* All but CONNECTED and PROBE: to be echoed in CONNECT_FAILED and CONNECT.  0 names none. */
    uint64_t attempt;
    uint64_t deadline_ns; /* All but CONNECTED and PROBE: after it the attempt has failed. */
    uint64_t generation;  /* CONNECTED */
    bool inbound;         /* CONNECTED */
    pollen_addr addr;     /* CONNECTED, ATTEMPT_EAGER_CONNECT */
    /* ATTEMPT_CONNECT, REQUEST_PUNCH_COORDINATION, PROBE */
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    size_t addr_count; /* May be 0: nothing can be dialled, so the attempt fails. */
} pollen_peer_output;

/* Pulls the next output; false when there is none.  Inputs may be fed in between. */
POLLEN_API POLLEN_MUST_USE bool pollen_peer_store_poll_output(pollen_peer_store *store,
                                                              pollen_peer_output *ret_output);

/* When a tick next has something to do: in the past when it already has, POLLEN_PEER_NEVER when
 * only another input can change anything. */
POLLEN_API uint64_t pollen_peer_store_next_expiry(const pollen_peer_store *store);

/* ---- What is known --------------------------------------------------------------------------- */

/* A snapshot of one peer.  Times that have not been are POLLEN_PEER_NEVER, addresses that are
 * not known have port 0. */
typedef struct pollen_peer {
    pollen_key key;
    pollen_peer_state state;
    uint64_t since_ns; /* In this state. */
    bool permanent;
    pollen_connect_stage stage; /* Of this attempt, or of the next one. */
    unsigned stage_attempts;    /* Failed ones of this stage. */
    uint64_t attempt;           /* CONNECTING, else 0. */
    uint64_t deadline_ns;       /* CONNECTING: of the attempt. */
    uint64_t next_action_ns;    /* DISCOVERED, UNREACHABLE: when to dial.  Else when it last was. */
    uint64_t generation;        /* The newest one heard of, 0 for none. */
    uint64_t connected_at_ns;   /* When the newest session began. */
    pollen_addr last_addr;      /* Of the newest session. */
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    size_t addr_count;
    uint16_t observed_port;            /* For addresses that come without one; 0 when not known. */
    pollen_end_reason last_end_reason; /* Of the newest session or attempt that ended. */
    uint64_t last_end_at_ns;
    unsigned unreachable_cycles; /* In a row; the delays grow with it. */
    unsigned refusals;           /* In a row. */
} pollen_peer;

POLLEN_API size_t pollen_peer_store_count(const pollen_peer_store *store);

/* Errors: POLLEN_ENOENT */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_peer_store_find(const pollen_peer_store *store,
                                                             const pollen_key *key,
                                                             pollen_peer *ret_peer);

/* The index-th peer in the order of the keys.  Errors: POLLEN_ENOENT past the end */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_peer_store_at(const pollen_peer_store *store,
                                                           size_t index, pollen_peer *ret_peer);

/* "discovered", "eager_retry", "connect_failed", "attempt_connect", ...; "unknown" for a foreign
 * number. */
POLLEN_API const char *pollen_peer_state_name(pollen_peer_state state);
POLLEN_API const char *pollen_connect_stage_name(pollen_connect_stage stage);
POLLEN_API const char *pollen_peer_input_name(pollen_peer_input_kind kind);
POLLEN_API const char *pollen_peer_output_name(pollen_peer_output_kind kind);

#ifdef __cplusplus
}
#endif

#endif
