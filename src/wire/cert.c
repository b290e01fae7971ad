/* SPDX-License-Identifier: Apache-2.0 */
/* AdminCert and MembershipCert. */
#include "base/assert.h"
#include "wire/admission_parts.h"

/* ---- AdminCert: 1 claims, 2 signature -------------------------------------------------------- */

static const pln_proto_schema admin_schema = {
    .count = 3,
    .kinds = {[1] = PLN_FIELD_MESSAGE, [2] = PLN_FIELD_BYTES},
};

/* AdminCertClaims: 1 cluster_id, 2 admin_pub, 3 not_before_unix, 4 not_after_unix, 5 serial. */
static const pln_proto_schema admin_claims_schema = {
    .count = 6,
    .kinds = {[1] = PLN_FIELD_BYTES,
              [2] = PLN_FIELD_BYTES,
              [3] = PLN_FIELD_VARINT,
              [4] = PLN_FIELD_VARINT,
              [5] = PLN_FIELD_VARINT},
};

static pollen_err write_admin_claims(pln_admin_cert *cert, const pln_proto_message *decoded) {
    pln_out out = {0};
    pln_proto_put_bytes(&out, 1, cert->cluster_id.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_bytes(&out, 2, cert->admin_pub.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_i64(&out, 3, cert->not_before);
    pln_proto_put_i64(&out, 4, cert->not_after);
    pln_proto_put_u64(&out, 5, cert->serial);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, &cert->signed_bytes);
}

static pollen_err read_admin_claims(const pln_proto_slot *slot, pln_admin_cert *cert) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&admin_claims_schema, slot->data, slot->size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    bool valid = pln_admission_key(&msg.slots[1], &cert->cluster_id) &&
                 pln_admission_key(&msg.slots[2], &cert->admin_pub);
    cert->not_before = (int64_t)msg.slots[3].value;
    cert->not_after = (int64_t)msg.slots[4].value;
    cert->serial = msg.slots[5].value;
    err = valid ? write_admin_claims(cert, &msg) : POLLEN_EPROTO;
    pln_proto_message_fini(&msg);
    return err;
}

static pollen_err read_admin_cert(const pln_proto_message *msg, pln_admin_cert *cert) {
    if (!pln_admission_signature(&msg->slots[2], &cert->signature)) {
        return POLLEN_EPROTO;
    }
    pollen_err err = read_admin_claims(&msg->slots[1], cert);
    if (err != POLLEN_OK) {
        return err;
    }
    return pln_admission_seal(&cert->signed_bytes, &cert->signature, msg, &cert->wire);
}

pollen_err pln_admin_cert_decode(const uint8_t *bytes, size_t size, pln_admin_cert *ret) {
    pln_proto_message msg;
    if (size > PLN_CERT_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_proto_read(&admin_schema, bytes, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_admin_cert cert = {0};
    err = read_admin_cert(&msg, &cert);
    pln_proto_message_fini(&msg);
    if (err != POLLEN_OK) {
        pln_admin_cert_fini(&cert);
        return err;
    }
    *ret = cert;
    return POLLEN_OK;
}

pollen_err pln_admin_cert_encode_claims(pln_admin_cert *cert) {
    return write_admin_claims(cert, NULL);
}

pollen_err pln_admin_cert_encode(pln_admin_cert *cert) {
    return pln_admission_seal(&cert->signed_bytes, &cert->signature, NULL, &cert->wire);
}

pollen_err pln_admin_cert_copy(pln_admin_cert *dst, const pln_admin_cert *src) {
    PLN_ASSERT(dst != src);
    pln_admin_cert copy = *src;
    copy.signed_bytes = (pln_bytes){0};
    copy.wire = (pln_bytes){0};
    if (!pln_bytes_copy(&copy.signed_bytes, &src->signed_bytes) ||
        !pln_bytes_copy(&copy.wire, &src->wire)) {
        pln_admin_cert_fini(&copy);
        *dst = (pln_admin_cert){0};
        return POLLEN_ENOMEM;
    }
    *dst = copy;
    return POLLEN_OK;
}

void pln_admin_cert_fini(pln_admin_cert *cert) {
    pln_bytes_fini(&cert->signed_bytes);
    pln_bytes_fini(&cert->wire);
    *cert = (pln_admin_cert){0};
}

/* ---- MembershipCert: 1 claims, 2 issuer, 3 signature ----------------------------------------- */

static const pln_proto_schema member_schema = {
    .count = 4,
    .kinds = {[1] = PLN_FIELD_MESSAGE, [2] = PLN_FIELD_MESSAGE, [3] = PLN_FIELD_BYTES},
};

/* MembershipCertClaims: 1 cluster_id, 2 subject_pub, 3 issuer_admin_pub, 4 not_before_unix,
 * 5 not_after_unix, 6 serial, 7 non_renewable. */
static const pln_proto_schema member_claims_schema = {
    .count = 8,
    .kinds = {[1] = PLN_FIELD_BYTES,
              [2] = PLN_FIELD_BYTES,
              [3] = PLN_FIELD_BYTES,
              [4] = PLN_FIELD_VARINT,
              [5] = PLN_FIELD_VARINT,
              [6] = PLN_FIELD_VARINT,
              [7] = PLN_FIELD_VARINT},
};

static pollen_err write_member_claims(pln_member_cert *cert, const pln_proto_message *decoded) {
    pln_out out = {0};
    pln_proto_put_bytes(&out, 1, cert->cluster_id.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_bytes(&out, 2, cert->subject_pub.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_bytes(&out, 3, cert->issuer_admin_pub.bytes, POLLEN_KEY_BYTES);
    pln_proto_put_i64(&out, 4, cert->not_before);
    pln_proto_put_i64(&out, 5, cert->not_after);
    pln_proto_put_u64(&out, 6, cert->serial);
    pln_proto_put_bool(&out, 7, cert->non_renewable);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, &cert->signed_bytes);
}

static pollen_err read_member_claims(const pln_proto_slot *slot, pln_member_cert *cert) {
    pln_proto_message msg;
    pollen_err err = pln_proto_read(&member_claims_schema, slot->data, slot->size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    bool valid = pln_admission_key(&msg.slots[1], &cert->cluster_id) &&
                 pln_admission_key(&msg.slots[2], &cert->subject_pub) &&
                 pln_admission_key(&msg.slots[3], &cert->issuer_admin_pub);
    cert->not_before = (int64_t)msg.slots[4].value;
    cert->not_after = (int64_t)msg.slots[5].value;
    cert->serial = msg.slots[6].value;
    cert->non_renewable = msg.slots[7].value != 0;
    err = valid ? write_member_claims(cert, &msg) : POLLEN_EPROTO;
    pln_proto_message_fini(&msg);
    return err;
}

static pollen_err write_member_cert(pln_member_cert *cert, const pln_proto_message *decoded) {
    pln_out out = {0};
    pln_proto_put_present(&out, 1, cert->signed_bytes.data, cert->signed_bytes.size);
    pln_proto_put_present(&out, 2, cert->issuer.wire.data, cert->issuer.wire.size);
    pln_proto_put_bytes(&out, 3, cert->signature.bytes, PLN_SIGNATURE_BYTES);
    pln_proto_put_unknown(&out, decoded);
    return pln_out_finish(&out, &cert->wire);
}

static pollen_err read_member_cert(const pln_proto_message *msg, pln_member_cert *cert) {
    if (!pln_admission_signature(&msg->slots[3], &cert->signature)) {
        return POLLEN_EPROTO;
    }
    pollen_err err = read_member_claims(&msg->slots[1], cert);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_admin_cert_decode(msg->slots[2].data, msg->slots[2].size, &cert->issuer);
    if (err != POLLEN_OK) {
        return err;
    }
    return write_member_cert(cert, msg);
}

pollen_err pln_member_cert_decode(const uint8_t *bytes, size_t size, pln_member_cert *ret) {
    pln_proto_message msg;
    if (size > PLN_CERT_BYTES_MAX) {
        return POLLEN_EPROTO;
    }
    pollen_err err = pln_proto_read(&member_schema, bytes, size, &msg);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_member_cert cert = {0};
    err = read_member_cert(&msg, &cert);
    pln_proto_message_fini(&msg);
    if (err != POLLEN_OK) {
        pln_member_cert_fini(&cert);
        return err;
    }
    *ret = cert;
    return POLLEN_OK;
}

pollen_err pln_member_cert_encode_claims(pln_member_cert *cert) {
    return write_member_claims(cert, NULL);
}

pollen_err pln_member_cert_encode(pln_member_cert *cert) {
    if (cert->issuer.wire.size == 0) {
        return POLLEN_EINVAL;
    }
    return write_member_cert(cert, NULL);
}

pollen_err pln_member_cert_copy(pln_member_cert *dst, const pln_member_cert *src) {
    PLN_ASSERT(dst != src);
    pln_member_cert copy = *src;
    copy.signed_bytes = (pln_bytes){0};
    copy.wire = (pln_bytes){0};
    copy.issuer = (pln_admin_cert){0};
    if (!pln_bytes_copy(&copy.signed_bytes, &src->signed_bytes) ||
        !pln_bytes_copy(&copy.wire, &src->wire) ||
        pln_admin_cert_copy(&copy.issuer, &src->issuer) != POLLEN_OK) {
        pln_member_cert_fini(&copy);
        *dst = (pln_member_cert){0};
        return POLLEN_ENOMEM;
    }
    *dst = copy;
    return POLLEN_OK;
}

void pln_member_cert_fini(pln_member_cert *cert) {
    pln_admin_cert_fini(&cert->issuer);
    pln_bytes_fini(&cert->signed_bytes);
    pln_bytes_fini(&cert->wire);
    *cert = (pln_member_cert){0};
}
