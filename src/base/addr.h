/* SPDX-License-Identifier: Apache-2.0 */
/* What an address is good for: the ranges of RFC 6890 that decide where we may send. */
#ifndef PLN_BASE_ADDR_H
#define PLN_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>

#include <pollen/addr.h>

/*
 * A path is a value, never a bare socket address: `via` names the way out (0 is the main socket,
 * others are given out by whoever owns the sockets or circuits) and `remote` is the far end as that
 * way sees it.
 */
typedef struct pln_path {
    uint32_t via;
    pollen_addr remote;
} pln_path;

#define PLN_VIA_MAIN 0u

bool pln_path_equal(const pln_path *a, const pln_path *b);

/* An IPv4 address from four bytes in network order. */
pollen_addr pln_addr_ipv4(const uint8_t ip[4], uint16_t port);

/* The port counts, then the zone for link-local addresses only. */
int pln_addr_compare(const pollen_addr *a, const pollen_addr *b);

bool pln_addr_same_ip(const pollen_addr *a, const pollen_addr *b); /* Whatever port and zone. */

/* How many bytes of ip tell one party from another: those of an IPv4 address, or of an IPv6 /64,
 * within which a party draws as many addresses as it likes. */
size_t pln_addr_party_bytes(const pollen_addr *addr);
bool pln_addr_same_party(const pollen_addr *a, const pollen_addr *b);

/* IPv4-mapped forms are judged by the IPv4 address inside. */
bool pln_addr_is_loopback(const pollen_addr *addr);
bool pln_addr_is_unspecified(const pollen_addr *addr);
bool pln_addr_is_multicast(const pollen_addr *addr); /* And 255.255.255.255. */
bool pln_addr_is_link_local(const pollen_addr *addr);
bool pln_addr_is_private(const pollen_addr *addr); /* RFC 1918, RFC 4193. */
bool pln_addr_is_shared(const pollen_addr *addr);  /* RFC 6598, 100.64.0.0/10. */

/* Of the wide world: not of a machine, a network or a carrier alone. */
bool pln_addr_is_global(const pollen_addr *addr);

/* Something a datagram may be sent to: a port, and neither unspecified nor multicast. */
bool pln_addr_is_sendable(const pollen_addr *addr);

/*
 * An address as people write it: numeric, with or without port, an IPv6 address with or without
 * brackets; default_port is filled in where there is none.
 *
 * Errors: POLLEN_EADDR  a host name, or malformed
 */
POLLEN_MUST_USE pollen_err pln_addr_parse_lenient(const char *text, uint16_t default_port,
                                                  pollen_addr *ret_addr);

/* The IP alone, as Go prints it, into text[POLLEN_ADDR_TEXT_BYTES]; returns text. */
char *pln_addr_format_ip(const pollen_addr *addr, char *text);

#endif
