/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/client.h"
#include "pln/out.h"
#include "pln/verbs.h"

static void print(const pln_cli *cli, const pln_request *request, const json_t *object) {
    const json_t *service;
    size_t i;
    (void)cli;
    (void)request;
    json_array_foreach(json_object_get(object, "services"), i, service) {
        pln_note("no longer serving port %lld as %s",
                 (long long)json_integer_value(json_object_get(service, "port")),
                 pln_json_text(service, "name", "?"));
    }
}

static pln_exit run(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_UNSERVE};
    const pln_exit code = pln_cli_service(cli, cli->operands[0], request.service);
    return code == PLN_EXIT_OK ? pln_client_show(cli, &request, print) : code;
}

const pln_verb pln_verb_unserve = {
    .name = "unserve",
    .run = run,
    .operands = "PORT|NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "serve a port no longer",
    .help = "By NAME that one goes, by PORT all names of it.  With the last one, members are\n"
            "refused at once and those that are connected are cut off.\n",
};
