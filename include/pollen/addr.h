/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: an IP address and a UDP port, always numeric.  IPv4 is held in its IPv4-mapped form
 * (RFC 4291, 2.5.5.2), so that one comparison serves both families.
 *
 * Thread: all functions here may be called from any thread.
 */
#ifndef POLLEN_ADDR_H
#define POLLEN_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include <pollen/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "[" IPv6 "%" zone number "]:" port and a NUL fit. */
#define POLLEN_ADDR_TEXT_BYTES 72
#define POLLEN_PORT_DEFAULT 60611

typedef struct pollen_addr {
    uint8_t ip[16]; /* Network byte order. */
    uint16_t port;  /* Host byte order. */
    uint32_t zone;  /* Interface index of a link-local IPv6 address, else 0. */
} pollen_addr;

/*
 * Reads "a.b.c.d:port" or "[v6%zone]:port"; the zone is a number.  Host names are refused: asking a
 * resolver is for the caller.
 *
 * Owner:  text is borrowed for the call; ret_addr is filled by value.
 * Errors: POLLEN_EADDR  anything else, or port 0
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_addr_parse(const char *text, pollen_addr *ret_addr);

/* The text form that pollen_addr_parse() reads, into text[POLLEN_ADDR_TEXT_BYTES]; returns text.
 * An IPv4-mapped address prints as IPv4. */
POLLEN_API char *pollen_addr_format(const pollen_addr *addr, char *text);

POLLEN_API bool pollen_addr_is_ipv4(const pollen_addr *addr);
POLLEN_API bool pollen_addr_equal(const pollen_addr *a, const pollen_addr *b);

#ifdef __cplusplus
}
#endif

#endif
