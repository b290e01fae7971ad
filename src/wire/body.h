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

#endif
