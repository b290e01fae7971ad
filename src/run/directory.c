/* SPDX-License-Identifier: Apache-2.0 */
#include "run/directory.h"

#include <stdlib.h>

#include "base/assert.h"

enum { FIRST_KIND_OF_2 = 100 }; /* pollen/packet.h: kinds from here on need ALPN pollen/2. */

void pln_directory_init(pln_directory *directory, const pln_hash_key *hash_key) {
    *directory = (pln_directory){.hash_key = *hash_key};
    pthread_mutex_init(&directory->lock, NULL);
}

void pln_directory_fini(pln_directory *directory) {
    PLN_ASSERT(directory->links == NULL);
    pthread_mutex_destroy(&directory->lock);
}

static pln_link *find_locked(pln_directory *directory, const pollen_key *peer) {
    pln_link *link;
    PLN_MAP_FIND(&directory->hash_key, directory->links, peer->bytes, POLLEN_KEY_BYTES, link);
    return link;
}

static pln_link *find_or_add_locked(pln_directory *directory, const pollen_key *peer) {
    pln_link *link = find_locked(directory, peer);
    if (link != NULL) {
        return link;
    }
    link = pln_calloc(1, sizeof(*link));
    if (link == NULL) {
        return NULL;
    }
    link->peer = *peer;
    PLN_MAP_ADD(&directory->hash_key, directory->links, peer, POLLEN_KEY_BYTES, link);
    if (!PLN_MAP_ADDED(link)) {
        pln_free(link);
        return NULL;
    }
    return link;
}

pollen_err pln_directory_update(pln_directory *directory, const pln_session_info *info,
                                void (*run)(pln_cmd *, pollen_mesh *, pollen_err)) {
    pthread_mutex_lock(&directory->lock);
    pln_link *link = find_or_add_locked(directory, &info->peer);
    if (link != NULL) {
        link->cmd.run = run;
        link->generation = info->generation;
        link->envelope_max = info->envelope_max;
        link->speaks_2 = info->speaks_2;
        link->addr = info->conn.path.remote;
    }
    pthread_mutex_unlock(&directory->lock);
    return link == NULL ? POLLEN_ENOMEM : POLLEN_OK;
}

pln_link *pln_directory_remove(pln_directory *directory, const pollen_key *peer,
                               uint64_t generation) {
    pthread_mutex_lock(&directory->lock);
    pln_link *link = find_locked(directory, peer);
    if (link != NULL && link->generation == generation) {
        if (directory->cursor == link) {
            directory->cursor = link->hh.next;
        }
        HASH_DEL(directory->links, link);
        link->gone = true;
    } else {
        link = NULL;
    }
    pthread_mutex_unlock(&directory->lock);
    return link;
}

static void free_link(pln_link *link) {
    pln_chunkq_clear(&link->outbox);
    pln_chunkq_clear(&link->held);
    pln_free(link);
}

void pln_directory_free(pln_directory *directory, pln_link *link) {
    pthread_mutex_lock(&directory->lock);
    PLN_ASSERT(link->gone);
    link->released = true;
    bool idle = !link->cmd_queued;
    pthread_mutex_unlock(&directory->lock);
    if (idle) {
        free_link(link);
    }
}

static void take_locked(pln_link *link) {
    if (link->held.count == 0) {
        link->held = link->outbox;
        link->outbox = (pln_chunkq){0};
    }
}

void pln_directory_take(pln_directory *directory, pln_link *link) {
    pthread_mutex_lock(&directory->lock);
    take_locked(link);
    pthread_mutex_unlock(&directory->lock);
}

bool pln_directory_done(pln_directory *directory, pln_link *link) {
    pthread_mutex_lock(&directory->lock);
    link->cmd_queued = false;
    bool present = !link->gone;
    take_locked(link);
    pthread_mutex_unlock(&directory->lock);
    return present;
}

pln_link *pln_directory_next(pln_directory *directory) {
    pln_link *link = directory->cursor;
    directory->cursor = link == NULL ? directory->links : link->hh.next;
    return link;
}

void pln_directory_close(pln_directory *directory) {
    pthread_mutex_lock(&directory->lock);
    directory->closed = true;
    pthread_mutex_unlock(&directory->lock);
}

static pollen_err send_locked(pln_directory *directory, pln_link *link, pollen_envelope_kind kind,
                              size_t size) {
    if (directory->closed) {
        return POLLEN_ECLOSED;
    }
    if (link == NULL) {
        return POLLEN_ENOTCONN;
    }
    if ((int)kind >= FIRST_KIND_OF_2 && !link->speaks_2) {
        return POLLEN_ENOTSUP;
    }
    if (size > link->envelope_max) {
        return POLLEN_EMSGSIZE;
    }
    return atomic_load(&link->waiting) >= PLN_DATAGRAM_SENDQ_MAX ? POLLEN_EAGAIN : POLLEN_OK;
}

pollen_err pln_directory_send(pln_directory *directory, const pollen_key *peer,
                              pollen_envelope_kind kind, pln_chunk *chunk, pln_link **ret_link) {
    *ret_link = NULL;
    pthread_mutex_lock(&directory->lock);
    pln_link *link = find_locked(directory, peer);
    pollen_err err = send_locked(directory, link, kind, pln_chunk_size(chunk));
    if (err == POLLEN_OK) {
        pln_chunkq_push(&link->outbox, chunk);
        atomic_fetch_add(&link->waiting, 1);
        if (!link->cmd_queued) {
            link->cmd_queued = true;
            *ret_link = link;
        }
    }
    pthread_mutex_unlock(&directory->lock);
    return err;
}

void pln_directory_unqueue(pln_directory *directory, pln_link *link) {
    pthread_mutex_lock(&directory->lock);
    link->cmd_queued = false;
    /* Between its removal and pln_directory_free() the loop still holds it. */
    bool last = link->released;
    pthread_mutex_unlock(&directory->lock);
    if (last) {
        free_link(link);
    }
}

static int compare_keys(const void *a, const void *b) {
    return pln_key_compare(a, b);
}

size_t pln_directory_peers(pln_directory *directory, pollen_key *keys, size_t cap) {
    pthread_mutex_lock(&directory->lock);
    size_t count = HASH_COUNT(directory->links);
    pollen_key *all = count == 0 ? NULL : pln_calloc(count, sizeof(*all));
    size_t filled = 0;
    for (pln_link *link = directory->links; all != NULL && link != NULL; link = link->hh.next) {
        all[filled++] = link->peer;
    }
    pthread_mutex_unlock(&directory->lock);
    if (all != NULL) {
        qsort(all, filled, sizeof(*all), compare_keys);
        for (size_t i = 0; i < filled && i < cap; i++) {
            keys[i] = all[i];
        }
        pln_free(all);
    }
    return filled; /* Nobody, when there is no memory to put them in order. */
}

pollen_err pln_directory_addr(pln_directory *directory, const pollen_key *peer, pollen_addr *ret) {
    pthread_mutex_lock(&directory->lock);
    pln_link *link = find_locked(directory, peer);
    if (link != NULL) {
        *ret = link->addr;
    }
    pthread_mutex_unlock(&directory->lock);
    return link == NULL ? POLLEN_ENOTCONN : POLLEN_OK;
}
