/* SPDX-License-Identifier: Apache-2.0 */
#include "support/quic_forge.h"

#include <string.h>

#include <ngtcp2/ngtcp2_crypto.h>

static struct {
    const uint8_t *frames; /* NULL: hands off. */
    size_t size;
    bool only_short;
} forge;

typedef int encrypt_fn(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                       const ngtcp2_crypto_aead_ctx *aead_ctx, const uint8_t *plaintext,
                       size_t plaintext_size, const uint8_t *nonce, size_t nonce_size,
                       const uint8_t *aad, size_t aad_size);

encrypt_fn __real_ngtcp2_crypto_encrypt_cb;
encrypt_fn __wrap_ngtcp2_crypto_encrypt_cb;

/* The additional data is the packet's header. */
int __wrap_ngtcp2_crypto_encrypt_cb(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                                    const ngtcp2_crypto_aead_ctx *aead_ctx,
                                    const uint8_t *plaintext, size_t plaintext_size,
                                    const uint8_t *nonce, size_t nonce_size, const uint8_t *aad,
                                    size_t aad_size) {
    static uint8_t forged[65536];
    bool is_short = aad_size > 0 && (aad[0] & 0x80) == 0;
    if (forge.frames != NULL && (is_short || !forge.only_short) &&
        plaintext_size <= sizeof(forged)) {
        size_t copied = forge.size < plaintext_size ? forge.size : plaintext_size;
        memset(forged, 0, plaintext_size);
        if (copied > 0) {
            memcpy(forged, forge.frames, copied);
        }
        forge.frames += copied;
        forge.size -= copied;
        plaintext = forged;
    }
    return __real_ngtcp2_crypto_encrypt_cb(dest, aead, aead_ctx, plaintext, plaintext_size, nonce,
                                           nonce_size, aad, aad_size);
}

void quic_forge_set(const uint8_t *frames, size_t size, bool only_short) {
    forge.frames = frames;
    forge.size = size;
    forge.only_short = only_short;
}

/* Something to be replaced, as large as the frames. */
static void queue_filling(quic_node *from) {
    size_t most = pln_quic_datagram_max(from->quic, from->conn);
    size_t wanted = forge.size < 16 ? 16 : forge.size;
    if (quic_node_send(from, wanted < most ? wanted : most, 0) != POLLEN_OK) {
        pln_quic_ping(from->quic, from->conn, from->pair->now);
    }
}

static void send_forged(quic_node *from, quic_node *to) {
    static uint8_t buf[PLN_TRANSMIT_BYTES];
    pln_transmit batch;
    while (pln_quic_poll_transmit(from->quic, buf, &batch, from->pair->now)) {
        for (size_t at = 0; at < batch.size; at += batch.segment) {
            size_t left = batch.size - at;
            quic_pair_inject(from->pair, &from->self, to, buf + at,
                             left < batch.segment ? left : batch.segment);
        }
    }
}

void quic_forge_send(quic_node *from, quic_node *to, const uint8_t *frames, size_t size) {
    quic_forge_set(frames, size, false);
    if (quic_node_connected(from)) {
        queue_filling(from);
    }
    send_forged(from, to);
    /* Pacing and congestion control hold even for bad peers: they must wait for their turn. */
    for (int tries = 0; forge.size > 0 && tries < 50 && quic_node_connected(from); tries++) {
        const uint8_t *rest = forge.frames;
        size_t rest_size = forge.size;
        quic_forge_set(NULL, 0, false);
        quic_pair_run(from->pair, PLN_MS(1));
        quic_forge_set(rest, rest_size, false);
        send_forged(from, to);
    }
    quic_forge_set(NULL, 0, false);
}

void quic_frames_byte(quic_frames *out, uint8_t byte) {
    if (out->size < sizeof(out->data)) {
        out->data[out->size++] = byte;
    }
}

void quic_frames_varint(quic_frames *out, uint64_t value) {
    unsigned log = value < 64 ? 0 : value < 16384 ? 1 : value < 1u << 30 ? 2 : 3;
    unsigned count = 1u << log;
    for (unsigned i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * (count - 1 - i)));
        quic_frames_byte(out, i == 0 ? (uint8_t)(byte | log << 6) : byte);
    }
}

void quic_frames_bytes(quic_frames *out, uint8_t byte, size_t count) {
    for (size_t i = 0; i < count; i++) {
        quic_frames_byte(out, byte);
    }
}
