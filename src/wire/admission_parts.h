/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoders and encoders of several admission objects share; for src/wire alone. */
#ifndef PLN_WIRE_ADMISSION_PARTS_H
#define PLN_WIRE_ADMISSION_PARTS_H

#include "wire/admission.h"
#include "wire/protoscan.h"
#include "wire/protowrite.h"

/* All but pln_admission_is_text() give false when the field is not exactly that long. */
bool pln_admission_key(const pln_proto_slot *slot, pollen_key *ret);
bool pln_admission_signature(const pln_proto_slot *slot, pln_signature *ret);
bool pln_admission_token_id(const pln_proto_slot *slot, char ret[PLN_TOKEN_ID_BYTES]);

/*
 * The frame of all signed objects: field 1 is what is signed, the field before last may be an
 * issuer, the last one is the signature.
 *
 * Fills wire from signed_bytes and signature, with the unknown fields of `decoded` (may be NULL).
 */
POLLEN_MUST_USE pollen_err pln_admission_seal(const pln_bytes *signed_bytes,
                                              const pln_signature *signature,
                                              const pln_proto_message *decoded,
                                              pln_bytes *ret_wire);

/*
 * Reads the occurrences of a repeated BootstrapPeer field into list, and their canonical form,
 * unknown fields included, as fields with that number into out.
 */
POLLEN_MUST_USE pollen_err pln_bootstraps_read(const pln_proto_message *claims, uint32_t number,
                                               pln_bootstraps *list, pln_out *out);

/* Errors: POLLEN_EINVAL  over the limits, or an entry without an address */
POLLEN_MUST_USE pollen_err pln_bootstraps_write(const pln_bootstraps *list, uint32_t number,
                                                pln_out *out);

#endif
