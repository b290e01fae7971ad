/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as text.  The parser is our own because the C library's differ: inet_aton() takes "1"
 * and octal numbers, and inet_pton() knows neither ports nor zones.
 *
 * Every read_*() function looks at [*at, end), moves *at past what it took and returns false, with
 * *at anywhere, when its part is not there.
 */
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/bytes.h"

enum {
    GROUPS = 8, /* 16-bit groups of an IPv6 address. */
    NO_GAP,     /* Beyond every place that "::" can have, also behind eight groups. */
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool take(const char **at, const char *end, char c) {
    if (*at == end || **at != c) {
        return false;
    }
    *at += 1;
    return true;
}

/* Decimal in [0, max] without leading zeros, which some readers take for octal. */
static bool read_decimal(const char **at, const char *end, uint32_t max, uint32_t *ret) {
    const char *begin = *at;
    uint64_t value = 0;
    while (*at < end && is_digit(**at)) {
        value = value * 10 + (uint64_t)(**at - '0');
        if (value > max) {
            return false;
        }
        *at += 1;
    }
    if (*at == begin || (*begin == '0' && *at - begin > 1)) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

static bool read_ipv4(const char **at, const char *end, uint8_t ip[4]) {
    for (size_t i = 0; i < 4; i++) {
        uint32_t octet = 0;
        if ((i > 0 && !take(at, end, '.')) || !read_decimal(at, end, 255, &octet)) {
            return false;
        }
        ip[i] = (uint8_t)octet;
    }
    return true;
}

/* One to four hex digits. */
static bool read_group(const char **at, const char *end, uint8_t group[2]) {
    const char *begin = *at;
    unsigned value = 0;
    while (*at < end && *at - begin < 4 && pln_hex_value(**at) >= 0) {
        value = value << 4 | (unsigned)pln_hex_value(**at);
        *at += 1;
    }
    group[0] = (uint8_t)(value >> 8);
    group[1] = (uint8_t)value;
    return *at > begin;
}

/* The last 32 bits may be written as IPv4 (RFC 4291, 2.2); count is how many groups came before. */
static bool read_ipv4_tail(const char **at, const char *end, size_t count, uint8_t *out) {
    const char *probe = *at;
    while (probe < end && is_digit(*probe)) {
        probe++;
    }
    if (probe == end || *probe != '.' || count > GROUPS - 2) {
        return false;
    }
    probe = *at;
    if (!read_ipv4(&probe, end, out)) {
        return false;
    }
    *at = probe;
    return true;
}

/* Groups as they stand in the text; *ret_gap is the place of "::", or NO_GAP. */
static bool read_groups(const char **at, const char *end, uint8_t groups[16], size_t *ret_count,
                        size_t *ret_gap) {
    size_t count = 0;
    *ret_gap = NO_GAP;
    if (end - *at >= 2 && (*at)[0] == ':' && (*at)[1] == ':') {
        *ret_gap = 0;
        *at += 2;
    }
    bool more = *ret_gap == NO_GAP || (*at < end && pln_hex_value(**at) >= 0);
    while (more) {
        if (count == GROUPS) {
            return false;
        }
        if (read_ipv4_tail(at, end, count, groups + 2 * count)) {
            count += 2;
            break;
        }
        if (!read_group(at, end, groups + 2 * count)) {
            return false;
        }
        count++;
        more = take(at, end, ':');
        if (more && *ret_gap == NO_GAP && take(at, end, ':')) {
            *ret_gap = count;
            more = *at < end && pln_hex_value(**at) >= 0;
        }
    }
    *ret_count = count;
    return true;
}

static bool read_ipv6(const char **at, const char *end, uint8_t ip[16]) {
    uint8_t groups[16];
    size_t count = 0;
    size_t gap = 0;
    if (!read_groups(at, end, groups, &count, &gap)) {
        return false;
    }
    memset(ip, 0, 16);
    if (gap == NO_GAP) {
        memcpy(ip, groups, 2 * count);
        return count == GROUPS;
    }
    if (count == GROUPS) {
        return false; /* "::" stands for one group at least. */
    }
    size_t tail = 2 * (count - gap);
    memcpy(ip, groups, 2 * gap);
    memcpy(ip + 16 - tail, groups + 2 * gap, tail);
    return true;
}

/* An IPv6 address and its zone, which only says something beside a link-local one. */
static bool read_ipv6_zone(const char **at, const char *end, pollen_addr *addr) {
    if (!read_ipv6(at, end, addr->ip)) {
        return false;
    }
    if (!take(at, end, '%')) {
        return true;
    }
    return !pollen_addr_is_ipv4(addr) && pln_addr_is_link_local(addr) &&
           read_decimal(at, end, UINT32_MAX, &addr->zone) && addr->zone != 0;
}

static bool read_port(const char **at, const char *end, uint16_t *ret_port) {
    uint32_t port = 0;
    if (!take(at, end, ':') || !read_decimal(at, end, UINT16_MAX, &port) || port == 0) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

/* Up to, not including, the port. */
static bool read_host(const char **at, const char *end, pollen_addr *addr) {
    if (take(at, end, '[')) {
        return read_ipv6_zone(at, end, addr) && take(at, end, ']');
    }
    uint8_t ip[4];
    if (!read_ipv4(at, end, ip)) {
        return false;
    }
    *addr = pln_addr_ipv4(ip, 0);
    return true;
}

pollen_err pollen_addr_parse(const char *text, pollen_addr *ret_addr) {
    if (text == NULL) {
        return POLLEN_EADDR;
    }
    pollen_addr addr = {.port = 0};
    const char *end = text + strlen(text);
    if (!read_host(&text, end, &addr) || !read_port(&text, end, &addr.port) || text != end) {
        return POLLEN_EADDR;
    }
    *ret_addr = addr;
    return POLLEN_OK;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without brackets there can be no port: its colon would be one more of the address. */
static bool read_bare_ipv6(const char *at, const char *end, pollen_addr *addr) {
    return read_ipv6_zone(&at, end, addr) && at == end;
}

static bool read_with_optional_port(const char *at, const char *end, pollen_addr *addr) {
    if (!read_host(&at, end, addr)) {
        return false;
    }
    return at == end || (read_port(&at, end, &addr->port) && at == end);
}

pollen_err pln_addr_parse_lenient(const char *text, uint16_t default_port, pollen_addr *ret_addr) {
    if (text == NULL) {
        return POLLEN_EADDR;
    }
    const char *end = text + strlen(text);
    while (text < end && is_space(*text)) {
        text++;
    }
    while (text < end && is_space(end[-1])) {
        end--;
    }
    pollen_addr addr = {.port = default_port};
    if (!read_with_optional_port(text, end, &addr)) {
        addr = (pollen_addr){.port = default_port};
        if (!read_bare_ipv6(text, end, &addr)) {
            return POLLEN_EADDR;
        }
    }
    if (addr.port == 0) {
        addr.port = default_port; /* An IPv4 host without port; a written 0 was refused above. */
    }
    *ret_addr = addr;
    return POLLEN_OK;
}

static unsigned group_at(const pollen_addr *addr, size_t index) {
    return (unsigned)addr->ip[2 * index] << 8 | addr->ip[2 * index + 1];
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952, 4.2). */
static size_t longest_zero_run(const pollen_addr *addr, size_t *ret_begin) {
    size_t best = 0;
    for (size_t begin = 0; begin < GROUPS; begin++) {
        size_t length = 0;
        while (begin + length < GROUPS && group_at(addr, begin + length) == 0) {
            length++;
        }
        if (length > best) {
            best = length;
            *ret_begin = begin;
        }
    }
    return best >= 2 ? best : 0;
}

static char *format_ipv6(const pollen_addr *addr, char *text) {
    size_t run_begin = GROUPS;
    size_t run = longest_zero_run(addr, &run_begin);
    for (size_t i = 0; i < GROUPS; i++) {
        if (run > 0 && i == run_begin) {
            *text++ = ':';
            *text++ = ':';
            i += run - 1;
            continue;
        }
        bool separated = i == 0 || (run > 0 && i == run_begin + run);
        text += snprintf(text, 6, "%s%x", separated ? "" : ":", group_at(addr, i));
    }
    return text;
}

char *pln_addr_format_ip(const pollen_addr *addr, char *text) {
    if (pollen_addr_is_ipv4(addr)) {
        const uint8_t *ip = addr->ip + 12;
        (void)snprintf(text, POLLEN_ADDR_TEXT_BYTES, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
    } else {
        *format_ipv6(addr, text) = '\0';
    }
    return text;
}

char *pollen_addr_format(const pollen_addr *addr, char *text) {
    if (pollen_addr_is_ipv4(addr)) {
        const uint8_t *ip = addr->ip + 12;
        (void)snprintf(text, POLLEN_ADDR_TEXT_BYTES, "%u.%u.%u.%u:%u", ip[0], ip[1], ip[2], ip[3],
                       addr->port);
        return text;
    }
    char *at = text;
    *at++ = '[';
    at = format_ipv6(addr, at);
    size_t left = (size_t)(text + POLLEN_ADDR_TEXT_BYTES - at);
    if (addr->zone != 0 && pln_addr_is_link_local(addr)) {
        (void)snprintf(at, left, "%%%u]:%u", addr->zone, addr->port);
    } else {
        (void)snprintf(at, left, "]:%u", addr->port);
    }
    return text;
}
