/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions of pollen/admission.h, but for redeeming (join_api.c). */
#include "run/admission.h"

#include <string.h>

#include "auth/ed25519ctx.h"
#include "base/mem.h"
#include "run/clock.h"
#include "run/last_error.h"
#include "run/random.h"
#include "run/statedir.h"

struct pollen_credentials {
    pln_credentials inner;
};

const pln_credentials *pln_credentials_of(const pollen_credentials *credentials) {
    return &credentials->inner;
}

pollen_err pln_credentials_wrap(const pln_credentials *creds, pollen_credentials **ret) {
    pollen_credentials *wrapped = pln_calloc(1, sizeof(*wrapped));
    if (wrapped == NULL) {
        return POLLEN_ENOMEM;
    }
    const pollen_err err = pln_credentials_copy(&wrapped->inner, creds);
    if (err != POLLEN_OK) {
        pln_free(wrapped);
        return err;
    }
    *ret = wrapped;
    return POLLEN_OK;
}

/* ---- Credentials ----------------------------------------------------------------------------- */

pollen_err pollen_credentials_create(const pollen_seed *seed,
                                     pollen_credentials **ret_credentials) {
    pln_last_error_clear();
    if (seed == NULL || ret_credentials == NULL) {
        return POLLEN_EINVAL;
    }
    pollen_credentials *credentials = pln_calloc(1, sizeof(*credentials));
    if (credentials == NULL) {
        return POLLEN_ENOMEM;
    }
    pln_credentials_init(&credentials->inner, seed);
    *ret_credentials = credentials;
    return POLLEN_OK;
}

void pollen_credentials_destroy(pollen_credentials *credentials) {
    if (credentials != NULL) {
        pln_credentials_fini(&credentials->inner);
        pln_free(credentials);
    }
}

pollen_err pollen_credentials_create_cluster(pollen_credentials *credentials,
                                             const pollen_seed *root_seed) {
    pln_last_error_clear();
    if (credentials == NULL || root_seed == NULL) {
        return POLLEN_EINVAL;
    }
    const pln_rng rng = pln_os_rng();
    return pln_credentials_create_root(&credentials->inner, root_seed, PLN_ADMIN_TTL_DEFAULT,
                                       PLN_MEMBERSHIP_TTL_DEFAULT, &rng, pln_clock_wall());
}

pollen_err pollen_credentials_load(const char *dir, pollen_credentials **ret_credentials) {
    pln_last_error_clear();
    if (dir == NULL || ret_credentials == NULL) {
        return POLLEN_EINVAL;
    }
    pollen_credentials *credentials = pln_calloc(1, sizeof(*credentials));
    if (credentials == NULL) {
        return POLLEN_ENOMEM;
    }
    const pollen_err err =
        pln_statedir_load_credentials(dir, pln_clock_wall(), &credentials->inner);
    if (err != POLLEN_OK) {
        pln_free(credentials);
        return err;
    }
    *ret_credentials = credentials;
    return POLLEN_OK;
}

pollen_err pollen_credentials_save(const pollen_credentials *credentials, const char *dir) {
    pln_last_error_clear();
    if (credentials == NULL || dir == NULL) {
        return POLLEN_EINVAL;
    }
    return pln_statedir_save_credentials(dir, &credentials->inner);
}

pollen_key pollen_credentials_key(const pollen_credentials *credentials) {
    return credentials->inner.key;
}

bool pollen_credentials_enrolled(const pollen_credentials *credentials) {
    return credentials->inner.enrolled;
}

bool pollen_credentials_is_admin(const pollen_credentials *credentials) {
    return credentials->inner.has_signer;
}

pollen_err pollen_credentials_cluster(const pollen_credentials *credentials,
                                      pollen_key *ret_cluster_id) {
    if (!credentials->inner.enrolled) {
        return POLLEN_ENOTENROLLED;
    }
    *ret_cluster_id = credentials->inner.trust.cluster_id;
    return POLLEN_OK;
}

pollen_err pollen_credentials_cert(const pollen_credentials *credentials,
                                   pollen_cert_info *ret_info) {
    if (!credentials->inner.enrolled) {
        return POLLEN_ENOTENROLLED;
    }
    const pln_member_cert *cert = &credentials->inner.member_cert;
    *ret_info = (pollen_cert_info){.not_before = cert->not_before,
                                   .not_after = cert->not_after,
                                   .serial = cert->serial,
                                   .renewable = !cert->non_renewable};
    return POLLEN_OK;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

enum { INVITE_TTL_DEFAULT_SECONDS = 300 };

void pollen_invite_options_init(pollen_invite_options *options) {
    *options = (pollen_invite_options){.size = sizeof(*options),
                                       .ttl_seconds = INVITE_TTL_DEFAULT_SECONDS};
}

static pollen_err check_options(const pollen_credentials *credentials,
                                const pollen_invite_options *options, const void *ret) {
    pln_last_error_clear();
    if (credentials == NULL || options == NULL || options->size < sizeof(*options) || ret == NULL ||
        (options->bootstrap == NULL && options->bootstrap_count > 0) ||
        options->membership_ttl_seconds < 0) {
        return POLLEN_EINVAL;
    }
    return credentials->inner.has_signer ? POLLEN_OK : POLLEN_ENOTADMIN;
}

static pollen_err read_bootstrap(const pollen_invite_options *options, pln_bootstraps *ret) {
    for (size_t i = 0; i < options->bootstrap_count; i++) {
        const pollen_bootstrap *from = &options->bootstrap[i];
        const pollen_err err = pln_bootstraps_add(ret, &from->peer, from->addrs, from->addr_count);
        if (err != POLLEN_OK) {
            return err;
        }
    }
    return POLLEN_OK;
}

pollen_err pollen_invite_create(const pollen_credentials *credentials,
                                const pollen_invite_options *options, char **ret_text) {
    pollen_err err = check_options(credentials, options, ret_text);
    if (err != POLLEN_OK) {
        return err;
    }
    const pln_rng rng = pln_os_rng();
    pln_bootstraps bootstrap = {0};
    pln_invite_token token = {0};
    err = read_bootstrap(options, &bootstrap);
    if (err == POLLEN_OK) {
        const pln_invite_terms terms = {.bootstrap = &bootstrap,
                                        .subject = options->subject,
                                        .ttl_seconds = options->ttl_seconds,
                                        .membership_ttl_seconds = options->membership_ttl_seconds,
                                        .non_renewable = options->non_renewable};
        err = pln_invite_issue(&credentials->inner.signer, &terms, &rng, pln_clock_wall(), &token);
    }
    if (err == POLLEN_OK) {
        err = pln_token_text_encode(&token.wire, ret_text);
    }
    pln_invite_token_fini(&token);
    pln_bootstraps_fini(&bootstrap);
    return err;
}

pollen_err pollen_join_token_create(const pollen_credentials *credentials,
                                    const pollen_key *subject, const pollen_invite_options *options,
                                    char **ret_text) {
    pollen_err err = check_options(credentials, options, ret_text);
    if (err == POLLEN_OK && subject == NULL) {
        err = POLLEN_EINVAL;
    }
    if (err != POLLEN_OK) {
        return err;
    }
    const pln_rng rng = pln_os_rng();
    pln_bootstraps bootstrap = {0};
    pln_join_token token = {0};
    err = read_bootstrap(options, &bootstrap);
    if (err == POLLEN_OK) {
        const int64_t ttl = options->membership_ttl_seconds;
        const pln_join_terms terms = {
            .bootstrap = &bootstrap,
            .ttl_seconds = options->ttl_seconds,
            .membership = {.ttl_seconds = ttl > 0 ? ttl : PLN_MEMBERSHIP_TTL_DEFAULT,
                           .non_renewable = options->non_renewable}};
        err = pln_join_issue(&credentials->inner.signer, subject, &terms, &rng, pln_clock_wall(),
                             &token);
    }
    if (err == POLLEN_OK) {
        err = pln_token_text_encode(&token.wire, ret_text);
    }
    pln_join_token_fini(&token);
    pln_bootstraps_fini(&bootstrap);
    return err;
}

void pollen_text_free(char *text) {
    if (text != NULL) {
        pln_secret_wipe(text, strlen(text));
        pln_free(text);
    }
}

static pollen_err malformed(pollen_err err) {
    return err == POLLEN_EPROTO ? POLLEN_ETOKEN : err;
}

pollen_err pln_read_join_token(const char *text, pln_join_token *ret) {
    pln_bytes bytes = {0};
    pollen_err err = pln_token_text_decode(text, strlen(text), &bytes);
    if (err == POLLEN_OK) {
        err = malformed(pln_join_token_decode(bytes.data, bytes.size, ret));
    }
    pln_bytes_fini(&bytes);
    return err;
}

pollen_err pln_read_invite(const char *text, pln_invite_token *ret) {
    pln_bytes bytes = {0};
    pollen_err err = pln_token_text_decode(text, strlen(text), &bytes);
    if (err == POLLEN_OK) {
        err = malformed(pln_invite_token_decode(bytes.data, bytes.size, ret));
    }
    pln_bytes_fini(&bytes);
    return err;
}

pollen_err pollen_credentials_apply(pollen_credentials *credentials, const char *join_token) {
    pln_last_error_clear();
    if (credentials == NULL || join_token == NULL) {
        return POLLEN_EINVAL;
    }
    pln_join_token token = {0};
    bool changed;
    pollen_err err = pln_read_join_token(join_token, &token);
    if (err == POLLEN_OK) {
        err = pln_credentials_apply(&credentials->inner, &token, pln_clock_wall(), &changed);
    }
    pln_join_token_fini(&token);
    return err;
}
