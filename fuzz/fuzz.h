/* SPDX-License-Identifier: Apache-2.0 */
/* What every target needs: the entry point, and a check that ends the run. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(expr) ((expr) ? (void)0 : fuzz_failed(#expr, __LINE__))

static inline void fuzz_failed(const char *expr, int line) {
    fprintf(stderr, "line %d: %s does not hold\n", line, expr);
    abort();
}

/* What is left of the bytes that a target takes its decisions from. */
typedef struct fuzz_input {
    const uint8_t *data;
    size_t size;
} fuzz_input;

/* The next byte; 0 past the end. */
static inline uint8_t fuzz_take(fuzz_input *in) {
    if (in->size == 0) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

/* Reads bytes and gives what writing the result makes of it; false when they are refused. */
typedef bool (*fuzz_recode)(const uint8_t *data, size_t size, pln_bytes *ret);

/* What was read once and written is read again and written as the very same bytes. */
static inline void fuzz_check_stable(fuzz_recode recode, const uint8_t *data, size_t size) {
    pln_bytes once = {0};
    pln_bytes twice = {0};
    if (recode(data, size, &once)) {
        FUZZ_CHECK(recode(once.data, once.size, &twice));
        FUZZ_CHECK(pln_bytes_equal(&once, &twice));
    }
    pln_bytes_fini(&once);
    pln_bytes_fini(&twice);
}

#endif
