/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLN_CMD_PERCENTILE_H
#define PLN_CMD_PERCENTILE_H

#include <stddef.h>
#include <stdint.h>

void pln_percentile_sort(uint64_t *values, size_t count);

/* The smallest of the sorted values that `percent` of them do not exceed (nearest rank); 0 of none.
 */
uint64_t pln_percentile(const uint64_t *sorted, size_t count, unsigned percent);

#endif
