/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/join.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/key.h"
#include "pln/home.h"
#include "pln/secret.h"
#include "run/clock.h"
#include "run/files.h"
#include "run/last_error.h"
#include "run/statedir.h"

void pln_join_fini(pln_join *join) {
    pln_secret_free(join->join_text);
    pollen_seed_wipe(&join->seed);
    pollen_credentials_destroy(join->credentials);
    pln_trust_fini(&join->trust);
    pln_bootstraps_fini(&join->bootstrap);
    pln_config_fini(&join->config);
}

/* ---- The token ----------------------------------------------------------------------------------
 * */

static pollen_err read_as_join(const pln_bytes *bytes, const pollen_key *key, pln_join *join) {
    pln_join_token token;
    pollen_err err = pln_join_token_decode(bytes->data, bytes->size, &token);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_join_verify(&token, NULL, key, pln_clock_wall());
    if (err == POLLEN_OK) {
        err = pln_trust_copy(&join->trust, &token.trust);
    }
    if (err == POLLEN_OK) {
        err = pln_bootstraps_copy(&join->bootstrap, &token.bootstrap);
    }
    pln_join_token_fini(&token);
    return err;
}

static pollen_err read_as_invite(const pln_bytes *bytes, const pollen_key *key, pln_join *join) {
    pln_invite_token token;
    pollen_err err = pln_invite_token_decode(bytes->data, bytes->size, &token);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_invite_verify(&token, key, pln_clock_wall());
    if (err == POLLEN_OK && token.expires_at <= pln_clock_wall()) {
        err = POLLEN_EEXPIRED; /* Within the skew it still verifies, but nobody redeems it. */
    }
    if (err == POLLEN_OK) {
        err = pln_trust_copy(&join->trust, &token.trust);
    }
    pln_invite_token_fini(&token);
    return err;
}

/* A verdict that only a token whose signature holds can get. */
static bool is_genuine(pollen_err err) {
    return err == POLLEN_EEXPIRED || err == POLLEN_ESUBJECT;
}

/* The two kinds have no marker: the bytes of one decode as the other, and only the signature tells.
 * */
static pollen_err read_token(const pln_bytes *bytes, const pollen_key *key, pln_join *join) {
    const pollen_err as_join = read_as_join(bytes, key, join);
    if (as_join == POLLEN_OK || as_join == POLLEN_ENOMEM) {
        return as_join;
    }
    const pollen_err as_invite = read_as_invite(bytes, key, join);
    join->is_invite = as_invite == POLLEN_OK;
    if (as_invite == POLLEN_OK || is_genuine(as_invite)) {
        return as_invite;
    }
    if (is_genuine(as_join)) {
        return as_join;
    }
    return as_invite == POLLEN_EPROTO ? POLLEN_ETOKEN : as_invite;
}

static pln_exit fail_token(pln_cli *cli, const pln_join *join, pollen_err err) {
    const pln_exit code = pln_exit_of(err);
    char hex[POLLEN_KEY_HEX_BYTES];
    if (err == POLLEN_EEXPIRED) {
        return pln_fail(cli, code, "on an admin of the cluster: pln invite",
                        "join: the token has expired (or this machine's clock is wrong)");
    }
    if (err == POLLEN_ESUBJECT) {
        const pollen_key key = pollen_credentials_key(join->credentials);
        char command[128];
        snprintf(command, sizeof command, "on an admin of the cluster: pln invite %s",
                 pollen_key_hex(&key, hex));
        /* A node without a key has no id yet that an invite could be issued for. */
        return pln_fail(cli, code, join->is_new_node ? "pln id" : command,
                        "join: the token was issued for another node");
    }
    return pln_fail(cli, code, "paste the whole token, as `pln invite` printed it",
                    "join: the token does not hold: %s", pollen_strerror(err));
}

static pln_exit take_token(pln_cli *cli, const char *text, pln_join *join) {
    const pollen_key key = pollen_credentials_key(join->credentials);
    pln_bytes bytes = {0};
    pollen_err err = pln_token_text_decode(text, strlen(text), &bytes);
    if (err == POLLEN_OK) {
        err = read_token(&bytes, &key, join);
    }
    pln_bytes_fini(&bytes);
    if (err != POLLEN_OK) {
        return fail_token(cli, join, err);
    }
    join->text = text;
    return PLN_EXIT_OK;
}

/* ---- Before ---------------------------------------------------------------------------------- */

/* The node of the directory, or one that exists in memory only as yet. */
static pln_exit take_node(pln_cli *cli, pln_join *join) {
    pollen_err err = pln_statedir_load_key(cli->dir, false, &join->seed);
    if (err == POLLEN_OK) {
        return pln_home_load(cli, false, &join->credentials);
    }
    if (err == POLLEN_ENOENT) {
        join->is_new_node = true;
        err = pollen_seed_generate(&join->seed);
        if (err == POLLEN_OK) {
            err = pollen_credentials_create(&join->seed, &join->credentials);
        }
    }
    return err == POLLEN_OK
               ? PLN_EXIT_OK
               : pln_fail_err(cli, err, NULL, "join: reading the node of %s", cli->dir);
}

/* Another cluster's keys are never dropped on the way: the root's may be among them. */
static pln_exit check_cluster(pln_cli *cli, pln_join *join) {
    pollen_key cluster;
    if (pollen_credentials_cluster(join->credentials, &cluster) != POLLEN_OK ||
        pln_key_equal(&cluster, &join->trust.cluster_id)) {
        return PLN_EXIT_OK;
    }
    if (pln_cli_has(cli, "force")) {
        join->leaves_cluster = true;
        return PLN_EXIT_OK;
    }
    return pln_fail(cli, PLN_EXIT_PERM, "pln join --force TOKEN",
                    "join: this node is a member of another cluster already, which it would leave "
                    "(its files would be kept aside)");
}

pln_exit pln_join_prepare(pln_cli *cli, const char *text, pln_join *join) {
    pln_exit code = take_node(cli, join);
    if (code == PLN_EXIT_OK) {
        code = take_token(cli, text, join);
    }
    if (code == PLN_EXIT_OK) {
        code = check_cluster(cli, join);
    }
    if (code != PLN_EXIT_OK) {
        return code;
    }
    const pollen_err err = pln_statedir_load_config(cli->dir, &join->config);
    return err == POLLEN_OK ? PLN_EXIT_OK
                            : pln_fail_err(cli, err, NULL, "join: reading config.yaml");
}

/* ---- Redeeming ----------------------------------------------------------------------------------
 * */

static pln_exit save_new_node(pln_cli *cli, pln_join *join) {
    if (!join->is_new_node) {
        return PLN_EXIT_OK;
    }
    pollen_err err = pln_dir_ensure(cli->dir, 0700);
    if (err == POLLEN_OK) {
        err = pollen_credentials_save(join->credentials, cli->dir);
    }
    return err == POLLEN_OK
               ? PLN_EXIT_OK
               : pln_fail_err(cli, err, NULL, "join: writing the node key to %s", cli->dir);
}

/* The bootstrap peers are those of the answer: the admin may know better ones than the invite. */
static pollen_err read_answer(pln_join *join, const char *text) {
    const pollen_key key = pollen_credentials_key(join->credentials);
    pln_bytes bytes = {0};
    pln_trust asked = join->trust;
    join->trust = (pln_trust){0};
    pollen_err err = pln_token_text_decode(text, strlen(text), &bytes);
    if (err == POLLEN_OK) {
        err = read_as_join(&bytes, &key, join);
    }
    if (err == POLLEN_OK && !pln_trust_equal(&asked, &join->trust)) {
        err = POLLEN_ECLUSTER;
    }
    pln_trust_fini(&asked);
    pln_bytes_fini(&bytes);
    return err;
}

static pln_exit fail_redeem(const pln_cli *cli, pollen_err err) {
    const char *hint = err == POLLEN_EUNREACHABLE || err == POLLEN_ETIMEDOUT
                           ? "is the inviting node up?  On it: pln status"
                       : err == POLLEN_ECONSUMED || err == POLLEN_EEXPIRED
                           ? "on an admin of the cluster: pln invite"
                           : NULL;
    return pln_fail_err(cli, err, hint, "join");
}

pln_exit pln_join_redeem(pln_cli *cli, pln_join *join, int timeout_ms) {
    const pln_exit code = save_new_node(cli, join);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    if (!join->is_invite) {
        join->join_text = strdup(join->text);
        return join->join_text != NULL ? PLN_EXIT_OK
                                       : pln_fail(cli, PLN_EXIT_FAIL, NULL, "join: out of memory");
    }
    char *answer = NULL;
    pollen_err err = pollen_redeem_invite(&join->seed, join->text, timeout_ms, &answer);
    if (err != POLLEN_OK) {
        return fail_redeem(cli, err);
    }
    err = read_answer(join, answer);
    join->join_text = err == POLLEN_OK ? strdup(answer) : NULL;
    pollen_text_free(answer);
    return join->join_text != NULL ? PLN_EXIT_OK : fail_redeem(cli, err);
}

/* ---- Enrolling ----------------------------------------------------------------------------------
 * */

static pln_exit move_file(const pln_cli *cli, const char *name, const char *backup) {
    char from[PLN_CLI_PATH_BYTES];
    char to[PLN_CLI_PATH_BYTES + PLN_HOME_KEPT_BYTES];
    snprintf(to, sizeof to, "%s/%s", backup, name);
    if (pln_statedir_path(cli->dir, name, from) == POLLEN_OK &&
        (rename(from, to) == 0 || errno == ENOENT)) {
        return PLN_EXIT_OK;
    }
    return pln_fail(cli, PLN_EXIT_FAIL, NULL, "join: moving %s aside: %s", name,
                    pln_errno_text(errno));
}

/* Moves what belongs to the old cluster into DIR/backup-TIME; the node key is written anew
 * afterwards. Files that are not there need no move. */
static pln_exit move_aside(const pln_cli *cli) {
    static const char *const names[] = {"keys", "config.yaml", "state.yaml",
                                        "consumed_invites.json"};
    char backup[PLN_CLI_PATH_BYTES];
    char kept[PLN_HOME_KEPT_BYTES];
    char stamp[40];
    const time_t now = (time_t)pln_clock_wall();
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "backup-%Y%m%dT%H%M%SZ", &tm);
    if (pln_statedir_path(cli->dir, stamp, backup) != POLLEN_OK || mkdir(backup, 0700) != 0) {
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "join: making %s/%s: %s", cli->dir, stamp,
                        pln_errno_text(errno));
    }
    pln_exit code = PLN_EXIT_OK;
    for (size_t i = 0; code == PLN_EXIT_OK && i < sizeof names / sizeof names[0]; i++) {
        code = move_file(cli, names[i], backup);
    }
    while (code == PLN_EXIT_OK && pln_home_find_kept(cli, kept)) {
        code = move_file(cli, kept, backup);
    }
    if (code == PLN_EXIT_OK) {
        pln_note("the files of the former cluster are in %s", backup);
    }
    return code;
}

/* The same node, as it was before it belonged anywhere. */
static pln_exit leave_cluster(pln_cli *cli, pln_join *join) {
    const pln_exit code = move_aside(cli);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    pln_config_fini(&join->config);
    join->config = (pln_config){0};
    pollen_credentials_destroy(join->credentials);
    join->credentials = NULL;
    const pollen_err err = pollen_credentials_create(&join->seed, &join->credentials);
    return err == POLLEN_OK ? PLN_EXIT_OK : pln_fail_err(cli, err, NULL, "join: enrolling");
}

static pollen_err save_config(const pln_cli *cli, pln_join *join) {
    pollen_err err = POLLEN_OK;
    const size_t before = join->config.bootstrap.count;
    for (size_t i = 0; err == POLLEN_OK && i < join->bootstrap.count; i++) {
        const pln_bootstrap *peer = &join->bootstrap.items[i];
        err = pln_bootstraps_add(&join->config.bootstrap, &peer->peer_pub,
                                 (const char *const *)peer->addrs, peer->addr_count);
    }
    const bool is_public = join->config.is_public || pln_cli_has(cli, "public");
    const bool changed = join->bootstrap.count > 0 || before != join->config.bootstrap.count ||
                         is_public != join->config.is_public;
    join->config.is_public = is_public;
    return err == POLLEN_OK && changed ? pln_statedir_save_config(cli->dir, &join->config) : err;
}

pln_exit pln_join_commit(pln_cli *cli, pln_join *join) {
    if (join->leaves_cluster) {
        const pln_exit code = leave_cluster(cli, join);
        if (code != PLN_EXIT_OK) {
            return code;
        }
    }
    pollen_err err = pollen_credentials_apply(join->credentials, join->join_text);
    if (err == POLLEN_OK) {
        err = pollen_credentials_save(join->credentials, cli->dir);
    }
    if (err == POLLEN_OK) {
        err = save_config(cli, join);
    }
    return err == POLLEN_OK ? PLN_EXIT_OK
                            : pln_fail_err(cli, err, NULL, "join: enrolling in %s", cli->dir);
}
