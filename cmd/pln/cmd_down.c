/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <poll.h>

#include "pln/client.h"
#include "pln/home.h"
#include "pln/out.h"
#include "pln/verbs.h"
#include "run/clock.h"
#include "run/statedir.h"

#define POLL_MS 20

static const pln_opt opts[] = {
    {"timeout", 0, "TIME", "how long to wait for the end (default: 10s)"},
    {0},
};

/* The lock is the last thing a daemon gives up: when it is free, `up` works again. */
static bool wait_for_lock(const pln_cli *cli, pln_ts deadline) {
    int fd;
    while (pln_statedir_lock(cli->dir, &fd) != POLLEN_OK) {
        if (pln_ts_reached(deadline, pln_clock_mono())) {
            return false;
        }
        (void)poll(NULL, 0, POLL_MS);
    }
    pln_statedir_unlock(fd);
    return true;
}

static pln_exit run(pln_cli *cli) {
    int64_t timeout_ms = 10000;
    pln_client *client = NULL;
    json_t *object = NULL;
    pln_exit code = pln_cli_duration(cli, "timeout", &timeout_ms);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_dir(cli);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_client_open(cli, &(pln_request){.verb = PLN_REQUEST_SHUTDOWN}, &client);
    }
    if (code != PLN_EXIT_OK) {
        return code;
    }
    const pln_ts deadline = pln_ts_add(pln_clock_mono(), PLN_MS(timeout_ms));
    pln_client_limit(client, timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms);
    code = pln_client_next(cli, client, &object);
    json_decref(object);
    pln_client_close(client);
    if (code == PLN_EXIT_OK && !wait_for_lock(cli, deadline)) {
        return pln_fail(cli, PLN_EXIT_TIMEOUT, "pln logs",
                        "down: the daemon was told to stop and still runs");
    }
    return code;
}

const pln_verb pln_verb_down = {
    .name = "down",
    .run = run,
    .summary = "stop the running node",
    .opts = opts,
    .help = "Returns once it is gone: its peers were told, its port and its directory are free.\n",
};
