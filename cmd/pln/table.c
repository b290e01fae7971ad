/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/table.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pln/out.h"
#include "pln/timespan.h"

enum { WHY_BYTES = 160 };
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

static void print_cert(const json_t *cert) {
    char left[PLN_TIMESPAN_TEXT_BYTES];
    const char *health = pln_json_text(cert, "health", "?");
    if (!json_is_object(cert)) {
        puts("cert      none: this node belongs to no cluster");
    } else if (strcmp(health, "expired") == 0) {
        printf("%scert      expired %s ago: needs a new invite (pln join)%s\n", color("\033[31m"),
               distance(cert, "not_after", false, left), color("\033[0m"));
    } else {
        printf("cert      %s, %s left, %s\n", health, distance(cert, "not_after", true, left),
               json_is_true(json_object_get(cert, "renewable")) ? "renewable" : "not renewable");
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

/* The first question of everybody: direct or not, and why not. */
static void explain(const json_t *peer, char why[WHY_BYTES]) {
    const char *state = pln_json_text(peer, "state", "?");
    const char *path = pln_json_text(peer, "path", NULL);
    const json_t *end = json_object_get(peer, "last_end");
    char ago[PLN_TIMESPAN_TEXT_BYTES];
    char next[PLN_TIMESPAN_TEXT_BYTES];
    size_t used = 0;
    why[0] = '\0';
    if (path != NULL && strcmp(path, "relay") == 0) {
        used += (size_t)snprintf(why, WHY_BYTES, "relayed: no direct way was found yet; ");
    }
    if (json_is_object(end)) {
        used +=
            (size_t)snprintf(why + used, WHY_BYTES - used, "last end: %s, %s ago; ",
                             pln_json_text(end, "reason", "?"), distance(end, "at", false, ago));
    }
    if (strcmp(state, "connecting") == 0) {
        used += (size_t)snprintf(why + used, WHY_BYTES - used, "trying now: %s; ",
                                 pln_json_text(peer, "stage", "?"));
    } else if (json_is_string(json_object_get(peer, "next_action_at"))) {
        used += (size_t)snprintf(why + used, WHY_BYTES - used, "next try: %s in %s; ",
                                 pln_json_text(peer, "stage", "?"),
                                 distance(peer, "next_action_at", true, next));
    }
    if (used >= 2 && used < WHY_BYTES) {
        why[used - 2] = '\0';
    }
}

static const char *state_color(const char *state) {
    return strcmp(state, "connected") == 0     ? color("\033[32m")
           : strcmp(state, "unreachable") == 0 ? color("\033[31m")
                                               : color("\033[33m");
}

static void print_peer(const json_t *peer, const pln_table_options *options) {
    const char *state = pln_json_text(peer, "state", "?");
    const bool up = strcmp(state, "connected") == 0;
    char rtt[32];
    char since[PLN_TIMESPAN_TEXT_BYTES];
    char why[WHY_BYTES];
    const json_t *seconds = json_object_get(peer, "rtt_seconds");
    snprintf(rtt, sizeof rtt,
             json_is_real(seconds) ? "%.1fms"
             : up                  ? "?"
                                   : "-",
             json_real_value(seconds) * 1e3);
    explain(peer, why);
    printf("%-*.*s  %s%-11s%s  %-7s  %-21s  %-7s  %-7s  %s\n", options->wide ? 64 : 12,
           options->wide ? 64 : 12, pln_json_text(peer, "id", "?"), state_color(state), state,
           color("\033[0m"), pln_json_text(peer, "path", up ? "?" : "-"),
           pln_json_text(peer, "addr", "?"), rtt, distance(peer, "since", false, since), why);
    if (options->wide && up) {
        printf("%-64s  in %lld B, out %lld B, datagrams %lld in, %lld out, %lld dropped\n", "",
               (long long)json_integer_value(json_object_get(peer, "bytes_in")),
               (long long)json_integer_value(json_object_get(peer, "bytes_out")),
               (long long)json_integer_value(json_object_get(peer, "datagrams_in")),
               (long long)json_integer_value(json_object_get(peer, "datagrams_out")),
               (long long)json_integer_value(json_object_get(peer, "datagrams_dropped")));
    }
}

/* Out of sight after an hour: a cluster remembers members that will not come back. */
static bool is_long_gone(const json_t *peer) {
    int64_t since_ms;
    return strcmp(pln_json_text(peer, "state", ""), "unreachable") == 0 &&
           pln_time_parse(pln_json_text(peer, "since", ""), &since_ms) &&
           now_ms() - since_ms > HIDE_AFTER_MS;
}

static void print_peers(const json_t *peers, const pln_table_options *options) {
    const json_t *peer;
    size_t i;
    size_t hidden = 0;
    if (json_array_size(peers) == 0) {
        puts("no peers: invite one with `pln invite`");
        return;
    }
    printf("%-*s  %-11s  %-7s  %-21s  %-7s  %-7s  %s\n", options->wide ? 64 : 12, "PEER", "STATE",
           "PATH", "ADDR", "RTT", "SINCE", "WHY");
    json_array_foreach(peers, i, peer) {
        if (options->all || !is_long_gone(peer)) {
            print_peer(peer, options);
        } else {
            hidden++;
        }
    }
    if (hidden > 0) {
        printf("and %zu unreachable (--all shows them)\n", hidden);
    }
}

static void print_services(const json_t *services) {
    const json_t *service;
    size_t i;
    printf("%-20s  %-12s  %-5s  %s\n", "SERVICE", "PROVIDER", "PORT", "LOCAL");
    json_array_foreach(services, i, service) {
        printf("%-20s  %-12.12s  %-5lld  %lld\n", pln_json_text(service, "name", "?"),
               pln_json_text(service, "provider", "?"),
               (long long)json_integer_value(json_object_get(service, "port")),
               (long long)json_integer_value(json_object_get(service, "local_port")));
    }
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
        print_services(services);
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
