/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pln/home.h"
#include "pln/verbs.h"
#include "run/files.h"
#include "run/statedir.h"

static const pln_opt opts[] = {
    {"all", 0, NULL, "also the node key: the node will have another id"},
    {"yes", 'y', NULL, "do not ask"},
    {0},
};

/* The certificates go before the trust they hang on, so that a purge cut short leaves nothing that
 * looks enrolled. */
static const char *const cluster_files[] = {
    "keys/membership.cert.pb",
    "keys/admin.cert.pb",
    "keys/admin_ed25519.key",
    "keys/admin_ed25519.pub",
    "keys/cluster.trust.pb",
    "config.yaml",
    "state.yaml",
    "consumed_invites.json",
    "nat.json",
    "pln.sock",
    "pln.log",
    "pln.log.1",
};

static const char *const node_files[] = {"keys/ed25519.pub", "keys/ed25519.key"};

static pln_exit remove_file(const pln_cli *cli, const char *name) {
    char path[PLN_CLI_PATH_BYTES];
    pollen_err err = pln_statedir_path(cli->dir, name, path);
    if (err == POLLEN_OK) {
        err = pln_file_remove(path);
    }
    return err == POLLEN_OK ? PLN_EXIT_OK
                            : pln_fail_err(cli, err, NULL, "purge: removing %s", name);
}

static pln_exit remove_all(const pln_cli *cli) {
    char kept[PLN_HOME_KEPT_BYTES];
    pln_exit code = PLN_EXIT_OK;
    for (size_t i = 0; code == PLN_EXIT_OK && i < sizeof cluster_files / sizeof cluster_files[0];
         i++) {
        code = remove_file(cli, cluster_files[i]);
    }
    while (code == PLN_EXIT_OK && pln_home_find_kept(cli, kept)) {
        code = remove_file(cli, kept);
    }
    const size_t count = pln_cli_has(cli, "all") ? sizeof node_files / sizeof node_files[0] : 0;
    for (size_t i = 0; code == PLN_EXIT_OK && i < count; i++) {
        code = remove_file(cli, node_files[i]);
    }
    return code;
}

static pln_exit confirm(const pln_cli *cli) {
    char answer[16] = "";
    if (pln_cli_has(cli, "yes")) {
        return PLN_EXIT_OK;
    }
    if (isatty(STDIN_FILENO) != 1) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "purge: nobody to ask: say --yes");
    }
    pln_note("This removes the membership, and where this node is an admin the keys of the\n"
             "cluster, from %s.  Nobody can bring them back.  Type yes to go on:",
             cli->dir);
    if (fgets(answer, sizeof answer, stdin) == NULL || strcmp(answer, "yes\n") != 0) {
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "purge: not confirmed, nothing was removed");
    }
    return PLN_EXIT_OK;
}

static pln_exit run(pln_cli *cli) {
    pln_exit code = pln_cli_dir(cli);
    if (code == PLN_EXIT_OK && access(cli->dir, F_OK) != 0) {
        pln_note("nothing to remove in %s", cli->dir);
        return PLN_EXIT_OK;
    }
    int lock = -1;
    if (code == PLN_EXIT_OK) {
        code = pln_home_lock(cli, &lock);
    }
    if (code == PLN_EXIT_OK) {
        code = confirm(cli);
        code = code == PLN_EXIT_OK ? remove_all(cli) : code;
        pln_statedir_unlock(lock);
    }
    return code;
}

const pln_verb pln_verb_purge = {
    .name = "purge",
    .run = run,
    .summary = "remove this node's membership and state",
    .opts = opts,
    .help =
        "Refuses while the node runs.  The node key stays, unless --all is given.  Copies of the\n"
        "state that a node kept aside go too; DIR/backup-TIME of `pln join --force` stays.\n",
};
