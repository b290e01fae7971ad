/* SPDX-License-Identifier: Apache-2.0 */
/* The probe protocol: a type byte and a nonce.  A request is answered with a response of the same
 * nonce; a response is answered with nothing. */
#ifndef PLN_SOCK_PROBE_H
#define PLN_SOCK_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PLN_PROBE_NONCE_BYTES = 16, PLN_PROBE_BYTES = 1 + PLN_PROBE_NONCE_BYTES };

typedef enum pln_probe_kind {
    PLN_PROBE_REQUEST = 0x01,
    PLN_PROBE_RESPONSE = 0x02,
} pln_probe_kind;

typedef struct pln_probe {
    pln_probe_kind kind;
    uint8_t nonce[PLN_PROBE_NONCE_BYTES];
} pln_probe;

/* False for another length or type, which is to be ignored. */
bool pln_probe_decode(const uint8_t *data, size_t size, pln_probe *ret);

/* PLN_PROBE_BYTES bytes. */
void pln_probe_encode(const pln_probe *probe, uint8_t *buf);

#endif
