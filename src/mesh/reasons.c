/* SPDX-License-Identifier: Apache-2.0 */
/* The words and codes of ends and failures, in both directions. */
#include "mesh/core.h"

#include <string.h>

void pln_text_copy(char *dst, size_t cap, const char *text) {
    size_t size = strnlen(text, cap - 1);
    memcpy(dst, text, size);
    dst[size] = '\0';
}

/* ---- Ends of sessions ------------------------------------------------------------------------ */

typedef struct phrase_row {
    const char *phrase; /* NULL: the reason's name. */
    pollen_end_reason reason;
    bool final; /* Said once for all sessions of the pair. */
} phrase_row;

/* Every application close has code 0; only the phrase tells them apart.  The reference reads
 * neither, and closes sessions with expired certificates as "revoked".  The first phrase of a
 * reason is the one that we say. */
static const phrase_row phrases[] = {
    {NULL, POLLEN_END_CERT_EXPIRED, true},
    {NULL, POLLEN_END_CERT_ROTATION, false},
    {NULL, POLLEN_END_REVOKED, true},
    {"disconnect", POLLEN_END_GRACEFUL, true},
    {"shutdown", POLLEN_END_GRACEFUL, true},
    {"duplicate", POLLEN_END_GRACEFUL, false},
    {"replaced", POLLEN_END_GRACEFUL, false},
    {"identity failed", POLLEN_END_DENIED, true},
    {"unknown protocol", POLLEN_END_DENIED, true},
};
enum { PHRASES = sizeof(phrases) / sizeof(phrases[0]) };

static const char *text_of(const phrase_row *row) {
    return row->phrase != NULL ? row->phrase : pollen_end_reason_name(row->reason);
}

static const phrase_row *find_phrase(const char *phrase) {
    for (size_t i = 0; i < PHRASES; i++) {
        if (strcmp(text_of(&phrases[i]), phrase) == 0) {
            return &phrases[i];
        }
    }
    return NULL;
}

const char *pln_reason_phrase(pollen_end_reason reason) {
    for (size_t i = 0; i < PHRASES; i++) {
        if (phrases[i].reason == reason) {
            return text_of(&phrases[i]);
        }
    }
    return "disconnect";
}

/* CRYPTO_ERROR carries a TLS alert in its low byte (RFC 9000, 20.1). */
static bool is_crypto(uint64_t code) {
    return code >= 0x100 && code <= 0x1ff;
}

pollen_end_reason pln_reason_of_closed(const pln_quic_closed *closed) {
    switch (closed->end) {
    case PLN_QUIC_END_IDLE:
        return POLLEN_END_IDLE_TIMEOUT;
    case PLN_QUIC_END_RESET:
        return POLLEN_END_RESET;
    case PLN_QUIC_END_APP: {
        const phrase_row *row = find_phrase(closed->phrase);
        return row != NULL ? row->reason : POLLEN_END_GRACEFUL;
    }
    case PLN_QUIC_END_TRANSPORT:
        return is_crypto(closed->code) ? POLLEN_END_DENIED : POLLEN_END_UNKNOWN;
    case PLN_QUIC_END_VERIFY:
        return POLLEN_END_DENIED;
    case PLN_QUIC_END_HANDSHAKE:
    case PLN_QUIC_END_ERROR:
        break;
    }
    return POLLEN_END_UNKNOWN;
}

bool pln_reason_is_final(const pln_quic_closed *closed) {
    const phrase_row *row = closed->end == PLN_QUIC_END_APP ? find_phrase(closed->phrase) : NULL;
    return row != NULL && row->final;
}

/* ---- Failures of dials ----------------------------------------------------------------------- */

/* Of several failures the one that says most about the peer is reported. */
static int rank(pollen_err err) {
    switch ((int)err) {
    case POLLEN_OK:
        return 0;
    case POLLEN_EADDR:
        return 1;
    case POLLEN_EUNREACHABLE:
        return 2;
    case POLLEN_ENOMEM:
    case POLLEN_ELIMIT:
    case POLLEN_ENOTENROLLED:
        return 3;
    case POLLEN_EIDENTITY: /* Somebody else lives there: the others may still be right. */
        return 4;
    case POLLEN_EVERSION:
        return 5;
    default:
        return 6;
    }
}

bool pln_failure_is_verdict(const pln_failure *failure) {
    return rank(failure->err) >= rank(POLLEN_EIDENTITY);
}

void pln_failure_note(pln_failure *failure, pollen_err err, pollen_end_reason reason,
                      const char *detail) {
    if (rank(err) < rank(failure->err)) {
        return;
    }
    failure->err = err;
    failure->reason = reason;
    pln_text_copy(failure->detail, sizeof(failure->detail), detail);
}

/* What our own verify said, in the words of pollen_mesh_connect(). */
static pollen_err refusal_of(pollen_err err) {
    switch ((int)err) {
    case POLLEN_EIDENTITY:
    case POLLEN_EREVOKED:
    case POLLEN_EEXPIRED:
    case POLLEN_ECLUSTER:
    case POLLEN_ENOMEM:
    case POLLEN_ENOTENROLLED:
        return err;
    default:
        return POLLEN_ECERT;
    }
}

static pollen_end_reason reason_of_refusal(pollen_err err) {
    switch ((int)err) {
    case POLLEN_EREVOKED:
        return POLLEN_END_REVOKED;
    case POLLEN_EEXPIRED:
        return POLLEN_END_CERT_EXPIRED;
    case POLLEN_ENOMEM:
    case POLLEN_ENOTENROLLED:
        return POLLEN_END_UNKNOWN;
    default:
        return POLLEN_END_DENIED;
    }
}

static pollen_err err_of_transport(const pln_quic_closed *closed) {
    if (closed->code == 0x178 || closed->err == POLLEN_EVERSION) {
        return POLLEN_EVERSION; /* no_application_protocol */
    }
    return is_crypto(closed->code) ? POLLEN_EDENIED : POLLEN_EUNREACHABLE;
}

void pln_failure_of_closed(pln_failure *failure, const pln_quic_closed *closed) {
    pollen_err err = POLLEN_EUNREACHABLE;
    pollen_end_reason reason = POLLEN_END_UNKNOWN;
    switch (closed->end) {
    case PLN_QUIC_END_VERIFY:
        err = refusal_of(closed->err);
        reason = reason_of_refusal(err);
        break;
    case PLN_QUIC_END_TRANSPORT:
        err = err_of_transport(closed);
        reason = err == POLLEN_EDENIED ? POLLEN_END_DENIED : POLLEN_END_UNKNOWN;
        break;
    case PLN_QUIC_END_APP:
        reason = pln_reason_of_closed(closed);
        err = reason == POLLEN_END_GRACEFUL ? POLLEN_EUNREACHABLE : POLLEN_EDENIED;
        break;
    case PLN_QUIC_END_ERROR:
        if (closed->err == POLLEN_EVERSION || closed->err == POLLEN_ENOMEM ||
            closed->err == POLLEN_EIDENTITY) {
            err = closed->err;
        }
        break;
    case PLN_QUIC_END_IDLE:
    case PLN_QUIC_END_HANDSHAKE:
        reason = POLLEN_END_IDLE_TIMEOUT;
        break;
    case PLN_QUIC_END_RESET:
        reason = POLLEN_END_RESET;
        break;
    }
    const char *detail = closed->phrase[0] != '\0' ? closed->phrase : pollen_strerror(err);
    pln_failure_note(failure, err, reason, detail);
}
