/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of pollen_credentials, for the other public functions. */
#ifndef PLN_RUN_ADMISSION_H
#define PLN_RUN_ADMISSION_H

#include <pollen/admission.h>

#include "auth/credentials.h"

const pln_credentials *pln_credentials_of(const pollen_credentials *credentials);

/* A public object with a copy.  Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_credentials_wrap(const pln_credentials *creds,
                                                pollen_credentials **ret);

/* A decoded token of either kind; the other one is zero.  Errors: POLLEN_ETOKEN, POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_read_join_token(const char *text, pln_join_token *ret);
POLLEN_MUST_USE pollen_err pln_read_invite(const char *text, pln_invite_token *ret);

#endif
