/* SPDX-License-Identifier: Apache-2.0 */
/* JoinToken and InviteToken: 1 claims, 2 signature. */
#include "wire/admission_parts.h"

static const pln_proto_schema token_schema = {
    .count = 3,
    .kinds = {[1] = PLN_FIELD_MESSAGE, [2] = PLN_FIELD_BYTES},
};

/* ---- JoinTokenClaims ------------------------------------------------------------------------- */

/* 1 token_id, 2 trust, 3 issuer, 4 member_cert, 5 bootstrap, 6 issued_at_unix,
 * 7 expires_at_unix. */
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

/* peers holds the bootstrap fields, written already. */
static pollen_err write_join_claims(pln_join_token *token, pln_out *peers,
                                    const pln_proto_message *decoded) {
    pln_out out = {.failed = peers->failed};
    pln_proto_put_string(&out, 1, token->token_id);
    pln_proto_put_present(&out, 2, token->trust.wire.data, token->trust.wire.size);
    pln_proto_put_present(&out, 3, token->issuer.wire.data, token->issuer.wire.size);
    pln_proto_put_present(&out, 4, token->member_cert.wire.data, token->member_cert.wire.size);
    pln_out_put(&out, peers->bytes.data, peers->bytes.size);
    pln_proto_put_i64(&out, 6, token->issued_at);
    pln_proto_put_i64(&out, 7, token->expires_at);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, &token->signed_bytes);
}

static pollen_err read_join_parts(const pln_proto_message *msg, pln_join_token *token) {
    const pln_proto_slot *slots = msg->slots;
    if (!pln_admission_token_id(&slots[1], token->token_id)) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_trust_decode(slots[2].data, slots[2].size, &token->trust);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_admin_cert_decode(slots[3].data, slots[3].size, &token->issuer);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_member_cert_decode(slots[4].data, slots[4].size, &token->member_cert);
    if (err != POLLEN_OK) {
        return err;
    }
    token->issued_at = (int64_t)slots[6].value;
    token->expires_at = (int64_t)slots[7].value;
    return POLLEN_OK;
}

static pollen_err read_join_claims(const pln_proto_slot *slot, pln_join_token *token) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&join_schema, slot->data, slot->size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_out peers = {0};
    err = read_join_parts(&msg, token);
    if (err == POLLEN_OK) {
        err = pln_bootstraps_read(&msg, 5, &token->bootstrap, &peers);
    }
    if (err == POLLEN_OK) {
        err = write_join_claims(token, &peers, &msg);
    }
    pln_out_fini(&peers);
    pln_proto_message_fini(&msg);
    return err;
}

static pollen_err read_join_token(const pln_proto_message *msg, pln_join_token *token) {
    if (!pln_admission_signature(&msg->slots[2], &token->signature)) {
        return POLLEN_EPROTO;
    }
    pollen_err err = read_join_claims(&msg->slots[1], token);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_admission_seal(&token->signed_bytes, &token->signature, msg, &token->wire);
}

pollen_err pln_join_token_decode(const uint8_t *bytes, size_t size, pln_join_token *ret) {
    pln_proto_message msg;
    if (size > PLN_TOKEN_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_proto_read(&token_schema, bytes, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_join_token token = {0};
    err = read_join_token(&msg, &token);
    pln_proto_message_fini(&msg);
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
    pln_out peers = {0};
    pollen_err err = pln_bootstraps_write(&token->bootstrap, 5, &peers);
    if (err == POLLEN_OK) {
        err = write_join_claims(token, &peers, NULL);
    }
    pln_out_fini(&peers);
    return err;
}

pollen_err pln_join_token_encode(pln_join_token *token) {
    return pln_admission_seal(&token->signed_bytes, &token->signature, NULL, &token->wire);
}

void pln_join_token_fini(pln_join_token *token) {
    pln_trust_fini(&token->trust);
    pln_admin_cert_fini(&token->issuer);
    pln_member_cert_fini(&token->member_cert);
    pln_bootstraps_fini(&token->bootstrap);
    pln_bytes_fini(&token->signed_bytes);
    pln_bytes_fini(&token->wire);
    *token = (pln_join_token){0};
}

/* ---- InviteTokenClaims ----------------------------------------------------------------------- */

/* 1 token_id, 2 trust, 3 issuer, 4 bootstrap, 5 subject_pub, 6 issued_at_unix,
 * 7 expires_at_unix, 8 membership_ttl_seconds, 9 non_renewable. */
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

static pollen_err write_invite_claims(pln_invite_token *token, pln_out *peers,
                                      const pln_proto_message *decoded) {
    pln_out out = {.failed = peers->failed};
    pln_proto_put_string(&out, 1, token->token_id);
    pln_proto_put_present(&out, 2, token->trust.wire.data, token->trust.wire.size);
    pln_proto_put_present(&out, 3, token->issuer.wire.data, token->issuer.wire.size);
    pln_out_put(&out, peers->bytes.data, peers->bytes.size);
    pln_proto_put_bytes(&out, 5, token->subject_pub.bytes,
                        token->has_subject ? POLLEN_KEY_BYTES : 0);
    pln_proto_put_i64(&out, 6, token->issued_at);
    pln_proto_put_i64(&out, 7, token->expires_at);
    pln_proto_put_i64(&out, 8, token->membership_ttl_seconds);
    pln_proto_put_bool(&out, 9, token->non_renewable);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, &token->signed_bytes);
}

static pollen_err read_invite_parts(const pln_proto_message *msg, pln_invite_token *token) {
    const pln_proto_slot *slots = msg->slots;
    token->has_subject = slots[5].size > 0;
    if (!pln_admission_token_id(&slots[1], token->token_id) || slots[4].count == 0 ||
        (token->has_subject && !pln_admission_key(&slots[5], &token->subject_pub))) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_trust_decode(slots[2].data, slots[2].size, &token->trust);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_admin_cert_decode(slots[3].data, slots[3].size, &token->issuer);
    if (err != POLLEN_OK) {
        return err;
    }
    token->issued_at = (int64_t)slots[6].value;
    token->expires_at = (int64_t)slots[7].value;
    token->membership_ttl_seconds = (int64_t)slots[8].value;
    token->non_renewable = slots[9].value != 0;
    return POLLEN_OK;
}

static pollen_err read_invite_claims(const pln_proto_slot *slot, pln_invite_token *token) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&invite_schema, slot->data, slot->size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_out peers = {0};
    err = read_invite_parts(&msg, token);
    if (err == POLLEN_OK) {
        err = pln_bootstraps_read(&msg, 4, &token->bootstrap, &peers);
    }
    if (err == POLLEN_OK) {
        err = write_invite_claims(token, &peers, &msg);
    }
    pln_out_fini(&peers);
    pln_proto_message_fini(&msg);
    return err;
}

static pollen_err read_invite_token(const pln_proto_message *msg, pln_invite_token *token) {
    if (!pln_admission_signature(&msg->slots[2], &token->signature)) {
        return POLLEN_EPROTO;
    }
    pollen_err err = read_invite_claims(&msg->slots[1], token);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_admission_seal(&token->signed_bytes, &token->signature, msg, &token->wire);
}

pollen_err pln_invite_token_decode(const uint8_t *bytes, size_t size, pln_invite_token *ret) {
    pln_proto_message msg;
    if (size > PLN_TOKEN_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_proto_read(&token_schema, bytes, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_invite_token token = {0};
    err = read_invite_token(&msg, &token);
    pln_proto_message_fini(&msg);
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
    pln_out peers = {0};
    pollen_err err = pln_bootstraps_write(&token->bootstrap, 4, &peers);
    if (err == POLLEN_OK) {
        err = write_invite_claims(token, &peers, NULL);
    }
    pln_out_fini(&peers);
    return err;
}

pollen_err pln_invite_token_encode(pln_invite_token *token) {
    return pln_admission_seal(&token->signed_bytes, &token->signature, NULL, &token->wire);
}

void pln_invite_token_fini(pln_invite_token *token) {
    pln_trust_fini(&token->trust);
    pln_admin_cert_fini(&token->issuer);
    pln_bootstraps_fini(&token->bootstrap);
    pln_bytes_fini(&token->signed_bytes);
    pln_bytes_fini(&token->wire);
    *token = (pln_invite_token){0};
}
