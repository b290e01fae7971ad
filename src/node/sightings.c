/* SPDX-License-Identifier: Apache-2.0 */
#include "node/sightings.h"

#include <string.h>

#include "base/assert.h"

void pln_sightings_add(pln_sightings *sightings, const pln_nat_observation *seen) {
    size_t gap = 0;
    while (gap < sightings->count &&
           !pln_key_equal(&sightings->items[gap].observer, &seen->observer)) {
        gap++;
    }
    if (gap == sightings->count && gap < PLN_SIGHTINGS_MAX) {
        sightings->count++;
    }
    gap = gap < PLN_SIGHTINGS_MAX ? gap : PLN_SIGHTINGS_MAX - 1;
    memmove(&sightings->items[1], &sightings->items[0], gap * sizeof sightings->items[0]);
    sightings->items[0] = *seen;
    PLN_ASSERT(sightings->count > 0 && sightings->count <= PLN_SIGHTINGS_MAX);
}

pln_nat_brief pln_sightings_judge(const pln_sightings *sightings, pln_ts now) {
    pln_nat_observations list = {0};
    for (size_t i = sightings->count; i > 0; i--) {
        (void)pln_nat_observe(&list, &sightings->items[i - 1]);
    }
    PLN_ASSERT(list.count <= sightings->count);
    pln_nat_verdict verdict;
    pln_nat_judge(&list, now, &verdict);
    return pln_nat_brief_of(&verdict);
}
