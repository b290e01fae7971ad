/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: what happened to the sessions of a mesh, pulled from a queue and never delivered by
 * callback.
 *
 * A session has a generation, a number that grows with every session of the mesh.  Each registered
 * session gives exactly one CONNECTED and exactly one DISCONNECTED; an event whose generation is
 * below the newest CONNECTED of the same peer speaks of the past.  Events of one peer that nobody
 * pulled are merged so that the newest state is never lost: the queue holds at most one pair for
 * each peer.
 */
#ifndef POLLEN_EVENT_H
#define POLLEN_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <pollen/addr.h>
#include <pollen/key.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why a session, or an attempt at one, ended. */
typedef enum pollen_end_reason {
    POLLEN_END_NONE,
    POLLEN_END_IDLE_TIMEOUT, /* Nothing was heard of the peer for the idle timeout. */
    POLLEN_END_RESET,        /* The peer lost its state, by restart for example. */
    POLLEN_END_GRACEFUL,     /* One side closed on purpose. */
    POLLEN_END_UNKNOWN,
    POLLEN_END_CERT_ROTATION, /* The session reached its maximum age. */
    POLLEN_END_CERT_EXPIRED,  /* The peer's membership certificate, or ours, ran out. */
    POLLEN_END_REVOKED,
    POLLEN_END_DENIED, /* One side's check of the other's certificate failed. */
} pollen_end_reason;

typedef enum pollen_event_kind {
    POLLEN_EVENT_CONNECTED,
    POLLEN_EVENT_DISCONNECTED,
    POLLEN_EVENT_PATH, /* The session moved to another address. */
} pollen_event_kind;

typedef struct pollen_event {
    pollen_event_kind kind;
    pollen_key peer;
    uint64_t generation;
    pollen_addr addr;         /* CONNECTED, PATH */
    bool inbound;             /* CONNECTED: the peer initiated. */
    pollen_end_reason reason; /* DISCONNECTED */
} pollen_event;

/* "idle_timeout", "connected", ...: the names of the command's machine output. */
POLLEN_API const char *pollen_end_reason_name(pollen_end_reason reason);
POLLEN_API const char *pollen_event_kind_name(pollen_event_kind kind);

#ifdef __cplusplus
}
#endif

#endif
