/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The X.509 certificate in which a node presents its key and its MembershipCert: how one is made
 * and how strictly a peer's is read.  Both follow the reference, whose reader is Go's crypto/x509.
 */
#ifndef PLN_QUIC_X509_H
#define PLN_QUIC_X509_H

#include <gnutls/abstract.h>

#include "base/bytes.h"
#include "base/key.h"
#include "base/time.h"

typedef struct pln_x509_fields {
    pollen_key key;
    uint8_t serial[16]; /* Big endian, any value. */
    pln_wall not_before;
    pln_wall not_after;
    const uint8_t *member_cert; /* NULL for a bare certificate. */
    size_t member_cert_size;
} pln_x509_fields;

/*
 * Makes and signs the certificate with the private half of fields->key.
 *
 * Owner:  ret_der is the caller's to pln_bytes_fini().
 * Errors: POLLEN_ENOMEM
 *         POLLEN_ECERT  a date outside the years 1950 to 9999
 *         POLLEN_ESYS   GnuTLS would not sign
 */
POLLEN_MUST_USE pollen_err pln_x509_make(const pln_x509_fields *fields, gnutls_privkey_t signer,
                                         pln_bytes *ret_der);

typedef struct pln_x509_peer {
    pollen_key key;
    bool has_extension; /* The Pollen extension is there, well formed or not. */
    const uint8_t
        *member_cert; /* In the certificate's bytes; NULL when missing or badly wrapped. */
    size_t member_cert_size;
} pln_x509_peer;

/*
 * Reads what a peer presented.  Signature, dates, names and usages are not judged: TLS proves that
 * the peer holds the key, and everything else rests on the MembershipCert.
 *
 * Owner:  ret_peer borrows der.
 * Errors: POLLEN_ECERT  not a certificate
 *         POLLEN_EKEY   the key is not an Ed25519 key
 */
POLLEN_MUST_USE pollen_err pln_x509_parse(const uint8_t *der, size_t size, pln_x509_peer *ret_peer);

/* The algorithm identifier of Ed25519 (RFC 8410) and the Pollen extension's OID, as DER
 * contents. */
#define PLN_X509_ED25519_ALGORITHM "\x30\x05\x06\x03\x2b\x65\x70"
#define PLN_X509_ED25519_OID "\x2b\x65\x70"
#define PLN_X509_POLLEN_OID                                                                        \
    "\x69\x82\xa3\x17\xb2\x2d\x83\xf6\x57\x81\x87\x40\x82\x87\x19\x82\xda\x70\x81\x95\x0b\x84\x45" \
    "\x01\x01"

#endif
