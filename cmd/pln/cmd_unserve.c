/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "pln/client.h"
#include "pln/out.h"
#include "pln/verbs.h"

static pln_exit run(pln_cli *cli) {
    pln_request request = {.verb = PLN_REQUEST_UNSERVE};
    json_t *object = NULL;
    if (strlen(cli->operands[0]) >= sizeof request.service) {
        return pln_fail(cli, PLN_EXIT_NOTFOUND, "pln status services",
                        "unserve: no service has so long a name");
    }
    snprintf(request.service, sizeof request.service, "%s", cli->operands[0]);
    const pln_exit code = pln_client_ask(cli, &request, &object);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    if (cli->json) {
        pln_out_json(object);
        return PLN_EXIT_OK;
    }
    const json_t *service;
    size_t i;
    json_array_foreach(json_object_get(object, "services"), i, service) {
        pln_note("no longer serving port %lld as %s",
                 (long long)json_integer_value(json_object_get(service, "port")),
                 pln_json_text(service, "name", "?"));
    }
    json_decref(object);
    return PLN_EXIT_OK;
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
