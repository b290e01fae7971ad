/* SPDX-License-Identifier: Apache-2.0 */
/* The changes inside gossip events; for src/wire alone. */
#ifndef PLN_WIRE_CHANGE_H
#define PLN_WIRE_CHANGE_H

#include "wire/protowrite.h"
#include "wire/state.h"

/*
 * Fills kind and change of the event from the encoded change of that kind.
 *
 * Errors: POLLEN_EPROTO  malformed
 *         POLLEN_ELIMIT  well-formed, but out of bounds: the event is to be kept as UNKNOWN
 *         POLLEN_ENOMEM
 * The event may hold parts of the change then; pln_change_fini() frees them.
 */
POLLEN_MUST_USE pollen_err pln_change_read(pln_change_kind kind, const uint8_t *bytes, size_t size,
                                           pln_gossip_event *event);

/* Writes the change of the event, which is of a known kind, without tag and length. */
void pln_change_write(const pln_gossip_event *event, pln_out *out);

/* Frees the change and sets its kind to NONE. */
void pln_change_fini(pln_gossip_event *event);

/* The kind with that field number; NONE when there is none. */
pln_change_kind pln_change_of(uint32_t number);

#endif
