/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/verbs.h"

static pln_exit run(pln_cli *cli) {
    if (cli->operand_count == 0) {
        pln_help_all();
        return PLN_EXIT_OK;
    }
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", cli->operands[0], cli->operand_count > 1 ? " " : "",
             cli->operand_count > 1 ? cli->operands[1] : "");
    const pln_verb *verb = pln_verb_find(name);
    if (verb == NULL && pln_help_group(name)) {
        return PLN_EXIT_OK;
    }
    if (verb == NULL) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help", "help: unknown command '%s'", name);
    }
    pln_help_verb(verb);
    return PLN_EXIT_OK;
}

const pln_verb pln_verb_help = {
    .name = "help",
    .run = run,
    .operands = "[COMMAND]",
    .operands_max = 2,
    .summary = "show what a command does and takes",
};
