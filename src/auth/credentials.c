/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that can fail happens on copies; what a node has changes in the commit_*() functions,
 * which cannot. */
#include "auth/credentials.h"

#include "base/assert.h"
#include "base/key.h"

void pln_credentials_init(pln_credentials *creds, const pollen_seed *seed) {
    *creds = (pln_credentials){.seed = *seed, .key = pollen_seed_key(seed)};
}

void pln_credentials_fini(pln_credentials *creds) {
    pollen_seed_wipe(&creds->seed);
    pln_trust_fini(&creds->trust);
    pln_member_cert_fini(&creds->member_cert);
    pln_signer_fini(&creds->signer);
    *creds = (pln_credentials){.enrolled = false};
}

static void commit_cert(pln_credentials *creds, pln_member_cert *cert) {
    PLN_ASSERT(creds->enrolled);
    PLN_ASSERT(pln_key_equal(&cert->subject_pub, &creds->key));
    pln_member_cert_fini(&creds->member_cert);
    creds->member_cert = *cert;
}

static void commit_enrolment(pln_credentials *creds, pln_trust *trust, pln_member_cert *cert) {
    PLN_ASSERT(!creds->enrolled);
    PLN_ASSERT(pln_key_equal(&cert->subject_pub, &creds->key));
    PLN_ASSERT(pln_key_equal(&cert->cluster_id, &trust->cluster_id));
    creds->trust = *trust;
    creds->member_cert = *cert;
    creds->enrolled = true;
}

/* ---- A new cluster --------------------------------------------------------------------------- */

pollen_err pln_credentials_create_root(pln_credentials *creds, const pollen_seed *root_seed,
                                       int64_t admin_ttl_seconds, int64_t membership_ttl_seconds,
                                       const pln_rng *rng, pln_wall now) {
    if (creds->enrolled || creds->has_signer) {
        return POLLEN_EEXIST;
    }
    pln_signer signer;
    pollen_err err = pln_signer_create_root(root_seed, admin_ttl_seconds, rng, now, &signer);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_trust trust = {.wire = {.data = NULL}};
    pln_member_cert cert;
    pln_member_terms terms = {.ttl_seconds = membership_ttl_seconds};
    err = pln_trust_copy(&trust, &signer.trust);
    if (err == POLLEN_OK) {
        err = pln_member_cert_issue(&signer, &creds->key, &terms, rng, now, &cert);
    }
    if (err != POLLEN_OK) {
        pln_trust_fini(&trust);
        pln_signer_fini(&signer);
        return err;
    }
    commit_enrolment(creds, &trust, &cert);
    creds->signer = signer;
    creds->has_signer = true;
    pollen_seed_wipe(&signer.seed); /* The copy on the stack. */
    return POLLEN_OK;
}

/* ---- Join tokens ----------------------------------------------------------------------------- */

/* The cluster this node is bound to; NULL when it may still go anywhere. */
static const pln_trust *bound_trust(const pln_credentials *creds) {
    if (creds->enrolled) {
        return &creds->trust;
    }
    return creds->has_signer ? &creds->signer.trust : NULL;
}

static bool keeps_present(const pln_credentials *creds, const pln_member_cert *offered,
                          pln_wall now) {
    return creds->enrolled && creds->member_cert.not_after >= offered->not_after &&
           pln_member_cert_verify(&creds->member_cert, &creds->trust, &creds->key, now) ==
               POLLEN_OK;
}

static pollen_err enrol(pln_credentials *creds, const pln_join_token *token) {
    pln_trust trust = {.wire = {.data = NULL}};
    pln_member_cert cert = {.serial = 0};
    pollen_err err = pln_member_cert_copy(&cert, &token->member_cert);
    if (err != POLLEN_OK) {
        return err;
    }
    if (creds->enrolled) {
        commit_cert(creds, &cert);
        return POLLEN_OK;
    }
    err = pln_trust_copy(&trust, &token->trust);
    if (err != POLLEN_OK) {
        pln_member_cert_fini(&cert);
        return err;
    }
    commit_enrolment(creds, &trust, &cert);
    return POLLEN_OK;
}

pollen_err pln_credentials_apply(pln_credentials *creds, const pln_join_token *token, pln_wall now,
                                 bool *ret_changed) {
    pollen_err err = pln_join_verify(token, bound_trust(creds), &creds->key, now);
    if (err != POLLEN_OK) {
        return err;
    }
    if (keeps_present(creds, &token->member_cert, now)) {
        *ret_changed = false;
        return POLLEN_OK;
    }
    err = enrol(creds, token);
    if (err == POLLEN_OK) {
        *ret_changed = true;
    }
    return err;
}

/* ---- Renewal and copies ---------------------------------------------------------------------- */

pollen_err pln_credentials_renew(pln_credentials *creds, const pln_member_cert *cert,
                                 pln_wall now) {
    if (!creds->enrolled) {
        return POLLEN_ENOTENROLLED;
    }
    pollen_err err = pln_member_cert_verify(cert, &creds->trust, &creds->key, now);
    if (err != POLLEN_OK) {
        return err;
    }
    if (cert->not_after <= creds->member_cert.not_after ||
        cert->non_renewable != creds->member_cert.non_renewable) {
        return POLLEN_ECERT;
    }
    pln_member_cert copy = {.serial = 0};
    err = pln_member_cert_copy(&copy, cert);
    if (err == POLLEN_OK) {
        commit_cert(creds, &copy);
    }
    return err;
}

static pollen_err copy_parts(pln_credentials *dst, const pln_credentials *src) {
    pollen_err err = POLLEN_OK;
    if (src->enrolled) {
        err = pln_trust_copy(&dst->trust, &src->trust);
        if (err == POLLEN_OK) {
            err = pln_member_cert_copy(&dst->member_cert, &src->member_cert);
        }
    }
    if (err == POLLEN_OK && src->has_signer) {
        err = pln_signer_copy(&dst->signer, &src->signer);
    }
    return err;
}

pollen_err pln_credentials_copy(pln_credentials *dst, const pln_credentials *src) {
    *dst = (pln_credentials){
        .key = src->key, .enrolled = src->enrolled, .has_signer = src->has_signer};
    pollen_err err = copy_parts(dst, src);
    if (err != POLLEN_OK) {
        pln_credentials_fini(dst);
        return err;
    }
    dst->seed = src->seed;
    return POLLEN_OK;
}
