/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/ticket.h"

#include <string.h>

#include "auth/ed25519ctx.h"
#include "wire/base64.h"

#define PREFIX "pln1"

enum {
    PREFIX_CHARS = sizeof PREFIX - 1,
    TICKET_VERSION = 1,
    CHECK_BYTES = 4,
    HEAD_BYTES = 1 + POLLEN_KEY_BYTES + POLLEN_KEY_BYTES + 2 + 1,
    ADDR_BYTES_MAX = 1 + 16,
    BYTES_MAX = HEAD_BYTES + PLN_TICKET_ADDRS_MAX * ADDR_BYTES_MAX + CHECK_BYTES,
    BASE64_CHARS_MAX = PLN_BASE64_TEXT(BYTES_MAX),
};

_Static_assert(PREFIX_CHARS + BASE64_CHARS_MAX < PLN_TICKET_TEXT_BYTES, "the text fits");

static void checksum(const uint8_t *bytes, size_t size, uint8_t ret[CHECK_BYTES]) {
    uint8_t hash[32];
    pln_sha256(bytes, size, hash);
    memcpy(ret, hash, CHECK_BYTES);
}

static size_t put_addr(const pollen_addr *addr, uint8_t *to) {
    const bool v4 = pollen_addr_is_ipv4(addr);
    const size_t size = v4 ? 4 : 16;
    to[0] = v4 ? 4 : 6;
    memcpy(to + 1, addr->ip + (16 - size), size);
    return 1 + size;
}

static size_t encode(const pln_ticket *ticket, uint8_t bytes[BYTES_MAX]) {
    const uint16_t port = ticket->addr_count > 0 ? ticket->addrs[0].port : 0;
    uint8_t *at = bytes;
    *at++ = TICKET_VERSION;
    memcpy(at, ticket->root.bytes, POLLEN_KEY_BYTES);
    at += POLLEN_KEY_BYTES;
    memcpy(at, ticket->listener.bytes, POLLEN_KEY_BYTES);
    at += POLLEN_KEY_BYTES;
    *at++ = (uint8_t)(port >> 8);
    *at++ = (uint8_t)(port & 0xff);
    *at++ = (uint8_t)ticket->addr_count;
    for (size_t i = 0; i < ticket->addr_count; i++) {
        at += put_addr(&ticket->addrs[i], at);
    }
    checksum(bytes, (size_t)(at - bytes), at);
    return (size_t)(at - bytes) + CHECK_BYTES;
}

static void translate(char *text, const char *from, const char *to) {
    for (; *text != '\0'; text++) {
        for (size_t i = 0; from[i] != '\0'; i++) {
            if (*text == from[i]) {
                *text = to[i];
                break;
            }
        }
    }
}

char *pln_ticket_format(const pln_ticket *ticket, char *text) {
    uint8_t bytes[BYTES_MAX];
    const size_t size = encode(ticket, bytes);
    memcpy(text, PREFIX, PREFIX_CHARS);
    pln_base64_encode(bytes, size, text + PREFIX_CHARS);
    translate(text + PREFIX_CHARS, "+/", "-_");
    text[strcspn(text, "=")] = '\0';
    explicit_bzero(bytes, sizeof bytes);
    return text;
}

/* base64url without padding to plain base64 with it; false when it is too long or has foreign
 * signs. */
static bool to_base64(const char *text, char ret[BASE64_CHARS_MAX + 1]) {
    size_t length = strlen(text);
    if (length > BASE64_CHARS_MAX || strpbrk(text, "+/=\r\n") != NULL) {
        return false;
    }
    memcpy(ret, text, length + 1);
    translate(ret, "-_", "+/");
    for (; length % 4 != 0 && length < BASE64_CHARS_MAX; length++) {
        ret[length] = '=';
    }
    ret[length] = '\0';
    return true;
}

/* Bytes used, 0 when it is malformed. */
static size_t get_addr(const uint8_t *at, size_t size, uint16_t port, pollen_addr *ret) {
    const size_t ip_size = size > 0 && at[0] == 4 ? 4 : size > 0 && at[0] == 6 ? 16 : 0;
    if (ip_size == 0 || size < 1 + ip_size) {
        return 0;
    }
    *ret = (pollen_addr){.port = port};
    if (ip_size == 4) {
        ret->ip[10] = ret->ip[11] = 0xff;
    }
    memcpy(ret->ip + (16 - ip_size), at + 1, ip_size);
    return 1 + ip_size;
}

static pollen_err decode(const uint8_t *bytes, size_t size, pln_ticket *ret) {
    uint8_t check[CHECK_BYTES];
    if (size < HEAD_BYTES + CHECK_BYTES) {
        return POLLEN_ETOKEN;
    }
    checksum(bytes, size - CHECK_BYTES, check);
    if (memcmp(check, bytes + size - CHECK_BYTES, CHECK_BYTES) != 0) {
        return POLLEN_ETOKEN;
    }
    if (bytes[0] != TICKET_VERSION) {
        return POLLEN_EVERSION;
    }
    const uint8_t *at = bytes + 1;
    memcpy(ret->root.bytes, at, POLLEN_KEY_BYTES);
    memcpy(ret->listener.bytes, at + POLLEN_KEY_BYTES, POLLEN_KEY_BYTES);
    at += POLLEN_KEY_BYTES + POLLEN_KEY_BYTES;
    const uint16_t port = (uint16_t)(at[0] << 8 | at[1]);
    ret->addr_count = at[2];
    size_t left = size - CHECK_BYTES - HEAD_BYTES;
    at += 3;
    if (ret->addr_count == 0 || ret->addr_count > PLN_TICKET_ADDRS_MAX || port == 0) {
        return POLLEN_ETOKEN;
    }
    for (size_t i = 0; i < ret->addr_count; i++) {
        const size_t used = get_addr(at, left, port, &ret->addrs[i]);
        if (used == 0) {
            return POLLEN_ETOKEN;
        }
        at += used;
        left -= used;
    }
    return left == 0 ? POLLEN_OK : POLLEN_ETOKEN;
}

pollen_err pln_ticket_parse(const char *text, pln_ticket *ret) {
    char base64[BASE64_CHARS_MAX + 1];
    uint8_t bytes[BYTES_MAX];
    size_t size;
    pln_ticket ticket = {0};
    if (strncmp(text, PREFIX, PREFIX_CHARS) != 0 || !to_base64(text + PREFIX_CHARS, base64) ||
        pln_base64_decode(base64, strlen(base64), bytes, sizeof bytes, &size) != POLLEN_OK) {
        return POLLEN_ETOKEN;
    }
    const pollen_err err = decode(bytes, size, &ticket);
    if (err == POLLEN_OK) {
        *ret = ticket;
    }
    pln_ticket_wipe(&ticket);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(base64, sizeof base64);
    return err;
}

void pln_ticket_wipe(pln_ticket *ticket) {
    pollen_seed_wipe(&ticket->root);
}
