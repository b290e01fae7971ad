/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ticket: all that one side of a pipe needs to find and trust the other.  It holds the root seed
 * of a cluster that exists for this pipe alone, so that whoever has the ticket can make itself a
 * member; and the key and the addresses of the listener.  It is a secret as long as the listener
 * waits.
 *
 * Text: "pln1" and base64url without padding (RFC 4648, 5) of
 *   version 1 | root seed 32 | listener's key 32 | port 2 | count 1 | count x (4 | IPv4) or (6 |
 * IPv6)
 *   | the first 4 bytes of the SHA-256 of all before
 */
#ifndef PLN_CMD_TICKET_H
#define PLN_CMD_TICKET_H

#include <stddef.h>

#include <pollen/addr.h>
#include <pollen/key.h>

enum { PLN_TICKET_ADDRS_MAX = 8 };
#define PLN_TICKET_TEXT_BYTES 320 /* 4 + 4/3 x (72 + 8 x 17) and a NUL. */

typedef struct pln_ticket {
    pollen_seed root;
    pollen_key listener;
    pollen_addr addrs[PLN_TICKET_ADDRS_MAX]; /* All with the same port. */
    size_t addr_count;
} pln_ticket;

/* Into text[PLN_TICKET_TEXT_BYTES]; returns text. */
char *pln_ticket_format(const pln_ticket *ticket, char *text);

/*
 * Errors: POLLEN_ETOKEN    not a ticket, or mistyped
 *         POLLEN_EVERSION  of a later version
 */
POLLEN_MUST_USE pollen_err pln_ticket_parse(const char *text, pln_ticket *ret);

void pln_ticket_wipe(pln_ticket *ticket);

#endif
