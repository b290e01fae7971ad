/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/home.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

const char *pln_home_start_hint(const pln_cli *cli) {
    char path[PLN_CLI_PATH_BYTES];
    const bool is_known = cli->dir[0] != '\0' &&
                          pln_statedir_path(cli->dir, "keys/membership.cert.pb", path) == POLLEN_OK;
    return is_known && access(path, F_OK) != 0 && errno == ENOENT
               ? "pln up --detach   (makes a new cluster; to enter one, pln join TOKEN first)"
               : "pln up --detach";
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
    if (err == POLLEN_EBUSY) {
        return pln_fail(cli, pln_exit_of(err), "pln status   (pln down ends a node that runs)",
                        "%s: %s is in use by another process, such as a node that runs",
                        cli->verb->name, cli->dir);
    }
    return pln_fail_err(cli, err, NULL, "locking %s", cli->dir);
}

static bool is_kept(const char *name) {
    static const char before[] = PLN_FILE_STATE PLN_FILE_KEPT;
    const char *digits = name + (sizeof before - 1);
    return strncmp(name, before, sizeof before - 1) == 0 && strlen(digits) == 16 &&
           strspn(digits, "0123456789abcdef") == 16;
}

bool pln_home_find_kept(const pln_cli *cli, char ret_name[PLN_HOME_KEPT_BYTES]) {
    DIR *dir = opendir(cli->dir);
    bool found = false;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this stream. */
    for (const struct dirent *entry; dir != NULL && !found && (entry = readdir(dir)) != NULL;) {
        found = is_kept(entry->d_name);
        if (found) {
            snprintf(ret_name, PLN_HOME_KEPT_BYTES, "%.63s", entry->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return found;
}
