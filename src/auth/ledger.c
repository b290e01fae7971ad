/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/ledger.h"

#include <string.h>

#include "base/assert.h"
#include "base/key.h"
#include "base/mem.h"

struct pln_ledger_node {
    char id[PLN_TOKEN_ID_BYTES]; /* In lower case, zeros to the end: the key. */
    pln_ledger_entry entry;      /* With the id as it was written. */
    bool pending;
    UT_hash_handle hh;
};

void pln_ledger_init(pln_ledger *ledger, const pln_rng *rng) {
    *ledger = (pln_ledger){.head = NULL};
    pln_rng_fill(rng, ledger->hash_key.bytes, sizeof(ledger->hash_key.bytes));
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static void fold_id(const char *token_id, char ret_id[PLN_TOKEN_ID_BYTES]) {
    memset(ret_id, 0, PLN_TOKEN_ID_BYTES);
    for (size_t i = 0; i < PLN_TOKEN_ID_BYTES - 1 && token_id[i] != '\0'; i++) {
        char c = token_id[i];
        ret_id[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
}

/* NOLINTNEXTLINE(readability-function-size): the macro nests, not we. */
static pln_ledger_node *find_node(const pln_ledger *ledger, const char *token_id) {
    char id[PLN_TOKEN_ID_BYTES];
    fold_id(token_id, id);
    pln_ledger_node *node = NULL;
    PLN_MAP_FIND(&ledger->hash_key, ledger->head, id, sizeof(id), node);
    return node;
}

static void destroy_node(pln_ledger_node *node) {
    if (node != NULL) {
        pln_bytes_fini(&node->entry.answer);
        pln_free(node);
    }
}

/* NOLINTNEXTLINE(readability-function-size): the macro nests, not we. */
static void remove_node(pln_ledger *ledger, pln_ledger_node *node) {
    PLN_ASSERT(ledger->count > 0);
    HASH_DEL(ledger->head, node);
    ledger->count--;
    destroy_node(node);
}

/* On POLLEN_OK the ledger owns the node.
 * NOLINTNEXTLINE(readability-function-size): the macro nests, not we. */
static pollen_err add_node(pln_ledger *ledger, pln_ledger_node *node) {
    fold_id(node->entry.token_id, node->id);
    PLN_MAP_ADD(&ledger->hash_key, ledger->head, id, sizeof(node->id), node);
    if (!PLN_MAP_ADDED(node)) {
        return POLLEN_ENOMEM;
    }
    ledger->count++;
    return POLLEN_OK;
}

void pln_ledger_fini(pln_ledger *ledger) {
    while (ledger->head != NULL) {
        remove_node(ledger, ledger->head);
    }
    PLN_ASSERT(ledger->count == 0);
}

/* An expiry that is not positive never lapses, as in the reference; a write under way must still
 * find its entry. */
static bool has_lapsed(const pln_ledger_node *node, pln_wall now) {
    return !node->pending && node->entry.expires_at > 0 &&
           pln_wall_add(node->entry.expires_at, PLN_LEDGER_KEEP_SECONDS) < now;
}

/* ---- Loading --------------------------------------------------------------------------------- */

/* -1 when a lapses first; one that never does comes last. */
static int compare_expiry(int64_t a, int64_t b) {
    uint64_t a_rank = a > 0 ? (uint64_t)a : UINT64_MAX;
    uint64_t b_rank = b > 0 ? (uint64_t)b : UINT64_MAX;
    return a_rank < b_rank ? -1 : a_rank > b_rank;
}

/* Takes over entry's answer. */
static pollen_err load_entry(pln_ledger *ledger, pln_ledger_entry *entry) {
    pln_ledger_node *known = find_node(ledger, entry->token_id);
    if (known != NULL) {
        /* The reference takes two spellings of an id for two ids.  Both were used, so the id is. */
        if (compare_expiry(known->entry.expires_at, entry->expires_at) < 0) {
            known->entry.expires_at = entry->expires_at;
        }
        return POLLEN_OK;
    }
    if (ledger->count >= PLN_LEDGER_ENTRIES_MAX) {
        return POLLEN_ELIMIT;
    }
    pln_ledger_node *node = pln_calloc(1, sizeof(*node));
    if (node == NULL) {
        return POLLEN_ENOMEM;
    }
    node->entry = *entry;
    entry->answer = (pln_bytes){.data = NULL};
    pollen_err err = add_node(ledger, node);
    if (err != POLLEN_OK) {
        destroy_node(node);
    }
    return err;
}

pollen_err pln_ledger_load(pln_ledger *ledger, const char *text, size_t size, char *why) {
    PLN_ASSERT(ledger->count == 0);
    pln_ledger_entry *entries = NULL;
    size_t count = 0;
    pollen_err err = pln_ledger_decode(text, size, &entries, &count, why);
    if (err != POLLEN_OK) {
        return err;
    }
    for (size_t i = 0; i < count && err == POLLEN_OK; i++) {
        err = load_entry(ledger, &entries[i]);
    }
    pln_ledger_entries_free(entries, count);
    if (err != POLLEN_OK) {
        pln_ledger_fini(ledger);
    }
    return err;
}

/* ---- Deciding and recording ------------------------------------------------------------------ */

pln_ledger_verdict pln_ledger_find(const pln_ledger *ledger, const pln_invite_token *token,
                                   const pollen_key *subject, const pln_bytes **ret_answer) {
    const pln_ledger_node *node = find_node(ledger, token->token_id);
    if (node == NULL) {
        return PLN_LEDGER_NEW;
    }
    if (node->pending) {
        return PLN_LEDGER_PENDING;
    }
    const pln_ledger_entry *entry = &node->entry;
    if (!entry->has_subject || !pln_key_equal(&entry->subject, subject) ||
        entry->answer.size == 0) {
        return PLN_LEDGER_CONSUMED;
    }
    *ret_answer = &entry->answer;
    return PLN_LEDGER_SAME;
}

/* The file with all that has not lapsed; the entries are lent to the encoder, not copied. */
static pollen_err encode_live(const pln_ledger *ledger, pln_wall now, pln_bytes *ret_text) {
    PLN_ASSERT(ledger->count > 0);
    pln_ledger_entry *entries = pln_calloc(ledger->count, sizeof(*entries));
    if (entries == NULL) {
        return POLLEN_ENOMEM;
    }
    size_t count = 0;
    for (const pln_ledger_node *node = ledger->head; node != NULL; node = node->hh.next) {
        if (!has_lapsed(node, now)) {
            PLN_ASSERT(count < ledger->count);
            entries[count++] = node->entry;
        }
    }
    pollen_err err = pln_ledger_encode(entries, count, ret_text);
    pln_free(entries);
    return err;
}

static size_t count_live(const pln_ledger *ledger, pln_wall now) {
    size_t count = 0;
    for (const pln_ledger_node *node = ledger->head; node != NULL; node = node->hh.next) {
        count += has_lapsed(node, now) ? 0 : 1;
    }
    return count;
}

static void drop_lapsed(pln_ledger *ledger, pln_wall now) {
    pln_ledger_node *next = NULL;
    for (pln_ledger_node *node = ledger->head; node != NULL; node = next) {
        next = node->hh.next;
        if (has_lapsed(node, now)) {
            remove_node(ledger, node);
        }
    }
}

/* NULL when there is no memory. */
static pln_ledger_node *create_node(const pln_invite_token *token, const pollen_key *subject,
                                    const pln_bytes *answer, pln_wall now) {
    pln_ledger_node *node = pln_calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    node->pending = true;
    node->entry.expires_at = token->expires_at;
    node->entry.consumed_at = now;
    node->entry.has_subject = true;
    node->entry.subject = *subject;
    memcpy(node->entry.token_id, token->token_id, sizeof(node->entry.token_id));
    if (!pln_bytes_copy(&node->entry.answer, answer)) {
        destroy_node(node);
        return NULL;
    }
    return node;
}

pollen_err pln_ledger_prepare(pln_ledger *ledger, const pln_invite_token *token,
                              const pollen_key *subject, const pln_bytes *answer, pln_wall now,
                              pln_bytes *ret_text) {
    if (find_node(ledger, token->token_id) != NULL) {
        return POLLEN_EEXIST;
    }
    if (ledger->count >= PLN_LEDGER_ENTRIES_MAX &&
        count_live(ledger, now) >= PLN_LEDGER_ENTRIES_MAX) {
        return POLLEN_ELIMIT;
    }
    pln_ledger_node *node = create_node(token, subject, answer, now);
    if (node == NULL) {
        return POLLEN_ENOMEM;
    }
    pollen_err err = add_node(ledger, node);
    if (err != POLLEN_OK) {
        destroy_node(node);
        return err;
    }
    err = encode_live(ledger, now, ret_text);
    if (err != POLLEN_OK) {
        remove_node(ledger, node);
        return err;
    }
    /* Last, because nothing may be gone when there was no memory. */
    drop_lapsed(ledger, now);
    return POLLEN_OK;
}

void pln_ledger_commit(pln_ledger *ledger, const char *token_id) {
    pln_ledger_node *node = find_node(ledger, token_id);
    if (node != NULL) {
        node->pending = false;
    }
}

void pln_ledger_abort(pln_ledger *ledger, const char *token_id) {
    pln_ledger_node *node = find_node(ledger, token_id);
    if (node != NULL && node->pending) {
        remove_node(ledger, node);
    }
}
