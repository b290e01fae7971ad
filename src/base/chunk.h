/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: the unit in which stream bytes and datagrams change hands.  A chunk has one owner at a
 * time and moves by pointer, from the caller's thread to the connection and back, so that bytes are
 * copied once.
 */
#ifndef PLN_BASE_CHUNK_H
#define PLN_BASE_CHUNK_H

#include <stddef.h>
#include <stdint.h>

typedef struct pln_chunk {
    struct pln_chunk *next;
    size_t cap;   /* Room in data. */
    size_t begin; /* Bytes before it are consumed. */
    size_t end;   /* Bytes from it on are free; begin <= end <= cap. */
    uint8_t data[];
} pln_chunk;

/* Owner: the caller; NULL when there is no memory. */
pln_chunk *pln_chunk_create(size_t cap);
void pln_chunk_destroy(pln_chunk *chunk);      /* This one alone; accepts NULL. */
void pln_chunk_destroy_list(pln_chunk *chunk); /* And all behind it. */

static inline size_t pln_chunk_size(const pln_chunk *chunk) {
    return chunk->end - chunk->begin;
}

/* A first-in first-out list that knows its size in bytes. */
typedef struct pln_chunkq {
    pln_chunk *head;
    pln_chunk *tail;
    size_t bytes;
    size_t count;
} pln_chunkq;

void pln_chunkq_push(pln_chunkq *q, pln_chunk *chunk); /* Takes the chunk (a single one). */
pln_chunk *pln_chunkq_pop(pln_chunkq *q);              /* Gives it away; NULL when empty. */
void pln_chunkq_clear(pln_chunkq *q);

/* Appends a copy, filling the tail chunk first; new chunks have room for at least chunk_cap bytes.
 * Returns 0, or -1 when there is no memory and nothing was appended. */
int pln_chunkq_append(pln_chunkq *q, const uint8_t *bytes, size_t count, size_t chunk_cap);

/* Copies up to count bytes out and drops what was copied; returns how many. */
size_t pln_chunkq_read(pln_chunkq *q, uint8_t *bytes, size_t count);

#endif
