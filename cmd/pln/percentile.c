/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/percentile.h"

#include <stdlib.h>

static int compare(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

void pln_percentile_sort(uint64_t *values, size_t count) {
    qsort(values, count, sizeof values[0], compare);
}

uint64_t pln_percentile(const uint64_t *sorted, size_t count, unsigned percent) {
    if (count == 0) {
        return 0;
    }
    const size_t rank = (count * percent + 99) / 100;
    return sorted[rank == 0 ? 0 : rank > count ? count - 1 : rank - 1];
}
