/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/home.h"

#include <stdio.h>
#include <string.h>

#include "run/files.h"
#include "run/statedir.h"

enum { HINT_BYTES = 512 };

/* A command of the reader's that heals the common causes; NULL where there is none. */
static const char *load_hint(const pln_cli *cli, pollen_err err, char hint[HINT_BYTES]) {
    if (err == POLLEN_EMODE) {
        snprintf(hint, HINT_BYTES,
                 "chmod -R u=rwX,g=,o= '%.300s'   (if the files are yours and untouched)",
                 cli->dir);
        return hint;
    }
    if (err == POLLEN_ENOENT) {
        return "pln init";
    }
    return NULL;
}

static pln_exit create_key(pln_cli *cli, pollen_credentials **ret_credentials) {
    pollen_seed seed;
    pollen_err err = pln_dir_ensure(cli->dir, 0700);
    if (err != POLLEN_OK) {
        return pln_fail_err(cli, err, NULL, "creating %s", cli->dir);
    }
    err = pln_statedir_load_key(cli->dir, true, &seed);
    if (err == POLLEN_OK) {
        err = pollen_credentials_create(&seed, ret_credentials);
    }
    pollen_seed_wipe(&seed);
    return err == POLLEN_OK ? PLN_EXIT_OK
                            : pln_fail_err(cli, err, NULL, "creating the node key in %s", cli->dir);
}

pln_exit pln_home_load(pln_cli *cli, bool create, pollen_credentials **ret_credentials) {
    const pln_exit code = pln_cli_dir(cli);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    const pollen_err err = pollen_credentials_load(cli->dir, ret_credentials);
    if (err == POLLEN_OK) {
        return PLN_EXIT_OK;
    }
    if (err == POLLEN_ENOENT && create) {
        return create_key(cli, ret_credentials);
    }
    char hint[HINT_BYTES];
    return pln_fail_err(cli, err, load_hint(cli, err, hint), "loading the node of %s", cli->dir);
}

pln_exit pln_home_create_cluster(pln_cli *cli, pollen_credentials *credentials,
                                 pollen_key *ret_root) {
    pollen_seed root;
    /* Whoever was interrupted behind the root key goes on with it. */
    pollen_err err = pln_statedir_load_root(cli->dir, &root);
    if (err == POLLEN_ENOENT) {
        err = pollen_seed_generate(&root);
    }
    if (err == POLLEN_OK) {
        *ret_root = pollen_seed_key(&root);
        err = pollen_credentials_create_cluster(credentials, &root);
    }
    pollen_seed_wipe(&root);
    if (err == POLLEN_OK) {
        err = pollen_credentials_save(credentials, cli->dir);
    }
    return err == POLLEN_OK ? PLN_EXIT_OK
                            : pln_fail_err(cli, err, NULL, "creating a cluster in %s", cli->dir);
}

pln_exit pln_home_lock(pln_cli *cli, int *ret_fd) {
    const pln_exit code = pln_cli_dir(cli);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    const pollen_err err = pln_statedir_lock(cli->dir, ret_fd);
    if (err == POLLEN_OK) {
        return PLN_EXIT_OK;
    }
    return pln_fail_err(cli, err, err == POLLEN_EBUSY ? "pln down" : NULL, "locking %s", cli->dir);
}
