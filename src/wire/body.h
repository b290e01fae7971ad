/* SPDX-License-Identifier: Apache-2.0 */
/* What the codecs of envelope bodies share; for src/wire alone. */
#ifndef PLN_WIRE_BODY_H
#define PLN_WIRE_BODY_H

#include "wire/envelope.h"
#include "wire/protowrite.h"

/* Ends the body and gives the envelope around it. */
POLLEN_MUST_USE pollen_err pln_body_finish(pollen_envelope_kind kind, pln_out *body,
                                           pln_bytes *ret);

/* A key that may be absent (all zero then); false when it has another length. */
bool pln_body_optional_key(const pln_proto_slot *slot, pollen_key *ret);

/* An address as the text that pollen_addr_parse() reads; false for anything else. */
bool pln_body_read_addr(const uint8_t *data, size_t size, pollen_addr *ret);
void pln_body_put_addr(pln_out *out, uint32_t number, const pollen_addr *addr);

#endif
