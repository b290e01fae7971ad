/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumed_invites.json, the record of redeemed invites.  Beside the reference's fields an entry
 * keeps the subject that was admitted and the join token it got, so that the same subject may ask
 * again; the reference ignores both.
 */
#ifndef PLN_WIRE_LEDGER_JSON_H
#define PLN_WIRE_LEDGER_JSON_H

#include "wire/admission.h"

typedef struct pln_ledger_entry {
    char token_id[PLN_TOKEN_ID_BYTES];
    int64_t expires_at; /* <= 0 never lapses. */
    int64_t consumed_at;
    bool has_subject; /* Absent in entries that the reference wrote. */
    pollen_key subject;
    pln_bytes answer; /* Encoded JoinToken; empty in entries that the reference wrote. */
} pln_ledger_entry;

/*
 * Owner:  ret_entries is an array of ret_count, the caller's (pln_ledger_entries_free); sorted by
 *         id.
 * Errors: POLLEN_ESTATE  malformed (why, if not NULL, has 128 bytes for the reason)
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_ledger_decode(const char *text, size_t size,
                                             pln_ledger_entry **ret_entries, size_t *ret_count,
                                             char *why);

/* Sorted by id, indented by 2, with a final newline.  Owner: ret_text is the caller's. */
POLLEN_MUST_USE pollen_err pln_ledger_encode(const pln_ledger_entry *entries, size_t count,
                                             pln_bytes *ret_text);

void pln_ledger_entries_free(pln_ledger_entry *entries, size_t count);

#endif
