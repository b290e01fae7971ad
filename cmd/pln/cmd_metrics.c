/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/client.h"
#include "pln/out.h"
#include "pln/verbs.h"

static const pln_opt opts[] = {
    {"peers", 0, "N", "so many peers have series of their own (default: 256)"},
    {0},
};

static pln_exit run(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_METRICS, .count = 256};
    json_t *object = NULL;
    pln_exit code = pln_cli_number(cli, "peers", 0, PLN_REQUEST_METRICS_PEERS_MAX, &request.count);
    if (code == PLN_EXIT_OK) {
        code = pln_client_ask(cli, &request, &object);
    }
    if (code == PLN_EXIT_OK && cli->json) {
        pln_out_json(json_incref(object));
    } else if (code == PLN_EXIT_OK) {
        fputs(pln_json_text(object, "text", ""), stdout);
    }
    json_decref(object);
    return code;
}

const pln_verb pln_verb_metrics = {
    .name = "metrics",
    .run = run,
    .summary = "print figures of this node for Prometheus",
    .opts = opts,
    .help =
        "In the text format; for the textfile collector of node_exporter, or anything that can\n"
        "run a command.  Counters of a peer begin anew with each session.\n",
};
