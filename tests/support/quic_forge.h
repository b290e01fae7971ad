/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes an endpoint send frames of the test's choice: they replace what it is about to encrypt.
 * The linker turns its encryption callback into ours for that; link pollen_quic_forge.
 */
#ifndef TESTS_SUPPORT_QUIC_FORGE_H
#define TESTS_SUPPORT_QUIC_FORGE_H

#include "support/quic_pair.h"

/* From now on packets carry these frames, a part each until all are used up, and PADDING where
 * nothing is left; only those with a short header when only_short.  Owner: borrowed until the next
 * call; NULL ends it. */
void quic_forge_set(const uint8_t *frames, size_t size, bool only_short);

/* Everything that `from` has to send now carries these frames and goes to `to`. */
void quic_forge_send(quic_node *from, quic_node *to, const uint8_t *frames, size_t size);

/* Builds frames. */
typedef struct quic_frames {
    uint8_t data[1300];
    size_t size;
} quic_frames;

void quic_frames_byte(quic_frames *out, uint8_t byte);
void quic_frames_varint(quic_frames *out, uint64_t value); /* In its shortest form. */
void quic_frames_bytes(quic_frames *out, uint8_t byte, size_t count);

#endif
