/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "pln/client.h"
#include "pln/out.h"
#include "pln/pick.h"
#include "pln/request.h"
#include "pln/stopper.h"
#include "pln/verbs.h"
#include "run/clock.h"

#define TIMEOUT_MS 60000
#define PAUSE_MS_FIRST 25
#define PAUSE_MS_MAX 500 /* The status of a large cluster is not for free. */
#define ANSWER_MS_MIN 3000
#define ANSWER_MS_MAX 10000
enum { PEERS_MAX = 64 };

static const pln_opt opts[] = {
    {"count", 'c', "N", "so many peers, whichever (default, without PEER: 1)"},
    {"all", 'a', NULL, "every member that is known, and at least one"},
    {"daemon", 'd', NULL, "for the daemon as well, where none runs yet; alone: for nothing else"},
    {"timeout", 0, "TIME", "give up after (default: 1m)"},
    {0},
};

typedef enum wanted { WANTED_PEERS, WANTED_COUNT, WANTED_ALL, WANTED_DAEMON } wanted;

typedef struct terms {
    wanted wanted;
    int64_t count;
    bool daemon;
    int64_t timeout_ms;
    pln_ts deadline;
} terms;

/* What the last look showed. */
typedef struct look {
    json_t *connected; /* Array of those that count. */
    json_t *missing;   /* The same of those that are waited for, as far as they are known. */
    bool is_up;        /* The daemon. */
    bool done;
} look;

static void look_fini(look *l) {
    json_decref(l->connected);
    json_decref(l->missing);
    *l = (look){0};
}

/* ---- Arguments ------------------------------------------------------------------------------- */

static pln_exit check_peers(const pln_cli *cli) {
    char peer[PLN_REQUEST_PEER_BYTES];
    pln_exit code = PLN_EXIT_OK;
    for (int i = 0; code == PLN_EXIT_OK && i < cli->operand_count; i++) {
        code = pln_cli_peer(cli, cli->operands[i], peer);
    }
    return code;
}

static pln_exit parse(const pln_cli *cli, terms *ret) {
    const bool count = pln_cli_has(cli, "count");
    const bool all = pln_cli_has(cli, "all");
    terms t = {.daemon = pln_cli_has(cli, "daemon"), .count = 1, .timeout_ms = TIMEOUT_MS};
    if ((cli->operand_count > 0 ? 1 : 0) + (count ? 1 : 0) + (all ? 1 : 0) > 1) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help wait",
                        "wait: PEER, --count and --all exclude each other");
    }
    t.wanted = cli->operand_count > 0 ? WANTED_PEERS
               : all                  ? WANTED_ALL
               : t.daemon && !count   ? WANTED_DAEMON
                                      : WANTED_COUNT;
    pln_exit code = check_peers(cli);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_number(cli, "count", 1, INT32_MAX, &t.count);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_wait(cli, "timeout", &t.timeout_ms);
    }
    t.deadline = pln_clock_deadline((int)t.timeout_ms);
    *ret = t;
    return code;
}

/* ---- Looking --------------------------------------------------------------------------------- */

static pln_exit look_at_named(const pln_cli *cli, const json_t *status, look *l) {
    for (int i = 0; i < cli->operand_count; i++) {
        json_t *peer = NULL;
        const pln_exit code = pln_pick_peer(cli, status, cli->operands[i], &peer);
        if (code != PLN_EXIT_OK) {
            return code;
        }
        if (peer != NULL) {
            json_array_append(pln_peer_is_connected(peer) ? l->connected : l->missing, peer);
        }
    }
    l->done = json_array_size(l->connected) == (size_t)cli->operand_count;
    return PLN_EXIT_OK;
}

static void look_at_all(const json_t *status, const terms *t, look *l) {
    json_t *peer;
    size_t i;
    json_array_foreach(json_object_get(status, "peers"), i, peer) {
        json_array_append(pln_peer_is_connected(peer) ? l->connected : l->missing, peer);
    }
    const size_t count = json_array_size(l->connected);
    l->done = t->wanted == WANTED_COUNT ? count >= (size_t)t->count
                                        : count > 0 && json_array_size(l->missing) == 0;
}

static pln_exit ask(pln_cli *cli, const terms *t, json_t **ret_status) {
    const int left_ms = pln_clock_ms_until(t->deadline, pln_clock_mono());
    /* The last look comes with the deadline, and its answer is worth a moment more. */
    const int timeout_ms = left_ms < ANSWER_MS_MIN   ? ANSWER_MS_MIN
                           : left_ms < ANSWER_MS_MAX ? left_ms
                                                     : ANSWER_MS_MAX;
    return pln_client_ask_within(cli, &(pln_request){.verb = PLN_REQUEST_STATUS}, timeout_ms,
                                 ret_status);
}

/* With --daemon one that is not there yet, or is just going, is no error: *ret_status stays NULL
 * then. */
static pln_exit ask_patiently(pln_cli *cli, const terms *t, json_t **ret_status) {
    *ret_status = NULL;
    if (!t->daemon) {
        return ask(cli, t, ret_status);
    }
    cli->quiet = true;
    const pln_exit code = ask(cli, t, ret_status);
    cli->quiet = false;
    const bool later =
        code == PLN_EXIT_UNREACHABLE || code == PLN_EXIT_FAIL || code == PLN_EXIT_TIMEOUT;
    if (later) {
        return PLN_EXIT_OK;
    }
    /* Once more, to have it reported. */
    return code == PLN_EXIT_OK || code == PLN_EXIT_INT ? code : ask(cli, t, ret_status);
}

static pln_exit look_once(pln_cli *cli, const terms *t, look *ret) {
    json_t *status;
    pln_exit code = ask_patiently(cli, t, &status);
    look_fini(ret);
    if (code != PLN_EXIT_OK || status == NULL) {
        return code;
    }
    *ret = (look){.is_up = true, .connected = json_array(), .missing = json_array()};
    if (t->wanted == WANTED_DAEMON) {
        ret->done = true;
    } else if (t->wanted == WANTED_PEERS) {
        code = look_at_named(cli, status, ret);
    } else {
        look_at_all(status, t, ret);
    }
    json_decref(status);
    return code;
}

static pln_exit fail_late(const pln_cli *cli, const terms *t, const look *l) {
    const size_t connected = json_array_size(l->connected);
    if (!l->is_up) {
        return pln_fail(cli, PLN_EXIT_TIMEOUT, "pln up --detach",
                        "wait: no daemon came up in time (%s)", cli->socket);
    }
    if (t->wanted == WANTED_COUNT) {
        return pln_fail(cli, PLN_EXIT_TIMEOUT, "pln doctor",
                        "wait: %zu of %lld peers connected in time", connected,
                        (long long)t->count);
    }
    if (json_array_size(l->missing) == 0) {
        return pln_fail(cli, PLN_EXIT_TIMEOUT, "pln status --wide",
                        t->wanted == WANTED_ALL ? "wait: no peer became known in time"
                                                : "wait: no such peer became known in time");
    }
    const json_t *peer = json_array_get(l->missing, 0);
    char hint[96];
    snprintf(hint, sizeof hint, "pln doctor %.12s", pln_json_text(peer, "id", ""));
    return pln_fail(cli, PLN_EXIT_TIMEOUT, hint,
                    "wait: %zu peers connected in time, but not %.12s, which is %s", connected,
                    pln_json_text(peer, "id", "?"), pln_json_text(peer, "state", "?"));
}

static pln_exit wait_for(pln_cli *cli, const terms *t, look *ret) {
    int pause_ms = PAUSE_MS_FIRST;
    for (;;) {
        const pln_exit code = look_once(cli, t, ret);
        if (code != PLN_EXIT_OK || ret->done) {
            return code;
        }
        const int left_ms = pln_clock_ms_until(t->deadline, pln_clock_mono());
        if (left_ms <= 0) {
            return fail_late(cli, t, ret);
        }
        if (pln_stopper_wait(left_ms < pause_ms ? left_ms : pause_ms)) {
            return PLN_EXIT_INT;
        }
        pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
    }
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void print_json(const look *l, double seconds) {
    json_t *peers = json_array();
    const json_t *peer;
    size_t i;
    json_array_foreach(l->connected, i, peer) {
        json_array_append_new(peers, json_pack("{s:O, s:O, s:O}", "id", json_object_get(peer, "id"),
                                               "path", json_object_get(peer, "path"), "addr",
                                               json_object_get(peer, "addr")));
    }
    pln_out_json(json_pack("{s:s, s:f, s:o}", "schema", "pollen.wait/1", "waited_seconds", seconds,
                           "peers", peers));
}

static void print_text(const look *l) {
    const json_t *peer;
    size_t i;
    json_array_foreach(l->connected, i, peer) {
        printf("%.12s  connected, %s via %s\n", pln_json_text(peer, "id", "?"),
               pln_json_text(peer, "path", "unknown path"),
               pln_json_text(peer, "addr", "unknown address"));
    }
}

static pln_exit run(pln_cli *cli) {
    const pln_ts start = pln_clock_mono();
    terms t = {.timeout_ms = 0};
    look last = {0};
    pln_exit code = parse(cli, &t);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_socket(cli);
    }
    if (code == PLN_EXIT_OK) {
        pln_stopper_start();
        code = wait_for(cli, &t, &last);
    }
    if (code == PLN_EXIT_OK && cli->json) {
        print_json(&last, (double)(pln_clock_mono() - start) / 1e9);
    } else if (code == PLN_EXIT_OK) {
        print_text(&last);
    }
    look_fini(&last);
    return code;
}

const pln_verb pln_verb_wait = {
    .name = "wait",
    .run = run,
    .operands = "[PEER...]",
    .operands_max = PEERS_MAX,
    .summary = "wait until peers are connected, or the daemon is up",
    .opts = opts,
    .help =
        "For scripts and boot order.  PEER is an id or its beginning, and may be one that is not\n"
        "known yet.  Without PEER, --count or --all: until any peer is connected.\n",
};
