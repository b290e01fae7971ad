/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies that carry admission objects: invite redemption and certificate renewal. */
#include <string.h>

#include "base/key.h"
#include "wire/body.h"
#include "wire/utf8.h"

/* The reason is for people to read, on terminals and in logs: what is not printable text becomes
 * '?', and a long one is cut between two characters. */
static void read_reason(const pln_proto_slot *slot, char *ret_reason, size_t cap) {
    size_t used = 0;
    size_t at = 0;
    while (at < slot->size) {
        uint32_t code;
        size_t count = pln_utf8_next(slot->data + at, slot->size - at, &code);
        bool printable = count > 0 && code >= 0x20 && (code < 0x7f || code > 0x9f);
        size_t kept = printable ? count : 1;
        if (used + kept >= cap) {
            break;
        }
        if (printable) {
            memcpy(ret_reason + used, slot->data + at, count);
        } else {
            ret_reason[used] = '?';
        }
        used += kept;
        at += count > 0 ? count : 1;
    }
    ret_reason[used] = '\0';
}

static void put_optional_key(pln_out *out, uint32_t number, const pollen_key *key) {
    if (!pln_key_is_zero(key)) {
        pln_proto_put_bytes(out, number, key->bytes, POLLEN_KEY_BYTES);
    }
}

/* ---- InviteRedeemRequest: 1 token, 2 subject_pub --------------------------------------------- */

pollen_err pln_redeem_request_decode(const uint8_t *body, size_t size, pln_redeem_request *ret) {
    static const pln_proto_schema schema = {
        .count = 3, .kinds = {[1] = PLN_FIELD_MESSAGE, [2] = PLN_FIELD_BYTES}};
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_redeem_request request = {0};
    if (!pln_body_optional_key(&msg.slots[2], &request.subject_pub)) {
        err = POLLEN_EPROTO;
    }
    if (err == POLLEN_OK) {
        err = pln_invite_token_decode(msg.slots[1].data, msg.slots[1].size, &request.token);
    }
    pln_proto_message_fini(&msg);
    if (err == POLLEN_OK) {
        *ret = request;
    }
    return err;
}

pollen_err pln_redeem_request_encode(const pln_redeem_request *msg, pln_bytes *ret) {
    if (msg->token.wire.size == 0) {
        return POLLEN_EINVAL;
    }
    pln_out out = {0};
    pln_proto_put_present(&out, 1, msg->token.wire.data, msg->token.wire.size);
    put_optional_key(&out, 2, &msg->subject_pub);
    return pln_body_finish(POLLEN_ENVELOPE_REDEEM_REQUEST, &out, ret);
}

void pln_redeem_request_fini(pln_redeem_request *msg) {
    pln_invite_token_fini(&msg->token);
    *msg = (pln_redeem_request){0};
}

/* ---- Responses: 1 accepted, 2 reason, 3 join_token or cert ----------------------------------- */

static const pln_proto_schema response_schema = {
    .count = 4, .kinds = {[1] = PLN_FIELD_VARINT, [2] = PLN_FIELD_BYTES, [3] = PLN_FIELD_MESSAGE}};

pollen_err pln_redeem_response_decode(const uint8_t *body, size_t size, pln_redeem_response *ret) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&response_schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_redeem_response response = {
        .accepted = msg.slots[1].value != 0,
        .has_join_token = msg.slots[3].count > 0,
    };
    read_reason(&msg.slots[2], response.reason, sizeof(response.reason));
    if (response.has_join_token) {
        err = pln_join_token_decode(msg.slots[3].data, msg.slots[3].size, &response.join_token);
    }
    pln_proto_message_fini(&msg);
    if (err == POLLEN_OK) {
        *ret = response;
    }
    return err;
}

pollen_err pln_redeem_response_encode(const pln_redeem_response *msg, pln_bytes *ret) {
    if (msg->has_join_token && msg->join_token.wire.size == 0) {
        return POLLEN_EINVAL;
    }
    pln_out out = {0};
    pln_proto_put_bool(&out, 1, msg->accepted);
    pln_proto_put_string(&out, 2, msg->reason);
    if (msg->has_join_token) {
        pln_proto_put_present(&out, 3, msg->join_token.wire.data, msg->join_token.wire.size);
    }
    return pln_body_finish(POLLEN_ENVELOPE_REDEEM_RESPONSE, &out, ret);
}

void pln_redeem_response_fini(pln_redeem_response *msg) {
    pln_join_token_fini(&msg->join_token);
    *msg = (pln_redeem_response){0};
}

pollen_err pln_renewal_response_decode(const uint8_t *body, size_t size,
                                       pln_renewal_response *ret) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&response_schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_renewal_response response = {
        .accepted = msg.slots[1].value != 0,
        .has_cert = msg.slots[3].count > 0,
    };
    read_reason(&msg.slots[2], response.reason, sizeof(response.reason));
    if (response.has_cert) {
        err = pln_member_cert_decode(msg.slots[3].data, msg.slots[3].size, &response.cert);
    }
    pln_proto_message_fini(&msg);
    if (err == POLLEN_OK) {
        *ret = response;
    }
    return err;
}

pollen_err pln_renewal_response_encode(const pln_renewal_response *msg, pln_bytes *ret) {
    if (msg->has_cert && msg->cert.wire.size == 0) {
        return POLLEN_EINVAL;
    }
    pln_out out = {0};
    pln_proto_put_bool(&out, 1, msg->accepted);
    pln_proto_put_string(&out, 2, msg->reason);
    if (msg->has_cert) {
        pln_proto_put_present(&out, 3, msg->cert.wire.data, msg->cert.wire.size);
    }
    return pln_body_finish(POLLEN_ENVELOPE_RENEWAL_RESPONSE, &out, ret);
}

void pln_renewal_response_fini(pln_renewal_response *msg) {
    pln_member_cert_fini(&msg->cert);
    *msg = (pln_renewal_response){0};
}

/* ---- CertRenewalRequest: 1 subject_pub, 2 current_cert --------------------------------------- */

pollen_err pln_renewal_request_decode(const uint8_t *body, size_t size, pln_renewal_request *ret) {
    static const pln_proto_schema schema = {
        .count = 3, .kinds = {[1] = PLN_FIELD_BYTES, [2] = PLN_FIELD_BYTES}};
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&schema, body, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_renewal_request request = {0};
    if (msg.slots[2].size > PLN_CERT_BYTES_MAX ||
        !pln_body_optional_key(&msg.slots[1], &request.subject_pub)) {
        err = POLLEN_EPROTO;
    } else if (!pln_bytes_set(&request.current_cert, msg.slots[2].data, msg.slots[2].size)) {
        err = POLLEN_ENOMEM;
    }
    pln_proto_message_fini(&msg);
    if (err == POLLEN_OK) {
        *ret = request;
    }
    return err;
}

pollen_err pln_renewal_request_encode(const pln_renewal_request *msg, pln_bytes *ret) {
    pln_out out = {0};
    put_optional_key(&out, 1, &msg->subject_pub);
    pln_proto_put_bytes(&out, 2, msg->current_cert.data, msg->current_cert.size);
    return pln_body_finish(POLLEN_ENVELOPE_RENEWAL_REQUEST, &out, ret);
}

void pln_renewal_request_fini(pln_renewal_request *msg) {
    pln_bytes_fini(&msg->current_cert);
    *msg = (pln_renewal_request){0};
}
