/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "pln/client.h"
#include "pln/out.h"
#include "pln/stopper.h"
#include "pln/verbs.h"

static const pln_opt opts[] = {
    {"count", 'c', "N", "how many; 0: until interrupted (default: 4)"},
    {"timeout", 0, "TIME", "how long to wait for each reply, and for a session (default: 5s)"},
    {"interval", 'i', "TIME", "from one to the next (default: 1s)"},
    {"size", 0, "BYTES", "payload of each (default: 56)"},
    {"until-direct", 0, NULL, "stop at the first reply over a direct path (default count: 10)"},
    {0},
};

typedef struct tally {
    unsigned long long sent, received, direct;
    double min, max, sum;
} tally;

static void count_reply(tally *t, const json_t *object) {
    t->sent++;
    if (!json_is_true(json_object_get(object, "ok"))) {
        return;
    }
    const double rtt = json_real_value(json_object_get(object, "rtt_seconds"));
    const char *path = pln_json_text(object, "path", "");
    t->received++;
    t->direct += strcmp(path, "direct") == 0 || strcmp(path, "punched") == 0;
    t->min = t->received == 1 || rtt < t->min ? rtt : t->min;
    t->max = rtt > t->max ? rtt : t->max;
    t->sum += rtt;
}

static void print_reply(const json_t *object) {
    const char *peer = pln_json_text(object, "peer", "?");
    const long long seq = json_integer_value(json_object_get(object, "seq"));
    if (json_is_true(json_object_get(object, "ok"))) {
        printf("%.8s: seq=%lld time=%.3f ms %s via %s\n", peer, seq,
               json_real_value(json_object_get(object, "rtt_seconds")) * 1e3,
               pln_json_text(object, "path", "unknown path"),
               pln_json_text(object, "addr", "unknown address"));
    } else {
        printf("%.8s: seq=%lld no reply: %s\n", peer, seq,
               pln_json_text(object, "error", "unknown"));
    }
    fflush(stdout);
}

static void print_tally(const tally *t) {
    if (t->received > 0) {
        pln_note("%llu sent, %llu received, round trip min/avg/max %.3f/%.3f/%.3f ms", t->sent,
                 t->received, t->min * 1e3, t->sum / (double)t->received * 1e3, t->max * 1e3);
    } else {
        pln_note("%llu sent, none received", t->sent);
    }
}

static pln_exit parse(pln_cli *cli, pln_request *request) {
    request->until_direct = pln_cli_has(cli, "until-direct");
    request->count = request->until_direct ? 10 : 4;
    request->timeout_ms = 5000;
    request->interval_ms = 1000;
    request->size = 56;
    pln_exit code = pln_cli_number(cli, "count", 0, INT32_MAX, &request->count);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_number(cli, "size", 0, PLN_REQUEST_PING_SIZE_MAX, &request->size);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_wait(cli, "timeout", &request->timeout_ms);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_wait(cli, "interval", &request->interval_ms);
    }
    return code != PLN_EXIT_OK ? code : pln_cli_peer(cli, cli->operands[0], request->peer);
}

static pln_exit judge(pln_cli *cli, const tally *t, bool until_direct) {
    char hint[PLN_REQUEST_PEER_BYTES + 16];
    snprintf(hint, sizeof hint, "pln doctor %s", cli->operands[0]);
    if (t->received == 0) {
        return pln_fail(cli, PLN_EXIT_FAIL, hint, "ping: no reply from %s", cli->operands[0]);
    }
    if (until_direct && t->direct == 0) {
        return pln_fail(cli, PLN_EXIT_NOTDIRECT, hint, "ping: replies, but never a direct one");
    }
    return PLN_EXIT_OK;
}

static pln_exit run(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_PING};
    pln_client *client = NULL;
    tally t = {0};
    pln_exit code = parse(cli, &request);
    if (code == PLN_EXIT_OK) {
        pln_stopper_start();
        code = pln_client_open(cli, &request, &client);
    }
    while (code == PLN_EXIT_OK) {
        json_t *object;
        code = pln_client_next(cli, client, &object);
        if (object == NULL) {
            break;
        }
        count_reply(&t, object);
        if (cli->json) {
            pln_out_json(json_incref(object));
        } else {
            print_reply(object);
        }
        json_decref(object);
        if (request.count > 0 && t.sent == (unsigned long long)request.count) {
            break;
        }
        if (request.until_direct && t.direct > 0) {
            break;
        }
    }
    pln_client_close(client);
    if (!cli->json && t.sent > 0) {
        print_tally(&t);
    }
    return code == PLN_EXIT_OK ? judge(cli, &t, request.until_direct) : code;
}

const pln_verb pln_verb_ping = {
    .name = "ping",
    .run = run,
    .operands = "PEER",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "measure the round trip to a peer, and tell the path",
    .opts = opts,
    .help = "PEER is an id or its beginning.  Done when at least one reply came.\n",
};
