/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/admit.h"

pln_meters *pln_admit_create(const pln_hash_key *key) {
    const pln_meters_config config = {.key = *key,
                                      .sets = 1024,
                                      .interval = PLN_NS_PER_S / PLN_ADMIT_PER_SECOND,
                                      .burst = PLN_ADMIT_BURST};
    return pln_meters_create(&config);
}

bool pln_admit_take(pln_meters *admit, const pollen_addr *source, pln_ts now) {
    return pln_meters_take(admit, source->ip, pln_addr_party_bytes(source), 1, now);
}
