/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/mem.h"
#include "peer/store.h"

bool pln_addr_list_reserve(pln_addr_list *list, size_t cap) {
    if (cap <= list->cap) {
        return true;
    }
    PLN_ASSERT(cap <= POLLEN_PEER_ADDRS_MAX);
    pollen_addr *items = pln_realloc(list->items, cap * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    list->items = items;
    list->cap = cap;
    return true;
}

bool pln_addr_list_has(const pln_addr_list *list, const pollen_addr *addr) {
    for (size_t i = 0; i < list->count; i++) {
        if (pollen_addr_equal(&list->items[i], addr)) {
            return true;
        }
    }
    return false;
}
