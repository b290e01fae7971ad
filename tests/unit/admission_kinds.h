/* SPDX-License-Identifier: Apache-2.0 */
/* The six admission objects behind one interface, so that one loop tests them all. */
#ifndef TESTS_UNIT_ADMISSION_KINDS_H
#define TESTS_UNIT_ADMISSION_KINDS_H

#include "wire/admission.h"

typedef union admission_object {
    pln_trust trust;
    pln_admin_cert admin;
    pln_member_cert member;
    pln_join_token join;
    pln_invite_token invite;
    pln_revocation revocation;
} admission_object;

typedef struct admission_kind {
    const char *type;   /* In the list "objects". */
    const char *object; /* In the list "cases". */
    size_t bytes_max;
    pollen_err (*decode)(const uint8_t *bytes, size_t size, admission_object *ret);
    pollen_err (*encode_claims)(admission_object *object); /* NULL when nothing is signed. */
    pollen_err (*encode)(admission_object *object);
    void (*fini)(admission_object *object);
    pln_bytes *(*signed_bytes)(admission_object *object);
    pln_bytes *(*wire)(admission_object *object);
    pln_signature *(*signature)(admission_object *object);
} admission_kind;

/* Ends with an entry without a type. */
extern const admission_kind admission_kinds[];

#endif
