/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/backoff.h"

#include "base/assert.h"

pln_dur pln_backoff_grow(pln_dur base, unsigned steps, pln_dur max) {
    pln_dur delay = base;
    for (unsigned step = 1; step < steps && delay < max; step++) {
        delay = delay > max / 2 ? max : 2 * delay;
    }
    return delay < max ? delay : max;
}

pln_dur pln_backoff_absent(pln_dur absence, pln_dur max) {
    const pln_dur share = absence / 30;
    const pln_dur least = share > PLN_UNREACHABLE_DELAY ? share : PLN_UNREACHABLE_DELAY;
    return least < max ? least : max;
}

pln_dur pln_backoff_attempt(unsigned stage_attempts) {
    return stage_attempts == 0 ? PLN_MS(500)
                               : pln_backoff_grow(PLN_S(1), stage_attempts, PLN_S(60));
}

pln_dur pln_backoff_reconnect(pollen_end_reason reason) {
    PLN_ASSERT(!pln_reason_is_refusal(reason));
    switch (reason) {
    case POLLEN_END_IDLE_TIMEOUT:
    case POLLEN_END_CERT_ROTATION: /* A planned break, to be short. */
        return PLN_S(1);
    case POLLEN_END_RESET: /* The peer is just starting. */
        return PLN_S(5);
    case POLLEN_END_GRACEFUL:
    case POLLEN_END_CERT_EXPIRED:
    case POLLEN_END_NONE:
    case POLLEN_END_UNKNOWN:
        return PLN_S(3);
    case POLLEN_END_REVOKED:
    case POLLEN_END_DENIED:
        break;
    }
    return PLN_S(3);
}

bool pln_reason_is_refusal(pollen_end_reason reason) {
    return reason == POLLEN_END_REVOKED || reason == POLLEN_END_DENIED;
}
