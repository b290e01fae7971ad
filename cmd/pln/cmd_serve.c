/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/client.h"
#include "pln/service.h"
#include "pln/verbs.h"

static pln_exit parse(pln_cli *cli, pln_request *request) {
    uint16_t port;
    if (!pln_service_parse_port(cli->operands[0], &port)) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help serve",
                        "serve: '%s' is no port: expected 1 to 65535", cli->operands[0]);
    }
    const char *name = cli->operands[cli->operand_count - 1];
    const char *problem = pln_service_name_problem(name, port);
    if (problem != NULL) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help serve", "serve: the name %s", problem);
    }
    request->port = port;
    snprintf(request->service, sizeof request->service, "%s", name);
    return PLN_EXIT_OK;
}

static void print(const pln_cli *cli, const pln_request *request, const json_t *object) {
    (void)cli;
    (void)object;
    pln_note("serving port %lld of this machine as %s; on another node: pln connect %s",
             (long long)request->port, request->service, request->service);
}

static pln_exit run(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_SERVE};
    const pln_exit code = parse(cli, &request);
    return code == PLN_EXIT_OK ? pln_client_show(cli, &request, print) : code;
}

const pln_verb pln_verb_serve = {
    .name = "serve",
    .run = run,
    .operands = "PORT [NAME]",
    .operands_min = 1,
    .operands_max = 2,
    .summary = "let members connect to a TCP port of this machine",
    .help =
        "Members find it by NAME, which is the port's number unless given.  It is served until\n"
        "`pln unserve`, over restarts of the node too.  A name that is served already moves to\n"
        "this port.  All members may connect, and nobody else.\n",
};
