/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks neighbours again where they see us: those whose word on that has not come, because datagrams
 * get lost, and only while too little is known to tell our NAT.  To ask is to say so once more: who
 * hears of a NAT that is unknown answers with what it sees (pollen/2).
 */
#ifndef PLN_NODE_INQUIRY_H
#define PLN_NODE_INQUIRY_H

#include "node/neighbours.h"
#include "node/outside.h"

typedef struct pln_inquiry {
    pln_ts at; /* PLN_TS_NEVER: nobody is to be asked. */
    size_t rounds;
} pln_inquiry;

void pln_inquiry_init(pln_inquiry *inquiry);

/* There is a new session, or what was said is forgotten: words may be on the way. */
void pln_inquiry_begin(pln_inquiry *inquiry, pln_ts now);

void pln_inquiry_handle_timeout(pln_inquiry *inquiry, const pln_outside *outside,
                                const pln_neighbours *neighbours, pln_now now);

#endif
