/* SPDX-License-Identifier: Apache-2.0 */
#include "run/random.h"

#include <errno.h>
#include <sys/random.h>

#include <pollen/key.h>

#include "base/assert.h"
#include "run/last_error.h"

pollen_err pln_os_random(uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t got = getrandom(bytes, count, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return POLLEN_ESYS;
        }
        bytes += got;
        count -= (size_t)got;
    }
    return POLLEN_OK;
}

static void fill(void *ctx, uint8_t *bytes, size_t count) {
    (void)ctx;
    PLN_ASSERT(pln_os_random(bytes, count) == POLLEN_OK);
}

pln_rng pln_os_rng(void) {
    return (pln_rng){.fill = fill};
}

pollen_err pollen_seed_generate(pollen_seed *ret_seed) {
    pollen_seed seed;
    pollen_err err = pln_os_random(seed.bytes, sizeof(seed.bytes));
    if (err != POLLEN_OK) {
        pln_last_error_set("no randomness from the operating system");
        return err;
    }
    *ret_seed = seed;
    pollen_seed_wipe(&seed);
    return POLLEN_OK;
}
