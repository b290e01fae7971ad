/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/probe.h"

#include <string.h>

bool pln_probe_decode(const uint8_t *data, size_t size, pln_probe *ret) {
    if (size != PLN_PROBE_BYTES ||
        (data[0] != PLN_PROBE_REQUEST && data[0] != PLN_PROBE_RESPONSE)) {
        return false;
    }
    ret->kind = (pln_probe_kind)data[0];
    memcpy(ret->nonce, data + 1, PLN_PROBE_NONCE_BYTES);
    return true;
}

void pln_probe_encode(const pln_probe *probe, uint8_t *buf) {
    buf[0] = (uint8_t)probe->kind;
    memcpy(buf + 1, probe->nonce, PLN_PROBE_NONCE_BYTES);
}
