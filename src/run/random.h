/* SPDX-License-Identifier: Apache-2.0 */
/* The operating system's randomness.  Thread: any. */
#ifndef PLN_RUN_RANDOM_H
#define PLN_RUN_RANDOM_H

#include <pollen/err.h>

#include "base/rng.h"

/* Errors: POLLEN_ESYS */
POLLEN_MUST_USE pollen_err pln_os_random(uint8_t *bytes, size_t count);

/* The same as an injectable generator.  It cannot report failure, so it ends the process rather
 * than hand out predictable bytes: the kernel's generator, once seeded, does not fail. */
pln_rng pln_os_rng(void);

#endif
