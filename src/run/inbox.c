/* SPDX-License-Identifier: Apache-2.0 */
#include "run/inbox.h"

#include "base/assert.h"
#include "base/limits.h"

/* Packets of all peers together; from there on a peer may hold a few only, so that many members
 * that flood at once cannot fill the memory, and none of them can shut out the rest. */
enum { INBOX_PACKETS_MAX = 64 * 1024, PEER_PACKETS_CROWDED = 16 };
enum { RING_START = 16 };

typedef struct slot {
    pln_chunk *body;
    pollen_envelope_kind kind;
} slot;

struct pln_inbox_peer {
    pollen_key peer;
    UT_hash_handle hh;
    pln_inbox_peer *next; /* In turn. */
    bool queued, gone;
    uint64_t dropped;
    slot *ring; /* Grows by doubling up to PLN_DATAGRAM_RECVQ_MAX. */
    size_t cap, first, count;
};

void pln_inbox_init(pln_inbox *inbox, const pln_hash_key *hash_key) {
    *inbox = (pln_inbox){.hash_key = *hash_key};
    inbox->tail = &inbox->head;
    pln_monitor_init(&inbox->monitor);
}

static slot pop_slot(pln_inbox_peer *entry) {
    PLN_ASSERT(entry->count > 0);
    slot oldest = entry->ring[entry->first];
    entry->first = (entry->first + 1) % entry->cap;
    entry->count--;
    return oldest;
}

static void forget(pln_inbox *inbox, pln_inbox_peer *entry) {
    while (entry->count > 0) {
        PLN_ASSERT(inbox->packets > 0);
        pln_chunk_destroy(pop_slot(entry).body);
        inbox->packets--;
    }
    HASH_DEL(inbox->peers, entry);
    pln_free(entry->ring);
    pln_free(entry);
}

static void forget_all(pln_inbox *inbox) {
    pln_inbox_peer *entry, *next;
    HASH_ITER(hh, inbox->peers, entry, next) {
        forget(inbox, entry);
    }
    PLN_ASSERT(inbox->packets == 0);
    inbox->head = NULL;
    inbox->tail = &inbox->head;
}

void pln_inbox_fini(pln_inbox *inbox) {
    forget_all(inbox);
    pln_monitor_fini(&inbox->monitor);
}

static pln_inbox_peer *find(pln_inbox *inbox, const pollen_key *peer) {
    pln_inbox_peer *entry;
    PLN_MAP_FIND(&inbox->hash_key, inbox->peers, peer->bytes, POLLEN_KEY_BYTES, entry);
    return entry;
}

static pln_inbox_peer *find_or_add(pln_inbox *inbox, const pollen_key *peer) {
    pln_inbox_peer *entry = find(inbox, peer);
    if (entry != NULL) {
        return entry;
    }
    entry = pln_calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    entry->peer = *peer;
    PLN_MAP_ADD(&inbox->hash_key, inbox->peers, peer, POLLEN_KEY_BYTES, entry);
    if (!PLN_MAP_ADDED(entry)) {
        pln_free(entry);
        return NULL;
    }
    return entry;
}

/* Doubles the ring and lays its content out from the start. */
static bool grow(pln_inbox_peer *entry) {
    PLN_ASSERT(entry->count == entry->cap);
    size_t cap = entry->cap == 0 ? RING_START : entry->cap * 2;
    slot *ring = pln_calloc(cap, sizeof(*ring));
    if (ring == NULL) {
        return false;
    }
    for (size_t i = 0; i < entry->count; i++) {
        ring[i] = entry->ring[(entry->first + i) % entry->cap];
    }
    pln_free(entry->ring);
    entry->ring = ring;
    entry->cap = cap;
    entry->first = 0;
    return true;
}

static bool has_room(pln_inbox *inbox, pln_inbox_peer *entry) {
    size_t max = inbox->packets < INBOX_PACKETS_MAX ? PLN_DATAGRAM_RECVQ_MAX : PEER_PACKETS_CROWDED;
    return entry->count < max && (entry->count < entry->cap || grow(entry));
}

static void enqueue(pln_inbox *inbox, pln_inbox_peer *entry) {
    if (entry->queued) {
        return;
    }
    entry->queued = true;
    entry->next = NULL;
    *inbox->tail = entry;
    inbox->tail = &entry->next;
}

static bool push_locked(pln_inbox *inbox, const pollen_key *peer, slot packet) {
    pln_inbox_peer *entry = inbox->closed ? NULL : find_or_add(inbox, peer);
    if (entry == NULL) {
        return false;
    }
    entry->gone = false;
    if (!has_room(inbox, entry)) {
        entry->dropped++;
        return false;
    }
    PLN_ASSERT(entry->count < entry->cap);
    entry->ring[(entry->first + entry->count) % entry->cap] = packet;
    entry->count++;
    inbox->packets++;
    enqueue(inbox, entry);
    pthread_cond_signal(&inbox->monitor.changed);
    return true;
}

void pln_inbox_push(pln_inbox *inbox, const pollen_key *peer, pollen_envelope_kind kind,
                    pln_chunk *body) {
    PLN_ASSERT(body != NULL);
    pthread_mutex_lock(&inbox->monitor.lock);
    bool pushed = push_locked(inbox, peer, (slot){.body = body, .kind = kind});
    pthread_mutex_unlock(&inbox->monitor.lock);
    if (!pushed) {
        pln_chunk_destroy(body);
    }
}

void pln_inbox_peer_gone(pln_inbox *inbox, const pollen_key *peer) {
    pthread_mutex_lock(&inbox->monitor.lock);
    pln_inbox_peer *entry = find(inbox, peer);
    if (entry != NULL) {
        entry->gone = true;
        if (!entry->queued) {
            PLN_ASSERT(entry->count == 0); /* Whoever has packets has a turn. */
            forget(inbox, entry);
        }
    }
    pthread_mutex_unlock(&inbox->monitor.lock);
}

uint64_t pln_inbox_dropped(pln_inbox *inbox, const pollen_key *peer) {
    pthread_mutex_lock(&inbox->monitor.lock);
    pln_inbox_peer *entry = find(inbox, peer);
    uint64_t dropped = entry == NULL ? 0 : entry->dropped;
    pthread_mutex_unlock(&inbox->monitor.lock);
    return dropped;
}

bool pln_inbox_pop_locked(pln_inbox *inbox, pollen_packet *ret) {
    pln_inbox_peer *entry = inbox->head;
    if (entry == NULL) {
        return false;
    }
    inbox->head = entry->next;
    if (inbox->head == NULL) {
        inbox->tail = &inbox->head;
    }
    PLN_ASSERT(entry->queued);
    entry->queued = false;
    slot packet = pop_slot(entry);
    PLN_ASSERT(inbox->packets > 0);
    inbox->packets--;
    *ret = (pollen_packet){
        .peer = entry->peer,
        .envelope = {.kind = packet.kind,
                     .body = packet.body->data + packet.body->begin,
                     .size = pln_chunk_size(packet.body)},
        .owner = packet.body,
    };
    if (entry->count > 0) {
        enqueue(inbox, entry);
    } else if (entry->gone) {
        forget(inbox, entry);
    }
    return true;
}

void pln_inbox_close(pln_inbox *inbox) {
    pthread_mutex_lock(&inbox->monitor.lock);
    inbox->closed = true;
    forget_all(inbox);
    pthread_cond_broadcast(&inbox->monitor.changed);
    pthread_mutex_unlock(&inbox->monitor.lock);
}
