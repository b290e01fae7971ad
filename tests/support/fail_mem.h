/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a chosen allocation fail.  Everything the library allocates goes through pln_malloc(),
 * pln_calloc() and pln_realloc() (base/mem.h); the linker turns those calls into ours.
 *
 * Use:  pollen_test(<name> LIBRARIES pollen_fail_mem) in CMake, and in the test
 *
 *     for (size_t n = 1;; n++) {
 *         long live = fail_mem_live();
 *         fail_mem_arm(n);
 *         pollen_err err = thing_under_test(...);
 *         bool failed = fail_mem_disarm();
 *         if (!failed) {
 *             assert_int_equal(err, POLLEN_OK);   // every allocation of it has had its turn
 *             break;
 *         }
 *         assert_int_equal(err, POLLEN_ENOMEM);
 *         // ... the state is as before, and:
 *         assert_int_equal(fail_mem_live(), live);
 *     }
 *
 * Only the n-th allocation fails, those after it succeed, so that clean-up and retries are tested
 * as well. An armed failure hits whoever allocates next, also the test itself: arm late, disarm at
 * once.
 *
 * Thread: the counters are atomic, but arming while other threads allocate makes n arbitrary.
 */
#ifndef TESTS_SUPPORT_FAIL_MEM_H
#define TESTS_SUPPORT_FAIL_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the n-th allocation (1 is the next one) fails, once.  Also sets the count to 0. */
void fail_mem_arm(size_t n);

/* No allocation fails any more.  True when the armed failure has happened. */
bool fail_mem_disarm(void);

/* Allocations tried since the last fail_mem_arm(). */
size_t fail_mem_count(void);

/* Blocks allocated and not freed yet since the program began: equal before and after, nothing
 * leaked. */
long fail_mem_live(void);

#endif
