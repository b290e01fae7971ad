/* SPDX-License-Identifier: Apache-2.0 */
/* How many handshakes a source may start: a bucket for each IPv4 address or IPv6 /64. */
#ifndef PLN_QUIC_ADMIT_H
#define PLN_QUIC_ADMIT_H

#include "base/addr.h"
#include "base/limits.h"
#include "base/meters.h"

/* Owner: the caller (pln_meters_destroy).  NULL: no memory. */
pln_meters *pln_admit_create(const pln_hash_key *key);

/* Takes a token for this source; false when its bucket is empty. */
bool pln_admit_take(pln_meters *admit, const pollen_addr *source, pln_ts now);

#endif
