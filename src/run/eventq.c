/* SPDX-License-Identifier: Apache-2.0 */
#include "run/eventq.h"

#include <string.h>

#include "base/assert.h"
#include "base/key.h"
#include "base/limits.h"

/* Peers with unpulled events.  Twice as many as can be connected; beyond it the news that a peer
 * came and went is forgotten, which leaves the puller with the right picture. */
enum { EVENT_PEERS_MAX = 2 * PLN_CONNS_MAX };

/* Two events, and one for each session of a peer that may be alive besides. */
enum { PEER_EVENTS_MAX = 2 + PLN_SESSIONS_PER_PEER_MAX };

struct pln_event_peer {
    pollen_key peer;
    UT_hash_handle hh;
    pln_event_peer *next; /* In turn. */
    bool queued;
    size_t live; /* Sessions announced and not ended: keeps the entry for their DISCONNECTED. */
    size_t count;
    pollen_event events[PEER_EVENTS_MAX];
};

void pln_eventq_init(pln_eventq *q, const pln_hash_key *hash_key) {
    *q = (pln_eventq){.hash_key = *hash_key};
    q->tail = &q->head;
    pln_monitor_init(&q->monitor);
}

void pln_eventq_fini(pln_eventq *q) {
    pln_event_peer *entry, *next;
    HASH_ITER(hh, q->peers, entry, next) {
        HASH_DEL(q->peers, entry);
        pln_free(entry);
    }
    pln_monitor_fini(&q->monitor);
}

/* ---- The events of one peer ------------------------------------------------------------------ */

static pollen_event *find_event(pln_event_peer *entry, pollen_event_kind kind,
                                uint64_t generation) {
    for (size_t i = 0; i < entry->count; i++) {
        if (entry->events[i].kind == kind && entry->events[i].generation == generation) {
            return &entry->events[i];
        }
    }
    return NULL;
}

static void remove_event(pln_event_peer *entry, pollen_event *event) {
    size_t index = (size_t)(event - entry->events);
    PLN_ASSERT(index < entry->count);
    memmove(event, event + 1, (entry->count - index - 1) * sizeof(*event));
    entry->count--;
}

static void append_event(pln_event_peer *entry, const pollen_event *event) {
    if (entry->count == PEER_EVENTS_MAX) {
        remove_event(entry, &entry->events[0]);
    }
    PLN_ASSERT(entry->count < PEER_EVENTS_MAX);
    entry->events[entry->count++] = *event;
}

/* Drops a session that came and went unseen. */
static void drop_finished(pln_event_peer *entry) {
    for (size_t i = 0; i < entry->count; i++) {
        pollen_event *connected = &entry->events[i];
        if (connected->kind != POLLEN_EVENT_CONNECTED) {
            continue;
        }
        pollen_event *ended = find_event(entry, POLLEN_EVENT_DISCONNECTED, connected->generation);
        if (ended != NULL) {
            remove_event(entry, ended); /* The later one first: it moves nothing before it. */
            remove_event(entry, connected);
            return;
        }
    }
}

static void add_connected(pln_event_peer *entry, const pollen_event *event) {
    drop_finished(entry);
    append_event(entry, event);
    entry->live++;
}

static void add_path(pln_event_peer *entry, const pollen_event *event) {
    pollen_event *older = find_event(entry, POLLEN_EVENT_CONNECTED, event->generation);
    if (older == NULL) {
        older = find_event(entry, POLLEN_EVENT_PATH, event->generation);
    }
    if (older != NULL) {
        older->addr = event->addr;
    } else {
        append_event(entry, event);
    }
}

static void add_disconnected(pln_event_peer *entry, const pollen_event *event) {
    entry->live -= entry->live > 0;
    pollen_event *path = find_event(entry, POLLEN_EVENT_PATH, event->generation);
    if (path != NULL) {
        remove_event(entry, path);
    }
    pollen_event *unseen = find_event(entry, POLLEN_EVENT_CONNECTED, event->generation);
    if (unseen != NULL && entry->count > 1) {
        remove_event(entry, unseen);
    } else {
        append_event(entry, event);
    }
}

static void add_event(pln_event_peer *entry, const pollen_event *event) {
    switch (event->kind) {
    case POLLEN_EVENT_CONNECTED:
        add_connected(entry, event);
        break;
    case POLLEN_EVENT_PATH:
        add_path(entry, event);
        break;
    case POLLEN_EVENT_DISCONNECTED:
        add_disconnected(entry, event);
        break;
    }
}

/* ---- The queue ------------------------------------------------------------------------------- */

static void enqueue(pln_eventq *q, pln_event_peer *entry) {
    if (entry->queued || entry->count == 0) {
        return;
    }
    entry->queued = true;
    entry->next = NULL;
    *q->tail = entry;
    q->tail = &entry->next;
}

static pln_event_peer *dequeue(pln_eventq *q) {
    pln_event_peer *entry = q->head;
    if (entry == NULL) {
        return NULL;
    }
    PLN_ASSERT(entry->queued);
    q->head = entry->next;
    if (q->head == NULL) {
        q->tail = &q->head;
    }
    entry->queued = false;
    return entry;
}

static void forget(pln_eventq *q, pln_event_peer *entry) {
    PLN_ASSERT(!entry->queued);
    PLN_ASSERT(entry->live == 0);
    PLN_ASSERT(q->count > 0);
    PLN_ASSERT(q->peers != NULL);
    HASH_DEL(q->peers, entry);
    pln_free(entry);
    q->count--;
}

/* Makes room by forgetting peers that are gone; a live one goes to the end of the turn. */
static void make_room(pln_eventq *q) {
    for (int tries = 0; tries < 64 && q->count >= EVENT_PEERS_MAX; tries++) {
        pln_event_peer *oldest = dequeue(q);
        if (oldest == NULL) {
            return;
        }
        if (oldest->live > 0 || oldest->events[0].kind == POLLEN_EVENT_DISCONNECTED) {
            enqueue(q, oldest);
        } else {
            forget(q, oldest);
        }
    }
}

static pln_event_peer *find_or_add(pln_eventq *q, const pollen_event *event) {
    pln_event_peer *entry;
    PLN_MAP_FIND(&q->hash_key, q->peers, event->peer.bytes, POLLEN_KEY_BYTES, entry);
    if (entry != NULL || event->kind != POLLEN_EVENT_CONNECTED) {
        return entry;
    }
    make_room(q);
    entry = pln_calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    entry->peer = event->peer;
    PLN_MAP_ADD(&q->hash_key, q->peers, peer, POLLEN_KEY_BYTES, entry);
    if (!PLN_MAP_ADDED(entry)) {
        pln_free(entry);
        return NULL;
    }
    q->count++;
    return entry;
}

pollen_err pln_eventq_push(pln_eventq *q, const pollen_event *event) {
    pthread_mutex_lock(&q->monitor.lock);
    pln_event_peer *entry = find_or_add(q, event);
    if (entry != NULL) {
        add_event(entry, event);
        enqueue(q, entry);
        pthread_cond_signal(&q->monitor.changed);
    }
    pthread_mutex_unlock(&q->monitor.lock);
    return entry == NULL && event->kind == POLLEN_EVENT_CONNECTED ? POLLEN_ENOMEM : POLLEN_OK;
}

bool pln_eventq_pop_locked(pln_eventq *q, pollen_event *ret) {
    pln_event_peer *entry;
    while ((entry = dequeue(q)) != NULL) {
        bool found = entry->count > 0; /* Merging may have left nothing. */
        if (found) {
            *ret = entry->events[0];
            remove_event(entry, &entry->events[0]);
            enqueue(q, entry);
        }
        if (entry->count == 0 && entry->live == 0) {
            forget(q, entry);
        }
        if (found) {
            return true;
        }
    }
    return false;
}

void pln_eventq_close(pln_eventq *q) {
    pthread_mutex_lock(&q->monitor.lock);
    q->closed = true;
    pthread_cond_broadcast(&q->monitor.changed);
    pthread_mutex_unlock(&q->monitor.lock);
}
