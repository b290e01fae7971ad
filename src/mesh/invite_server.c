/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redeeming invites: the signer's side.
 *
 * An invite connection has one request and one answer.  What is decided on the way is recorded
 * before the answer leaves: the owner writes the ledger, one write at a time, and meanwhile other
 * requests wait.  The record names the subject, so that a subject whose answer was lost may ask
 * again, here or on a new connection, and gets it again.
 *
 * The answer is sent until it is acknowledged.  A refusal closes the connection after that, with
 * the reason as the phrase, so that it arrives one way or the other.  Every connection ends within
 * PLN_INVITE_CONN_TIMEOUT, whatever its client does.
 */
#include "mesh/core.h"

#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/key.h"

enum { GARBAGE_MAX = 8 };
#define REFUSAL_LINGER PLN_S(1)

typedef enum invite_state {
    INVITE_WAITING, /* For a request. */
    INVITE_QUEUED,  /* For the ledger. */
    INVITE_ANSWERED,
} invite_state;

typedef struct pln_invite_conn {
    pln_link link;
    struct pln_invite_conn *prev, *next;
    pollen_key subject;
    invite_state state;
    bool is_verified; /* Token and subject: checked once. */
    bool is_writer;   /* The write under way is for its request. */
    bool is_accepted;
    unsigned garbage;
    pln_bytes request; /* Its body, as it came. */
    pln_bytes answer;  /* The envelope. */
    uint64_t answer_tag;
    char reason[PLN_QUIC_PHRASE_BYTES];
    pln_alarm resend;
    pln_alarm deadline;
} pln_invite_conn;

/* ---- Life ------------------------------------------------------------------------------------ */

static void free_conn(pln_mesh *mesh, pln_invite_conn *conn) {
    PLN_ASSERT(mesh->invite_conn_count > 0);
    pln_link_remove(mesh, &conn->link);
    DL_DELETE(mesh->invite_conns, conn);
    mesh->invite_conn_count--;
    pln_alarm_fini(mesh, &conn->resend);
    pln_alarm_fini(mesh, &conn->deadline);
    pln_bytes_fini(&conn->request);
    pln_bytes_fini(&conn->answer);
    pln_free(conn);
}

static void close_conn(pln_mesh *mesh, pln_invite_conn *conn, const char *phrase, pln_now now) {
    mesh->dirty = true;
    pln_quic_close(mesh->quic, conn->link.conn, 0, phrase, now);
    free_conn(mesh, conn);
}

static const char *phrase_of(const pln_invite_conn *conn) {
    if (conn->state != INVITE_ANSWERED) {
        return conn->state == INVITE_WAITING ? "recv failed" : "invite failed";
    }
    return conn->is_accepted ? "invite redeemed" : conn->reason;
}

static void on_deadline(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    pln_invite_conn *conn = PLN_TIMER_OWNER(alarm, pln_invite_conn, deadline);
    close_conn(mesh, conn, phrase_of(conn), now);
}

static void send_answer(pln_mesh *mesh, pln_invite_conn *conn, pln_now now) {
    PLN_ASSERT(conn->state == INVITE_ANSWERED);
    PLN_ASSERT(conn->answer.size > 0);
    /* What does not go out now goes out with the next. */
    (void)pln_mesh_send_conn(mesh, conn->link.conn, &conn->answer, conn->answer_tag);
    pln_alarm_set(mesh, &conn->resend, pln_ts_add(now.mono, PLN_INVITE_RETRANSMIT));
}

static void on_resend(pln_mesh *mesh, pln_alarm *alarm, pln_now now) {
    send_answer(mesh, PLN_TIMER_OWNER(alarm, pln_invite_conn, resend), now);
}

/* A connection is worth nothing before it has shown a valid invite, and a joiner does so as soon as
 * it is connected.  So whoever has not gives way, the oldest first: strangers who only dial must
 * not keep joiners out. */
static void make_room(pln_mesh *mesh, pln_now now) {
    if (mesh->invite_conn_count < PLN_INVITE_CONNS_MAX) {
        return;
    }
    pln_invite_conn *conn = NULL;
    DL_FOREACH(mesh->invite_conns, conn) {
        if (!conn->is_verified) {
            close_conn(mesh, conn, phrase_of(conn), now);
            return;
        }
    }
}

void pln_invite_server_on_confirmed(pln_mesh *mesh, pln_conn_id id, const pln_conn_info *info,
                                    pln_now now) {
    pln_invite_conn *conn = NULL;
    make_room(mesh, now);
    if (mesh->invite_conn_count < PLN_INVITE_CONNS_MAX) {
        conn = pln_calloc(1, sizeof(*conn));
    }
    if (conn == NULL) {
        goto err_close;
    }
    conn->subject = info->peer;
    conn->answer_tag = mesh->next_tag++;
    if (!pln_alarm_init(mesh, &conn->resend, on_resend) ||
        !pln_alarm_init(mesh, &conn->deadline, on_deadline) ||
        !pln_link_add(mesh, &conn->link, PLN_LINK_INVITE_SERVER, id)) {
        goto err_conn;
    }
    DL_APPEND(mesh->invite_conns, conn);
    mesh->invite_conn_count++;
    pln_alarm_set(mesh, &conn->deadline, pln_ts_add(now.mono, PLN_INVITE_CONN_TIMEOUT));
    return;

err_conn:
    pln_alarm_fini(mesh, &conn->resend);
    pln_alarm_fini(mesh, &conn->deadline);
    pln_free(conn);
err_close:
    pln_quic_close(mesh->quic, id, 0, "invite failed", now);
}

void pln_invite_server_on_closed(pln_mesh *mesh, pln_link *link) {
    free_conn(mesh, (pln_invite_conn *)(void *)link);
}

void pln_invite_server_close_all(pln_mesh *mesh, const char *phrase, pln_now now) {
    while (mesh->invite_conns != NULL) {
        close_conn(mesh, mesh->invite_conns, phrase, now);
    }
}

void pln_invite_server_destroy_all(pln_mesh *mesh) {
    while (mesh->invite_conns != NULL) {
        free_conn(mesh, mesh->invite_conns);
    }
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void answer(pln_mesh *mesh, pln_invite_conn *conn, pln_now now) {
    PLN_ASSERT(conn->state != INVITE_ANSWERED); /* There is one answer. */
    conn->state = INVITE_ANSWERED;
    conn->is_writer = false;
    send_answer(mesh, conn, now);
}

static void refuse(pln_mesh *mesh, pln_invite_conn *conn, const char *reason, pln_now now) {
    pln_redeem_response response = {.accepted = false};
    pln_text_copy(response.reason, sizeof(response.reason), reason);
    pln_text_copy(conn->reason, sizeof(conn->reason), reason);
    mesh->stats.invites_refused++;
    if (pln_redeem_response_encode(&response, &conn->answer) != POLLEN_OK) {
        close_conn(mesh, conn, reason, now); /* Then the phrase has to do. */
        return;
    }
    answer(mesh, conn, now);
    pln_alarm_set_earlier(mesh, &conn->deadline, pln_ts_add(now.mono, REFUSAL_LINGER));
}

/* The reference's words, which its users know. */
static const char *reason_of(pollen_err err) {
    switch ((int)err) {
    case POLLEN_ECLUSTER:
        return "trust bundle cluster id mismatch";
    case POLLEN_ESIGNATURE:
        return "invite token signature invalid";
    case POLLEN_ESUBJECT:
        return "invite token subject mismatch";
    case POLLEN_EEXPIRED:
        return "invite token expired";
    case POLLEN_ECERT:
    case POLLEN_EKEY:
        return "invite token issuer invalid: admin cert invalid";
    case POLLEN_EREVOKED:
        return "subject has been revoked";
    case POLLEN_ENOTADMIN:
        return "this node is not an admin";
    case POLLEN_ENOENT:
        return "invite token does not name this node";
    case POLLEN_EMSGSIZE:
        return "join token too large for a datagram";
    case POLLEN_ELIMIT:
        return "consumed invites full";
    default:
        return "invite token invalid";
    }
}

/* ---- Checks ---------------------------------------------------------------------------------- */

/* POLLEN_EAGAIN: the rate of checks is used up, and the request is to be repeated. */
static pollen_err check(pln_mesh *mesh, const pln_invite_conn *conn, const pln_invite_token *token,
                        pln_now now) {
    if (!mesh->creds.enrolled || !mesh->creds.has_signer) {
        return POLLEN_ENOTADMIN;
    }
    /* Free of charge, so that whoever knows nothing of the cluster cannot use up the rate. */
    if (!pln_trust_equal(&token->trust, &mesh->creds.trust)) {
        return POLLEN_ECLUSTER;
    }
    if (!pln_bucket_take(&mesh->invite_bucket, PLN_INVITE_CHECKS_PER_S, PLN_INVITE_CHECK_BURST,
                         now.mono)) {
        return POLLEN_EAGAIN;
    }
    pollen_err err = pln_invite_verify_local(token, &mesh->creds.trust, &conn->subject, now.wall);
    if (err != POLLEN_OK) {
        return err;
    }
    if (pln_mesh_is_revoked(mesh, &conn->subject)) {
        return POLLEN_EREVOKED;
    }
    /* Ledgers are local: without this every signer of the cluster would redeem the invite once. */
    return pln_invite_names_relay(token, &mesh->creds.key) ? POLLEN_OK : POLLEN_ENOENT;
}

/* ---- Issuing --------------------------------------------------------------------------------- */

static pollen_err encode_answer(const pln_bytes *join_wire, pln_bytes *ret) {
    pln_redeem_response response = {.accepted = true, .has_join_token = true};
    response.join_token.wire = *join_wire; /* All that is encoded of it; borrowed. */
    return pln_redeem_response_encode(&response, ret);
}

/* About what a peer takes in a token: key, lengths, addresses. */
static size_t bootstrap_bytes(const pln_bootstrap *item) {
    size_t bytes = 38;
    for (size_t i = 0; i < item->addr_count; i++) {
        bytes += strlen(item->addrs[i]) + 2;
    }
    return bytes;
}

/* A shallow copy of the list with ourselves first: whoever was let in here can come back here. */
static size_t order_bootstraps(const pln_mesh *mesh, const pln_bootstraps *list,
                               pln_bootstrap ret_items[PLN_BOOTSTRAP_MAX]) {
    size_t count = 0;
    for (int own = 1; own >= 0; own--) {
        for (size_t i = 0; i < list->count && count < PLN_BOOTSTRAP_MAX; i++) {
            bool is_own = pln_key_equal(&list->items[i].peer_pub, &mesh->creds.key);
            if (is_own == (own == 1)) {
                ret_items[count++] = list->items[i];
            }
        }
    }
    return count;
}

/* Issues with as many bootstrap peers as fit one datagram, because the answer has no second one. */
static pollen_err issue(const pln_mesh *mesh, const pln_invite_conn *conn,
                        const pln_invite_token *token, pln_now now, pln_join_token *ret_join,
                        pln_bytes *ret_answer) {
    PLN_ASSERT(conn->is_verified); /* Nothing is signed for a stranger. */
    pln_bootstrap items[PLN_BOOTSTRAP_MAX];
    pln_invite_token trimmed = *token; /* Shallow: borrowed for the calls below. */
    trimmed.bootstrap = (pln_bootstraps){
        .items = items,
        .count = order_bootstraps(mesh, &token->bootstrap, items),
    };
    size_t max = pln_quic_datagram_max(mesh->quic, conn->link.conn);
    for (;;) {
        pollen_err err =
            pln_invite_redeem(&mesh->creds.signer, &trimmed, &conn->subject,
                              mesh->membership_ttl_seconds, &mesh->rng, now.wall, ret_join);
        if (err != POLLEN_OK) {
            return err;
        }
        err = encode_answer(&ret_join->wire, ret_answer);
        if (err == POLLEN_OK && ret_answer->size <= max) {
            return POLLEN_OK;
        }
        size_t excess = ret_answer->size - (err == POLLEN_OK ? max : ret_answer->size);
        pln_bytes_fini(ret_answer);
        pln_join_token_fini(ret_join);
        *ret_join = (pln_join_token){.issued_at = 0};
        if (err != POLLEN_OK) {
            return err;
        }
        if (trimmed.bootstrap.count <= 1) {
            return POLLEN_EMSGSIZE;
        }
        size_t dropped = 0;
        while (dropped < excess && trimmed.bootstrap.count > 1) {
            dropped += bootstrap_bytes(&items[--trimmed.bootstrap.count]);
        }
    }
}

/* Asks the owner to make the record durable; the ledger holds the answer from now on. */
static pollen_err record(pln_mesh *mesh, pln_invite_conn *conn, const pln_invite_token *token,
                         const pln_bytes *join_wire, pln_now now) {
    PLN_ASSERT(!mesh->ledger_busy); /* One write at a time. */
    PLN_ASSERT(conn->is_verified);
    pln_event_node *node = pln_events_node(&mesh->events);
    if (node == NULL) {
        return POLLEN_ENOMEM;
    }
    pln_bytes text = {.data = NULL};
    pollen_err err =
        pln_ledger_prepare(&mesh->ledger, token, &conn->subject, join_wire, now.wall, &text);
    if (err != POLLEN_OK) {
        pln_events_release(&mesh->events, node);
        return err;
    }
    node->event = (pln_mesh_event){
        .kind = PLN_MESH_LEDGER_WRITE,
        .peer = conn->subject,
        .text = text,
    };
    pln_text_copy(node->event.token_id, sizeof(node->event.token_id), token->token_id);
    pln_text_copy(mesh->ledger_token_id, sizeof(mesh->ledger_token_id), token->token_id);
    pln_events_push(&mesh->events, node);
    mesh->ledger_busy = true;
    conn->state = INVITE_QUEUED;
    conn->is_writer = true;
    return POLLEN_OK;
}

static pollen_err admit(pln_mesh *mesh, pln_invite_conn *conn, const pln_invite_token *token,
                        pln_now now) {
    pln_join_token join = {.issued_at = 0};
    pln_bytes envelope = {.data = NULL};
    pollen_err err = issue(mesh, conn, token, now, &join, &envelope);
    if (err == POLLEN_OK) {
        err = record(mesh, conn, token, &join.wire, now);
    }
    pln_bytes_fini(&envelope); /* Made again from the ledger once it is written. */
    pln_join_token_fini(&join);
    return err;
}

/* A join token lives for minutes, an invite for days: who comes back late needs a new one. */
static bool is_stale(const pln_bytes *join_wire, pln_now now) {
    pln_join_token join;
    if (pln_join_token_decode(join_wire->data, join_wire->size, &join) != POLLEN_OK) {
        return true;
    }
    bool is_over = join.expires_at <= now.wall;
    pln_join_token_fini(&join);
    return is_over;
}

static pollen_err admit_again(pln_mesh *mesh, pln_invite_conn *conn, const pln_invite_token *token,
                              const pln_bytes *join_wire, pln_now now) {
    pollen_err err = POLLEN_OK;
    if (is_stale(join_wire, now)) {
        pln_join_token join = {.issued_at = 0};
        err = issue(mesh, conn, token, now, &join, &conn->answer);
        pln_join_token_fini(&join);
    } else {
        err = encode_answer(join_wire, &conn->answer);
    }
    if (err == POLLEN_OK) {
        conn->is_accepted = true;
        answer(mesh, conn, now);
    }
    return err;
}

/* ---- Deciding -------------------------------------------------------------------------------- */

static void decide_token(pln_mesh *mesh, pln_invite_conn *conn, const pln_invite_token *token,
                         pln_now now) {
    pollen_err err = conn->is_verified ? POLLEN_OK : check(mesh, conn, token, now);
    if (err == POLLEN_OK) {
        conn->is_verified = true;
        if (mesh->ledger_busy) {
            conn->state = INVITE_QUEUED;
            return;
        }
        const pln_bytes *join_wire = NULL;
        switch (pln_ledger_find(&mesh->ledger, token, &conn->subject, &join_wire)) {
        case PLN_LEDGER_NEW:
            err = admit(mesh, conn, token, now);
            break;
        case PLN_LEDGER_SAME:
            err = admit_again(mesh, conn, token, join_wire, now);
            break;
        case PLN_LEDGER_CONSUMED:
            refuse(mesh, conn, "invite token already consumed", now);
            return;
        case PLN_LEDGER_PENDING:
            conn->state = INVITE_QUEUED;
            return;
        }
    }
    if (err != POLLEN_OK && err != POLLEN_EAGAIN) {
        refuse(mesh, conn, reason_of(err), now);
    }
}

static void decide(pln_mesh *mesh, pln_invite_conn *conn, pln_now now) {
    pln_redeem_request request;
    pollen_err err = pln_redeem_request_decode(conn->request.data, conn->request.size, &request);
    if (err != POLLEN_OK) {
        refuse(mesh, conn, reason_of(err), now);
        return;
    }
    decide_token(mesh, conn, &request.token, now);
    pln_redeem_request_fini(&request);
}

static bool is_repeated(const pln_invite_conn *conn, const uint8_t *body, size_t size) {
    return conn->request.size == size && memcmp(conn->request.data, body, size) == 0;
}

static void on_request(pln_mesh *mesh, pln_invite_conn *conn, const uint8_t *body, size_t size,
                       pln_now now) {
    if (conn->state == INVITE_ANSWERED) {
        if (is_repeated(conn, body, size)) {
            send_answer(mesh, conn, now);
        }
        return;
    }
    if (conn->state == INVITE_WAITING && size > 0 && pln_bytes_set(&conn->request, body, size)) {
        decide(mesh, conn, now);
    }
}

void pln_invite_server_on_datagram(pln_mesh *mesh, pln_link *link, const pln_chunk *chunk,
                                   pln_now now) {
    pln_invite_conn *conn = (pln_invite_conn *)(void *)link;
    pln_bytes scratch = {.data = NULL};
    pollen_envelope_kind kind = POLLEN_ENVELOPE_NONE;
    const uint8_t *body = NULL;
    size_t size = 0;
    pollen_err err = pln_envelope_decode(chunk->data + chunk->begin, pln_chunk_size(chunk),
                                         &scratch, &kind, &body, &size);
    if (err == POLLEN_EPROTO) {
        mesh->stats.envelopes_garbage++;
        if (++conn->garbage >= GARBAGE_MAX) {
            close_conn(mesh, conn, "recv failed", now);
        }
    } else if (err == POLLEN_OK && kind == POLLEN_ENVELOPE_REDEEM_REQUEST) {
        mesh->stats.envelopes_in++;
        on_request(mesh, conn, body, size, now);
    } else if (err == POLLEN_OK) {
        close_conn(mesh, conn, "unexpected message on invite connection", now);
    }
    pln_bytes_fini(&scratch);
}

void pln_invite_server_on_acked(pln_mesh *mesh, pln_link *link, uint64_t tag, pln_now now) {
    pln_invite_conn *conn = (pln_invite_conn *)(void *)link;
    if (conn->state != INVITE_ANSWERED || tag != conn->answer_tag) {
        return;
    }
    pln_alarm_off(mesh, &conn->resend);
    if (!conn->is_accepted) {
        close_conn(mesh, conn, conn->reason, now);
    }
}

/* ---- The ledger ------------------------------------------------------------------------------ */

void pln_mesh_ledger_written(pln_mesh *mesh, const char *token_id, pollen_err err, pln_now now) {
    if (!mesh->ledger_busy || strcmp(token_id, mesh->ledger_token_id) != 0) {
        return;
    }
    mesh->ledger_busy = false;
    mesh->dirty = true;
    if (err == POLLEN_OK) {
        pln_ledger_commit(&mesh->ledger, token_id);
        mesh->stats.invites_redeemed++;
    } else {
        pln_ledger_abort(&mesh->ledger, token_id);
    }
    /* In the order in which they came; the first that needs a write makes the others wait again. */
    pln_invite_conn *conn = NULL;
    pln_invite_conn *next = NULL;
    DL_FOREACH_SAFE(mesh->invite_conns, conn, next) {
        if (conn->state != INVITE_QUEUED || mesh->ledger_busy) {
            continue;
        }
        if (conn->is_writer && err != POLLEN_OK) {
            char reason[PLN_QUIC_PHRASE_BYTES];
            (void)snprintf(reason, sizeof(reason), "write consumed invites: %s",
                           pollen_strerror(err));
            refuse(mesh, conn, reason, now);
        } else {
            decide(mesh, conn, now);
        }
    }
}
