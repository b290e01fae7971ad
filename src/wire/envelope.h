/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope (pollen.mesh.v1.Envelope): one message between two nodes, one DATAGRAM frame.
 *
 * An envelope is a oneof, so it is held as its kind and the encoded body of that kind; the body is
 * decoded only by whoever consumes that kind.  Kinds below 100 are the reference's; those from 100
 * on are sent only on sessions of ALPN pollen/2 (the reference takes an envelope with such a body
 * for an empty one).
 */
#ifndef PLN_WIRE_ENVELOPE_H
#define PLN_WIRE_ENVELOPE_H

#include <pollen/addr.h>
#include <pollen/key.h>
#include <pollen/packet.h>

#include "wire/admission.h"
#include "wire/whereabouts.h"

/* pollen_envelope_kind (pollen/packet.h) are the field numbers of the oneof. */

/*
 * Finds kind and body.  Duplicates of one body are merged and of several bodies the last one wins,
 * as protobuf demands; unknown fields are skipped.  An envelope without a known body has kind
 * POLLEN_ENVELOPE_NONE.  Linear in size, no allocation but for merging.
 *
 * Owner:  ret_body borrows from bytes, or from scratch when bodies had to be merged; scratch is the
 *         caller's, initialised, and may be used again (what it held is freed when it is needed).
 * Errors: POLLEN_EPROTO  malformed, or longer than PLN_ENVELOPE_BYTES_MAX
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_envelope_decode(const uint8_t *bytes, size_t size,
                                               pln_bytes *scratch, pollen_envelope_kind *ret_kind,
                                               const uint8_t **ret_body, size_t *ret_body_size);

/* Bytes needed around a body: key and length. */
size_t pln_envelope_overhead(pollen_envelope_kind kind, size_t body_size);

/* Writes key, length and body into out, which has room for overhead + body_size; returns the
 * size. */
size_t pln_envelope_encode(pollen_envelope_kind kind, const uint8_t *body, size_t body_size,
                           uint8_t *out);

/* ---- Bodies ---------------------------------------------------------------------------------- */
/* Decoders: POLLEN_EPROTO when malformed or out of range, POLLEN_ENOMEM.  Encoders give the whole
 * *envelope* (kind and body) into ret, owned by the caller; POLLEN_ENOMEM, or POLLEN_EINVAL when an
 * embedded object has no wire or an echo is larger than any envelope.  Reasons are cut at 255
 * bytes, and what is not printable in them becomes '?'. */

typedef struct pln_punch_request {
    pollen_key peer; /* The reference pads and cuts other lengths; we refuse them. */
} pln_punch_request;

typedef struct pln_punch_trigger {
    pollen_key peer;
    pollen_addr self_addr; /* All zero when absent or not numeric: the reference ignores it too. */
    pollen_addr peer_addr; /* Numeric only: a host name makes the trigger malformed. */
    /* pollen/2: what the peer told the coordinator of itself. */
    bool has_whereabouts;
    pln_whereabouts whereabouts;
    pln_dur round_trip; /* Between both sides, in whole microseconds; 0: not known. */
} pln_punch_trigger;

typedef struct pln_redeem_request {
    pln_invite_token token;
    pollen_key subject_pub; /* Zero when absent. */
} pln_redeem_request;

typedef struct pln_redeem_response {
    bool accepted;
    char reason[256];
    bool has_join_token;
    pln_join_token join_token;
} pln_redeem_response;

typedef struct pln_renewal_request {
    pollen_key subject_pub;
    pln_bytes current_cert; /* DER; not interpreted. */
} pln_renewal_request;

typedef struct pln_renewal_response {
    bool accepted;
    char reason[256];
    bool has_cert;
    pln_member_cert cert;
} pln_renewal_response;

/* An echo (pollen/2): the answer carries the same id and as many bytes. */
typedef struct pln_echo {
    bool reply;
    uint64_t id;
    uint32_t size; /* Padding bytes, so that a large datagram can be tried. */
} pln_echo;

POLLEN_MUST_USE pollen_err pln_punch_request_decode(const uint8_t *body, size_t size,
                                                    pln_punch_request *ret);
POLLEN_MUST_USE pollen_err pln_punch_trigger_decode(const uint8_t *body, size_t size,
                                                    pln_punch_trigger *ret);
POLLEN_MUST_USE pollen_err pln_redeem_request_decode(const uint8_t *body, size_t size,
                                                     pln_redeem_request *ret);
POLLEN_MUST_USE pollen_err pln_redeem_response_decode(const uint8_t *body, size_t size,
                                                      pln_redeem_response *ret);
POLLEN_MUST_USE pollen_err pln_observed_address_decode(const uint8_t *body, size_t size,
                                                       pollen_addr *ret);
POLLEN_MUST_USE pollen_err pln_renewal_request_decode(const uint8_t *body, size_t size,
                                                      pln_renewal_request *ret);
POLLEN_MUST_USE pollen_err pln_renewal_response_decode(const uint8_t *body, size_t size,
                                                       pln_renewal_response *ret);
POLLEN_MUST_USE pollen_err pln_echo_decode(const uint8_t *body, size_t size, pln_echo *ret);

POLLEN_MUST_USE pollen_err pln_punch_request_encode(const pln_punch_request *msg, pln_bytes *ret);
POLLEN_MUST_USE pollen_err pln_punch_trigger_encode(const pln_punch_trigger *msg, pln_bytes *ret);
/* token->wire and join_token->wire must be filled. */
POLLEN_MUST_USE pollen_err pln_redeem_request_encode(const pln_redeem_request *msg, pln_bytes *ret);
POLLEN_MUST_USE pollen_err pln_redeem_response_encode(const pln_redeem_response *msg,
                                                      pln_bytes *ret);
POLLEN_MUST_USE pollen_err pln_observed_address_encode(const pollen_addr *addr, pln_bytes *ret);
POLLEN_MUST_USE pollen_err pln_renewal_request_encode(const pln_renewal_request *msg,
                                                      pln_bytes *ret);
POLLEN_MUST_USE pollen_err pln_renewal_response_encode(const pln_renewal_response *msg,
                                                       pln_bytes *ret);
POLLEN_MUST_USE pollen_err pln_echo_encode(const pln_echo *msg, pln_bytes *ret);

void pln_redeem_request_fini(pln_redeem_request *msg);
void pln_redeem_response_fini(pln_redeem_response *msg);
void pln_renewal_request_fini(pln_renewal_request *msg);
void pln_renewal_response_fini(pln_renewal_response *msg);

#endif
