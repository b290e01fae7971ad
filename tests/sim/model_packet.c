/* SPDX-License-Identifier: Apache-2.0 */
/* The modelled QUIC's packets as bytes. */
#include <string.h>

#include "base/assert.h"
#include "model.h"

enum { CHECK_AT = 1, CHECK_BYTES = 4, HEAD_BYTES = CHECK_AT + CHECK_BYTES };

/* ---- Bytes ----------------------------------------------------------------------------------- */

typedef struct reader {
    const uint8_t *at, *end;
    bool bad;
} reader;

static uint8_t *put(uint8_t *at, const void *bytes, size_t size) {
    if (size > 0) {
        memcpy(at, bytes, size);
    }
    return at + size;
}

static const uint8_t *take(reader *from, size_t size) {
    if ((size_t)(from->end - from->at) < size) {
        from->bad = true;
        return NULL;
    }
    const uint8_t *at = from->at;
    from->at += size;
    return at;
}

static void get(reader *from, void *ret, size_t size) {
    const uint8_t *at = take(from, size);
    if (at != NULL) {
        memcpy(ret, at, size);
    }
}

/* Eight bytes at a time: most of a simulation's packets are large. */
static uint32_t checksum(const uint8_t *data, size_t size) {
    uint64_t sum = 0x9e3779b97f4a7c15ull ^ size ^ data[0];
    size_t at = HEAD_BYTES;
    for (; at + 8 <= size; at += 8) {
        uint64_t word;
        memcpy(&word, data + at, 8);
        sum = (sum ^ word) * 0x100000001b3ull;
        sum ^= sum >> 31;
    }
    for (; at < size; at++) {
        sum = (sum ^ data[at]) * 0x100000001b3ull;
    }
    return (uint32_t)(sum ^ sum >> 32);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static uint8_t *put_handshake(uint8_t *at, const model_packet *packet) {
    const uint16_t size = (uint16_t)packet->cert_size;
    at = put(at, &packet->scid, 8);
    at = put(at, packet->key.bytes, sizeof packet->key.bytes);
    at = put(at, &packet->alpns, 1);
    at = put(at, &packet->part, 1);
    at = put(at, &size, 2);
    return put(at, packet->cert, size);
}

static uint8_t *put_data(uint8_t *at, const model_packet *packet) {
    at = put(at, &packet->number, 4);
    at = put(at, &packet->flags, 1);
    if (packet->flags & MODEL_F_ACK) {
        at = put(at, &packet->acked, 4);
        at = put(at, &packet->acked_mask, 8);
        at = put(at, &packet->ack_delay_us, 4);
    }
    if (packet->flags & (MODEL_F_CHALLENGE | MODEL_F_RESPONSE)) {
        at = put(at, &packet->token, 8);
    }
    if (packet->flags & MODEL_F_CLOSE) {
        const uint16_t size = (uint16_t)packet->phrase_size;
        at = put(at, &packet->code, 8);
        at = put(at, &size, 2);
        at = put(at, packet->phrase, size);
    }
    return at;
}

size_t model_packet_write(const model_packet *packet, uint8_t *buf) {
    buf[0] = (uint8_t)packet->type;
    uint8_t *at = put(buf + HEAD_BYTES, &packet->dcid, 8);
    switch (packet->type) {
    case MODEL_HELLO:
    case MODEL_ANSWER:
    case MODEL_FINISH:
        at = put_handshake(at, packet);
        break;
    case MODEL_DATA:
        at = put_data(at, packet);
        break;
    case MODEL_REFUSE:
        at = put(at, &packet->scid, 8);
        at = put(at, &packet->code, 8);
        break;
    case MODEL_RESET:
        at = put(at, packet->key.bytes, sizeof packet->key.bytes);
        break;
    case MODEL_RETRY:
        break;
    }
    return (size_t)(at - buf);
}

size_t model_packet_append(uint8_t *buf, size_t size, const pln_chunk *chunk) {
    const uint16_t count = (uint16_t)pln_chunk_size(chunk);
    uint8_t *at = put(buf + size, &count, 2);
    return (size_t)(put(at, chunk->data + chunk->begin, count) - buf);
}

size_t model_packet_seal(uint8_t *buf, size_t size, size_t min) {
    PLN_ASSERT(size <= MODEL_PACKET_BYTES_MAX && min <= MODEL_PACKET_BYTES_MAX);
    if (size < min) {
        memset(buf + size, 0, min - size);
        size = min;
    }
    const uint32_t sum = checksum(buf, size);
    memcpy(buf + CHECK_AT, &sum, CHECK_BYTES);
    return size;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void get_handshake(reader *from, model_packet *ret) {
    uint16_t size = 0;
    get(from, &ret->scid, 8);
    get(from, ret->key.bytes, sizeof ret->key.bytes);
    get(from, &ret->alpns, 1);
    get(from, &ret->part, 1);
    get(from, &size, 2);
    ret->cert = take(from, size);
    ret->cert_size = size;
}

static void get_data(reader *from, model_packet *ret) {
    get(from, &ret->number, 4);
    get(from, &ret->flags, 1);
    if (ret->flags & MODEL_F_ACK) {
        get(from, &ret->acked, 4);
        get(from, &ret->acked_mask, 8);
        get(from, &ret->ack_delay_us, 4);
    }
    if (ret->flags & (MODEL_F_CHALLENGE | MODEL_F_RESPONSE)) {
        get(from, &ret->token, 8);
    }
    if (ret->flags & MODEL_F_CLOSE) {
        uint16_t size = 0;
        get(from, &ret->code, 8);
        get(from, &size, 2);
        ret->phrase = (const char *)take(from, size);
        ret->phrase_size = size;
    }
    ret->datagrams = from->at;
    ret->datagrams_size = (size_t)(from->end - from->at);
}

bool model_packet_read(const uint8_t *data, size_t size, model_packet *ret) {
    uint32_t sum;
    if (size < HEAD_BYTES + 8) {
        return false;
    }
    memcpy(&sum, data + CHECK_AT, CHECK_BYTES);
    if (sum != checksum(data, size)) {
        return false;
    }
    *ret = (model_packet){.type = (model_type)data[0]};
    reader from = {.at = data + HEAD_BYTES, .end = data + size};
    get(&from, &ret->dcid, 8);
    switch (ret->type) {
    case MODEL_HELLO:
    case MODEL_ANSWER:
    case MODEL_FINISH:
        get_handshake(&from, ret);
        break;
    case MODEL_DATA:
        get_data(&from, ret);
        break;
    case MODEL_REFUSE:
        get(&from, &ret->scid, 8);
        get(&from, &ret->code, 8);
        break;
    case MODEL_RESET:
        get(&from, ret->key.bytes, sizeof ret->key.bytes);
        break;
    case MODEL_RETRY:
        break;
    default:
        return false;
    }
    return !from.bad;
}

bool model_packet_next(model_packet *packet, const uint8_t **ret_data, size_t *ret_size) {
    uint16_t size = 0;
    if (packet->datagrams_size < 2) {
        return false;
    }
    memcpy(&size, packet->datagrams, 2);
    if (size == 0 || size > packet->datagrams_size - 2) {
        return false;
    }
    *ret_data = packet->datagrams + 2;
    *ret_size = size;
    packet->datagrams += 2 + size;
    packet->datagrams_size -= 2u + size;
    return true;
}
