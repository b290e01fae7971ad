/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joining, in an order that loses nothing: everything that can be checked here is checked before a
 * file is written or the token is spent; the node key is on disk before the invite is redeemed for
 * it; and the membership is on disk before a running daemon is told.
 */
#include <string.h>

#include "auth/token.h"
#include "base/key.h"
#include "pln/client.h"
#include "pln/home.h"
#include "pln/join.h"
#include "pln/out.h"
#include "pln/secret.h"
#include "pln/verbs.h"
#include "run/statedir.h"

static const pln_opt opts[] = {
    {"force", 0, NULL, "leave the cluster this node is in; its files are kept aside"},
    {"public", 0, NULL, "mark this node as reachable from everywhere, for the Go Pollen"},
    {"no-start", 0, NULL, "accepted for scripts of the Go Pollen; no node is ever started"},
    {"timeout", 0, "TIME", "how long to wait for the cluster (default: 30s)"},
    {0},
};

/* A daemon that runs takes the new membership up; there need not be one. */
static pln_exit tell_daemon(pln_cli *cli) {
    json_t *object = NULL;
    if (!pln_client_is_up(cli)) {
        pln_hint(cli, "pln up --detach");
        return PLN_EXIT_OK;
    }
    const pln_exit code = pln_client_ask(cli, &(pln_request){.verb = PLN_REQUEST_RELOAD}, &object);
    json_decref(object);
    return code;
}

static void print_joined(const pln_cli *cli, const pollen_credentials *credentials) {
    char id[POLLEN_KEY_HEX_BYTES];
    char cluster[POLLEN_KEY_HEX_BYTES] = "";
    const pollen_key key = pollen_credentials_key(credentials);
    pollen_key cluster_id;
    pollen_cert_info cert = {0};
    if (pollen_credentials_cluster(credentials, &cluster_id) == POLLEN_OK) {
        pollen_key_hex(&cluster_id, cluster);
    }
    if (pollen_credentials_cert(credentials, &cert) != POLLEN_OK) {
        cert.not_after = -1; /* Not known: null. */
    }
    pollen_key_hex(&key, id);
    if (cli->json) {
        pln_out_json(json_pack("{s:s, s:s, s:s, s:o}", "schema", "pollen.join/1", "id", id,
                               "cluster_id", cluster, "not_after",
                               pln_json_time_ms(cert.not_after * 1000)));
    } else {
        pln_note("joined cluster %s as %s", cluster, id);
    }
}

static pln_exit join(pln_cli *cli, const char *text, int timeout_ms) {
    pln_join join = {0};
    pln_exit code = pln_join_prepare(cli, text, &join);
    if (code == PLN_EXIT_OK) {
        code = pln_join_redeem(cli, &join, timeout_ms);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_join_commit(cli, &join);
    }
    if (code == PLN_EXIT_OK) {
        print_joined(cli, join.credentials);
        code = tell_daemon(cli);
    }
    pln_join_fini(&join);
    return code;
}

static pln_exit run(pln_cli *cli) {
    int64_t timeout_ms = 30000;
    char *text = NULL;
    pln_exit code = pln_cli_wait(cli, "timeout", &timeout_ms);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_socket(cli);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_dir(cli);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_secret_read(cli, cli->operand_count > 0 ? cli->operands[0] : NULL, &text);
    }
    if (code == PLN_EXIT_OK) {
        code = join(cli, text, (int)timeout_ms);
    }
    pln_secret_free(text);
    return code;
}

const pln_verb pln_verb_join = {
    .name = "join",
    .run = run,
    .operands = "TOKEN|-|@FILE",
    .operands_max = 1,
    .summary = "become a member of a cluster, by an invite",
    .opts = opts,
    .help = "The token may come from standard input (-), from a file (@FILE) or from\n"
            "$" PLN_SECRET_ENV ", so that it stands in no process list.  A running node takes the\n"
            "membership up at once; none is started.  With --force, the keys, settings and state\n"
            "of the former cluster are first moved to DIR/backup-TIME.\n",
};
