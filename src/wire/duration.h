/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of time as the reference's settings have them: "48h0m0s", "1.5h", "90m", "300ms". */
#ifndef PLN_WIRE_DURATION_H
#define PLN_WIRE_DURATION_H

#include <stddef.h>
#include <stdint.h>

#include <pollen/err.h>

enum { PLN_DURATION_TEXT_BYTES = 40 };

/*
 * A sign, then numbers with a unit each: ns, us, µs, ms, s, m, h.  "0" needs no unit.
 *
 * Errors: POLLEN_EINVAL  not of this form, or beyond 2^63 - 1 nanoseconds
 */
POLLEN_MUST_USE pollen_err pln_duration_parse(const char *text, int64_t *ret_ns);

/* Whole seconds, which are not negative, into text; returns text. */
char *pln_duration_format(int64_t seconds, char text[PLN_DURATION_TEXT_BYTES]);

#endif
