/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/signer.h"

#include "base/assert.h"
#include "base/key.h"

int64_t pln_not_after(pln_wall now, int64_t ttl_seconds) {
    PLN_ASSERT(ttl_seconds > 0);
    int64_t end = pln_wall_add(now, ttl_seconds);
    return end < PLN_NOT_AFTER_MAX ? end : PLN_NOT_AFTER_MAX;
}

/* Random and not zero, which would read as absent. */
static uint64_t draw_serial(const pln_rng *rng) {
    const uint64_t serial = 1 + pln_rng_below(rng, UINT64_MAX);
    PLN_ASSERT(serial != 0);
    return serial;
}

/* ---- Admin certificates ---------------------------------------------------------------------- */

static pollen_err sign_admin_cert(const pollen_seed *seed, pln_admin_cert *cert) {
    pollen_err err = pln_admin_cert_encode_claims(cert);
    if (err != POLLEN_OK) {
        return err;
    }
    PLN_ASSERT(cert->signed_bytes.size > 0);
    err = pln_ed25519ctx_sign(seed, PLN_CTX_ADMIN, cert->signed_bytes.data, cert->signed_bytes.size,
                              &cert->signature);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_admin_cert_encode(cert);
}

pollen_err pln_admin_cert_issue(const pln_signer *root, const pollen_key *admin_pub,
                                int64_t ttl_seconds, const pln_rng *rng, pln_wall now,
                                pln_admin_cert *ret) {
    if (!root->is_root) {
        return POLLEN_ENOTADMIN;
    }
    if (ttl_seconds <= 0) {
        return POLLEN_EINVAL;
    }
    if (!pln_key_is_usable(admin_pub)) {
        return POLLEN_EKEY;
    }
    pln_admin_cert cert = {
        .cluster_id = root->trust.cluster_id,
        .admin_pub = *admin_pub,
        .not_before = pln_wall_add(now, -PLN_BACKDATE_SECONDS),
        .not_after = pln_not_after(now, ttl_seconds),
        .serial = draw_serial(rng),
    };
    pollen_err err = sign_admin_cert(&root->seed, &cert);
    if (err != POLLEN_OK) {
        pln_admin_cert_fini(&cert);
        return err;
    }
    *ret = cert;
    return POLLEN_OK;
}

/* ---- Signers --------------------------------------------------------------------------------- */

pollen_err pln_signer_create_root(const pollen_seed *root_seed, int64_t admin_ttl_seconds,
                                  const pln_rng *rng, pln_wall now, pln_signer *ret) {
    pln_signer signer = {
        .seed = *root_seed, .admin_pub = pollen_seed_key(root_seed), .is_root = true};
    pollen_err err = pln_trust_create(&signer.admin_pub, &signer.trust);
    if (err == POLLEN_OK) {
        err = pln_admin_cert_issue(&signer, &signer.admin_pub, admin_ttl_seconds, rng, now,
                                   &signer.issuer);
    }
    if (err == POLLEN_OK) {
        *ret = signer;
        pollen_seed_wipe(&signer.seed); /* The copy on the stack. */
        return POLLEN_OK;
    }
    pln_signer_fini(&signer);
    return err;
}

pollen_err pln_signer_create_delegated(const pollen_seed *admin_seed, const pln_trust *trust,
                                       const pln_admin_cert *cert, pln_wall now, pln_signer *ret) {
    pollen_err err = pln_trust_verify(trust);
    if (err == POLLEN_OK) {
        err = pln_admin_cert_verify(cert, trust, now);
    }
    if (err != POLLEN_OK) {
        return err;
    }
    pollen_key admin_pub = pollen_seed_key(admin_seed);
    if (!pln_key_equal(&admin_pub, &cert->admin_pub)) {
        return POLLEN_ECERT;
    }
    /* A view whose parts are borrowed; the copy is what is handed out. */
    pln_signer view = {.seed = *admin_seed,
                       .admin_pub = admin_pub,
                       .trust = *trust,
                       .issuer = *cert,
                       .is_root = pln_key_equal(&admin_pub, &trust->root_pub)};
    pln_signer signer = {.is_root = false};
    err = pln_signer_copy(&signer, &view);
    pollen_seed_wipe(&view.seed);
    if (err == POLLEN_OK) {
        *ret = signer;
        pollen_seed_wipe(&signer.seed);
    }
    return err;
}

pollen_err pln_signer_copy(pln_signer *dst, const pln_signer *src) {
    PLN_ASSERT(dst != src);
    *dst = (pln_signer){.admin_pub = src->admin_pub, .is_root = src->is_root};
    pollen_err err = pln_trust_copy(&dst->trust, &src->trust);
    if (err == POLLEN_OK) {
        err = pln_admin_cert_copy(&dst->issuer, &src->issuer);
    }
    if (err != POLLEN_OK) {
        pln_signer_fini(dst);
        return err;
    }
    dst->seed = src->seed;
    return POLLEN_OK;
}

void pln_signer_fini(pln_signer *signer) {
    pollen_seed_wipe(&signer->seed);
    pln_trust_fini(&signer->trust);
    pln_admin_cert_fini(&signer->issuer);
    *signer = (pln_signer){.is_root = false};
}

/* ---- Membership certificates ----------------------------------------------------------------- */

static pollen_err sign_member_cert(const pollen_seed *seed, pln_member_cert *cert) {
    pollen_err err = pln_member_cert_encode_claims(cert);
    if (err != POLLEN_OK) {
        return err;
    }
    PLN_ASSERT(cert->signed_bytes.size > 0);
    err = pln_ed25519ctx_sign(seed, PLN_CTX_MEMBERSHIP, cert->signed_bytes.data,
                              cert->signed_bytes.size, &cert->signature);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_member_cert_encode(cert);
}

pollen_err pln_member_cert_issue(const pln_signer *signer, const pollen_key *subject,
                                 const pln_member_terms *terms, const pln_rng *rng, pln_wall now,
                                 pln_member_cert *ret) {
    if (terms->ttl_seconds <= 0) {
        return POLLEN_EINVAL;
    }
    if (!pln_key_is_usable(subject)) {
        return POLLEN_EKEY;
    }
    if (!pln_window_contains(signer->issuer.not_before, signer->issuer.not_after, now)) {
        return POLLEN_EEXPIRED;
    }
    pln_member_cert cert = {
        .cluster_id = signer->trust.cluster_id,
        .subject_pub = *subject,
        .issuer_admin_pub = signer->admin_pub,
        .not_before = pln_wall_add(now, -PLN_BACKDATE_SECONDS),
        .not_after = pln_not_after(now, terms->ttl_seconds),
        .serial = draw_serial(rng),
        .non_renewable = terms->non_renewable,
    };
    pollen_err err = pln_admin_cert_copy(&cert.issuer, &signer->issuer);
    if (err == POLLEN_OK) {
        err = sign_member_cert(&signer->seed, &cert);
    }
    if (err != POLLEN_OK) {
        pln_member_cert_fini(&cert);
        return err;
    }
    *ret = cert;
    return POLLEN_OK;
}

int64_t pln_cert_life(int64_t not_before, int64_t not_after) {
    int64_t begin = pln_wall_add(not_before, PLN_BACKDATE_SECONDS);
    if (begin >= not_after) {
        return 0;
    }
    uint64_t span = (uint64_t)not_after - (uint64_t)begin; /* Of any two int64_t, it fits. */
    return span > INT64_MAX ? INT64_MAX : (int64_t)span;
}

int64_t pln_member_renewal_ttl(int64_t not_before, int64_t not_after, int64_t default_ttl_seconds) {
    int64_t life = pln_cert_life(not_before, not_after);
    return life > default_ttl_seconds ? default_ttl_seconds : life;
}
