/* SPDX-License-Identifier: Apache-2.0 */
/* JoinToken and InviteToken: 1 claims, 2 signature.  The two differ in their claims alone, and most
 * of these are the same in both. */
#include "wire/admission_parts.h"

static const pln_proto_schema token_schema = {
    .count = 3,
    .kinds = {[1] = PLN_FIELD_MESSAGE, [2] = PLN_FIELD_BYTES},
};

/* ---- What both have -------------------------------------------------------------------------- */

/* 1 token_id, 2 trust, 3 issuer, 6 issued_at_unix, 7 expires_at_unix; the bootstrap peers have a
 * number for each kind. */
typedef struct token_parts {
    char *token_id;
    pln_trust *trust;
    pln_admin_cert *issuer;
    pln_bootstraps *bootstrap;
    int64_t *issued_at, *expires_at;
    pln_signature *signature;
    pln_bytes *signed_bytes, *wire;
} token_parts;

typedef struct token_form {
    const pln_proto_schema *claims;
    uint32_t bootstrap_number;
    token_parts (*parts)(void *token);
    pollen_err (*read_own)(const pln_proto_slot *slots, void *token);
    /* Writes the claims between the issuer and what is unknown; peers holds the bootstrap fields,
     * written already. */
    void (*write_own)(const void *token, const pln_out *peers, pln_out *out);
} token_form;

static pollen_err write_claims(const token_form *form, void *token, const pln_out *peers,
                               const pln_proto_message *decoded) {
    const token_parts parts = form->parts(token);
    pln_out out = {.failed = peers->failed};
    pln_proto_put_string(&out, 1, parts.token_id);
    pln_proto_put_present(&out, 2, parts.trust->wire.data, parts.trust->wire.size);
    pln_proto_put_present(&out, 3, parts.issuer->wire.data, parts.issuer->wire.size);
    form->write_own(token, peers, &out);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, parts.signed_bytes);
}

static pollen_err read_parts(const token_form *form, const pln_proto_slot *slots, void *token) {
    const token_parts parts = form->parts(token);
    if (!pln_admission_token_id(&slots[1], parts.token_id)) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_trust_decode(slots[2].data, slots[2].size, parts.trust);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_admin_cert_decode(slots[3].data, slots[3].size, parts.issuer);
    if (err != POLLEN_OK) {
        return err;
    }
    *parts.issued_at = (int64_t)slots[6].value;
    *parts.expires_at = (int64_t)slots[7].value;
    return form->read_own(slots, token);
}

static pollen_err read_claims(const token_form *form, const pln_proto_slot *slot, void *token) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(form->claims, slot->data, slot->size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_out peers = {0};
    err = read_parts(form, msg.slots, token);
    if (err == POLLEN_OK) {
        err =
            pln_bootstraps_read(&msg, form->bootstrap_number, form->parts(token).bootstrap, &peers);
    }
    if (err == POLLEN_OK) {
        err = write_claims(form, token, &peers, &msg);
    }
    pln_out_fini(&peers);
    pln_proto_message_fini(&msg);
    return err;
}

static pollen_err read_token(const token_form *form, const pln_proto_message *msg, void *token) {
    const token_parts parts = form->parts(token);
    if (!pln_admission_signature(&msg->slots[2], parts.signature)) {
        return POLLEN_EPROTO;
    }
    pollen_err err = read_claims(form, &msg->slots[1], token);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_admission_seal(parts.signed_bytes, parts.signature, msg, parts.wire);
}

/* On an error token is left half filled. */
static pollen_err decode(const token_form *form, const uint8_t *bytes, size_t size, void *token) {
    pln_proto_message msg;
    if (size > PLN_TOKEN_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_proto_read(&token_schema, bytes, size, &msg);
    if (err == POLLEN_OK) {
        err = read_token(form, &msg, token);
        pln_proto_message_fini(&msg);
    }
    return err;
}

static pollen_err encode_claims(const token_form *form, void *token) {
    pln_out peers = {0};
    pollen_err err =
        pln_bootstraps_write(form->parts(token).bootstrap, form->bootstrap_number, &peers);
    if (err == POLLEN_OK) {
        err = write_claims(form, token, &peers, NULL);
    }
    pln_out_fini(&peers);
    return err;
}

#define PARTS_OF(token)                                                                            \
    {                                                                                              \
        .token_id = (token)->token_id, .trust = &(token)->trust, .issuer = &(token)->issuer,       \
        .bootstrap = &(token)->bootstrap, .issued_at = &(token)->issued_at,                        \
        .expires_at = &(token)->expires_at, .signature = &(token)->signature,                      \
        .signed_bytes = &(token)->signed_bytes, .wire = &(token)->wire                             \
    }

static void fini_parts(const token_parts *parts) {
    pln_trust_fini(parts->trust);
    pln_admin_cert_fini(parts->issuer);
    pln_bootstraps_fini(parts->bootstrap);
    pln_bytes_fini(parts->signed_bytes);
    pln_bytes_fini(parts->wire);
}

/* ---- JoinTokenClaims ------------------------------------------------------------------------- */

/* 4 member_cert, 5 bootstrap. */
static const pln_proto_schema join_schema = {
    .count = 8,
    .kinds = {[1] = PLN_FIELD_BYTES,
              [2] = PLN_FIELD_MESSAGE,
              [3] = PLN_FIELD_MESSAGE,
              [4] = PLN_FIELD_MESSAGE,
              [5] = PLN_FIELD_REPEATED,
              [6] = PLN_FIELD_VARINT,
              [7] = PLN_FIELD_VARINT},
};

static token_parts join_parts(void *token) {
    pln_join_token *join = token;
    return (token_parts)PARTS_OF(join);
}

static pollen_err read_join(const pln_proto_slot *slots, void *token) {
    pln_join_token *join = token;
    return pln_member_cert_decode(slots[4].data, slots[4].size, &join->member_cert);
}

static void write_join(const void *token, const pln_out *peers, pln_out *out) {
    const pln_join_token *join = token;
    pln_proto_put_present(out, 4, join->member_cert.wire.data, join->member_cert.wire.size);
    pln_out_put(out, peers->bytes.data, peers->bytes.size);
    pln_proto_put_i64(out, 6, join->issued_at);
    pln_proto_put_i64(out, 7, join->expires_at);
}

static const token_form join_form = {.claims = &join_schema,
                                     .bootstrap_number = 5,
                                     .parts = join_parts,
                                     .read_own = read_join,
                                     .write_own = write_join};

pollen_err pln_join_token_decode(const uint8_t *bytes, size_t size, pln_join_token *ret) {
    pln_join_token token = {0};
    pollen_err err = decode(&join_form, bytes, size, &token);
    if (err != POLLEN_OK) {
        pln_join_token_fini(&token);
        return err;
    }
    *ret = token;
    return POLLEN_OK;
}

pollen_err pln_join_token_encode_claims(pln_join_token *token) {
    if (token->trust.wire.size == 0 || token->issuer.wire.size == 0 ||
        token->member_cert.wire.size == 0) {
        return POLLEN_EINVAL;
    }
    return encode_claims(&join_form, token);
}

pollen_err pln_join_token_encode(pln_join_token *token) {
    return pln_admission_seal(&token->signed_bytes, &token->signature, NULL, &token->wire);
}

void pln_join_token_fini(pln_join_token *token) {
    const token_parts parts = join_parts(token);
    fini_parts(&parts);
    pln_member_cert_fini(&token->member_cert);
    *token = (pln_join_token){0};
}

/* ---- InviteTokenClaims ----------------------------------------------------------------------- */

/* 4 bootstrap, 5 subject_pub, 8 membership_ttl_seconds, 9 non_renewable. */
static const pln_proto_schema invite_schema = {
    .count = 10,
    .kinds = {[1] = PLN_FIELD_BYTES,
              [2] = PLN_FIELD_MESSAGE,
              [3] = PLN_FIELD_MESSAGE,
              [4] = PLN_FIELD_REPEATED,
              [5] = PLN_FIELD_BYTES,
              [6] = PLN_FIELD_VARINT,
              [7] = PLN_FIELD_VARINT,
              [8] = PLN_FIELD_VARINT,
              [9] = PLN_FIELD_VARINT},
};

static token_parts invite_parts(void *token) {
    pln_invite_token *invite = token;
    return (token_parts)PARTS_OF(invite);
}

static pollen_err read_invite(const pln_proto_slot *slots, void *token) {
    pln_invite_token *invite = token;
    invite->has_subject = slots[5].size > 0;
    if (slots[4].count == 0 ||
        (invite->has_subject && !pln_admission_key(&slots[5], &invite->subject_pub))) {
        return POLLEN_EPROTO;
    }
    invite->membership_ttl_seconds = (int64_t)slots[8].value;
    invite->non_renewable = slots[9].value != 0;
    return POLLEN_OK;
}

static void write_invite(const void *token, const pln_out *peers, pln_out *out) {
    const pln_invite_token *invite = token;
    pln_out_put(out, peers->bytes.data, peers->bytes.size);
    pln_proto_put_bytes(out, 5, invite->subject_pub.bytes,
                        invite->has_subject ? POLLEN_KEY_BYTES : 0);
    pln_proto_put_i64(out, 6, invite->issued_at);
    pln_proto_put_i64(out, 7, invite->expires_at);
    pln_proto_put_i64(out, 8, invite->membership_ttl_seconds);
    pln_proto_put_bool(out, 9, invite->non_renewable);
}

static const token_form invite_form = {.claims = &invite_schema,
                                       .bootstrap_number = 4,
                                       .parts = invite_parts,
                                       .read_own = read_invite,
                                       .write_own = write_invite};

pollen_err pln_invite_token_decode(const uint8_t *bytes, size_t size, pln_invite_token *ret) {
    pln_invite_token token = {0};
    pollen_err err = decode(&invite_form, bytes, size, &token);
    if (err != POLLEN_OK) {
        pln_invite_token_fini(&token);
        return err;
    }
    *ret = token;
    return POLLEN_OK;
}

pollen_err pln_invite_token_encode_claims(pln_invite_token *token) {
    if (token->trust.wire.size == 0 || token->issuer.wire.size == 0 ||
        token->bootstrap.count == 0) {
        return POLLEN_EINVAL;
    }
    return encode_claims(&invite_form, token);
}

pollen_err pln_invite_token_encode(pln_invite_token *token) {
    return pln_admission_seal(&token->signed_bytes, &token->signature, NULL, &token->wire);
}

void pln_invite_token_fini(pln_invite_token *token) {
    const token_parts parts = invite_parts(token);
    fini_parts(&parts);
    *token = (pln_invite_token){0};
}
