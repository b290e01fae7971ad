/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts: which signatures were found good, so that a peer's second handshake need not pay for
 * the same two verifications again.
 *
 * Why remembering is safe: whether a signature holds is a function of context, key, signature and
 * message alone, and a verdict is kept under the SHA-256 of exactly these four.  To be taken for
 * another, an input would have to collide with one that holds.  Nothing else is remembered:
 * windows, subjects, clusters, issuers and revocations are judged anew each time.  Only good
 * verdicts are kept, so only holders of a trusted key's signature can take room here, and what is
 * pushed out merely costs one verification more.
 *
 * Thread: one at a time; it belongs to the loop.
 */
#ifndef PLN_AUTH_VERDICTS_H
#define PLN_AUTH_VERDICTS_H

#include "auth/ed25519ctx.h"

/* 256 verdicts, 8 KiB: membership and admin certificates of the peers that come and go.  Where an
 * entry may stand, and whom it replaces, follow from its own hash. */
enum { PLN_VERDICT_BUCKETS = 64, PLN_VERDICT_WAYS = 4 };

typedef struct pln_verdicts {
    uint8_t hashes[PLN_VERDICT_BUCKETS][PLN_VERDICT_WAYS][32]; /* All zero: free. */
    uint64_t hits;
    uint64_t misses; /* Verifications done. */
} pln_verdicts;

void pln_verdicts_init(pln_verdicts *verdicts);

/* As pln_ed25519ctx_verify().  verdicts may be NULL: then nothing is remembered. */
bool pln_verdicts_verify(pln_verdicts *verdicts, const pollen_key *pub, const char *context,
                         const pln_bytes *msg, const pln_signature *signature);

#endif
