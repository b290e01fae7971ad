/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks, and deadlines of waiting calls.  Thread: any. */
#ifndef PLN_RUN_CLOCK_H
#define PLN_RUN_CLOCK_H

#include <time.h>

#include "base/time.h"

pln_ts pln_clock_mono(void);
pln_ts pln_clock_boot(void); /* Goes on while the machine sleeps; a time line of its own. */
pln_wall pln_clock_wall(void);
pln_now pln_clock_now(void);

/* When a call that may take timeout_ms has to end; PLN_TS_NEVER for a negative timeout. */
pln_ts pln_clock_deadline(int timeout_ms);

/* Whole milliseconds left, rounded up so that nobody wakes early to find
 * nothing due; -1 for never. */
int pln_clock_ms_until(pln_ts deadline, pln_ts now);

struct timespec pln_clock_timespec(pln_ts ts);

#endif
