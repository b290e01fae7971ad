/* SPDX-License-Identifier: Apache-2.0 */
#include "base/chunk.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

pln_chunk *pln_chunk_create(size_t cap) {
    if (cap > SIZE_MAX - sizeof(pln_chunk)) {
        return NULL;
    }
    pln_chunk *chunk = pln_malloc(sizeof(*chunk) + cap);
    if (chunk == NULL) {
        return NULL;
    }
    *chunk = (pln_chunk){.cap = cap};
    return chunk;
}

void pln_chunk_destroy(pln_chunk *chunk) {
    pln_free(chunk);
}

void pln_chunk_destroy_list(pln_chunk *chunk) {
    while (chunk != NULL) {
        pln_chunk *next = chunk->next;
        pln_chunk_destroy(chunk);
        chunk = next;
    }
}

void pln_chunkq_push(pln_chunkq *q, pln_chunk *chunk) {
    PLN_ASSERT(chunk->begin <= chunk->end);
    PLN_ASSERT(chunk->end <= chunk->cap);

    chunk->next = NULL;
    if (q->tail == NULL) {
        q->head = chunk;
    } else {
        q->tail->next = chunk;
    }
    q->tail = chunk;
    q->bytes += pln_chunk_size(chunk);
    q->count++;
}

pln_chunk *pln_chunkq_pop(pln_chunkq *q) {
    pln_chunk *chunk = q->head;
    if (chunk == NULL) {
        PLN_ASSERT(q->bytes == 0);
        PLN_ASSERT(q->count == 0);
        return NULL;
    }
    PLN_ASSERT(q->count > 0);
    PLN_ASSERT(q->bytes >= pln_chunk_size(chunk));
    q->head = chunk->next;
    if (q->head == NULL) {
        q->tail = NULL;
    }
    q->bytes -= pln_chunk_size(chunk);
    q->count--;
    chunk->next = NULL;
    return chunk;
}

void pln_chunkq_clear(pln_chunkq *q) {
    pln_chunk_destroy_list(q->head);
    *q = (pln_chunkq){.head = NULL};
}

/* Into the room left in one chunk; returns how many fitted. */
static size_t fill(pln_chunk *chunk, const uint8_t *bytes, size_t count) {
    PLN_ASSERT(chunk->end <= chunk->cap);
    size_t room = chunk->cap - chunk->end;
    size_t taken = count < room ? count : room;
    if (taken > 0) {
        memcpy(chunk->data + chunk->end, bytes, taken);
        chunk->end += taken;
    }
    return taken;
}

int pln_chunkq_append(pln_chunkq *q, const uint8_t *bytes, size_t count, size_t chunk_cap) {
    size_t room = q->tail == NULL ? 0 : q->tail->cap - q->tail->end;
    size_t rest = count > room ? count - room : 0;
    pln_chunk *added = NULL;
    if (rest > 0) {
        /* First, because on failure the tail chunk must not have grown either. */
        added = pln_chunk_create(rest > chunk_cap ? rest : chunk_cap);
        if (added == NULL) {
            return -1;
        }
    }
    if (q->tail != NULL) {
        size_t taken = fill(q->tail, bytes, count);
        q->bytes += taken;
    }
    if (added != NULL) {
        (void)fill(added, bytes + (count - rest), rest); /* It was made large enough. */
        pln_chunkq_push(q, added);
    }
    return 0;
}

size_t pln_chunkq_read(pln_chunkq *q, uint8_t *bytes, size_t count) {
    size_t done = 0;
    while (q->head != NULL && done < count) {
        pln_chunk *chunk = q->head;
        size_t here = pln_chunk_size(chunk);
        size_t taken = here < count - done ? here : count - done;
        if (taken > 0) {
            memcpy(bytes + done, chunk->data + chunk->begin, taken);
        }
        PLN_ASSERT(taken <= q->bytes);
        chunk->begin += taken;
        q->bytes -= taken;
        done += taken;
        if (pln_chunk_size(chunk) == 0) {
            pln_chunk_destroy(pln_chunkq_pop(q));
        }
    }
    return done;
}
