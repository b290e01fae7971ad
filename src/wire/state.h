/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members tell each other about themselves (pollen.state.v1): events, each a change of one
 * attribute of its author under a counter, and vector clocks.
 *
 * Decoding judges form alone.  Nothing in a well-formed batch makes it fail as a whole, because it
 * may carry the events of many authors: an event that says something we do not understand, or more
 * than limits.h allows, is kept as UNKNOWN with its author and counter, so that it is not asked for
 * again.
 *
 * The encoders give the message alone, not an envelope around it, because batches are put together
 * until they reach a size.
 *
 * Owner: objects own their texts and lists; *_fini() frees them and accepts a zeroed object.
 */
#ifndef PLN_WIRE_STATE_H
#define PLN_WIRE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/err.h>
#include <pollen/key.h>

#include "base/bytes.h"
#include "base/limits.h"

/* The numbers are the field numbers of pollen.state.v1.GossipEvent's change. */
typedef enum pln_change_kind {
    PLN_CHANGE_NONE = 0, /* An event without a change. */
    PLN_CHANGE_NETWORK = 3,
    PLN_CHANGE_EXTERNAL_PORT = 4,
    PLN_CHANGE_IDENTITY = 5,
    PLN_CHANGE_SERVICE = 6,
    PLN_CHANGE_REACHABILITY = 7,
    PLN_CHANGE_REVOCATION = 9,
    PLN_CHANGE_PUBLICLY_ACCESSIBLE = 10,
    PLN_CHANGE_UNKNOWN = 255, /* Of a later version, or out of bounds. */
} pln_change_kind;

typedef struct pln_network_change {
    char **ips; /* Texts, not judged. */
    size_t ip_count;
    uint32_t local_port;
} pln_network_change;

typedef struct pln_identity_change {
    bool has_key; /* A deletion has none. */
    pollen_key key;
    int64_t cert_expiry;
} pln_identity_change;

typedef struct pln_service_change {
    char *name; /* NULL when empty; at most PLN_SERVICE_NAME_MAX bytes. */
    uint32_t port;
} pln_service_change;

typedef struct pln_reachability_change {
    bool has_peer;
    pollen_key peer;
} pln_reachability_change;

typedef struct pln_gossip_event {
    bool has_author; /* False for an id that is no key; such an event is nobody's. */
    pollen_key author;
    uint64_t counter;
    bool deleted;
    pln_change_kind kind;
    union {
        pln_network_change network;
        uint32_t external_port;
        pln_identity_change identity;
        pln_service_change service;
        pln_reachability_change reachability;
        pln_bytes revocation; /* An encoded SignedRevocation, not decoded; empty when absent. */
    };
    pln_bytes unknown; /* Unknown fields of the event, byte for byte. */
} pln_gossip_event;

typedef struct pln_gossip_batch {
    pln_gossip_event *events;
    size_t count;
} pln_gossip_batch;

/*
 * Errors: POLLEN_EPROTO  malformed, or more than PLN_GOSSIP_EVENTS_MAX events
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_gossip_event_decode(const uint8_t *bytes, size_t size,
                                                   pln_gossip_event *ret);
POLLEN_MUST_USE pollen_err pln_gossip_batch_decode(const uint8_t *bytes, size_t size,
                                                   pln_gossip_batch *ret);

/* UNKNOWN is encoded by its unknown fields alone.  Owner: ret is the caller's.  Errors:
 * POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_gossip_event_encode(const pln_gossip_event *event, pln_bytes *ret);
POLLEN_MUST_USE pollen_err pln_gossip_batch_encode(const pln_gossip_batch *batch, pln_bytes *ret);

void pln_gossip_event_fini(pln_gossip_event *event);
void pln_gossip_batch_fini(pln_gossip_batch *batch);

/* What an encoded event adds to a batch. */
size_t pln_gossip_event_overhead(size_t event_size);

typedef struct pln_clock_entry {
    pollen_key peer;
    uint64_t counter; /* 0: known, without any event. */
} pln_clock_entry;

typedef struct pln_gossip_clock {
    pln_clock_entry *entries; /* Sorted by peer, each once. */
    size_t count;
} pln_gossip_clock;

/*
 * Entries whose key is no peer's are left out; of several for one peer the last one counts.
 *
 * Errors: POLLEN_EPROTO  malformed, or more than PLN_CLOCK_ENTRIES_MAX entries
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_gossip_clock_decode(const uint8_t *bytes, size_t size,
                                                   pln_gossip_clock *ret);

/* In the order of the entries.  Owner: ret is the caller's.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_gossip_clock_encode(const pln_gossip_clock *clock, pln_bytes *ret);

void pln_gossip_clock_fini(pln_gossip_clock *clock);

#endif
