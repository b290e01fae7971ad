/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many handshakes a source may start: a token bucket per IPv4 address or IPv6 /64, kept in a
 * table of fixed size, so that sources cannot make it grow.  Who shares a cell with a flood shares
 * its fate; the cells are chosen by a keyed hash, so that nobody can aim.
 */
#ifndef PLN_QUIC_ADMIT_H
#define PLN_QUIC_ADMIT_H

#include "base/addr.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/time.h"

typedef struct pln_admit pln_admit;

pln_admit *pln_admit_create(const pln_hash_key *key); /* NULL: no memory. */
void pln_admit_destroy(pln_admit *admit);

/* Takes a token for this source; false when its bucket is empty. */
bool pln_admit_take(pln_admit *admit, const pollen_addr *source, pln_ts now);

#endif
