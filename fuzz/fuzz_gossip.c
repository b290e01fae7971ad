/* SPDX-License-Identifier: Apache-2.0 */
/* Gossip events, batches and clocks.  The first byte chooses which. */
#include "fuzz.h"
#include "wire/state.h"

#define RECODE(name)                                                                               \
    static bool recode_##name(const uint8_t *data, size_t size, pln_bytes *ret) {                  \
        pln_gossip_##name msg;                                                                     \
        if (pln_gossip_##name##_decode(data, size, &msg) != POLLEN_OK) {                           \
            return false;                                                                          \
        }                                                                                          \
        FUZZ_CHECK(pln_gossip_##name##_encode(&msg, ret) == POLLEN_OK);                            \
        pln_gossip_##name##_fini(&msg);                                                            \
        return true;                                                                               \
    }

RECODE(event)
RECODE(batch)
RECODE(clock)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const fuzz_recode kinds[] = {recode_event, recode_batch, recode_clock};
    if (size > 0) {
        fuzz_check_stable(kinds[data[0] % (sizeof(kinds) / sizeof(kinds[0]))], data + 1, size - 1);
    }
    return 0;
}
