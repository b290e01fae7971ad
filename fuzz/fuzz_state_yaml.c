/* SPDX-License-Identifier: Apache-2.0 */
/* Saved state. */
#include "fuzz.h"
#include "wire/state_yaml.h"

static bool recode_state(const uint8_t *data, size_t size, pln_bytes *ret) {
    pln_saved_state state;
    char why[128];
    if (pln_saved_state_decode((const char *)data, size, &state, why) != POLLEN_OK) {
        return false;
    }
    FUZZ_CHECK(pln_saved_state_encode(&state, ret) == POLLEN_OK);
    pln_saved_state_fini(&state);
    return true;
}

/* Of any text something can be had, nothing perhaps, that can be written. */
static void check_salvage(const uint8_t *data, size_t size) {
    pln_saved_state state;
    pln_bytes text = {0};
    FUZZ_CHECK(pln_saved_state_salvage((const char *)data, size, &state) == POLLEN_OK);
    FUZZ_CHECK(pln_saved_state_encode(&state, &text) == POLLEN_OK);
    pln_saved_state_fini(&state);
    pln_bytes_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_salvage(data, size);
    fuzz_check_stable(recode_state, data, size);
    return 0;
}
