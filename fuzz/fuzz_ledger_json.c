/* SPDX-License-Identifier: Apache-2.0 */
/* Redeemed invites. */
#include "fuzz.h"
#include "wire/ledger_json.h"

static bool recode_ledger(const uint8_t *data, size_t size, pln_bytes *ret) {
    pln_ledger_entry *entries;
    size_t count;
    char why[128];
    if (pln_ledger_decode((const char *)data, size, &entries, &count, why) != POLLEN_OK) {
        return false;
    }
    FUZZ_CHECK(pln_ledger_encode(entries, count, ret) == POLLEN_OK);
    pln_ledger_entries_free(entries, count);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_check_stable(recode_ledger, data, size);
    return 0;
}
