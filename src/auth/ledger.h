/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of redeemed invites: an invite admits one subject, and that subject gets the same
 * answer as often as it asks (D-59).
 *
 * Deciding and recording are split, so that the record can be on disk before the answer leaves and
 * a failed write leaves no trace (D-62):
 *   find -> (nothing) -> issue -> encode with the candidate -> owner writes -> commit -> answer
 * While a write is under way for a token id, a second request for it is told to wait.
 */
#ifndef PLN_AUTH_LEDGER_H
#define PLN_AUTH_LEDGER_H

#include "auth/token.h"
#include "base/hash.h"
#include "wire/ledger_json.h"

/* 128 Ki entries of a year's invites; beyond it redeeming is refused rather than forgetting. */
enum { PLN_LEDGER_ENTRIES_MAX = 128 * 1024 };

typedef struct pln_ledger_node pln_ledger_node;

typedef struct pln_ledger {
    pln_ledger_node *head;
    pln_hash_key hash_key;
    size_t count;
} pln_ledger;

typedef enum pln_ledger_verdict {
    PLN_LEDGER_NEW,      /* Nobody used it. */
    PLN_LEDGER_SAME,     /* This subject did; the answer is at hand. */
    PLN_LEDGER_CONSUMED, /* Another key did, or the reference did and kept no subject. */
    PLN_LEDGER_PENDING,  /* A write for it is under way: ask again after it. */
} pln_ledger_verdict;

void pln_ledger_init(pln_ledger *ledger, const pln_rng *rng);
void pln_ledger_fini(pln_ledger *ledger);

/* Errors: POLLEN_ESTATE (malformed; the ledger stays empty), POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_ledger_load(pln_ledger *ledger, const char *text, size_t size,
                                           char *why);

/* Token ids of different case are the same id (a UUID is a number).  ret_answer borrows the encoded
 * JoinToken when the verdict is SAME. */
pln_ledger_verdict pln_ledger_find(const pln_ledger *ledger, const pln_invite_token *token,
                                   const pollen_key *subject, const pln_bytes **ret_answer);

/*
 * Marks the token as pending for the subject, with its answer, drops entries that lapsed
 * (expires_at + 60 s < now), and gives the file content to be written.
 *
 * Errors: POLLEN_EEXIST  not new; POLLEN_ELIMIT; POLLEN_ENOMEM; the ledger is unchanged then
 */
POLLEN_MUST_USE pollen_err pln_ledger_prepare(pln_ledger *ledger, const pln_invite_token *token,
                                              const pollen_key *subject, const pln_bytes *answer,
                                              pln_wall now, pln_bytes *ret_text);

/* The write of this token id is durable / failed: the entry counts, or is gone without a trace. */
void pln_ledger_commit(pln_ledger *ledger, const char *token_id);
void pln_ledger_abort(pln_ledger *ledger, const char *token_id);

#endif
