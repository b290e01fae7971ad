/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often each of many parties may do something: a token bucket for each, in a table of fixed
 * size, so that parties cannot make it grow.  Who shares a cell with a flood shares its fate; the
 * cells are chosen by a keyed hash, so that nobody can aim.
 */
#ifndef PLN_BASE_METERS_H
#define PLN_BASE_METERS_H

#include <stdbool.h>

#include "base/hash.h"
#include "base/rng.h"
#include "base/time.h"

typedef struct pln_meters pln_meters;

enum { PLN_METERS_ID_BYTES = 32 };

typedef struct pln_meters_config {
    pln_hash_key key;
    size_t sets;      /* Of four cells, 48 bytes each. */
    pln_dur interval; /* One each, */
    uint32_t burst;   /* and so many saved; at least one. */
} pln_meters_config;

pln_meters *pln_meters_create(const pln_meters_config *config); /* NULL: no memory. */

/* *meters, made when it is needed first (NULL so far): most are for what hardly anybody does.  rng
 * draws the key then, in place of the configuration's.  NULL: no memory. */
pln_meters *pln_meters_obtain(pln_meters **meters, pln_meters_config config, const pln_rng *rng);
void pln_meters_destroy(pln_meters *meters); /* Accepts NULL. */

/* Takes so many for the party of this id, of PLN_METERS_ID_BYTES at most; false, and takes none,
 * when fewer are left. */
bool pln_meters_take(pln_meters *meters, const void *id, size_t size, uint32_t count, pln_ts now);

#endif
