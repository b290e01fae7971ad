/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets: an envelope and the peer it came from.  One envelope travels in one QUIC DATAGRAM frame
 * (RFC 9221): whole or not at all, unordered, not retransmitted.
 *
 * Lifetime: a received packet owns its body until pollen_packet_fini().
 */
#ifndef POLLEN_PACKET_H
#define POLLEN_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include <pollen/key.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What an envelope carries.  The numbers are the field numbers of pollen.mesh.v1.Envelope's body;
 * those below 100 are understood by every node, the others by nodes that speak pollen/2. */
typedef enum pollen_envelope_kind {
    POLLEN_ENVELOPE_NONE = 0,
    POLLEN_ENVELOPE_CLOCK = 1,
    POLLEN_ENVELOPE_PUNCH_REQUEST = 3,
    POLLEN_ENVELOPE_PUNCH_TRIGGER = 4,
    POLLEN_ENVELOPE_REDEEM_REQUEST = 6,
    POLLEN_ENVELOPE_REDEEM_RESPONSE = 7,
    POLLEN_ENVELOPE_OBSERVED_ADDRESS = 8,
    POLLEN_ENVELOPE_EVENTS = 9,
    POLLEN_ENVELOPE_RENEWAL_REQUEST = 10,
    POLLEN_ENVELOPE_RENEWAL_RESPONSE = 11,
    POLLEN_ENVELOPE_PAYLOAD = 100, /* The body is the application's own bytes. */
    POLLEN_ENVELOPE_ECHO = 101,
    POLLEN_ENVELOPE_DIGEST = 102,
    POLLEN_ENVELOPE_WHEREABOUTS = 103,
} pollen_envelope_kind;

/* Kind and body: the application's bytes for PAYLOAD, the encoded protobuf message for the
 * others. */
typedef struct pollen_envelope {
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t size;
} pollen_envelope;

typedef struct pollen_packet {
    pollen_key peer;
    pollen_envelope envelope;
    void *owner; /* What the body lives in; for pollen_packet_fini() alone. */
} pollen_packet;

/* Frees the body of a received packet and empties it.  Thread: any. */
POLLEN_API void pollen_packet_fini(pollen_packet *packet);

#ifdef __cplusplus
}
#endif

#endif
