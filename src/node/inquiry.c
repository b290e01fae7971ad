/* SPDX-License-Identifier: Apache-2.0 */
#include "node/inquiry.h"

#include "base/assert.h"

/* A round trip fits the first; all of them together bridge what a retry of a handshake would. */
static const pln_dur waits[] = {PLN_MS(500), PLN_S(1), PLN_S(2), PLN_S(4), PLN_S(8)};
enum { ROUNDS = sizeof waits / sizeof waits[0] };

/* Two would do; of many that keep silent most have told, and were not worth keeping. */
enum { ASKED_AT_ONCE = 8 };

void pln_inquiry_init(pln_inquiry *inquiry) {
    *inquiry = (pln_inquiry){.at = PLN_TS_NEVER};
}

void pln_inquiry_begin(pln_inquiry *inquiry, pln_ts now) {
    inquiry->rounds = 0;
    inquiry->at = pln_ts_add(now, waits[0]);
}

static void ask(const pln_outside *outside, const pln_neighbours *neighbours, pln_now now) {
    size_t asked = 0;
    const pln_neighbour *neighbour, *next;
    HASH_ITER(hh, neighbours->map, neighbour, next) {
        if (asked < ASKED_AT_ONCE && !pln_outside_has_word(outside, &neighbour->key)) {
            pln_neighbours_tell(neighbours, neighbour, now);
            asked++;
        }
    }
}

void pln_inquiry_handle_timeout(pln_inquiry *inquiry, const pln_outside *outside,
                                const pln_neighbours *neighbours, pln_now now) {
    if (!pln_ts_reached(inquiry->at, now.mono)) {
        return;
    }
    PLN_ASSERT(inquiry->rounds < ROUNDS);
    inquiry->rounds++;
    inquiry->at = PLN_TS_NEVER;
    if (outside->verdict.mapping == POLLEN_NAT_MAPPING_UNKNOWN) {
        ask(outside, neighbours, now);
        inquiry->at =
            inquiry->rounds < ROUNDS ? pln_ts_add(now.mono, waits[inquiry->rounds]) : PLN_TS_NEVER;
    }
}
