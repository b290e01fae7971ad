/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pln/client.h"
#include "pln/out.h"
#include "pln/verbs.h"

static const pln_opt opts[] = {
    {"yes", 'y', NULL, "do not ask"},
    {0},
};

static pln_exit confirm(const pln_cli *cli, const char *id) {
    char answer[16] = "";
    if (isatty(STDIN_FILENO) != 1) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "revoke: nobody to ask: say --yes");
    }
    pln_note(
        "This shuts %s\nout of the cluster for good: nobody can take it back.  Type yes to go on:",
        id);
    if (fgets(answer, sizeof answer, stdin) == NULL || strcmp(answer, "yes\n") != 0) {
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "revoke: not confirmed, nothing was done");
    }
    return PLN_EXIT_OK;
}

/* Which member is meant, and whether we may, is settled before anybody is asked; what is then
 * revoked is the whole id that was shown. */
static pln_exit ask_first(pln_cli *cli, pln_request *request) {
    json_t *object = NULL;
    pln_exit code = pln_client_ask(cli, request, &object);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_peer(cli, pln_json_text(object, "peer", ""), request->peer);
    }
    json_decref(object);
    return code == PLN_EXIT_OK ? confirm(cli, request->peer) : code;
}

static void print(const pln_cli *cli, const pln_request *request, const json_t *object) {
    (void)cli;
    (void)request;
    printf("revoked %s\n", pln_json_text(object, "peer", "?"));
}

static pln_exit run(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_REVOKE};
    pln_exit code = pln_cli_peer(cli, cli->operands[0], request.peer);
    if (code == PLN_EXIT_OK && !pln_cli_has(cli, "yes")) {
        code = ask_first(cli, &request);
    }
    if (code != PLN_EXIT_OK) {
        return code;
    }
    request.sure = true;
    return pln_client_show(cli, &request, print);
}

const pln_verb pln_verb_revoke = {
    .name = "revoke",
    .run = run,
    .operands = "PEER",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "shut a member out of the cluster, for good",
    .opts = opts,
    .help =
        "PEER is an id or its beginning.  Only the node that made the cluster can do this.  The\n"
        "member's sessions end here at once, and everywhere as soon as it becomes known there.\n",
};
