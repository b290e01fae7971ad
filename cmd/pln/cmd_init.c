/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/home.h"
#include "pln/out.h"
#include "pln/verbs.h"
#include "run/files.h"
#include "run/statedir.h"

static void print_cluster(const pln_cli *cli, const pollen_credentials *credentials,
                          const pollen_key *root) {
    char id[POLLEN_KEY_HEX_BYTES];
    char root_hex[POLLEN_KEY_HEX_BYTES];
    char cluster_hex[POLLEN_KEY_HEX_BYTES] = "";
    const pollen_key key = pollen_credentials_key(credentials);
    pollen_key cluster;
    if (pollen_credentials_cluster(credentials, &cluster) == POLLEN_OK) {
        pollen_key_hex(&cluster, cluster_hex);
    }
    pollen_key_hex(&key, id);
    pollen_key_hex(root, root_hex);
    if (cli->json) {
        pln_out_json(json_pack("{s:s, s:s, s:s, s:s}", "schema", "pollen.init/1", "id", id,
                               "root_pub", root_hex, "cluster_id", cluster_hex));
    } else {
        printf("root_pub: %s\ncluster_id: %s\n", root_hex, cluster_hex);
    }
}

/* With the directory locked. */
static pln_exit init_locked(pln_cli *cli) {
    pollen_credentials *credentials = NULL;
    pln_exit code = pln_home_load(cli, true, &credentials);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    pollen_key root;
    if (pollen_credentials_enrolled(credentials)) {
        code = pln_fail(cli, PLN_EXIT_FAIL, "pln up --detach",
                        "init: %s is a member of a cluster already", cli->dir);
    } else {
        code = pln_home_create_cluster(cli, credentials, &root);
    }
    if (code == PLN_EXIT_OK) {
        print_cluster(cli, credentials, &root);
        pln_hint(cli, "pln up --detach");
    }
    pollen_credentials_destroy(credentials);
    return code;
}

static pln_exit run(pln_cli *cli) {
    pln_exit code = pln_cli_dir(cli);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    const pollen_err err = pln_dir_ensure(cli->dir, 0700);
    if (err != POLLEN_OK) {
        return pln_fail_err(cli, err, NULL, "creating %s", cli->dir);
    }
    int lock;
    code = pln_home_lock(cli, &lock);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    code = init_locked(cli);
    pln_statedir_unlock(lock);
    return code;
}

const pln_verb pln_verb_init = {
    .name = "init",
    .run = run,
    .summary = "make a new cluster, with this node as its root",
    .help = "Refuses when this node belongs to a cluster already, or runs.  `pln up` does the same "
            "by itself\n"
            "where nothing is set up yet.\n",
};
