/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: sock.c the public calls, punch.c the course of one punch,
 * way.c what is sent where and when, via.c the sockets, hear.c what comes in, memory.c what is
 * remembered of peers, budget.c what others may cause, events.c what goes out. */
#ifndef PLN_SOCK_INTERNAL_H
#define PLN_SOCK_INTERNAL_H

#include "base/bucket.h"
#include "base/meters.h"
#include "sock/ladder.h"
#include "sock/ports.h"
#include "sock/probe.h"
#include "sock/sock.h"

/* ---- Ways ------------------------------------------------------------------------------------ */

/* When requests are sent along a way; see way.c. */
typedef enum sock_rhythm {
    SOCK_RHYTHM_MAIN,
    SOCK_RHYTHM_PATIENT,   /* The same, of a side that waits. */
    SOCK_RHYTHM_NEAR,      /* No NAT is in between. */
    SOCK_RHYTHM_PREDICTED, /* To a port that may be the peer's. */
    SOCK_RHYTHM_SCATTERED,
    SOCK_RHYTHM_MANY,          /* From one of many sockets, to a peer that sprays meanwhile; */
    SOCK_RHYTHM_MANY_BOLD,     /* some of these do not wait for the end of that, */
    SOCK_RHYTHM_MANY_LATER,    /* and some for half of it. */
    SOCK_RHYTHM_MANY_ONE_SHOT, /* The same, when the peer sprays at the start or never. */
    SOCK_RHYTHM_RENEWED,       /* From one that came later, to a peer that has sprayed. */
    SOCK_RHYTHM_HEARD,         /* The peer came along it. */
} sock_rhythm;

/* A socket of ours and an address of the peer's. */
typedef struct sock_way {
    uint32_t via;
    pollen_addr remote;
    pln_punch_method method;
    sock_rhythm rhythm;
    unsigned beat; /* The next one. */
    pln_ts started_at;
    pln_ts next_at; /* PLN_TS_NEVER: no more. */
    pln_ts sent_at; /* The last; PLN_TS_NEVER: none yet. */
    bool was_heard; /* A request of the peer's came along it. */
    unsigned heard; /* How often the peer's requests hastened ours. */
    bool is_target; /* One of the peer's addresses, to be tried when the first full request goes. */
    bool is_tried;  /* TRY was told of it. */
    bool is_open;   /* A response came along it. */
} sock_way;

typedef struct sock_punch sock_punch;

/* Nothing when the punch has the way already, or as many as it may have, or there is no memory. */
sock_way *pln_sock_way_add(sock_punch *punch, const sock_way *proto, pln_ts now);
sock_way *pln_sock_way_find(sock_punch *punch, uint32_t via, const pollen_addr *remote);

/* Forgets the ways of a socket that is given up. */
void pln_sock_way_drop(sock_punch *punch, uint32_t via);

/* The peer was heard along it: our own request follows at once, and needs no opener. */
void pln_sock_way_heard(sock_way *way, pln_ts now);

/* The way that is due first; NULL when the punch has none that sends. */
sock_way *pln_sock_way_first(const sock_punch *punch);

/* Counts one request as sent, and plans the next; true when it is an opener. */
bool pln_sock_way_advance(pln_sock *sock, sock_way *way, pln_ts now);

/* ---- Memory of peers ------------------------------------------------------------------------- */

typedef struct sock_memory {
    pollen_key peer;
    bool busy; /* A punch is under way; stays. */
    pln_ts used_at;
    pln_bucket probes;
    pln_ports ports;
    pollen_addr addr;   /* The last birthday's. */
    pln_ts birthday_at; /* Of the last; PLN_TS_NEVER: none. */
    unsigned failures;  /* Birthdays in a row. */
} sock_memory;

/* The peer's entry, made when there is none: NULL when there is no memory.  Borrowed until the next
 * call. */
sock_memory *pln_sock_remember(pln_sock *sock, const pollen_key *peer, pln_ts now);

/* When a birthday with the peer at this address may start; 0: at once. */
pln_ts pln_sock_birthday_allowed_at(const pln_sock *sock, const sock_memory *memory,
                                    const pollen_addr *addr);

void pln_sock_forget_failures(pln_sock *sock);

/* ---- Punches --------------------------------------------------------------------------------- */

struct sock_punch {
    pln_punch_plan plan; /* Its targets are the fit ones. */
    pln_ladder ladder;
    size_t step;           /* The next of the ladder. */
    unsigned taken;        /* Rungs that are not to be taken again: 1 << rung. */
    pln_ts scatter_at;     /* When the first scattering began, */
    uint16_t scatter_from; /* and where the peer's NAT stood then. */
    pln_ts retry_at;       /* The next step waits for another punch's end until then. */
    uint8_t nonce[PLN_PROBE_NONCE_BYTES];
    pollen_addr aim; /* Where others see the peer: what sockets, spray and predictions go by. */
    size_t memory;   /* Index in sock->memories. */
    size_t learned;  /* Ways that the peer was heard along first, on the main socket */
    size_t learned_on_sockets; /* and on others. */
    bool birthday;
    pln_ts birthday_before; /* The memory's, when this one began. */

    sock_way *ways;
    size_t way_count, way_cap;

    size_t sockets_left;  /* Still to be asked for. */
    size_t sockets_live;  /* Asked for or open. */
    size_t sockets_asked; /* In all. */
    pln_ts sockets_at;
    pollen_addr sockets_remote;
    pln_punch_method sockets_method;

    size_t renewals_left; /* Sockets still to be given up for new ones. */
    size_t renewals_made;
    pln_ts renew_at;
    bool renewing;

    size_t spray_left, spray_sent;
    pln_ts spray_at;

    pln_ts settle_until; /* A handshake along a hole has until then; 0: none. */
    pln_ts hush_until;   /* One along a way that the peer was heard on: nothing new is begun. */
    unsigned hushes;
    pln_path holes[PLN_PUNCH_HOLES_MAX];
    pln_punch_method hole_methods[PLN_PUNCH_HOLES_MAX];
    size_t holes_failed;
    size_t holes_told;
    pln_path tries[PLN_PUNCH_TRIES_MAX];
    pln_punch_method try_methods[PLN_PUNCH_TRIES_MAX];
    bool try_heard[PLN_PUNCH_TRIES_MAX];
    size_t tries_told;

    pln_bucket answers;
    pln_punch_stats stats;
    bool ended; /* Nothing is left of it but the OVER event. */
    pln_punch_end end;
};

sock_punch *pln_sock_punch_find(const pln_sock *sock,
                                const pollen_key *peer); /* Not an ended one. */

/* Does what is due at now, apart from sending. */
void pln_sock_punch_advance(pln_sock *sock, sock_punch *punch, pln_ts now);

/* When it wants to be woken, by advance or to send. */
pln_ts pln_sock_punch_next(const pln_sock *sock, const sock_punch *punch);

/* Encodes its next request, if one is due. */
bool pln_sock_punch_transmit(pln_sock *sock, sock_punch *punch, uint8_t *buf, pln_transmit *ret,
                             pln_ts now);

void pln_sock_punch_end(pln_sock *sock, sock_punch *punch, pln_punch_end end, pln_ts now);
void pln_sock_punch_destroy(sock_punch *punch);

/* A response came along the path. */
void pln_sock_punch_hole(pln_sock *sock, sock_punch *punch, const pln_path *path, pln_ts now);

/* The peer came along the way, so that ours goes back: a handshake may be tried. */
void pln_sock_punch_heard(pln_sock *sock, sock_punch *punch, sock_way *way, pln_ts now);

/* The plan is another one: goes up its ladder from here on. */
void pln_sock_punch_replan(sock_punch *punch);

/* A handshake may be tried along the way. */
void pln_sock_punch_try(pln_sock *sock, sock_punch *punch, sock_way *way, bool heard, pln_ts now);

/* Adds a main-socket way to a target. */
void pln_sock_punch_aim_at(sock_punch *punch, const pln_punch_target *target, pln_ts now);

/* The method that is being tried. */
pln_punch_method pln_sock_punch_method_now(const sock_punch *punch);

/* ---- Budgets of what only others ask for ----------------------------------------------------- */

/* Takes what the punch's next request to that address costs; false: nothing is left. */
bool pln_sock_budget_probe(pln_sock *sock, const sock_punch *punch, const pollen_addr *to,
                           pln_ts now);

/* The same for a handshake that is tried on the mere word of others. */
bool pln_sock_budget_try(pln_sock *sock, const sock_punch *punch, const pollen_addr *to,
                         pln_ts now);

/* The same for a birthday. */
bool pln_sock_budget_birthday(pln_sock *sock, const sock_punch *punch, pln_ts now);

void pln_sock_budgets_fini(pln_sock *sock);

/* ---- Sockets --------------------------------------------------------------------------------- */

typedef enum sock_via_state {
    SOCK_VIA_WANTED, /* OPEN_SOCKET is to be told. */
    SOCK_VIA_ASKED,  /* The owner has not answered. */
    SOCK_VIA_OPEN,
    SOCK_VIA_CLOSING, /* CLOSE_SOCKET is to be told. */
} sock_via_state;

typedef struct sock_via {
    uint32_t via;
    sock_via_state state;
    bool unwanted;     /* ASKED: to be closed as soon as it is open. */
    bool lent;         /* To a session. */
    bool has_hole;     /* Or the peer was heard on it, and may have one. */
    sock_punch *punch; /* NULL: lent, or lingering. */
    pln_ts linger_until;
    uint8_t nonce[PLN_PROBE_NONCE_BYTES];
} sock_via;

/* Borrowed until sockets come or go. */
sock_via *pln_sock_via_find(const pln_sock *sock, uint32_t via);

/* A socket for the punch; false when there are too many, or no memory. */
bool pln_sock_via_want(pln_sock *sock, sock_punch *punch);

/* Gives up the oldest open socket of the punch that has no hole; false: there is none. */
bool pln_sock_via_give_up(pln_sock *sock, sock_punch *punch);
void pln_sock_via_remove(pln_sock *sock, sock_via *via);

/* Its punch is over. */
void pln_sock_vias_leave(pln_sock *sock, const sock_punch *punch, pln_ts now);
void pln_sock_vias_expire(pln_sock *sock, pln_ts now);
pln_ts pln_sock_vias_next(const pln_sock *sock);

/* ---- What comes in --------------------------------------------------------------------------- */

typedef struct sock_answer {
    pln_path path;
    pollen_addr local;
    uint8_t nonce[PLN_PROBE_NONCE_BYTES];
} sock_answer;

typedef struct sock_stranger {
    uint8_t prefix[16];
    pln_bucket bucket;
    pln_ts seen_at;
} sock_stranger;

bool pln_sock_answer_transmit(pln_sock *sock, uint8_t *buf, pln_transmit *ret);

/* ---- The engine ------------------------------------------------------------------------------ */

struct pln_sock {
    pln_sock_config config;

    sock_punch *punches[PLN_PUNCHES_MAX]; /* In the order of their starts. */
    size_t punch_count;
    size_t turn; /* Which one may send first. */

    sock_via *vias; /* Ascending. */
    size_t via_count, via_cap;
    uint32_t next_via;
    size_t closing, wanted; /* How many of them. */

    sock_memory *memories;
    size_t memory_count, memory_cap;

    sock_answer answers[PLN_PROBE_ANSWERS_WAITING_MAX]; /* A ring. */
    size_t answer_first, answer_count;

    sock_stranger strangers[PLN_PROBE_STRANGERS_MAX];
    pln_bucket strangers_all;

    pln_bucket probes;
    pln_meters *targets, *coordinators; /* See budget.c; NULL: never needed. */
    pln_sock_counters counters;
};

/* When the node's own allowance has room for a request. */
pln_ts pln_sock_probes_ready(const pln_sock *sock);

bool pln_sock_is_target_fit(const pln_sock *sock, const pollen_addr *addr);

static inline bool pln_sock_same_host(const pollen_addr *a, const pollen_addr *b) {
    pollen_addr with_port = *a;
    with_port.port = b->port;
    return pollen_addr_equal(&with_port, b);
}

#endif
