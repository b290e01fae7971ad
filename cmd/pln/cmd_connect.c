/* SPDX-License-Identifier: Apache-2.0 */
/* connect, and disconnect that undoes it. */
#include <stdio.h>

#include "pln/client.h"
#include "pln/forwarder.h"
#include "pln/out.h"
#include "pln/service.h"
#include "pln/verbs.h"

static const pln_opt connect_opts[] = {
    {"local-port", 0, "N", "the same as LOCAL-PORT, for when no PROVIDER is named"},
    {"bind", 0, "ADDR", "listen on this address of this machine (default: 127.0.0.1)"},
    {0},
};

/* SERVICE [PROVIDER], which both verbs have. */
static pln_exit parse_service(pln_cli *cli, pln_request *request) {
    const pln_exit code = pln_cli_service(cli, cli->operands[0], request->service);
    return code != PLN_EXIT_OK || cli->operand_count < 2
               ? code
               : pln_cli_peer(cli, cli->operands[1], request->peer);
}

static pln_exit parse_local(pln_cli *cli, pln_request *request) {
    const char *bind = pln_cli_text(cli, "bind");
    uint16_t port = 0;
    if (cli->operand_count == 3 && !pln_service_parse_port(cli->operands[2], &port)) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help connect",
                        "connect: '%s' is no port: expected 1 to 65535", cli->operands[2]);
    }
    if (bind != NULL && !pln_forward_is_bind(bind)) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help connect",
                        "--bind '%s': expected an IP address", bind);
    }
    request->local_port = port;
    const pln_exit code = pln_cli_number(cli, "local-port", 1, UINT16_MAX, &request->local_port);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    snprintf(request->bind, sizeof request->bind, "%s", bind == NULL ? "" : bind);
    return PLN_EXIT_OK;
}

static void print_connected(const pln_cli *cli, const pln_request *request, const json_t *object) {
    (void)request;
    puts(pln_json_text(object, "local_addr", "?"));
    if (!json_is_true(json_object_get(object, "connected"))) {
        pln_note("the provider %.12s is not connected now; the forward waits for it",
                 pln_json_text(object, "provider", "?"));
        pln_hint(cli, "pln status");
    }
}

static pln_exit run_connect(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_CONNECT};
    pln_exit code = parse_service(cli, &request);
    if (code == PLN_EXIT_OK) {
        code = parse_local(cli, &request);
    }
    return code == PLN_EXIT_OK ? pln_client_show(cli, &request, print_connected) : code;
}

static void print_disconnected(const pln_cli *cli, const pln_request *request,
                               const json_t *object) {
    (void)cli;
    (void)request;
    pln_note("no longer listening on %s", pln_json_text(object, "local_addr", "?"));
}

static pln_exit run_disconnect(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_DISCONNECT};
    const pln_exit code = parse_service(cli, &request);
    return code == PLN_EXIT_OK ? pln_client_show(cli, &request, print_disconnected) : code;
}

const pln_verb pln_verb_connect = {
    .name = "connect",
    .run = run_connect,
    .operands = "SERVICE [PROVIDER] [LOCAL-PORT]",
    .operands_min = 1,
    .operands_max = 3,
    .summary = "reach a member's service at a port of this machine",
    .opts = connect_opts,
    .help = "SERVICE is a name or a port, PROVIDER an id or its beginning, needed when several\n"
            "members serve the same.  Prints the address to connect to: LOCAL-PORT or, unless\n"
            "given, the service's own number or else any free one.  It lasts until\n"
            "`pln disconnect`, over restarts of the node too.\n",
};

const pln_verb pln_verb_disconnect = {
    .name = "disconnect",
    .run = run_disconnect,
    .operands = "SERVICE|LOCAL-PORT [PROVIDER]",
    .operands_min = 1,
    .operands_max = 2,
    .summary = "undo `pln connect`",
    .help = "Nothing new is let in; connections that stand go on until they end.\n",
};
