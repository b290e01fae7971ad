/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon tells Prometheus, in its text format (version 0.0.4).
 *
 * The labels are few and have fixed values, but for `peer`: a large cluster must not become a
 * series for each pair of its nodes, so that as many peers as were asked for have series of their
 * own, those with a session first, and the rest is in the totals.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "pln/counters.h"
#include "pln/handler.h"
#include "pln/known.h"
#include "pln/status.h"

typedef struct row {
    const pln_known_peer *known;
    bool up;
    pollen_session_info info; /* When up. */
} row;

typedef struct rows {
    pln_known known;
    row *items; /* Those that are not revoked. */
    size_t count;
    size_t revoked;
} rows;

/* ---- What there is to tell ------------------------------------------------------------------- */

static void rows_fini(rows *r) {
    free(r->items);
    pln_known_fini(&r->known);
}

static bool rows_take(pollen_mesh *mesh, rows *r) {
    *r = (rows){0};
    if (pln_known_take(mesh, &r->known) != POLLEN_OK) {
        return false;
    }
    r->items = calloc(r->known.count + 1, sizeof *r->items);
    if (r->items == NULL) {
        rows_fini(r);
        return false;
    }
    for (size_t i = 0; i < r->known.count; i++) {
        const pln_known_peer *known = &r->known.items[i];
        if (pln_known_is_revoked(known)) {
            r->revoked++;
            continue;
        }
        row *item = &r->items[r->count++];
        item->known = known;
        item->up = pollen_mesh_session_info(mesh, &known->key, &item->info) == POLLEN_OK;
    }
    return true;
}

static pollen_peer_state state_of(const row *item) {
    PLN_ASSERT(item->known != NULL);
    return item->up                    ? POLLEN_PEER_CONNECTED
           : item->known->peer == NULL ? POLLEN_PEER_DISCOVERED
                                       : item->known->peer->state;
}

/* ---- The format ------------------------------------------------------------------------------ */

static void head(FILE *out, const char *name, const char *type, const char *help) {
    fprintf(out, "# HELP pollen_%s %s\n# TYPE pollen_%s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help,
                   uint64_t value) {
    head(out, name, type, help);
    fprintf(out, "pollen_%s %" PRIu64 "\n", name, value);
}

static void counter(FILE *out, const char *name, const char *help, uint64_t value) {
    single(out, name, "counter", help, value);
}

static void gauge(FILE *out, const char *name, const char *help, uint64_t value) {
    single(out, name, "gauge", help, value);
}

static void labelled(FILE *out, const char *name, const char *label, const char *text,
                     uint64_t value) {
    fprintf(out, "pollen_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, text, value);
}

/* ---- The node -------------------------------------------------------------------------------- */

static void tell_node(FILE *out, const pln_daemon *daemon) {
    head(out, "build_info", "gauge", "The version that runs.");
    labelled(out, "build_info", "version", PLN_VERSION, 1);
    gauge(out, "start_time_seconds", "When the daemon started, in Unix time.",
          (uint64_t)daemon->started_at);
    head(out, "session_ends_total", "counter", "Sessions that ended, by reason.");
    for (int reason = POLLEN_END_IDLE_TIMEOUT; reason <= POLLEN_END_DENIED; reason++) {
        labelled(out, "session_ends_total", "reason",
                 pollen_end_reason_name((pollen_end_reason)reason),
                 atomic_load(&daemon->ends[reason]));
    }
}

static void tell_cert(FILE *out, pollen_mesh *mesh) {
    pollen_credentials *credentials = NULL;
    pollen_cert_info cert;
    if (pollen_mesh_credentials(mesh, &credentials) == POLLEN_OK &&
        pollen_credentials_cert(credentials, &cert) == POLLEN_OK) {
        gauge(out, "certificate_not_after_seconds",
              "When this node's membership certificate ends, in Unix time.",
              (uint64_t)cert.not_after);
        gauge(out, "certificate_renewable", "1 when it can be renewed.", cert.renewable ? 1 : 0);
    }
    pollen_credentials_destroy(credentials);
}

static void tell_totals(FILE *out, const rows *r) {
    static const char *const paths[] = {"direct", "punched"};
    enum { PATHS = sizeof paths / sizeof paths[0] };
    uint64_t states[POLLEN_PEER_UNREACHABLE + 1] = {0};
    uint64_t by_path[PATHS] = {0};
    for (size_t i = 0; i < r->count; i++) {
        states[state_of(&r->items[i])]++;
        for (size_t p = 0; r->items[i].up && p < PATHS; p++) {
            by_path[p] += strcmp(pln_path_name(&r->items[i].info), paths[p]) == 0 ? 1 : 0;
        }
    }
    head(out, "peers", "gauge", "Members that this node knows, by state, without revoked ones.");
    for (int s = POLLEN_PEER_DISCOVERED; s <= POLLEN_PEER_UNREACHABLE; s++) {
        labelled(out, "peers", "state", pollen_peer_state_name((pollen_peer_state)s), states[s]);
    }
    gauge(out, "revoked_members", "Members that are revoked.", r->revoked);
    head(out, "sessions", "gauge", "Sessions, by the kind of way they take.");
    for (size_t p = 0; p < PATHS; p++) {
        labelled(out, "sessions", "path", paths[p], by_path[p]);
    }
}

static void tell_mesh(FILE *out, const pln_mesh_stats *s) {
    gauge(out, "handshakes", "QUIC handshakes under way.", s->quic.handshakes);
    counter(out, "sessions_opened_total", "Sessions that were opened.", s->sessions_opened);
    counter(out, "sessions_refused_total", "Sessions that were refused.", s->sessions_refused);
    counter(out, "udp_datagrams_in_total", "UDP datagrams of QUIC that came.",
            s->quic.datagrams_in);
    counter(out, "udp_datagrams_out_total", "UDP datagrams of QUIC that were sent.",
            s->quic.datagrams_out);
    counter(out, "udp_bytes_in_total", "Their bytes.", s->quic.bytes_in);
    counter(out, "udp_bytes_out_total", "Their bytes.", s->quic.bytes_out);
    head(out, "udp_dropped_total", "counter", "UDP datagrams that were not taken, by reason.");
    labelled(out, "udp_dropped_total", "reason", "unknown", s->quic.dropped_unknown);
    labelled(out, "udp_dropped_total", "reason", "limit", s->quic.dropped_limit);
    counter(out, "retries_total", "Addresses that were asked to prove themselves.",
            s->quic.retries_sent);
    counter(out, "resets_in_total", "Peers that had lost a session's state.",
            s->quic.resets_received);
    counter(out, "resets_out_total", "Packets of sessions that this node does not know.",
            s->quic.resets_sent);
    counter(out, "envelopes_in_total", "Envelopes that came.", s->envelopes_in);
    counter(out, "envelopes_out_total", "Envelopes that were sent.", s->envelopes_out);
    counter(out, "envelopes_garbage_total", "Envelopes that were malformed.", s->envelopes_garbage);
    counter(out, "packets_dropped_total", "Envelopes that nobody took in time.",
            s->packets_dropped);
    counter(out, "invites_redeemed_total", "Invites that were redeemed here.", s->invites_redeemed);
    counter(out, "invites_refused_total", "Invites that were refused here.", s->invites_refused);
}

static void tell_gossip(FILE *out, const pln_state_stats *s) {
    head(out, "gossip_events_total", "counter",
         "Events that members told, by what became of them.");
    labelled(out, "gossip_events_total", "result", "applied", s->events_applied);
    labelled(out, "gossip_events_total", "result", "known", s->events_known);
    labelled(out, "gossip_events_total", "result", "refused", s->events_refused);
    labelled(out, "gossip_events_total", "result", "dropped", s->events_dropped);
    counter(out, "gossip_conflicts_total", "Times that others held something else of this node.",
            s->conflicts);
    gauge(out, "gossip_state_bytes", "Memory of what is known of the cluster.", s->bytes);
}

/* ---- The peers ------------------------------------------------------------------------------- */

typedef enum figure_kind { FIGURE_UP, FIGURE_FAILED, FIGURE_RTT, FIGURE_SESSION } figure_kind;

typedef struct figure {
    const char *name;
    const char *type;
    const char *help;
    figure_kind kind;
    size_t offset; /* SESSION: in pollen_session_info. */
} figure;

#define SESSION(field) FIGURE_SESSION, offsetof(pollen_session_info, field)

static const figure figures[] = {
    {"peer_up", "gauge", "1 while there is a session.", FIGURE_UP, 0},
    {"peer_failed_attempts", "gauge", "Attempts of the present stage that failed.", FIGURE_FAILED,
     0},
    {"peer_rtt_seconds", "gauge", "Smoothed round trip.", FIGURE_RTT, 0},
    {"peer_bytes_in_total", "counter", "Bytes of the session.", SESSION(bytes_in)},
    {"peer_bytes_out_total", "counter", "Bytes of the session.", SESSION(bytes_out)},
    {"peer_packets_lost_total", "counter", "Packets of the session that were lost.",
     SESSION(packets_lost)},
    {"peer_datagrams_in_total", "counter", "Datagrams of the session.", SESSION(datagrams_in)},
    {"peer_datagrams_out_total", "counter", "Datagrams of the session.", SESSION(datagrams_out)},
    {"peer_datagrams_dropped_total", "counter", "Datagrams of the session that were dropped.",
     SESSION(datagrams_dropped)},
};

static void tell_value(FILE *out, const figure *f, const row *item) {
    char id[POLLEN_KEY_HEX_BYTES];
    pollen_key_hex(&item->known->key, id);
    const pollen_peer *peer = item->known->peer;
    if (f->kind == FIGURE_UP) {
        labelled(out, f->name, "peer", id, item->up ? 1 : 0);
    } else if (f->kind == FIGURE_FAILED) {
        labelled(out, f->name, "peer", id, item->up || peer == NULL ? 0 : peer->stage_attempts);
    } else if (f->kind == FIGURE_RTT && item->up && item->info.rtt_us > 0) {
        fprintf(out, "pollen_%s{peer=\"%s\"} %.6f\n", f->name, id, item->info.rtt_us / 1e6);
    } else if (f->kind == FIGURE_SESSION && item->up) {
        uint64_t value;
        memcpy(&value, (const char *)&item->info + f->offset, sizeof value);
        labelled(out, f->name, "peer", id, value);
    }
}

static size_t count_up(const rows *r) {
    size_t up = 0;
    for (size_t i = 0; i < r->count; i++) {
        up += r->items[i].up ? 1 : 0;
    }
    return up;
}

/* Peers with a session first, each kind in the order of the keys, up to `max`. */
static void tell_figure(FILE *out, const figure *f, const rows *r, size_t max) {
    size_t ups = count_up(r);
    ups = ups < max ? ups : max;
    size_t downs = max - ups;
    head(out, f->name, f->type, f->help);
    for (size_t i = 0; i < r->count; i++) {
        size_t *left = r->items[i].up ? &ups : &downs;
        if (*left > 0) {
            (*left)--;
            tell_value(out, f, &r->items[i]);
        }
    }
}

static void tell_peers(FILE *out, const rows *r, size_t max) {
    for (size_t i = 0; max > 0 && i < sizeof figures / sizeof figures[0]; i++) {
        tell_figure(out, &figures[i], r, max);
    }
    gauge(out, "peers_without_series", "Peers that are in the totals only (pln metrics --peers).",
          r->count > max ? r->count - max : 0);
}

static void tell(FILE *out, pln_daemon *daemon, pollen_mesh *mesh, const rows *r, size_t max) {
    pln_counters counters;
    tell_node(out, daemon);
    tell_cert(out, mesh);
    tell_totals(out, r);
    gauge(out, "services", "Services that are known.", pollen_mesh_services(mesh, NULL, 0));
    gauge(out, "forwards", "Services that this node forwards to.",
          pollen_mesh_forwards(mesh, NULL, 0));
    if (pln_counters_take(mesh, &counters) == POLLEN_OK) {
        tell_mesh(out, &counters.mesh);
        if (counters.has_state) {
            tell_gossip(out, &counters.state);
        }
    }
    tell_peers(out, r, max);
}

void pln_handle_metrics(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                        const pln_request *request) {
    char *text = NULL;
    size_t size = 0;
    rows r = {0};
    FILE *out = open_memstream(&text, &size);
    bool ok = out != NULL && rows_take(mesh, &r);
    if (ok) {
        tell(out, daemon, mesh, &r, (size_t)request->count);
        rows_fini(&r);
    }
    ok = out != NULL && fclose(out) == 0 && ok;
    if (ok) {
        pln_reply(client, json_pack("{s:s, s:s}", "schema", "pollen.metrics/1", "text", text));
    } else {
        pln_reply_error(client, PLN_EXIT_FAIL, NULL, "metrics: out of memory");
    }
    free(text);
}
