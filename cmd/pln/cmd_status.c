/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pln/client.h"
#include "pln/out.h"
#include "pln/stopper.h"
#include "pln/table.h"
#include "pln/verbs.h"

#define REDRAW_MS 1000

static const pln_opt opts[] = {
    {"watch", 'w', NULL, "go on and show what changes"},
    {"wide", 0, NULL, "whole ids, and all columns"},
    {"all", 'a', NULL, "also peers that are unreachable for more than an hour, or revoked"},
    {0},
};

static pln_exit watch_lines(pln_cli *cli) {
    pln_client *client = NULL;
    pln_exit code = pln_client_open(cli, &(pln_request){.verb = PLN_REQUEST_WATCH}, &client);
    while (code == PLN_EXIT_OK) {
        json_t *object;
        code = pln_client_next(cli, client, &object);
        if (object == NULL) {
            break;
        }
        const bool ok = cli->json ? pln_out_json(json_incref(object)) : pln_table_event(object);
        json_decref(object);
        if (!ok) {
            break; /* Nobody reads any more; pln_cli_main() reports it. */
        }
    }
    pln_client_close(client);
    /* The daemon went; that is worth an exit code, because the watch was meant to go on. */
    return code == PLN_EXIT_OK
               ? pln_fail(cli, PLN_EXIT_UNREACHABLE, NULL, "status: the daemon is gone")
               : code;
}

static pln_exit show_once(pln_cli *cli, const pln_table_options *options) {
    json_t *object = NULL;
    const pln_request request = {.verb =
                                     options->all ? PLN_REQUEST_STATUS_ALL : PLN_REQUEST_STATUS};
    const pln_exit code = pln_client_ask(cli, &request, &object);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    if (cli->json) {
        pln_out_json(object);
        return PLN_EXIT_OK;
    }
    pln_table_status(object, options);
    json_decref(object);
    return PLN_EXIT_OK;
}

static pln_exit watch_screen(pln_cli *cli, const pln_table_options *options) {
    for (;;) {
        fputs("\033[H\033[J", stdout);
        const pln_exit code = show_once(cli, options);
        fflush(stdout);
        if (code != PLN_EXIT_OK) {
            return code;
        }
        if (pln_stopper_wait(REDRAW_MS)) {
            return PLN_EXIT_INT;
        }
    }
}

static pln_exit run(pln_cli *cli) {
    pln_table_options options = {.peers = true,
                                 .services = true,
                                 .wide = pln_cli_has(cli, "wide"),
                                 .all = pln_cli_has(cli, "all")};
    if (cli->operand_count > 0) {
        options.peers = strcmp(cli->operands[0], "nodes") == 0;
        options.services = strcmp(cli->operands[0], "services") == 0;
        options.only = true;
    }
    if (!options.peers && !options.services) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help status",
                        "status: '%s': expected nodes or services", cli->operands[0]);
    }
    if (!pln_cli_has(cli, "watch")) {
        return show_once(cli, &options);
    }
    pln_stopper_start();
    return cli->json || !pln_out_is_terminal() ? watch_lines(cli) : watch_screen(cli, &options);
}

const pln_verb pln_verb_status = {
    .name = "status",
    .run = run,
    .operands = "[nodes|services]",
    .operands_max = 1,
    .summary = "show this node, its peers, and how each is reached",
    .opts = opts,
    .help = "--watch redraws on a terminal and prints a line for each change elsewhere; with\n"
            "--json these are pollen.event/1 objects.\n",
};
