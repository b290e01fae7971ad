/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of one author. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/key.h"
#include "base/mem.h"
#include "state/internal.h"

/* Hashes travel, so the key is the same everywhere.  It keeps no secret: who finds two events of
 * one hash hides a difference in what is said of one author. */
static const pln_hash_key hash_key = {
    .bytes = {'p', 'o', 'l', 'l', 'e', 'n', ' ', 'd', 'i', 'g', 'e', 's', 't', ' ', '2', 0}};

/* ---- Order ----------------------------------------------------------------------------------- */

typedef struct attr_name {
    uint8_t kind;
    const char *text;      /* SERVICE */
    const pollen_key *key; /* REACHABILITY, REVOCATION */
} attr_name;

static attr_name name_of(const pln_attr *attr) {
    attr_name name = {.kind = attr->kind};
    if (attr->kind == PLN_CHANGE_SERVICE) {
        name.text = attr->service.name;
    } else if (attr->kind == PLN_CHANGE_REACHABILITY || attr->kind == PLN_CHANGE_REVOCATION) {
        name.key = &attr->key;
    }
    return name;
}

static attr_name name_of_event(const pln_gossip_event *event, const pollen_key *subject) {
    attr_name name = {.kind = (uint8_t)event->kind};
    if (event->kind == PLN_CHANGE_SERVICE) {
        name.text = event->service.name;
    } else if (event->kind == PLN_CHANGE_REACHABILITY) {
        name.key = &event->reachability.peer;
    } else if (event->kind == PLN_CHANGE_REVOCATION) {
        name.key = subject;
    }
    return name;
}

static int compare_names(const attr_name *a, const attr_name *b) {
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->text != NULL) {
        return strcmp(a->text, b->text);
    }
    return a->key != NULL ? pln_key_compare(a->key, b->key) : 0;
}

static size_t place_of(const pln_author *author, const attr_name *name, bool *ret_found) {
    size_t begin = 0;
    size_t end = author->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        attr_name other = name_of(&author->attrs[middle]);
        int order = compare_names(&other, name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    *ret_found = false;
    return begin;
}

static pln_attr *find(const pln_author *author, const attr_name *name) {
    bool found;
    size_t place = place_of(author, name, &found);
    return found ? &author->attrs[place] : NULL;
}

bool pln_attr_is_named(const pln_gossip_event *event) {
    return (event->kind != PLN_CHANGE_SERVICE || event->service.name != NULL) &&
           (event->kind != PLN_CHANGE_REACHABILITY || event->reachability.has_peer);
}

pln_attr *pln_attr_find(const pln_author *author, const pln_gossip_event *event,
                        const pollen_key *subject) {
    attr_name name = name_of_event(event, subject);
    return find(author, &name);
}

pln_attr *pln_attr_reachability(const pln_author *author, const pollen_key *peer) {
    attr_name name = {.kind = PLN_CHANGE_REACHABILITY, .key = peer};
    return find(author, &name);
}

pln_attr *pln_attr_revocation(const pln_author *author, const pollen_key *subject) {
    attr_name name = {.kind = PLN_CHANGE_REVOCATION, .key = subject};
    return find(author, &name);
}

pln_attr *pln_attr_service(const pln_author *author, const char *service) {
    attr_name name = {.kind = PLN_CHANGE_SERVICE, .text = service};
    return find(author, &name);
}

pln_attr *pln_attr_single(const pln_author *author, pln_change_kind kind) {
    attr_name name = {.kind = (uint8_t)kind};
    return find(author, &name);
}

/* ---- Counts and sums ------------------------------------------------------------------------- */

size_t pln_attr_limit(pln_change_kind kind) {
    if (kind == PLN_CHANGE_SERVICE) {
        return PLN_STATE_SERVICES_MAX;
    }
    return kind == PLN_CHANGE_REACHABILITY ? PLN_STATE_REACHABLE_MAX : SIZE_MAX;
}

static size_t *counter_of(pln_author *author, uint8_t kind) {
    if (kind == PLN_CHANGE_SERVICE) {
        return &author->services;
    }
    return kind == PLN_CHANGE_REACHABILITY ? &author->reachable : NULL;
}

size_t pln_attr_count(const pln_author *author, pln_change_kind kind) {
    if (kind == PLN_CHANGE_SERVICE) {
        return author->services;
    }
    return kind == PLN_CHANGE_REACHABILITY ? author->reachable : 0;
}

pln_attr *pln_attr_oldest(const pln_author *author, pln_change_kind kind) {
    pln_attr *oldest = NULL;
    for (size_t i = 0; i < author->count; i++) {
        pln_attr *attr = &author->attrs[i];
        if (attr->kind == kind && (oldest == NULL || attr->counter < oldest->counter)) {
            oldest = attr;
        }
    }
    return oldest;
}

size_t pln_attr_bytes(const pln_attr *attr) {
    size_t bytes = sizeof(*attr);
    if (attr->kind == PLN_CHANGE_SERVICE) {
        bytes += strlen(attr->service.name) + 1;
    } else if (attr->kind == PLN_CHANGE_NETWORK) {
        for (size_t i = 0; i < attr->network.ip_count; i++) {
            bytes += sizeof(char *) + strlen(attr->network.ips[i]) + 1;
        }
    }
    return bytes;
}

bool pln_attr_is_told(const pln_attr *attr) {
    return !attr->loaded && attr->counter > 0;
}

static void put_le(uint8_t *out, uint64_t value) {
    for (size_t i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t hash_of(const pln_attr *attr) {
    uint8_t bytes[16];
    put_le(bytes, attr->content);
    put_le(bytes + 8, attr->counter);
    return pln_hash64(&hash_key, bytes, sizeof(bytes));
}

static void remix(pln_author *author) {
    uint8_t bytes[POLLEN_KEY_BYTES + 16];
    memcpy(bytes, author->key.bytes, POLLEN_KEY_BYTES);
    put_le(bytes + POLLEN_KEY_BYTES, author->max);
    put_le(bytes + POLLEN_KEY_BYTES + 8, author->hash);
    author->mix = author->max > 0 ? pln_hash64(&hash_key, bytes, sizeof(bytes)) : 0;
}

static void add_told(pln_author *author, const pln_attr *attr) {
    if (pln_attr_is_told(attr)) {
        author->hash += hash_of(attr);
        author->wire_bytes += attr->size;
        author->max = attr->counter > author->max ? attr->counter : author->max;
    }
    author->seen = author->max > author->seen ? author->max : author->seen;
}

static void subtract_told(pln_author *author, const pln_attr *attr) {
    if (pln_attr_is_told(attr)) {
        PLN_ASSERT(author->wire_bytes >= attr->size);
        author->hash -= hash_of(attr);
        author->wire_bytes -= attr->size;
    }
}

void pln_author_recount(pln_author *author) {
    author->max = 0;
    for (size_t i = 0; i < author->count; i++) {
        const pln_attr *attr = &author->attrs[i];
        if (pln_attr_is_told(attr) && attr->counter > author->max) {
            author->max = attr->counter;
        }
    }
    author->seen = author->max;
    remix(author);
}

/* ---- Content --------------------------------------------------------------------------------- */

/* Of a revocation the signed bytes are the same everywhere or nowhere valid, and kept once: the
 * subject stands for them. */
static pln_gossip_event kept_form(const pln_gossip_event *event, const pollen_key *subject) {
    pln_gossip_event kept = {.kind = event->kind, .deleted = event->deleted};
    if (event->kind == PLN_CHANGE_REVOCATION) {
        kept.revocation =
            (pln_bytes){.data = (uint8_t *)(uintptr_t)subject->bytes, .size = POLLEN_KEY_BYTES};
    } else if (event->kind == PLN_CHANGE_REACHABILITY) {
        kept.reachability = event->reachability;
    } else if (event->kind == PLN_CHANGE_SERVICE) {
        kept.service.name = event->service.name;
        kept.service.port = event->deleted ? 0 : event->service.port;
    } else if (event->deleted) {
        return kept;
    } else if (event->kind == PLN_CHANGE_NETWORK) {
        kept.network = event->network;
    } else if (event->kind == PLN_CHANGE_EXTERNAL_PORT) {
        kept.external_port = event->external_port;
    } else if (event->kind == PLN_CHANGE_IDENTITY) {
        kept.identity = event->identity;
    }
    return kept;
}

pollen_err pln_attr_digest(const pln_gossip_event *event, const pollen_key *subject,
                           uint64_t *ret_content, uint32_t *ret_size) {
    PLN_ASSERT(event->kind != PLN_CHANGE_NONE && event->kind != PLN_CHANGE_UNKNOWN);
    PLN_ASSERT((event->kind == PLN_CHANGE_REVOCATION) == (subject != NULL));
    pln_gossip_event kept = kept_form(event, subject);
    pln_bytes bytes = {0};
    pollen_err err = pln_gossip_event_encode(&kept, &bytes);
    if (err != POLLEN_OK) {
        return err;
    }
    /* Beside the change: the author's 66 bytes, a counter of three, tag and length in the batch. */
    enum { AROUND = 72 };
    size_t size = bytes.size + AROUND;
    if (event->kind == PLN_CHANGE_REVOCATION) {
        size += 3 * (size_t)PLN_SIGNATURE_BYTES - POLLEN_KEY_BYTES;
    }
    *ret_content = pln_hash64(&hash_key, bytes.data, bytes.size);
    PLN_ASSERT(size <= UINT32_MAX);
    *ret_size = (uint32_t)size;
    pln_bytes_fini(&bytes);
    return POLLEN_OK;
}

static void content_fini(pln_attr *attr) {
    if (attr->kind == PLN_CHANGE_SERVICE) {
        pln_free(attr->service.name);
    } else if (attr->kind == PLN_CHANGE_NETWORK) {
        for (size_t i = 0; i < attr->network.ip_count; i++) {
            pln_free(attr->network.ips[i]);
        }
        pln_free(attr->network.ips);
    }
}

/* Moves the change into the attribute; what a withdrawn one does not need is freed. */
static void take_content(pln_attr *attr, pln_gossip_event *event, const pollen_key *subject) {
    attr->kind = (uint8_t)event->kind;
    attr->deleted = event->deleted;
    attr->counter = event->counter;
    if (event->kind == PLN_CHANGE_SERVICE) {
        attr->service = event->service;
        attr->service.port = event->deleted ? 0 : event->service.port;
        event->service.name = NULL;
    } else if (event->kind == PLN_CHANGE_REACHABILITY) {
        attr->key = event->reachability.peer;
    } else if (event->kind == PLN_CHANGE_REVOCATION) {
        attr->key = *subject;
    } else if (event->deleted) {
        return;
    } else if (event->kind == PLN_CHANGE_NETWORK) {
        attr->network = event->network;
        event->network = (pln_network_change){0};
    } else if (event->kind == PLN_CHANGE_EXTERNAL_PORT) {
        attr->external_port = event->external_port;
    } else if (event->kind == PLN_CHANGE_IDENTITY) {
        attr->identity = event->identity;
    }
}

pln_gossip_event pln_attr_event(const pln_state *state, const pln_author *author,
                                const pln_attr *attr) {
    pln_gossip_event event = {.has_author = true,
                              .author = author->key,
                              .counter = attr->counter,
                              .deleted = attr->deleted,
                              .kind = (pln_change_kind)attr->kind};
    if (attr->kind == PLN_CHANGE_NETWORK) {
        event.network = attr->network;
    } else if (attr->kind == PLN_CHANGE_EXTERNAL_PORT) {
        event.external_port = attr->external_port;
    } else if (attr->kind == PLN_CHANGE_IDENTITY) {
        event.identity = attr->identity;
    } else if (attr->kind == PLN_CHANGE_SERVICE) {
        event.service = attr->service;
    } else if (attr->kind == PLN_CHANGE_REACHABILITY) {
        event.reachability = (pln_reachability_change){.has_peer = true, .peer = attr->key};
    } else if (attr->kind == PLN_CHANGE_REVOCATION) {
        const pln_revocation *revocation = pln_revocation_find(state, &attr->key);
        event.revocation = revocation != NULL ? revocation->wire : (pln_bytes){0};
    }
    return event;
}

/* ---- Changes --------------------------------------------------------------------------------- */

static bool reserve(pln_author *author) {
    if (author->count < author->cap) {
        return true;
    }
    size_t cap = author->cap == 0 ? 8 : author->cap + author->cap / 2;
    pln_attr *attrs = pln_realloc(author->attrs, cap * sizeof(*attrs));
    if (attrs == NULL) {
        return false;
    }
    author->attrs = attrs;
    author->cap = cap;
    return true;
}

static pln_attr *insert(pln_author *author, size_t place, const pln_attr *attr) {
    PLN_ASSERT(author->count < author->cap);
    PLN_ASSERT(place <= author->count);
    memmove(author->attrs + place + 1, author->attrs + place,
            (author->count - place) * sizeof(*author->attrs));
    author->attrs[place] = *attr;
    author->count += 1;
    size_t *count = counter_of(author, attr->kind);
    if (count != NULL) {
        *count += 1;
    }
    return &author->attrs[place];
}

/* The old content goes; its place and number among the kind stay. */
static size_t clear(pln_state *state, pln_author *author, pln_attr *attr) {
    size_t bytes = pln_attr_bytes(attr);
    PLN_ASSERT(!attr->pending || author == state->self);
    PLN_ASSERT(!attr->pending || state->pending > 0);
    subtract_told(author, attr);
    state->pending -= attr->pending ? 1 : 0;
    content_fini(attr);
    return bytes;
}

pollen_err pln_author_put(pln_state *state, pln_author *author, pln_gossip_event *event,
                          const pollen_key *subject, pln_attr **ret) {
    PLN_ASSERT(pln_attr_is_named(event));
    pln_attr attr = {0};
    pollen_err err = pln_attr_digest(event, subject, &attr.content, &attr.size);
    if (err == POLLEN_OK && !reserve(author)) {
        err = POLLEN_ENOMEM;
    }
    if (err != POLLEN_OK) {
        return err;
    }
    attr_name name = name_of_event(event, subject);
    bool found;
    size_t place = place_of(author, &name, &found);
    take_content(&attr, event, subject);
    size_t less = 0;
    pln_attr *kept;
    if (found) {
        kept = &author->attrs[place];
        less = clear(state, author, kept);
        *kept = attr;
    } else {
        kept = insert(author, place, &attr);
    }
    add_told(author, kept);
    remix(author);
    pln_authors_account(state, author, pln_attr_bytes(kept), less);
    *ret = kept;
    return POLLEN_OK;
}

void pln_author_remove(pln_state *state, pln_author *author, pln_attr *attr) {
    size_t place = (size_t)(attr - author->attrs);
    PLN_ASSERT(place < author->count);
    size_t *count = counter_of(author, attr->kind);
    if (count != NULL) {
        PLN_ASSERT(*count > 0);
        *count -= 1;
    }
    size_t less = clear(state, author, attr);
    author->count -= 1;
    memmove(attr, attr + 1, (author->count - place) * sizeof(*attr));
    remix(author);
    pln_authors_account(state, author, 0, less);
}

void pln_author_renumber(pln_state *state, pln_author *author, pln_attr *attr, uint64_t counter) {
    PLN_ASSERT(author == state->self); /* Nobody else's counters are ours to give. */
    PLN_ASSERT(counter > attr->counter);
    PLN_ASSERT(counter <= PLN_STATE_COUNTER_MAX);
    subtract_told(author, attr);
    attr->counter = counter;
    attr->renew = false;
    if (!attr->pending) {
        attr->pending = true;
        state->pending += 1;
    }
    add_told(author, attr);
    remix(author);
}

static int compare_counters(const void *a, const void *b) {
    const pln_attr *const *x = a;
    const pln_attr *const *y = b;
    return ((*x)->counter > (*y)->counter) - ((*x)->counter < (*y)->counter);
}

const pln_attr **pln_author_above(const pln_author *author, uint64_t above, size_t *ret_count) {
    size_t count = 0;
    const pln_attr **list = pln_calloc(author->count > 0 ? author->count : 1, sizeof(*list));
    if (list == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < author->count; i++) {
        const pln_attr *attr = &author->attrs[i];
        if (pln_attr_is_told(attr) && attr->counter > above) {
            list[count++] = attr;
        }
    }
    qsort(list, count, sizeof(*list), compare_counters);
    *ret_count = count;
    return list;
}
