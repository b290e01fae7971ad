/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/revocation.h"

#include <string.h>

#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"

/* ---- One ------------------------------------------------------------------------------------- */

static pollen_err sign_revocation(const pollen_seed *seed, pln_revocation *revocation) {
    pollen_err err = pln_revocation_encode_claims(revocation);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_ed25519ctx_sign(seed, PLN_CTX_REVOCATION, revocation->signed_bytes.data,
                              revocation->signed_bytes.size, &revocation->signature);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_revocation_encode(revocation);
}

pollen_err pln_revocation_issue(const pln_signer *root, const pollen_key *subject, pln_wall now,
                                pln_revocation *ret) {
    if (!root->is_root) {
        return POLLEN_ENOTADMIN;
    }
    pln_revocation revocation = {
        .cluster_id = root->trust.cluster_id,
        .subject_pub = *subject,
        .revoked_at = now,
        .issuer_admin_pub = root->admin_pub,
    };
    pollen_err err = sign_revocation(&root->seed, &revocation);
    if (err != POLLEN_OK) {
        pln_revocation_fini(&revocation);
        return err;
    }
    *ret = revocation;
    return POLLEN_OK;
}

pollen_err pln_revocation_verify(const pln_revocation *revocation, const pln_trust *trust) {
    if (!pln_key_equal(&revocation->cluster_id, &trust->cluster_id)) {
        return POLLEN_ECLUSTER;
    }
    if (!pln_key_equal(&revocation->issuer_admin_pub, &trust->root_pub) ||
        !pln_ed25519ctx_verify(&trust->root_pub, PLN_CTX_REVOCATION, revocation->signed_bytes.data,
                               revocation->signed_bytes.size, &revocation->signature)) {
        return POLLEN_ESIGNATURE;
    }
    return POLLEN_OK;
}

static pollen_err copy_revocation(pln_revocation *dst, const pln_revocation *src) {
    pln_revocation copy = *src;
    copy.signed_bytes = (pln_bytes){.data = NULL};
    copy.wire = (pln_bytes){.data = NULL};
    if (!pln_bytes_copy(&copy.signed_bytes, &src->signed_bytes) ||
        !pln_bytes_copy(&copy.wire, &src->wire)) {
        pln_revocation_fini(&copy);
        return POLLEN_ENOMEM;
    }
    *dst = copy;
    return POLLEN_OK;
}

/* ---- The set --------------------------------------------------------------------------------- */

void pln_revocations_init(pln_revocations *set) {
    *set = (pln_revocations){.items = NULL};
}

void pln_revocations_fini(pln_revocations *set) {
    for (size_t i = 0; i < set->count; i++) {
        pln_revocation_fini(&set->items[i]);
    }
    pln_free(set->items);
    pln_revocations_init(set);
}

/* The first place whose subject is not smaller than key; count when there is none. */
static size_t place_of(const pln_revocations *set, const pollen_key *key) {
    size_t begin = 0;
    size_t end = set->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (pln_key_compare(&set->items[middle].subject_pub, key) < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

static bool is_at(const pln_revocations *set, size_t place, const pollen_key *key) {
    return place < set->count && pln_key_equal(&set->items[place].subject_pub, key);
}

static pollen_err reserve(pln_revocations *set) {
    pln_revocation *items = pln_grow(set->items, set->count, &set->cap, sizeof(*items), 8);
    if (items == NULL) {
        return POLLEN_ENOMEM;
    }
    set->items = items;
    return POLLEN_OK;
}

pollen_err pln_revocations_add(pln_revocations *set, const pln_revocation *revocation,
                               const pln_trust *trust, bool *ret_added) {
    size_t place = place_of(set, &revocation->subject_pub);
    if (is_at(set, place, &revocation->subject_pub)) {
        *ret_added = false;
        return POLLEN_OK;
    }
    pollen_err err = pln_revocation_verify(revocation, trust);
    if (err == POLLEN_OK && set->count >= PLN_REVOCATIONS_MAX) {
        err = POLLEN_ELIMIT;
    }
    if (err == POLLEN_OK) {
        err = reserve(set);
    }
    pln_revocation copy;
    if (err == POLLEN_OK) {
        err = copy_revocation(&copy, revocation);
    }
    if (err != POLLEN_OK) {
        return err;
    }
    PLN_ASSERT(set->count < set->cap);
    PLN_ASSERT(place <= set->count);
    memmove(set->items + place + 1, set->items + place, (set->count - place) * sizeof(*set->items));
    set->items[place] = copy;
    set->count++;
    *ret_added = true;
    return POLLEN_OK;
}

bool pln_revocations_has(const pln_revocations *set, const pollen_key *key) {
    return is_at(set, place_of(set, key), key);
}

const pln_revocation *pln_revocations_at(const pln_revocations *set, size_t index) {
    return index < set->count ? &set->items[index] : NULL;
}
