/* SPDX-License-Identifier: Apache-2.0 */
/* TrustBundle and SignedRevocation: what is judged by the cluster's root alone. */
#include "base/assert.h"
#include "wire/admission_parts.h"

/* ---- TrustBundle: 1 cluster_id, 2 root_pub --------------------------------------------------- */

static const pln_proto_schema trust_schema = {
    .count = 3,
    .kinds = {[1] = PLN_FIELD_BYTES, [2] = PLN_FIELD_BYTES},
};

static pollen_err write_trust(pln_trust *trust, const pln_proto_message *decoded) {
    pln_out out = {0};
    pln_proto_put_bytes(&out, 1, trust->cluster_id.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_bytes(&out, 2, trust->root_pub.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, &trust->wire);
}

pollen_err pln_trust_decode(const uint8_t *bytes, size_t size, pln_trust *ret) {
    pln_proto_message msg;
    if (size > PLN_CERT_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_proto_read(&trust_schema, bytes, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_trust trust = {0};
    bool valid = pln_admission_key(&msg.slots[1], &trust.cluster_id) &&
                 pln_admission_key(&msg.slots[2], &trust.root_pub);
    err = valid ? write_trust(&trust, &msg) : POLLEN_EPROTO;
    pln_proto_message_fini(&msg);
    if (err == POLLEN_OK) {
        *ret = trust;
    }
    return err;
}

pollen_err pln_trust_encode(pln_trust *trust) {
    return write_trust(trust, NULL);
}

pollen_err pln_trust_copy(pln_trust *dst, const pln_trust *src) {
    PLN_ASSERT(dst != src);
    pln_trust copy = *src;
    copy.wire = (pln_bytes){0};
    if (!pln_bytes_copy(&copy.wire, &src->wire)) {
        *dst = (pln_trust){0};
        return POLLEN_ENOMEM;
    }
    *dst = copy;
    return POLLEN_OK;
}

void pln_trust_fini(pln_trust *trust) {
    pln_bytes_fini(&trust->wire);
    *trust = (pln_trust){0};
}

/* ---- SignedRevocation: 1 entry, 2 signature -------------------------------------------------- */

static const pln_proto_schema revocation_schema = {
    .count = 3,
    .kinds = {[1] = PLN_FIELD_MESSAGE, [2] = PLN_FIELD_BYTES},
};

/* RevocationEntry: 1 cluster_id, 2 subject_pub, 3 revoked_at_unix, 4 issuer_admin_pub. */
static const pln_proto_schema entry_schema = {
    .count = 5,
    .kinds = {[1] = PLN_FIELD_BYTES,
              [2] = PLN_FIELD_BYTES,
              [3] = PLN_FIELD_VARINT,
              [4] = PLN_FIELD_BYTES},
};

static pollen_err write_entry(pln_revocation *revocation, const pln_proto_message *decoded) {
    pln_out out = {0};
    pln_proto_put_bytes(&out, 1, revocation->cluster_id.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_bytes(&out, 2, revocation->subject_pub.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_i64(&out, 3, revocation->revoked_at);
    pln_proto_put_bytes(&out, 4, revocation->issuer_admin_pub.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, &revocation->signed_bytes);
}

static pollen_err read_entry(const pln_proto_slot *slot, pln_revocation *revocation) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&entry_schema, slot->data, slot->size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    bool valid = pln_admission_key(&msg.slots[1], &revocation->cluster_id) &&
                 pln_admission_key(&msg.slots[2], &revocation->subject_pub) &&
                 pln_admission_key(&msg.slots[4], &revocation->issuer_admin_pub);
    revocation->revoked_at = (int64_t)msg.slots[3].value;
    err = valid ? write_entry(revocation, &msg) : POLLEN_EPROTO;
    pln_proto_message_fini(&msg);
    return err;
}

pollen_err pln_revocation_decode(const uint8_t *bytes, size_t size, pln_revocation *ret) {
    pln_proto_message msg;
    if (size > PLN_CERT_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_proto_read(&revocation_schema, bytes, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_revocation revocation = {0};
    if (!pln_admission_signature(&msg.slots[2], &revocation.signature)) {
        err = POLLEN_EPROTO;
    }
    if (err == POLLEN_OK) {
        err = read_entry(&msg.slots[1], &revocation);
    }
    if (err == POLLEN_OK) {
        err = pln_admission_seal(&revocation.signed_bytes, &revocation.signature, &msg,
                                 &revocation.wire);
    }
    pln_proto_message_fini(&msg);
    if (err != POLLEN_OK) {
        pln_revocation_fini(&revocation);
        return err;
    }
    *ret = revocation;
    return POLLEN_OK;
}

pollen_err pln_revocation_encode_claims(pln_revocation *revocation) {
    return write_entry(revocation, NULL);
}

pollen_err pln_revocation_encode(pln_revocation *revocation) {
    return pln_admission_seal(&revocation->signed_bytes, &revocation->signature, NULL,
                              &revocation->wire);
}

void pln_revocation_fini(pln_revocation *revocation) {
    pln_bytes_fini(&revocation->signed_bytes);
    pln_bytes_fini(&revocation->wire);
    *revocation = (pln_revocation){0};
}
