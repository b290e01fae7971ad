/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/client.h"
#include "pln/out.h"
#include "pln/verbs.h"

static const pln_opt opts[] = {
    {"peers", 0, "N", "so many peers have series of their own (default: 256)"},
    {0},
};

static void print(const pln_cli *cli, const pln_request *request, const json_t *object) {
    (void)cli;
    (void)request;
    fputs(pln_json_text(object, "text", ""), stdout);
}

static pln_exit run(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_METRICS, .count = 256};
    const pln_exit code =
        pln_cli_number(cli, "peers", 0, PLN_REQUEST_METRICS_PEERS_MAX, &request.count);
    return code == PLN_EXIT_OK ? pln_client_show(cli, &request, print) : code;
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
