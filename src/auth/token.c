/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token.h"

#include <string.h>

#include "base/assert.h"
#include "base/key.h"

/* ---- What both kinds share ------------------------------------------------------------------- */

/* A version 4 UUID (RFC 9562, 5.4) in lower case, as the reference makes them. */
static void draw_token_id(const pln_rng *rng, char text[PLN_TOKEN_ID_BYTES]) {
    static const size_t group_bytes[] = {4, 2, 2, 2, 6};
    uint8_t id[16];
    pln_rng_fill(rng, id, sizeof(id));
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    const uint8_t *group = id;
    for (size_t i = 0; i < 5; i++) {
        pln_hex_encode(group, group_bytes[i], text);
        text += 2 * group_bytes[i];
        *text++ = i < 4 ? '-' : '\0';
        group += group_bytes[i];
    }
    PLN_ASSERT(group == id + sizeof(id));
}

/* The parts of a token that are copied from elsewhere. */
typedef struct token_frame {
    pln_trust *trust;
    pln_admin_cert *issuer;
    pln_bootstraps *bootstrap;
} token_frame;

static pollen_err fill_frame(const token_frame *frame, const pln_signer *signer,
                             const pln_bootstraps *bootstrap) {
    pollen_err err = pln_trust_copy(frame->trust, &signer->trust);
    if (err == POLLEN_OK) {
        err = pln_admin_cert_copy(frame->issuer, &signer->issuer);
    }
    if (err == POLLEN_OK) {
        err = pln_bootstraps_copy(frame->bootstrap, bootstrap);
    }
    return err;
}

/* Beyond containing now, the widened window must be more than an instant. */
static pollen_err verify_window(int64_t issued_at, int64_t expires_at, pln_wall now) {
    int64_t begin = pln_wall_add(issued_at, -PLN_SKEW_SECONDS);
    int64_t end = pln_wall_add(expires_at, PLN_SKEW_SECONDS);
    if (begin >= end || !pln_window_contains(issued_at, expires_at, now)) {
        return POLLEN_EEXPIRED;
    }
    return POLLEN_OK;
}

/* The token chains to the trust that it brings along. */
static pollen_err verify_issuer(const pln_trust *trust, const pln_admin_cert *issuer,
                                pln_wall now) {
    pollen_err err = pln_trust_verify(trust);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_admin_cert_verify(issuer, trust, now);
}

static bool is_signed(const pln_admin_cert *issuer, const char *context, const pln_bytes *msg,
                      const pln_signature *signature) {
    return pln_ed25519ctx_verify(&issuer->admin_pub, context, msg->data, msg->size, signature);
}

static pollen_err check_signer(const pln_signer *signer, pln_wall now) {
    return pln_window_contains(signer->issuer.not_before, signer->issuer.not_after, now)
               ? POLLEN_OK
               : POLLEN_EEXPIRED;
}

/* ---- Invites --------------------------------------------------------------------------------- */

static pollen_err check_invite_terms(const pln_invite_terms *terms) {
    if (terms->bootstrap->count == 0 || terms->membership_ttl_seconds < 0 ||
        terms->ttl_seconds <= 0 || terms->ttl_seconds > PLN_INVITE_TTL_MAX_SECONDS) {
        return POLLEN_EINVAL;
    }
    if (terms->subject != NULL && !pln_key_is_usable(terms->subject)) {
        return POLLEN_EKEY;
    }
    return POLLEN_OK;
}

static pollen_err sign_invite(const pollen_seed *seed, pln_invite_token *token) {
    pollen_err err = pln_invite_token_encode_claims(token);
    if (err != POLLEN_OK) {
        return err;
    }
    PLN_ASSERT(token->signed_bytes.size > 0);
    err = pln_ed25519ctx_sign(seed, PLN_CTX_INVITE, token->signed_bytes.data,
                              token->signed_bytes.size, &token->signature);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_invite_token_encode(token);
}

pollen_err pln_invite_issue(const pln_signer *signer, const pln_invite_terms *terms,
                            const pln_rng *rng, pln_wall now, pln_invite_token *ret) {
    pollen_err err = check_invite_terms(terms);
    if (err == POLLEN_OK) {
        err = check_signer(signer, now);
    }
    if (err != POLLEN_OK) {
        return err;
    }
    pln_invite_token token = {
        .has_subject = terms->subject != NULL,
        .issued_at = now,
        .expires_at = pln_not_after(now, terms->ttl_seconds),
        .membership_ttl_seconds = terms->membership_ttl_seconds,
        .non_renewable = terms->non_renewable,
    };
    if (terms->subject != NULL) {
        token.subject_pub = *terms->subject;
    }
    draw_token_id(rng, token.token_id);
    token_frame frame = {&token.trust, &token.issuer, &token.bootstrap};
    err = fill_frame(&frame, signer, terms->bootstrap);
    if (err == POLLEN_OK) {
        err = sign_invite(&signer->seed, &token);
    }
    if (err != POLLEN_OK) {
        pln_invite_token_fini(&token);
        return err;
    }
    *ret = token;
    return POLLEN_OK;
}

pollen_err pln_invite_verify(const pln_invite_token *token, const pollen_key *subject,
                             pln_wall now) {
    pollen_err err = verify_issuer(&token->trust, &token->issuer, now);
    if (err != POLLEN_OK) {
        return err;
    }
    if (!is_signed(&token->issuer, PLN_CTX_INVITE, &token->signed_bytes, &token->signature)) {
        return POLLEN_ESIGNATURE;
    }
    if (token->has_subject && subject != NULL && !pln_key_equal(&token->subject_pub, subject)) {
        return POLLEN_ESUBJECT;
    }
    return verify_window(token->issued_at, token->expires_at, now);
}

pollen_err pln_invite_verify_local(const pln_invite_token *token, const pln_trust *trust,
                                   const pollen_key *subject, pln_wall now) {
    /* Before anything else: verifying costs, and a foreign token has no claim to it. */
    if (!pln_trust_equal(&token->trust, trust)) {
        return POLLEN_ECLUSTER;
    }
    pollen_err err = pln_invite_verify(token, subject, now);
    if (err != POLLEN_OK) {
        return err;
    }
    if (now >= token->expires_at) {
        return POLLEN_EEXPIRED;
    }
    if (token->expires_at > pln_wall_add(token->issued_at, PLN_INVITE_TTL_MAX_SECONDS)) {
        return POLLEN_ETOKEN;
    }
    return POLLEN_OK;
}

bool pln_invite_names_relay(const pln_invite_token *token, const pollen_key *relay) {
    for (size_t i = 0; i < token->bootstrap.count; i++) {
        if (pln_key_equal(&token->bootstrap.items[i].peer_pub, relay)) {
            return true;
        }
    }
    return false;
}

/* NOLINTNEXTLINE(readability-function-size): two of the seven are the outer world, rng and now. */
pollen_err pln_invite_redeem(const pln_signer *signer, const pln_invite_token *invite,
                             const pollen_key *subject, int64_t default_ttl_seconds,
                             const pln_rng *rng, pln_wall now, pln_join_token *ret) {
    if (now >= invite->expires_at) {
        return POLLEN_EEXPIRED;
    }
    bool ends_sooner = invite->expires_at < pln_wall_add(now, PLN_JOIN_TTL_SECONDS);
    pln_join_terms terms = {
        .bootstrap = &invite->bootstrap,
        .ttl_seconds = ends_sooner ? invite->expires_at - now : PLN_JOIN_TTL_SECONDS,
        .membership = {.ttl_seconds = invite->membership_ttl_seconds > 0
                                          ? invite->membership_ttl_seconds
                                          : default_ttl_seconds,
                       .non_renewable = invite->non_renewable},
    };
    PLN_ASSERT(terms.ttl_seconds > 0 && terms.ttl_seconds <= PLN_JOIN_TTL_SECONDS);
    return pln_join_issue(signer, subject, &terms, rng, now, ret);
}

/* ---- Join tokens ----------------------------------------------------------------------------- */

static pollen_err sign_join(const pollen_seed *seed, pln_join_token *token) {
    pollen_err err = pln_join_token_encode_claims(token);
    if (err != POLLEN_OK) {
        return err;
    }
    PLN_ASSERT(token->signed_bytes.size > 0);
    err = pln_ed25519ctx_sign(seed, PLN_CTX_JOIN, token->signed_bytes.data,
                              token->signed_bytes.size, &token->signature);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_join_token_encode(token);
}

pollen_err pln_join_issue(const pln_signer *signer, const pollen_key *subject,
                          const pln_join_terms *terms, const pln_rng *rng, pln_wall now,
                          pln_join_token *ret) {
    if (terms->ttl_seconds <= 0) {
        return POLLEN_EINVAL;
    }
    pln_join_token token = {
        .issued_at = now,
        .expires_at = pln_not_after(now, terms->ttl_seconds),
    };
    draw_token_id(rng, token.token_id);
    pollen_err err =
        pln_member_cert_issue(signer, subject, &terms->membership, rng, now, &token.member_cert);
    if (err == POLLEN_OK) {
        token_frame frame = {&token.trust, &token.issuer, &token.bootstrap};
        err = fill_frame(&frame, signer, terms->bootstrap);
    }
    if (err == POLLEN_OK) {
        err = sign_join(&signer->seed, &token);
    }
    if (err != POLLEN_OK) {
        pln_join_token_fini(&token);
        return err;
    }
    *ret = token;
    return POLLEN_OK;
}

pollen_err pln_join_verify(const pln_join_token *token, const pln_trust *trust,
                           const pollen_key *subject, pln_wall now) {
    if (trust != NULL && !pln_trust_equal(&token->trust, trust)) {
        return POLLEN_ECLUSTER;
    }
    pollen_err err = verify_issuer(&token->trust, &token->issuer, now);
    if (err != POLLEN_OK) {
        return err;
    }
    if (!is_signed(&token->issuer, PLN_CTX_JOIN, &token->signed_bytes, &token->signature)) {
        return POLLEN_ESIGNATURE;
    }
    err = verify_window(token->issued_at, token->expires_at, now);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_member_cert_verify(&token->member_cert, &token->trust, subject, now);
}
