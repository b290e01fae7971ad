/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packets of PCP (RFC 6887) and NAT-PMP (RFC 6886), as far as one UDP mapping needs them: MAP
 * of the one, external address and UDP mapping of the other.
 *
 * There is libnatpmp, but it speaks no PCP, waits by itself and reads the clock; with 12 to 60
 * bytes a packet, a codec is smaller than what would hold it.
 */
#ifndef PLN_PORTMAP_PACKET_H
#define PLN_PORTMAP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/addr.h>

enum { PLN_PORTMAP_SERVER_PORT = 5351, PLN_PORTMAP_CLIENT_PORT = 5350 };
enum { PLN_PORTMAP_NONCE_BYTES = 12 };
enum { PLN_PORTMAP_REQUEST_BYTES = 60 }; /* The largest. */

typedef enum pln_portmap_ask {
    PLN_PORTMAP_ASK_PCP_MAP,
    PLN_PORTMAP_ASK_PMP_ADDRESS, /* Nothing but the kind counts. */
    PLN_PORTMAP_ASK_PMP_MAP,
} pln_portmap_ask;

typedef struct pln_portmap_request {
    pln_portmap_ask ask;
    pollen_addr client; /* PCP: the address that the request leaves from. */
    uint16_t internal_port;
    pollen_addr external; /* Wished for: the port, with PCP the address too; all zero: any. */
    uint32_t lifetime_s;  /* 0 takes the mapping back. */
    uint8_t nonce[PLN_PORTMAP_NONCE_BYTES]; /* PCP: whose mapping it is. */
} pln_portmap_request;

/* Into buf, which has room for PLN_PORTMAP_REQUEST_BYTES; returns the size. */
size_t pln_portmap_encode(const pln_portmap_request *request, uint8_t *buf);

/* Results: no error in both protocols, and of PCP's errors (RFC 6887, 7.4) those that pass. */
enum {
    PLN_PORTMAP_SUCCESS = 0,
    PLN_PCP_NETWORK_FAILURE = 7,
    PLN_PCP_NO_RESOURCES = 8,
    PLN_PCP_USER_EX_QUOTA = 10,
    PLN_PCP_CANNOT_PROVIDE_EXTERNAL = 11,
};

typedef enum pln_portmap_answer_kind {
    PLN_PORTMAP_ANSWER_PCP_ANNOUNCE,
    PLN_PORTMAP_ANSWER_PCP_MAP,
    PLN_PORTMAP_ANSWER_PMP_ADDRESS,
    PLN_PORTMAP_ANSWER_PMP_MAP,
    PLN_PORTMAP_ANSWER_OTHER_VERSION, /* It does not speak the request's; nothing else counts. */
} pln_portmap_answer_kind;

typedef struct pln_portmap_answer {
    pln_portmap_answer_kind kind;
    uint16_t result;
    uint32_t epoch_s;    /* Since when the router knows its mappings. */
    uint32_t lifetime_s; /* Of a MAP; PCP: after an error, how long not to ask again. */
    uint16_t internal_port;
    pollen_addr external; /* PCP: address and port; NAT-PMP: what the kind says, the other zero. */
    uint8_t nonce[PLN_PORTMAP_NONCE_BYTES]; /* PCP's MAP. */
} pln_portmap_answer;

/* False for what is no answer, malformed, or of a protocol other than UDP. */
bool pln_portmap_decode(const uint8_t *data, size_t size, pln_portmap_answer *ret);

#endif
