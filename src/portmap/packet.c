/* SPDX-License-Identifier: Apache-2.0 */
#include "portmap/packet.h"

#include <string.h>

#include "base/addr.h"

enum { PMP_VERSION = 0, PCP_VERSION = 2 };
enum { PMP_OP_ADDRESS = 0, PMP_OP_MAP_UDP = 1, PCP_OP_ANNOUNCE = 0, PCP_OP_MAP = 1 };
enum { ANSWER = 0x80 }; /* Beside the opcode, in both protocols. */
enum { UNSUPPORTED_VERSION = 1, PROTOCOL_UDP = 17 };

enum { PMP_ADDRESS_REQUEST_BYTES = 2, PMP_MAP_REQUEST_BYTES = 12 };
enum { PMP_ERROR_BYTES = 8, PMP_ADDRESS_ANSWER_BYTES = 12, PMP_MAP_ANSWER_BYTES = 16 };
enum { PCP_HEADER_BYTES = 24, PCP_MAP_BYTES = 60, PCP_BYTES_MAX = 1100 };

/* Of PCP's MAP, in requests and answers alike (RFC 6887, 11.1). */
enum { AT_NONCE = 24, AT_PROTOCOL = 36, AT_INTERNAL = 40, AT_EXTERNAL = 42, AT_ADDRESS = 44 };

static void put_u16(uint8_t *to, uint16_t value) {
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static void put_u32(uint8_t *to, uint32_t value) {
    put_u16(to, (uint16_t)(value >> 16));
    put_u16(to + 2, (uint16_t)value);
}

static uint16_t get_u16(const uint8_t *from) {
    return (uint16_t)(from[0] << 8 | from[1]);
}

static uint32_t get_u32(const uint8_t *from) {
    return (uint32_t)get_u16(from) << 16 | get_u16(from + 2);
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* An address of PCP is one of IPv6, or of IPv4 in the form that ours has as well; no IPv4 address
 * in particular is ::ffff:0.0.0.0 (RFC 6887, 5). */
static void put_wish(uint8_t *to, const pollen_addr *addr) {
    static const uint8_t none[4];
    const pollen_addr any = pln_addr_ipv4(none, 0);
    memcpy(to, pln_addr_is_unspecified(addr) ? any.ip : addr->ip, sizeof addr->ip);
}

static size_t encode_pcp(const pln_portmap_request *request, uint8_t *buf) {
    memset(buf, 0, PCP_MAP_BYTES);
    buf[0] = PCP_VERSION;
    buf[1] = PCP_OP_MAP;
    put_u32(buf + 4, request->lifetime_s);
    memcpy(buf + 8, request->client.ip, sizeof request->client.ip);
    memcpy(buf + AT_NONCE, request->nonce, sizeof request->nonce);
    buf[AT_PROTOCOL] = PROTOCOL_UDP;
    put_u16(buf + AT_INTERNAL, request->internal_port);
    put_u16(buf + AT_EXTERNAL, request->external.port);
    put_wish(buf + AT_ADDRESS, &request->external);
    return PCP_MAP_BYTES;
}

static size_t encode_pmp_map(const pln_portmap_request *request, uint8_t *buf) {
    memset(buf, 0, PMP_MAP_REQUEST_BYTES);
    buf[0] = PMP_VERSION;
    buf[1] = PMP_OP_MAP_UDP;
    put_u16(buf + 4, request->internal_port);
    put_u16(buf + 6, request->external.port);
    put_u32(buf + 8, request->lifetime_s);
    return PMP_MAP_REQUEST_BYTES;
}

size_t pln_portmap_encode(const pln_portmap_request *request, uint8_t *buf) {
    switch (request->ask) {
    case PLN_PORTMAP_ASK_PCP_MAP:
        return encode_pcp(request, buf);
    case PLN_PORTMAP_ASK_PMP_MAP:
        return encode_pmp_map(request, buf);
    case PLN_PORTMAP_ASK_PMP_ADDRESS:
        break;
    }
    buf[0] = PMP_VERSION;
    buf[1] = PMP_OP_ADDRESS;
    return PMP_ADDRESS_REQUEST_BYTES;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* An error needs no more than what all answers begin with (RFC 6886, 3.5). */
static bool decode_pmp(const uint8_t *data, size_t size, pln_portmap_answer *ret) {
    if (size < PMP_ERROR_BYTES) {
        return false;
    }
    ret->result = get_u16(data + 2);
    ret->epoch_s = get_u32(data + 4);
    const uint8_t op = data[1] & (ANSWER - 1);
    const bool ok = ret->result == PLN_PORTMAP_SUCCESS;
    if (ret->result == UNSUPPORTED_VERSION) {
        /* Usually to one of PCP: NAT-PMP is all there is (RFC 6887, appendix A). */
        ret->kind = PLN_PORTMAP_ANSWER_OTHER_VERSION;
        return true;
    }
    if (op == PMP_OP_ADDRESS && (!ok || size == PMP_ADDRESS_ANSWER_BYTES)) {
        ret->kind = PLN_PORTMAP_ANSWER_PMP_ADDRESS;
        ret->external = ok ? pln_addr_ipv4(data + 8, 0) : ret->external;
        return true;
    }
    if (op == PMP_OP_MAP_UDP && (!ok || size == PMP_MAP_ANSWER_BYTES)) {
        ret->kind = PLN_PORTMAP_ANSWER_PMP_MAP;
        ret->internal_port = ok ? get_u16(data + 8) : 0;
        ret->external.port = ok ? get_u16(data + 10) : 0;
        ret->lifetime_s = ok ? get_u32(data + 12) : 0;
        return true;
    }
    return false;
}

/* RFC 6887, 8.3.  Options behind it are ones that we did not ask for. */
static bool decode_pcp(const uint8_t *data, size_t size, pln_portmap_answer *ret) {
    if (size < PCP_HEADER_BYTES || size > PCP_BYTES_MAX || size % 4 != 0) {
        return false;
    }
    ret->result = data[3];
    ret->lifetime_s = get_u32(data + 4);
    ret->epoch_s = get_u32(data + 8);
    if (ret->result == UNSUPPORTED_VERSION) {
        ret->kind = PLN_PORTMAP_ANSWER_OTHER_VERSION;
        return true;
    }
    const uint8_t op = data[1] & (ANSWER - 1);
    if (data[0] != PCP_VERSION) {
        return false;
    }
    if (op == PCP_OP_ANNOUNCE) {
        ret->kind = PLN_PORTMAP_ANSWER_PCP_ANNOUNCE;
        return true;
    }
    if (op != PCP_OP_MAP || size < PCP_MAP_BYTES || data[AT_PROTOCOL] != PROTOCOL_UDP) {
        return false;
    }
    ret->kind = PLN_PORTMAP_ANSWER_PCP_MAP;
    memcpy(ret->nonce, data + AT_NONCE, sizeof ret->nonce);
    ret->internal_port = get_u16(data + AT_INTERNAL);
    ret->external.port = get_u16(data + AT_EXTERNAL);
    memcpy(ret->external.ip, data + AT_ADDRESS, sizeof ret->external.ip);
    return true;
}

bool pln_portmap_decode(const uint8_t *data, size_t size, pln_portmap_answer *ret) {
    *ret = (pln_portmap_answer){.result = 0};
    if (size < 2 || (data[1] & ANSWER) == 0) {
        return false;
    }
    return data[0] == PMP_VERSION ? decode_pmp(data, size, ret) : decode_pcp(data, size, ret);
}
