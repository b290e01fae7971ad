/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate is written back to front, which is why the fields appear in reverse order. */
#include "base/assert.h"
#include "quic/x509.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "quic/der.h"

/* Everything but the MembershipCert, generously. */
enum { X509_FRAME_BYTES = 512 };
enum { ED25519_SIGNATURE_BYTES = 64 };

#define SECONDS_PER_DAY 86400

/* Days since 1970-01-01 as year, month, day (proleptic Gregorian calendar, which repeats every 400
 * years of 146097 days; counting years from March puts the leap day last). */
static void civil_from_days(int64_t days, int64_t *year, int *month, int *day) {
    int64_t shifted = days + 719468; /* Days from 0000-03-01 to 1970-01-01. */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
    PLN_ASSERT(*month >= 1 && *month <= 12);
    PLN_ASSERT(*day >= 1 && *day <= 31);
}

/* RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime from then on. */
static bool put_time(pln_der_writer *out, pln_wall at) {
    int64_t days = at / SECONDS_PER_DAY;
    int second_of_day = (int)(at % SECONDS_PER_DAY);
    if (second_of_day < 0) { /* Before 1970 the day begins below. */
        days--;
        second_of_day += SECONDS_PER_DAY;
    }
    int64_t year = 0;
    int month = 0;
    int day = 0;
    civil_from_days(days, &year, &month, &day);
    if (year < 1950 || year > 9999) {
        return false;
    }
    char text[32];
    int length = snprintf(text, sizeof(text), "%04d%02d%02d%02d%02d%02dZ", (int)year, month, day,
                          second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    PLN_ASSERT(length == 15);
    bool two_digit_year = year < 2050;
    int skip = two_digit_year ? 2 : 0;
    size_t mark = out->begin;
    pln_der_put(out, text + skip, (size_t)(length - skip));
    pln_der_wrap(out, two_digit_year ? DER_UTC_TIME : DER_GENERALIZED_TIME, mark);
    return true;
}

static void put_tlv(pln_der_writer *out, uint8_t tag, const void *bytes, size_t size) {
    size_t mark = out->begin;
    pln_der_put(out, bytes, size);
    pln_der_wrap(out, tag, mark);
}

#define PUT_LITERAL(out, literal) pln_der_put(out, literal, sizeof(literal) - 1)

/* Wraps what was written since the mark as an extension's value. */
static void put_pollen_extension(pln_der_writer *out, const pln_x509_fields *fields) {
    size_t mark = out->begin;
    pln_der_put(out, fields->member_cert, fields->member_cert_size);
    pln_der_wrap(out, DER_OCTET_STRING, mark); /* The value itself is an OCTET STRING, */
    pln_der_wrap(out, DER_OCTET_STRING, mark); /* inside extnValue. */
    put_tlv(out, DER_OID, PLN_X509_POLLEN_OID, sizeof(PLN_X509_POLLEN_OID) - 1);
    pln_der_wrap(out, DER_SEQUENCE, mark);
}

static void put_extensions(pln_der_writer *out, const pln_x509_fields *fields) {
    size_t mark = out->begin;
    if (fields->member_cert != NULL) {
        put_pollen_extension(out, fields);
    }
    /* basicConstraints, critical: an empty SEQUENCE, not a CA. */
    PUT_LITERAL(out, "\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00");
    /* extKeyUsage: clientAuth, serverAuth. */
    PUT_LITERAL(out,
                "\x30\x1d\x06\x03\x55\x1d\x25\x04\x16\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03"
                "\x02\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01");
    /* keyUsage, critical: digitalSignature. */
    PUT_LITERAL(out, "\x30\x0e\x06\x03\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x07\x80");
    pln_der_wrap(out, DER_SEQUENCE, mark);
    pln_der_wrap(out, DER_CONTEXT_3, mark);
}

static void put_public_key(pln_der_writer *out, const pollen_key *key) {
    size_t mark = out->begin;
    pln_der_put(out, key->bytes, sizeof(key->bytes));
    pln_der_put(out, "\x00", 1); /* No unused bits. */
    pln_der_wrap(out, DER_BIT_STRING, mark);
    PUT_LITERAL(out, PLN_X509_ED25519_ALGORITHM);
    pln_der_wrap(out, DER_SEQUENCE, mark);
}

/* One RDN with the common name that the reference uses for every node. */
static void put_name(pln_der_writer *out) {
    PUT_LITERAL(out, "\x30\x16\x31\x14\x30\x12\x06\x03\x55\x04\x03\x13\x0bpollen-peer");
}

static void put_serial(pln_der_writer *out, const uint8_t serial[16]) {
    size_t skip = 0;
    while (skip < 15 && serial[skip] == 0) {
        skip++;
    }
    size_t mark = out->begin;
    pln_der_put(out, serial + skip, 16 - skip);
    if ((serial[skip] & 0x80) != 0) {
        pln_der_put(out, "\x00", 1); /* INTEGER is signed. */
    }
    pln_der_wrap(out, DER_INTEGER, mark);
}

static bool put_tbs(pln_der_writer *out, const pln_x509_fields *fields) {
    size_t mark = out->begin;
    put_extensions(out, fields);
    put_public_key(out, &fields->key);
    put_name(out);
    size_t validity = out->begin;
    if (!put_time(out, fields->not_after) || !put_time(out, fields->not_before)) {
        return false;
    }
    pln_der_wrap(out, DER_SEQUENCE, validity);
    put_name(out);
    PUT_LITERAL(out, PLN_X509_ED25519_ALGORITHM);
    put_serial(out, fields->serial);
    PUT_LITERAL(out, "\xa0\x03\x02\x01\x02"); /* Version 3. */
    pln_der_wrap(out, DER_SEQUENCE, mark);
    return !out->overflow;
}

/* The signature comes behind what it signs, so its room was left open at the end. */
static pollen_err sign_tbs(pln_der_writer *out, size_t tbs_end, gnutls_privkey_t signer) {
    PLN_ASSERT(out->begin <= tbs_end);
    gnutls_datum_t tbs = {out->data + out->begin, (unsigned)(tbs_end - out->begin)};
    gnutls_datum_t signature = {NULL, 0};
    if (gnutls_privkey_sign_data2(signer, GNUTLS_SIGN_EDDSA_ED25519, 0, &tbs, &signature) != 0) {
        return POLLEN_ESYS;
    }
    bool fits = signature.size == ED25519_SIGNATURE_BYTES;
    if (fits) {
        memcpy(out->data + out->cap - ED25519_SIGNATURE_BYTES, signature.data, signature.size);
    }
    gnutls_free(signature.data);
    return fits ? POLLEN_OK : POLLEN_ESYS;
}

static pollen_err write_certificate(pln_der_writer *out, const pln_x509_fields *fields,
                                    gnutls_privkey_t signer) {
    size_t mark = out->begin;
    uint8_t room[1 + ED25519_SIGNATURE_BYTES] = {0};
    put_tlv(out, DER_BIT_STRING, room, sizeof(room));
    PUT_LITERAL(out, PLN_X509_ED25519_ALGORITHM);
    size_t tbs_end = out->begin;
    if (!put_tbs(out, fields)) {
        return POLLEN_ECERT;
    }
    pollen_err err = sign_tbs(out, tbs_end, signer);
    pln_der_wrap(out, DER_SEQUENCE, mark);
    return err;
}

pollen_err pln_x509_make(const pln_x509_fields *fields, gnutls_privkey_t signer,
                         pln_bytes *ret_der) {
    PLN_ASSERT(fields->member_cert != NULL || fields->member_cert_size == 0);
    size_t cap = X509_FRAME_BYTES + fields->member_cert_size;
    uint8_t *buffer = pln_malloc(cap);
    if (buffer == NULL) {
        return POLLEN_ENOMEM;
    }
    pln_der_writer out = {.data = buffer, .begin = cap, .cap = cap};
    pollen_err err = write_certificate(&out, fields, signer);
    pln_bytes der = {NULL, 0};
    if (err == POLLEN_OK && !pln_bytes_set(&der, buffer + out.begin, cap - out.begin)) {
        err = POLLEN_ENOMEM;
    }
    pln_free(buffer);
    if (err == POLLEN_OK) {
        *ret_der = der;
    }
    return err;
}
