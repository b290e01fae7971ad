/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nat.json: which NAT was found at the places where this node has been, so that it need not be
 * found out again at each start.  A place is told by the addresses of our interfaces and the one
 * that all of them are seen at.
 */
#ifndef PLN_WIRE_NAT_MEMORY_H
#define PLN_WIRE_NAT_MEMORY_H

#include <pollen/nat.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/time.h"

/* Home, work, a phone, and as many cafés. */
enum { PLN_NAT_PLACES_MAX = 8 };

/* 8 places of 16 addresses are below 8 KiB. */
enum { PLN_NAT_MEMORY_TEXT_MAX = 64 * 1024 };

typedef struct pln_nat_place {
    size_t local_count;
    pollen_addr locals[PLN_NAT_LOCALS_MAX]; /* Of the family of external; without ports. */
    pollen_addr external;                   /* Without a port. */
    pollen_nat_mapping mapping;             /* Never unknown. */
    pollen_nat_allocation allocation;
    uint16_t step;
    pln_wall at; /* When that was last found out. */
} pln_nat_place;

typedef struct pln_nat_memory {
    size_t count;
    pln_nat_place items[PLN_NAT_PLACES_MAX]; /* The last one found first. */
} pln_nat_memory;

/*
 * A place that cannot be read is left out, and so are those beyond the maximum.
 *
 * Errors: POLLEN_ESTATE  no JSON, or without places
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_nat_memory_decode(const char *text, size_t size,
                                                 pln_nat_memory *ret);

/* Indented by 2, with a final newline.  Owner: ret_text is the caller's.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_nat_memory_encode(const pln_nat_memory *memory, pln_bytes *ret_text);

#endif
