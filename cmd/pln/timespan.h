/* SPDX-License-Identifier: Apache-2.0 */
/* Durations as people and Go write them: "5m", "1h30m", "250ms", "1.5s"; and days, "30d". */
#ifndef PLN_CMD_TIMESPAN_H
#define PLN_CMD_TIMESPAN_H

#include <stddef.h>
#include <stdint.h>

#include <pollen/err.h>

#define PLN_TIMESPAN_TEXT_BYTES 32

/*
 * Milliseconds.  "0" needs no unit, every other number does.
 *
 * Errors: POLLEN_EINVAL  malformed, negative, or beyond a hundred years
 */
POLLEN_MUST_USE pollen_err pln_timespan_parse(const char *text, int64_t *ret_ms);

/* The two largest units: "3h12m", "45s", "320ms"; into text[PLN_TIMESPAN_TEXT_BYTES], returns text.
 * */
char *pln_timespan_format(int64_t ms, char *text);

#endif
