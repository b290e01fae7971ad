/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of redeemed invites: an invite admits one subject, and that subject gets the same
 * answer as often as it asks, so that a lost answer does not burn the invite.
 *
 * Deciding and recording are split, so that the record can be on disk before the answer leaves and
 * a failed write leaves no trace:
 *   find -> NEW -> issue -> prepare -> owner writes -> commit (or abort) -> answer
 * While a write is under way for a token id, a second request for it is told to wait.
 *
 * Thread: one at a time; it belongs to the loop.
 */
#ifndef PLN_AUTH_LEDGER_H
#define PLN_AUTH_LEDGER_H

#include "auth/token.h"
#include "base/hash.h"
#include "wire/ledger_json.h"

/* A record is a token's lifetime long, 30 days at most: three admissions a minute, always.
 * Beyond it redeeming is refused rather than forgetting. */
enum { PLN_LEDGER_ENTRIES_MAX = 128 * 1024 };

/* How long a record stays after its invite's end, when nobody takes the invite any more.  A clock
 * that was a day ahead and is put right would revive invites whose records have been dropped. */
enum { PLN_LEDGER_KEEP_SECONDS = 2 * 86400 };

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

/*
 * Fills an empty ledger from the file's content.
 *
 * Errors: POLLEN_ESTATE (malformed; why, if not NULL, has 128 bytes for the reason), POLLEN_ELIMIT,
 *         POLLEN_ENOMEM; the ledger stays empty then
 */
POLLEN_MUST_USE pollen_err pln_ledger_load(pln_ledger *ledger, const char *text, size_t size,
                                           char *why);

/*
 * Token ids of different case are the same id (a UUID is a number).  ret_answer borrows the encoded
 * JoinToken when the verdict is SAME, until the ledger changes.  The answer's own five minutes may
 * be over while the invite is still good: then the caller issues it anew for the same subject, of
 * which nothing need be recorded.
 */
pln_ledger_verdict pln_ledger_find(const pln_ledger *ledger, const pln_invite_token *token,
                                   const pollen_key *subject, const pln_bytes **ret_answer);

/*
 * Marks the token as pending for the subject, with its answer, drops entries that lapsed
 * (expires_at + 60 s < now), and gives the file content to be written.  What is pending for other
 * tokens is part of it: losing a record would admit twice, keeping one of a failed write does not.
 *
 * Owner:  token, subject and answer are copied; ret_text is the caller's (pln_bytes_fini).
 * Errors: POLLEN_EEXIST  not new
 *         POLLEN_ELIMIT
 *         POLLEN_ENOMEM; the ledger is unchanged then
 */
POLLEN_MUST_USE pollen_err pln_ledger_prepare(pln_ledger *ledger, const pln_invite_token *token,
                                              const pollen_key *subject, const pln_bytes *answer,
                                              pln_wall now, pln_bytes *ret_text);

/* The write of this token id is durable / failed: the entry counts, or is gone without a trace.
 * Without effect when nothing is pending for it. */
void pln_ledger_commit(pln_ledger *ledger, const char *token_id);
void pln_ledger_abort(pln_ledger *ledger, const char *token_id);

#endif
