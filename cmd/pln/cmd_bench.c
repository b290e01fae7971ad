/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/bench_wire.h"
#include "pln/client.h"
#include "pln/out.h"
#include "pln/stopper.h"
#include "pln/verbs.h"

static const pln_opt opts[] = {
    {"seconds", 's', "N", "how long each direction is measured (default: 5, at most 60)"},
    {"timeout", 0, "TIME", "how long to wait for a session, and for the peer (default: 10s)"},
    {0},
};

static void print_rtt(const char *title, const json_t *rtt) {
    const long long lost = json_integer_value(json_object_get(rtt, "lost"));
    if (json_integer_value(json_object_get(rtt, "samples")) == 0) {
        printf("  %-8s  round trip unknown: no reply\n", title);
        return;
    }
    printf("  %-8s  round trip p50 %.3f ms, p90 %.3f, p99 %.3f, max %.3f", title,
           json_real_value(json_object_get(rtt, "p50_seconds")) * 1e3,
           json_real_value(json_object_get(rtt, "p90_seconds")) * 1e3,
           json_real_value(json_object_get(rtt, "p99_seconds")) * 1e3,
           json_real_value(json_object_get(rtt, "max_seconds")) * 1e3);
    printf(lost > 0 ? "; %lld lost\n" : "\n", lost);
}

static void print_way(const char *title, const json_t *way) {
    printf("%-8s  %.1f Mbit/s (%.1f MB in %.2f s)\n", title,
           json_real_value(json_object_get(way, "bytes_per_second")) * 8 / 1e6,
           (double)json_integer_value(json_object_get(way, "bytes")) / 1e6,
           json_real_value(json_object_get(way, "elapsed_seconds")));
    print_rtt("", json_object_get(way, "rtt"));
}

static void print(const json_t *object) {
    printf("%.12s, %s via %s\n", pln_json_text(object, "peer", "?"),
           pln_json_text(object, "path", "unknown path"),
           pln_json_text(object, "addr", "unknown address"));
    printf("idle\n");
    print_rtt("", json_object_get(object, "idle_rtt"));
    print_way("upload", json_object_get(object, "upload"));
    print_way("download", json_object_get(object, "download"));
}

static pln_exit parse(pln_cli *cli, pln_request *request) {
    pln_exit code = pln_cli_number(cli, "seconds", 1, PLN_BENCH_SECONDS_MAX, &request->seconds);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_wait(cli, "timeout", &request->timeout_ms);
    }
    return code != PLN_EXIT_OK ? code : pln_cli_peer(cli, cli->operands[0], request->peer);
}

static pln_exit run(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_BENCH, .seconds = 5, .timeout_ms = 10000};
    pln_client *client = NULL;
    json_t *object = NULL;
    pln_exit code = parse(cli, &request);
    if (code == PLN_EXIT_OK) {
        pln_stopper_start();
        code = pln_client_open(cli, &request, &client);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_client_next(cli, client, &object);
        pln_client_close(client);
    }
    if (code == PLN_EXIT_OK && object == NULL) {
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "bench: the daemon hung up");
    }
    if (code == PLN_EXIT_OK && cli->json) {
        pln_out_json(json_incref(object));
    } else if (code == PLN_EXIT_OK) {
        print(object);
    }
    json_decref(object);
    return code;
}

const pln_verb pln_verb_bench = {
    .name = "bench",
    .run = run,
    .operands = "PEER",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "measure throughput to a peer and back, and round trips",
    .opts = opts,
    .help = "PEER is an id or its beginning.  Sends as fast as it can over one stream, in one\n"
            "direction after the other, with round trips beside it.  The peer's daemon serves one\n"
            "such measurement at a time to each member.\n",
};
