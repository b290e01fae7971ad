/* SPDX-License-Identifier: Apache-2.0 */
#include "run/paths.h"

#include "base/key.h"
#include "base/mem.h"
#include "run/resolve.h"

static void resolve_one(const pln_bootstrap *from, pln_target *target) {
    *target = (pln_target){.peer = from->peer_pub};
    for (size_t i = 0; i < from->addr_count; i++) {
        bool is_name;
        pln_resolve(from->addrs[i], POLLEN_PORT_DEFAULT, target->addrs, PLN_DIAL_ADDRS_MAX,
                    &target->addr_count, &is_name);
    }
}

pollen_err pln_targets_resolve(const pln_bootstraps *bootstrap, const pollen_key *self,
                               pln_target **ret_targets, size_t *ret_count) {
    *ret_targets = NULL;
    *ret_count = 0;
    if (bootstrap->count == 0) {
        return POLLEN_OK;
    }
    pln_target *targets = pln_calloc(bootstrap->count, sizeof(*targets));
    if (targets == NULL) {
        return POLLEN_ENOMEM;
    }
    size_t count = 0;
    for (size_t i = 0; i < bootstrap->count; i++) {
        if (!pln_key_equal(&bootstrap->items[i].peer_pub, self)) {
            resolve_one(&bootstrap->items[i], &targets[count]);
            count += targets[count].addr_count > 0;
        }
    }
    if (count == 0) {
        pln_free(targets);
        return POLLEN_OK;
    }
    *ret_targets = targets;
    *ret_count = count;
    return POLLEN_OK;
}
