/* SPDX-License-Identifier: Apache-2.0 */
/* Key files, read under each label. */
#include "fuzz.h"
#include "wire/pem.h"

static const char *const labels[] = {PLN_PEM_NODE_PRIVATE, PLN_PEM_NODE_PUBLIC,
                                     PLN_PEM_ADMIN_PRIVATE, PLN_PEM_ADMIN_PUBLIC};

/* The first block counts, so that at most one label fits. */
static bool recode_pem(const uint8_t *data, size_t size, pln_bytes *ret) {
    unsigned fits = 0;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        uint8_t key[32];
        char text[PLN_PEM_TEXT_BYTES];
        if (pln_pem_decode((const char *)data, size, labels[i], key) == POLLEN_OK) {
            FUZZ_CHECK(pln_bytes_set(ret, text, pln_pem_encode(labels[i], key, text)));
            fits += 1;
        }
    }
    FUZZ_CHECK(fits <= 1);
    return fits == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_check_stable(recode_pem, data, size);
    return 0;
}
