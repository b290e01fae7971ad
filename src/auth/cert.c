/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/cert.h"

#include "base/assert.h"
#include "base/key.h"

/* ---- Trust ----------------------------------------------------------------------------------- */

static pollen_key cluster_id_of(const pollen_key *root_pub) {
    pollen_key id;
    pln_sha256(root_pub->bytes, sizeof(root_pub->bytes), id.bytes);
    return id;
}

pollen_err pln_trust_create(const pollen_key *root_pub, pln_trust *ret) {
    if (!pln_key_is_usable(root_pub)) {
        return POLLEN_EKEY;
    }
    pln_trust trust = {.cluster_id = cluster_id_of(root_pub), .root_pub = *root_pub};
    pollen_err err = pln_trust_encode(&trust);
    if (err != POLLEN_OK) {
        pln_trust_fini(&trust);
        return err;
    }
    PLN_ASSERT(pln_trust_verify(&trust) == POLLEN_OK);
    *ret = trust;
    return POLLEN_OK;
}

bool pln_trust_equal(const pln_trust *a, const pln_trust *b) {
    return pln_key_equal(&a->cluster_id, &b->cluster_id) &&
           pln_key_equal(&a->root_pub, &b->root_pub);
}

pollen_err pln_trust_verify(const pln_trust *trust) {
    pollen_key id = cluster_id_of(&trust->root_pub);
    if (!pln_key_equal(&id, &trust->cluster_id) || !pln_key_is_usable(&trust->root_pub)) {
        return POLLEN_ECERT;
    }
    return POLLEN_OK;
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* The ends move, not now: saturating there keeps "until the end of time" true. */
bool pln_window_contains(int64_t not_before, int64_t not_after, pln_wall now) {
    return pln_wall_add(not_before, -PLN_SKEW_SECONDS) <= now &&
           now <= pln_wall_add(not_after, PLN_SKEW_SECONDS);
}

bool pln_member_cert_is_expired(const pln_member_cert *cert, pln_wall now) {
    return now > pln_wall_add(cert->not_after, PLN_SKEW_SECONDS);
}

/* ---- Certificates ---------------------------------------------------------------------------- */

pollen_err pln_admin_cert_verify_cached(const pln_admin_cert *cert, const pln_trust *trust,
                                        pln_wall now, pln_verdicts *verdicts) {
    if (!pln_verdicts_verify(verdicts, &trust->root_pub, PLN_CTX_ADMIN, &cert->signed_bytes,
                             &cert->signature)) {
        return POLLEN_ESIGNATURE;
    }
    if (!pln_key_is_usable(&cert->admin_pub)) {
        return POLLEN_EKEY;
    }
    return pln_window_contains(cert->not_before, cert->not_after, now) ? POLLEN_OK
                                                                       : POLLEN_EEXPIRED;
}

pollen_err pln_admin_cert_verify(const pln_admin_cert *cert, const pln_trust *trust, pln_wall now) {
    return pln_admin_cert_verify_cached(cert, trust, now, NULL);
}

static pollen_err verify_issued(const pln_member_cert *cert, pln_wall now, pln_verdicts *verdicts) {
    if (!pln_key_equal(&cert->issuer.admin_pub, &cert->issuer_admin_pub)) {
        return POLLEN_ECERT;
    }
    if (!pln_verdicts_verify(verdicts, &cert->issuer_admin_pub, PLN_CTX_MEMBERSHIP,
                             &cert->signed_bytes, &cert->signature)) {
        return POLLEN_ESIGNATURE;
    }
    return pln_window_contains(cert->not_before, cert->not_after, now) ? POLLEN_OK
                                                                       : POLLEN_EEXPIRED;
}

pollen_err pln_member_cert_verify_cached(const pln_member_cert *cert, const pln_trust *trust,
                                         const pollen_key *subject, pln_wall now,
                                         pln_verdicts *verdicts) {
    if (!pln_key_equal(&cert->cluster_id, &trust->cluster_id)) {
        return POLLEN_ECLUSTER;
    }
    pollen_err err = pln_admin_cert_verify_cached(&cert->issuer, trust, now, verdicts);
    if (err != POLLEN_OK) {
        return err;
    }
    err = verify_issued(cert, now, verdicts);
    if (err != POLLEN_OK) {
        return err;
    }
    if (subject == NULL || !pln_key_equal(subject, &cert->subject_pub)) {
        return POLLEN_ESUBJECT;
    }
    return pln_key_is_usable(&cert->subject_pub) ? POLLEN_OK : POLLEN_EKEY;
}

pollen_err pln_member_cert_verify(const pln_member_cert *cert, const pln_trust *trust,
                                  const pollen_key *subject, pln_wall now) {
    return pln_member_cert_verify_cached(cert, trust, subject, now, NULL);
}
