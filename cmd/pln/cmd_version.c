/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include <pollen/version.h>

#include "pln/out.h"
#include "pln/verbs.h"

static pln_exit run(pln_cli *cli) {
    if (cli->json) {
        pln_out_json(json_pack("{s:s, s:s, s:s, s:[s, s]}", "schema", "pollen.version/1", "version",
                               PLN_VERSION, "library", pollen_version(), "protocols", "pollen/2",
                               "pollen/1"));
    } else if (pln_cli_has(cli, "short")) {
        puts(PLN_VERSION);
    } else {
        printf("version: %s\nlibrary: %s\nprotocols: pollen/2 pollen/1\n", PLN_VERSION,
               pollen_version());
    }
    return PLN_EXIT_OK;
}

static const pln_opt opts[] = {
    {"short", 0, NULL, "the number alone"},
    {0},
};

const pln_verb pln_verb_version = {
    .name = "version",
    .run = run,
    .summary = "show the version",
    .opts = opts,
};
