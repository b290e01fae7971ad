/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/table.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pln/columns.h"
#include "pln/out.h"
#include "pln/timespan.h"

enum { PART_BYTES = 120, WHY_BYTES = 512 };
enum { HIDE_AFTER_MS = 3600 * 1000 };

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How far a time member is from now, "?" when it is not known. */
static const char *distance(const json_t *object, const char *key, bool ahead, char *text) {
    int64_t at_ms;
    const char *when = json_string_value(json_object_get(object, key));
    if (when == NULL || !pln_time_parse(when, &at_ms)) {
        return "?";
    }
    return pln_timespan_format(ahead ? at_ms - now_ms() : now_ms() - at_ms, text);
}

static const char *color(const char *code) {
    return pln_out_has_color() ? code : "";
}

/* ---- This node ------------------------------------------------------------------------------- */

/* When the daemon begins to renew a certificate: as soon as a third of its life is left. */
static int64_t renewal_ms(const json_t *cert) {
    int64_t from;
    int64_t to;
    if (!pln_time_parse(pln_json_text(cert, "not_before", ""), &from) ||
        !pln_time_parse(pln_json_text(cert, "not_after", ""), &to)) {
        return 0;
    }
    return to - (to - from) / 3;
}

/* What comes next of itself, or what to do. */
static void print_prospect(const json_t *cert, const char *health) {
    char in[PLN_TIMESPAN_TEXT_BYTES];
    const int64_t left_ms = renewal_ms(cert) - now_ms();
    if (!json_is_true(json_object_get(cert, "renewable"))) {
        puts("not renewable; a new invite (pln join) extends it");
    } else if (strcmp(health, "ok") == 0 && left_ms > 0) {
        printf("renews itself in %s\n", pln_timespan_format(left_ms, in));
    } else if (strcmp(health, "expiring_soon") == 0) {
        puts("still not renewed: no session with an admin? (pln doctor)");
    } else {
        puts("being renewed, as soon as an admin is reached");
    }
}

static void print_cert(const json_t *cert) {
    char left[PLN_TIMESPAN_TEXT_BYTES];
    const char *health = pln_json_text(cert, "health", "?");
    if (!json_is_object(cert)) {
        puts("cert      none: this node belongs to no cluster");
    } else if (strcmp(health, "expired") == 0) {
        printf("%scert      expired %s ago: needs a new invite (pln join)%s\n", color("\033[31m"),
               distance(cert, "not_after", false, left), color("\033[0m"));
    } else {
        printf("cert      %s, %s left; ", health, distance(cert, "not_after", true, left));
        print_prospect(cert, health);
    }
}

static void print_self(const json_t *self) {
    const json_t *addr;
    size_t i;
    printf("node      %s\n", pln_json_text(self, "id", "?"));
    printf("cluster   %s\n", pln_json_text(self, "cluster_id", "?"));
    printf("port      %lld\n", (long long)json_integer_value(json_object_get(self, "port")));
    printf("addrs    ");
    json_array_foreach(json_object_get(self, "addrs"), i, addr) {
        printf(" %s", json_string_value(addr));
    }
    puts(json_array_size(json_object_get(self, "addrs")) == 0 ? " none" : "");
    print_cert(json_object_get(self, "cert"));
}

/* ---- Peers ----------------------------------------------------------------------------------- */

static bool is_up(const json_t *peer) {
    return strcmp(pln_json_text(peer, "state", ""), "connected") == 0;
}

/* "direct in 12s", "punch now"; "-" when nothing is due. */
static const char *next_step(const json_t *peer, char text[PART_BYTES]) {
    char in[PLN_TIMESPAN_TEXT_BYTES];
    const char *stage = pln_json_text(peer, "stage", NULL);
    if (strcmp(pln_json_text(peer, "state", ""), "connecting") == 0) {
        snprintf(text, PART_BYTES, "%s now", stage == NULL ? "?" : stage);
    } else if (json_is_string(json_object_get(peer, "next_action_at"))) {
        snprintf(text, PART_BYTES, "%s in %s", stage == NULL ? "?" : stage,
                 distance(peer, "next_action_at", true, in));
    } else {
        snprintf(text, PART_BYTES, "-");
    }
    return text;
}

static const char *last_end(const json_t *peer, char text[PART_BYTES]) {
    char ago[PLN_TIMESPAN_TEXT_BYTES];
    const json_t *end = json_object_get(peer, "last_end");
    if (!json_is_object(end)) {
        snprintf(text, PART_BYTES, "-");
    } else if (json_is_string(json_object_get(end, "at"))) {
        snprintf(text, PART_BYTES, "%s, %s ago", pln_json_text(end, "reason", "?"),
                 distance(end, "at", false, ago));
    } else {
        snprintf(text, PART_BYTES, "%s", pln_json_text(end, "reason", "?"));
    }
    return text;
}

static void append(char why[WHY_BYTES], const char *what, const char *text) {
    const size_t used = strlen(why);
    snprintf(why + used, WHY_BYTES - used, "%s%s%s", used == 0 ? "" : "; ", what, text);
}

/* The first question of everybody: why not. */
static const char *explain(const json_t *peer, char why[WHY_BYTES]) {
    char text[PART_BYTES];
    const long long tries = json_integer_value(json_object_get(peer, "attempts"));
    why[0] = '\0';
    if (json_is_true(json_object_get(peer, "revoked"))) {
        append(why, "revoked", "");
    }
    if (json_is_object(json_object_get(peer, "last_end"))) {
        append(why, "last end: ", last_end(peer, text));
    }
    if (!is_up(peer) && strcmp(next_step(peer, text), "-") != 0) {
        append(why, "next: ", text);
    }
    if (!is_up(peer) && tries > 0) {
        snprintf(text, sizeof text, "%lld of these failed", tries);
        append(why, text, "");
    }
    return why;
}

static const char *state_color(const char *state) {
    return strcmp(state, "connected") == 0     ? color("\033[32m")
           : strcmp(state, "unreachable") == 0 ? color("\033[31m")
                                               : color("\033[33m");
}

/* "?" for what is not known of a session, "-" for what only a session has. */
static void add_rtt(pln_columns *columns, const json_t *peer) {
    const json_t *seconds = json_object_get(peer, "rtt_seconds");
    if (json_is_real(seconds)) {
        pln_columns_addf(columns, "%.1fms", json_real_value(seconds) * 1e3);
    } else {
        pln_columns_add(columns, is_up(peer) ? "?" : "-", NULL);
    }
}

static void add_number(pln_columns *columns, const json_t *peer, const char *key) {
    const json_t *number = json_object_get(peer, key);
    if (json_is_integer(number)) {
        pln_columns_addf(columns, "%lld", (long long)json_integer_value(number));
    } else {
        pln_columns_add(columns, "-", NULL);
    }
}

static void add_since(pln_columns *columns, const json_t *peer) {
    char since[PLN_TIMESPAN_TEXT_BYTES];
    pln_columns_add(columns, distance(peer, "since", false, since), NULL);
}

static void add_peer(pln_columns *columns, const json_t *peer) {
    const char *state = pln_json_text(peer, "state", "?");
    char why[WHY_BYTES];
    pln_columns_addf(columns, "%.12s", pln_json_text(peer, "id", "?"));
    pln_columns_add(columns, state, state_color(state));
    pln_columns_add(columns, pln_json_text(peer, "path", is_up(peer) ? "?" : "-"), NULL);
    pln_columns_add(columns, pln_json_text(peer, "addr", "?"), NULL);
    add_rtt(columns, peer);
    add_since(columns, peer);
    pln_columns_add(columns, explain(peer, why), NULL);
}

static void add_peer_wide(pln_columns *columns, const json_t *peer) {
    const char *state = pln_json_text(peer, "state", "?");
    const bool revoked = json_is_true(json_object_get(peer, "revoked"));
    char text[PART_BYTES];
    pln_columns_add(columns, pln_json_text(peer, "id", "?"), NULL);
    pln_columns_add(columns, revoked ? "revoked" : state, state_color(state));
    pln_columns_add(columns, pln_json_text(peer, "path", is_up(peer) ? "?" : "-"), NULL);
    pln_columns_add(columns, pln_json_text(peer, "addr", "?"), NULL);
    add_rtt(columns, peer);
    add_since(columns, peer);
    pln_columns_add(columns, next_step(peer, text), NULL);
    add_number(columns, peer, "attempts");
    pln_columns_add(columns, last_end(peer, text), NULL);
    add_number(columns, peer, "bytes_in");
    add_number(columns, peer, "bytes_out");
    add_number(columns, peer, "datagrams_in");
    add_number(columns, peer, "datagrams_out");
    add_number(columns, peer, "datagrams_dropped");
}

/* Out of sight after an hour: a cluster remembers members that will not come back. */
static bool is_long_gone(const json_t *peer) {
    int64_t since_ms;
    return strcmp(pln_json_text(peer, "state", ""), "unreachable") == 0 &&
           pln_time_parse(pln_json_text(peer, "since", ""), &since_ms) &&
           now_ms() - since_ms > HIDE_AFTER_MS;
}

static void print_peers(const json_t *peers, const pln_table_options *options) {
    static const char *const titles[] = {"PEER", "STATE", "PATH", "ADDR",
                                         "RTT",  "SINCE", "WHY",  NULL};
    static const char *const wide_titles[] = {
        "PEER",     "STATE",    "PATH",      "ADDR",      "RTT",        "SINCE",   "NEXT", "FAILED",
        "LAST END", "BYTES IN", "BYTES OUT", "DGRAMS IN", "DGRAMS OUT", "DROPPED", NULL};
    const json_t *peer;
    size_t i;
    size_t hidden = 0;
    pln_columns columns;
    if (json_array_size(peers) == 0) {
        puts("no peers: invite one with `pln invite`");
        return;
    }
    pln_columns_init(&columns, options->wide ? wide_titles : titles);
    json_array_foreach(peers, i, peer) {
        if (!options->all && is_long_gone(peer)) {
            hidden++;
        } else if (options->wide) {
            add_peer_wide(&columns, peer);
        } else {
            add_peer(&columns, peer);
        }
    }
    pln_columns_end(&columns);
    if (hidden > 0) {
        printf("and %zu unreachable (--all shows them)\n", hidden);
    }
}

/* ---- Services -----------------------------------------------------------------------------------
 * */

static void print_services(const json_t *status, const pln_table_options *options) {
    static const char *const titles[] = {"SERVICE", "PROVIDER", "PORT", "LOCAL", NULL};
    const json_t *services = json_object_get(status, "services");
    const char *own = pln_json_text(json_object_get(status, "self"), "id", "");
    const json_t *service;
    size_t i;
    pln_columns columns;
    pln_columns_init(&columns, titles);
    json_array_foreach(services, i, service) {
        const char *provider = pln_json_text(service, "provider", "?");
        pln_columns_add(&columns, pln_json_text(service, "name", "?"), NULL);
        pln_columns_addf(&columns, "%.*s%s", options->wide ? 64 : 12, provider,
                         strcmp(provider, own) == 0 ? " (this node)" : "");
        add_number(&columns, service, "port");
        add_number(&columns, service, "local_port");
    }
    pln_columns_end(&columns);
}

void pln_table_status(const json_t *status, const pln_table_options *options) {
    const json_t *services = json_object_get(status, "services");
    if (!options->only) {
        print_self(json_object_get(status, "self"));
        puts("");
    }
    if (options->peers) {
        print_peers(json_object_get(status, "peers"), options);
    }
    if (options->services && (options->only || json_array_size(services) > 0)) {
        if (options->peers) {
            puts("");
        }
        print_services(status, options);
    }
}

bool pln_table_event(const json_t *event) {
    const char *reason = pln_json_text(event, "reason", NULL);
    printf("%s  %-12s  %.12s  %s -> %s%s%s\n", pln_json_text(event, "at", "?"),
           pln_json_text(event, "event", "?"), pln_json_text(event, "peer", "?"),
           pln_json_text(event, "from", "?"), pln_json_text(event, "to", "?"),
           reason == NULL ? "" : ": ", reason == NULL ? "" : reason);
    return fflush(stdout) == 0;
}
