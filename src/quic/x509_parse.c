/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature } (RFC 5280, 4.1), read
 * the way Go's crypto/x509 does, so that both kinds of node agree on what is a certificate.
 */
#include "quic/x509.h"

#include <string.h>

#include "base/limits.h"
#include "quic/der.h"

typedef struct extension_list {
    pln_der oid[PLN_CERT_EXTENSIONS_MAX];
    size_t count;
} extension_list;

static bool is_algorithm(pln_der algorithm) {
    pln_der oid;
    pln_der rest;
    uint8_t tag = 0;
    if (!pln_der_take(&algorithm, DER_OID, &oid) || !pln_der_is_oid(&oid)) {
        return false;
    }
    return algorithm.size == 0 || pln_der_any(&algorithm, &tag, &rest, NULL);
}

/* [0] INTEGER DEFAULT v1; returns 1, 2 or 3, and 0 for anything else. */
static int take_version(pln_der *tbs) {
    if (!pln_der_is(tbs, DER_CONTEXT_0)) {
        return 1;
    }
    pln_der explicit_tag;
    pln_der number;
    bool ok = pln_der_take(tbs, DER_CONTEXT_0, &explicit_tag) &&
              pln_der_take(&explicit_tag, DER_INTEGER, &number) && explicit_tag.size == 0;
    if (!ok || number.size != 1 || number.data[0] > 2) {
        return 0;
    }
    return number.data[0] + 1;
}

static bool take_serial(pln_der *tbs) {
    pln_der serial;
    return pln_der_take(tbs, DER_INTEGER, &serial) && pln_der_is_integer(&serial) &&
           (serial.data[0] & 0x80) == 0;
}

static bool is_string_tag(uint8_t tag) {
    /* UTF8, Numeric, Printable, T61, IA5, BMP. */
    return tag == 0x0c || (tag >= 0x12 && tag <= 0x14) || tag == 0x16 || tag == 0x1e;
}

static bool is_attribute(pln_der attribute) {
    pln_der oid;
    pln_der value;
    uint8_t tag = 0;
    return pln_der_take(&attribute, DER_OID, &oid) && pln_der_is_oid(&oid) &&
           pln_der_any(&attribute, &tag, &value, NULL) && is_string_tag(tag);
}

static bool take_name(pln_der *tbs) {
    pln_der name;
    if (!pln_der_take(tbs, DER_SEQUENCE, &name)) {
        return false;
    }
    while (name.size > 0) {
        pln_der set;
        if (!pln_der_take(&name, DER_SET, &set)) {
            return false;
        }
        while (set.size > 0) {
            pln_der attribute;
            if (!pln_der_take(&set, DER_SEQUENCE, &attribute) || !is_attribute(attribute)) {
                return false;
            }
        }
    }
    return true;
}

/* Two digits that form a number in [low, high]. */
static bool is_number(const uint8_t *digits, int low, int high) {
    if (digits[0] < '0' || digits[0] > '9' || digits[1] < '0' || digits[1] > '9') {
        return false;
    }
    int number = (digits[0] - '0') * 10 + (digits[1] - '0');
    return number >= low && number <= high;
}

static bool take_time(pln_der *validity) {
    pln_der time;
    uint8_t tag = 0;
    if (!pln_der_any(validity, &tag, &time, NULL)) {
        return false;
    }
    size_t year_digits = tag == DER_UTC_TIME ? 2 : 4;
    bool right_size = (tag == DER_UTC_TIME || tag == DER_GENERALIZED_TIME) &&
                      time.size == year_digits + 11 && time.data[time.size - 1] == 'Z';
    if (!right_size) {
        return false;
    }
    const uint8_t *rest = time.data + year_digits;
    return is_number(time.data, 0, 99) && is_number(time.data + year_digits - 2, 0, 99) &&
           is_number(rest, 1, 12) && is_number(rest + 2, 1, 31) && is_number(rest + 4, 0, 23) &&
           is_number(rest + 6, 0, 59) && is_number(rest + 8, 0, 59);
}

static bool take_validity(pln_der *tbs) {
    pln_der validity;
    return pln_der_take(tbs, DER_SEQUENCE, &validity) && take_time(&validity) &&
           take_time(&validity);
}

static pollen_err take_key(pln_der *tbs, pollen_key *ret_key) {
    pln_der info;
    pln_der algorithm;
    pln_der bits;
    if (!pln_der_take(tbs, DER_SEQUENCE, &info) || !pln_der_take(&info, DER_SEQUENCE, &algorithm) ||
        !is_algorithm(algorithm) || !pln_der_take(&info, DER_BIT_STRING, &bits) ||
        !pln_der_is_bit_string(&bits)) {
        return POLLEN_ECERT;
    }
    pln_der oid;
    (void)pln_der_take(&algorithm, DER_OID, &oid); /* is_algorithm() has seen it. */
    if (!pln_der_equal_bytes(&oid, (const uint8_t *)PLN_X509_ED25519_OID,
                             sizeof(PLN_X509_ED25519_OID) - 1)) {
        return POLLEN_EKEY;
    }
    bool sound = algorithm.size == 0 && bits.data[0] == 0 && bits.size == 1 + POLLEN_KEY_BYTES;
    if (!sound) {
        return POLLEN_ECERT; /* RFC 8410, 3: no parameters, and 32 bytes. */
    }
    memcpy(ret_key->bytes, bits.data + 1, POLLEN_KEY_BYTES);
    return POLLEN_OK;
}

/* Contents of those standard extensions that the reference's certificates carry. */
static bool is_known_value_sound(const pln_der *oid, pln_der value) {
    bool standard = oid->size == 3 && oid->data[0] == 0x55 && oid->data[1] == 0x1d;
    if (!standard) {
        return true;
    }
    pln_der content;
    switch (oid->data[2]) {
    case 15: /* keyUsage */
        return pln_der_take(&value, DER_BIT_STRING, &content) && pln_der_is_bit_string(&content);
    case 19: /* basicConstraints */
        return pln_der_take(&value, DER_SEQUENCE, &content);
    case 37: /* extKeyUsage */
        if (!pln_der_take(&value, DER_SEQUENCE, &content)) {
            return false;
        }
        while (content.size > 0) {
            pln_der usage;
            if (!pln_der_take(&content, DER_OID, &usage) || !pln_der_is_oid(&usage)) {
                return false;
            }
        }
        return true;
    default:
        return true;
    }
}

static bool note_extension(extension_list *seen, const pln_der *oid) {
    for (size_t i = 0; i < seen->count; i++) {
        if (pln_der_equal(&seen->oid[i], oid)) {
            return false;
        }
    }
    if (seen->count == PLN_CERT_EXTENSIONS_MAX) {
        return false;
    }
    seen->oid[seen->count++] = *oid;
    return true;
}

/* The value is one more OCTET STRING; bytes behind that are ignored, as the reference does. */
static void take_member_cert(pln_der value, pln_x509_peer *peer) {
    pln_der inner;
    peer->has_extension = true;
    if (pln_der_take(&value, DER_OCTET_STRING, &inner)) {
        peer->member_cert = inner.data;
        peer->member_cert_size = inner.size;
    }
}

static bool take_extension(pln_der *list, extension_list *seen, pln_x509_peer *peer) {
    pln_der extension;
    pln_der oid;
    pln_der critical;
    pln_der value;
    if (!pln_der_take(list, DER_SEQUENCE, &extension) || !pln_der_take(&extension, DER_OID, &oid) ||
        !pln_der_is_oid(&oid)) {
        return false;
    }
    if (pln_der_is(&extension, DER_BOOLEAN)) {
        bool ok = pln_der_take(&extension, DER_BOOLEAN, &critical) && critical.size == 1 &&
                  (critical.data[0] == 0x00 || critical.data[0] == 0xff);
        if (!ok) {
            return false;
        }
    }
    if (!pln_der_take(&extension, DER_OCTET_STRING, &value) || !note_extension(seen, &oid) ||
        !is_known_value_sound(&oid, value)) {
        return false;
    }
    if (pln_der_equal_bytes(&oid, (const uint8_t *)PLN_X509_POLLEN_OID,
                            sizeof(PLN_X509_POLLEN_OID) - 1)) {
        take_member_cert(value, peer);
    }
    return true;
}

static bool take_extensions(pln_der *tbs, pln_x509_peer *peer) {
    pln_der skipped;
    for (uint8_t unique_id = 1; unique_id <= 2; unique_id++) {
        uint8_t tag = (uint8_t)(0x80 | unique_id); /* issuerUniqueID, subjectUniqueID */
        if (pln_der_is(tbs, tag) && !pln_der_take(tbs, tag, &skipped)) {
            return false;
        }
    }
    if (!pln_der_is(tbs, DER_CONTEXT_3)) {
        return true;
    }
    pln_der explicit_tag;
    pln_der list;
    extension_list seen = {.count = 0};
    if (!pln_der_take(tbs, DER_CONTEXT_3, &explicit_tag) ||
        !pln_der_take(&explicit_tag, DER_SEQUENCE, &list)) {
        return false;
    }
    while (list.size > 0) {
        if (!take_extension(&list, &seen, peer)) {
            return false;
        }
    }
    return true;
}

static pollen_err parse_tbs(pln_der tbs, const pln_der *outer_algorithm, pln_x509_peer *peer) {
    pln_der algorithm;
    int version = take_version(&tbs);
    if (version == 0 || !take_serial(&tbs) || !pln_der_take(&tbs, DER_SEQUENCE, &algorithm) ||
        !is_algorithm(algorithm) || !pln_der_equal(&algorithm, outer_algorithm) ||
        !take_name(&tbs) || !take_validity(&tbs) || !take_name(&tbs)) {
        return POLLEN_ECERT;
    }
    pollen_err key_err = take_key(&tbs, &peer->key);
    if (key_err == POLLEN_ECERT) {
        return POLLEN_ECERT;
    }
    /* Below version 3 there are no extensions, and Go does not look for any. */
    if (version == 3 && !take_extensions(&tbs, peer)) {
        return POLLEN_ECERT;
    }
    return key_err;
}

pollen_err pln_x509_parse(const uint8_t *der, size_t size, pln_x509_peer *ret_peer) {
    pln_der input = {der, size};
    pln_der certificate;
    pln_der tbs;
    pln_der algorithm;
    pln_der signature;
    if (!pln_der_take(&input, DER_SEQUENCE, &certificate) || input.size != 0 ||
        !pln_der_take(&certificate, DER_SEQUENCE, &tbs) ||
        !pln_der_take(&certificate, DER_SEQUENCE, &algorithm) ||
        !pln_der_take(&certificate, DER_BIT_STRING, &signature) ||
        !pln_der_is_bit_string(&signature)) {
        return POLLEN_ECERT;
    }
    pln_x509_peer peer = {.member_cert = NULL};
    pollen_err err = parse_tbs(tbs, &algorithm, &peer);
    if (err == POLLEN_OK) {
        *ret_peer = peer;
    }
    return err;
}
