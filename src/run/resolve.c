/* SPDX-License-Identifier: Apache-2.0 */
#include "run/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/limits.h"

/* Splits "host:port" at its last colon; the port is the default where there is none. */
static bool split(const char *text, uint16_t default_port, char host[PLN_ADDR_TEXT_MAX + 1],
                  uint16_t *ret_port) {
    const size_t length = strlen(text);
    const char *colon = strrchr(text, ':');
    *ret_port = default_port;
    if (length == 0 || length > PLN_ADDR_TEXT_MAX) {
        return false;
    }
    const size_t host_length = colon == NULL ? length : (size_t)(colon - text);
    memcpy(host, text, host_length);
    host[host_length] = '\0';
    if (colon == NULL) {
        return true;
    }
    char *end;
    const unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port == 0 || port > UINT16_MAX) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

/* Letters, digits, dots, dashes and underscores: what a host name is made of (RFC 952, and
 * practice). */
static bool is_host_name(const char *host) {
    const size_t length = strlen(host);
    return length > 0 && host[0] != '-' && host[0] != '.' &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
               length;
}

static void append(pollen_addr *addrs, size_t cap, size_t *count, const pollen_addr *addr) {
    for (size_t i = 0; i < *count; i++) {
        if (pollen_addr_equal(&addrs[i], addr)) {
            return;
        }
    }
    if (*count < cap) {
        addrs[(*count)++] = *addr;
    }
}

static bool from_sockaddr(const struct sockaddr *sa, uint16_t port, pollen_addr *ret) {
    *ret = (pollen_addr){.port = port};
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        *ret = pln_addr_ipv4((const uint8_t *)&in->sin_addr, port);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        memcpy(ret->ip, &in6->sin6_addr, sizeof ret->ip);
        ret->zone = in6->sin6_scope_id;
        return true;
    }
    return false;
}

void pln_resolve(const char *text, uint16_t default_port, pollen_addr *addrs, size_t cap,
                 size_t *count, bool *ret_is_name) {
    pollen_addr addr;
    *ret_is_name = false;
    if (pln_addr_parse_lenient(text, default_port, &addr) == POLLEN_OK) {
        append(addrs, cap, count, &addr);
        return;
    }
    char host[PLN_ADDR_TEXT_MAX + 1];
    uint16_t port;
    if (!split(text, default_port, host, &port) || !is_host_name(host)) {
        return;
    }
    *ret_is_name = true;
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, NULL, &hints, &list) != 0) {
        return;
    }
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        if (from_sockaddr(at->ai_addr, port, &addr)) {
            append(addrs, cap, count, &addr);
        }
    }
    freeaddrinfo(list);
}

bool pln_resolve_normalise(const char *from, uint16_t default_port, char *text, size_t cap) {
    pollen_addr addr;
    char numeric[POLLEN_ADDR_TEXT_BYTES];
    if (pln_addr_parse_lenient(from, default_port, &addr) == POLLEN_OK) {
        snprintf(text, cap, "%s", pollen_addr_format(&addr, numeric));
        return true;
    }
    char host[PLN_ADDR_TEXT_MAX + 1];
    uint16_t port;
    if (!split(from, default_port, host, &port) || !is_host_name(host)) {
        return false;
    }
    const int used = snprintf(text, cap, "%s:%u", host, (unsigned)port);
    return used > 0 && (size_t)used < cap;
}
