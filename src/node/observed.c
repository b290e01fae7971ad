/* SPDX-License-Identifier: Apache-2.0 */
#include "node/observed.h"

#include "base/assert.h"

void pln_observed_add(pln_observed_list *list, const pollen_key *peer, const pollen_addr *addr,
                      pln_ts now) {
    pln_observed_remove(list, peer);
    if (list->count == PLN_OBSERVED_MAX) {
        list->count--;
    }
    memmove(&list->items[1], &list->items[0], list->count * sizeof list->items[0]);
    list->items[0] = (pln_observed){.peer = *peer, .addr = *addr, .at = now};
    list->count++;
    PLN_ASSERT(list->count <= PLN_OBSERVED_MAX);
}

void pln_observed_remove(pln_observed_list *list, const pollen_key *peer) {
    for (size_t i = 0; i < list->count; i++) {
        if (pln_key_equal(&list->items[i].peer, peer)) {
            list->count--;
            memmove(&list->items[i], &list->items[i + 1],
                    (list->count - i) * sizeof list->items[0]);
            return;
        }
    }
}
