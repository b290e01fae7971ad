/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/client.h"
#include "pln/doctor.h"
#include "pln/home.h"
#include "pln/out.h"
#include "pln/pick.h"
#include "pln/verbs.h"
#include "run/clock.h"

static const pln_opt opts[] = {
    {"timeout", 0, "TIME", "how long to wait for the daemon's answer (default: 10s)"},
    {0},
};

static pln_finding no_daemon(const char *fix) {
    return (pln_finding){.verdict = PLN_FAIL, .check = "daemon", .fix = fix};
}

/* Quietly: what fails here is a finding. */
static pln_exit ask(pln_doctor *doctor, int timeout_ms) {
    pln_cli *cli = doctor->cli;
    cli->quiet = true;
    const pln_exit code = pln_client_ask_within(cli, &(pln_request){.verb = PLN_REQUEST_DIAGNOSE},
                                                timeout_ms, &doctor->diagnosis);
    cli->quiet = false;
    if (code == PLN_EXIT_OK) {
        return code;
    }
    if (code == PLN_EXIT_UNREACHABLE) {
        pln_report_add(&doctor->report, no_daemon(pln_home_start_hint(cli)),
                       "no daemon is running (%s)", cli->socket);
    } else if (code == PLN_EXIT_PERM) {
        pln_report_add(&doctor->report, no_daemon("run pln as the user of the daemon, or as root"),
                       "%s may not be used by this user", cli->socket);
    } else {
        pln_report_add(&doctor->report, no_daemon("pln logs; pln down; pln up --detach"),
                       "does not answer (%s)", cli->socket);
    }
    return code;
}

static pln_exit examine(pln_doctor *doctor, int timeout_ms) {
    pln_cli *cli = doctor->cli;
    json_t *peer = NULL;
    /* With --socket alone the directory of that daemon is not known. */
    if (!pln_cli_has(cli, "socket") || pln_cli_has(cli, "dir")) {
        pln_doctor_check_files(doctor);
    }
    if (ask(doctor, timeout_ms) != PLN_EXIT_OK) {
        pln_doctor_check_free_port(doctor);
        return PLN_EXIT_OK;
    }
    pln_doctor_check_node(doctor);
    if (cli->operand_count == 0) {
        pln_doctor_check_peers(doctor);
        return PLN_EXIT_OK;
    }
    const pln_exit code = pln_pick_peer(cli, doctor->diagnosis, cli->operands[0], &peer);
    if (code == PLN_EXIT_OK && peer == NULL) {
        return pln_fail(cli, PLN_EXIT_NOTFOUND, "pln status --wide",
                        "doctor: peer %s: no such peer is known", cli->operands[0]);
    }
    if (code == PLN_EXIT_OK) {
        pln_doctor_check_peer(doctor, peer);
    }
    return code;
}

static pln_exit print(const pln_doctor *doctor) {
    const size_t failed = doctor->report.counts[PLN_FAIL];
    if (doctor->cli->json) {
        pln_out_json(pln_report_json(&doctor->report));
    } else {
        pln_report_print(&doctor->report);
    }
    fflush(stdout);
    if (failed > 0) {
        pln_note("pln: doctor: %zu of the checks failed", failed);
    }
    return failed > 0 ? PLN_EXIT_FAIL : PLN_EXIT_OK;
}

static pln_exit run(pln_cli *cli) {
    pln_doctor doctor = {.cli = cli, .now = pln_clock_wall()};
    char peer[PLN_REQUEST_PEER_BYTES];
    int64_t timeout_ms = 10000;
    pln_exit code = pln_cli_wait(cli, "timeout", &timeout_ms);
    if (code == PLN_EXIT_OK && cli->operand_count > 0) {
        code = pln_cli_peer(cli, cli->operands[0], peer);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_dir(cli);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_socket(cli);
    }
    if (code != PLN_EXIT_OK) {
        return code;
    }
    pln_report_init(&doctor.report, cli);
    code = examine(&doctor, (int)timeout_ms);
    if (code == PLN_EXIT_OK) {
        code = print(&doctor);
    }
    pln_report_fini(&doctor.report);
    pln_config_fini(&doctor.config);
    json_decref(doctor.diagnosis);
    return code;
}

const pln_verb pln_verb_doctor = {
    .name = "doctor",
    .run = run,
    .operands = "[PEER]",
    .operands_max = 1,
    .summary = "check this node, and say why a peer is not connected",
    .opts = opts,
    .help =
        "Each check passes, warns or fails, and says what to do.  Done when none fails; a peer\n"
        "that is not connected is a warning, and a failure when it is asked for by PEER, an id\n"
        "or its beginning.  Works without a daemon, as far as that goes.\n",
};
