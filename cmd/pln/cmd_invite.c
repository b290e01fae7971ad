/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An invite names the peers at which it can be redeemed: those given, else those of config.yaml,
 * else this node itself where it runs.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "pln/client.h"
#include "pln/home.h"
#include "pln/out.h"
#include "pln/verbs.h"
#include "run/resolve.h"
#include "run/statedir.h"
#include "wire/admission.h"

#define GUEST_TTL_S 86400LL
#define TTL_MS_MAX (30LL * 86400 * 1000) /* Longer ones are refused where they are redeemed. */
#define CERT_TTL_MS_MAX (50LL * 366 * 86400 * 1000)

static const pln_opt opts[] = {
    {"subject", 0, "KEY", "for this node id alone (default: for whoever comes first)"},
    {"ttl", 0, "TIME", "how long the invite holds (default: 5m)"},
    {"cert-ttl", 0, "TIME", "how long the membership holds (default: the redeeming node's)"},
    {"bootstrap", 0, "KEY@HOST:PORT", "where it can be redeemed; may be repeated"},
    {"guest", 0, NULL, "a membership that is not renewed (default of --cert-ttl: 24h)"},
    {0},
};

/* ---- Where it can be redeemed -------------------------------------------------------------------
 * */

static pln_exit no_memory(const pln_cli *cli) {
    return pln_fail(cli, PLN_EXIT_FAIL, NULL, "invite: out of memory");
}

static pln_exit add_given(const pln_cli *cli, const char *text, pln_bootstraps *list) {
    char key_text[POLLEN_KEY_HEX_BYTES];
    char addr[PLN_ADDR_TEXT_MAX + 1];
    pollen_key key;
    const char *at = strchr(text, '@');
    snprintf(key_text, sizeof key_text, "%.*s", at == NULL ? 0 : (int)(at - text), text);
    if (at == NULL || at - text != POLLEN_KEY_HEX_BYTES - 1 ||
        pollen_key_parse(key_text, &key) != POLLEN_OK ||
        !pln_resolve_normalise(at + 1, POLLEN_PORT_DEFAULT, addr, sizeof addr)) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL,
                        "--bootstrap '%s': expected 64 hex digits, @, host and port", text);
    }
    const char *const addrs[] = {addr};
    return pln_bootstraps_add(list, &key, addrs, 1) == POLLEN_OK ? PLN_EXIT_OK : no_memory(cli);
}

static pln_exit from_options(const pln_cli *cli, pln_bootstraps *list) {
    size_t at = 0;
    pln_exit code = PLN_EXIT_OK;
    const char *text = pln_cli_next(cli, "bootstrap", &at);
    while (text != NULL && code == PLN_EXIT_OK) {
        code = add_given(cli, text, list);
        text = pln_cli_next(cli, "bootstrap", &at);
    }
    return code;
}

static pln_exit from_config(const pln_cli *cli, pln_bootstraps *list) {
    pln_config config = {0};
    const pollen_err err = pln_statedir_load_config(cli->dir, &config);
    if (err != POLLEN_OK) {
        return pln_fail_err(cli, err, NULL, "invite: reading config.yaml");
    }
    const bool ok = pln_bootstraps_copy(list, &config.bootstrap) == POLLEN_OK;
    pln_config_fini(&config);
    return ok ? PLN_EXIT_OK : no_memory(cli);
}

static pln_exit from_daemon(pln_cli *cli, const pollen_key *own, pln_bootstraps *list) {
    json_t *info = NULL;
    if (!pln_client_is_up(cli)) {
        return pln_fail(
            cli, PLN_EXIT_UNREACHABLE, "pln up --detach",
            "invite: this node does not run, and neither --bootstrap nor config.yaml says "
            "where to redeem the invite");
    }
    const pln_exit code = pln_client_ask(cli, &(pln_request){.verb = PLN_REQUEST_INFO}, &info);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    const char *addrs[PLN_ADDRS_MAX];
    size_t count = 0;
    const json_t *addr;
    size_t i;
    json_array_foreach(json_object_get(info, "addrs"), i, addr) {
        if (count < PLN_ADDRS_MAX && json_is_string(addr)) {
            addrs[count++] = json_string_value(addr);
        }
    }
    const bool ok = count > 0 && pln_bootstraps_add(list, own, addrs, count) == POLLEN_OK;
    json_decref(info);
    return ok ? PLN_EXIT_OK
              : pln_fail(cli, PLN_EXIT_FAIL, "pln up --ips ADDRESS",
                         "invite: this node has no address that others could reach");
}

static pln_exit find_bootstraps(pln_cli *cli, const pollen_key *own, pln_bootstraps *list) {
    pln_exit code = from_options(cli, list);
    if (code == PLN_EXIT_OK && list->count == 0) {
        code = from_config(cli, list);
    }
    if (code == PLN_EXIT_OK && list->count == 0) {
        code = from_daemon(cli, own, list);
    }
    return code;
}

/* ---- The invite ---------------------------------------------------------------------------------
 * */

/* The subject is the operand or the option, as the reference takes either. */
static pln_exit parse_terms(pln_cli *cli, pollen_invite_options *options, pollen_key *subject) {
    int64_t ttl_ms = 5LL * 60 * 1000;
    int64_t cert_ms = pln_cli_has(cli, "guest") ? GUEST_TTL_S * 1000 : 0;
    const char *text = cli->operand_count > 0 ? cli->operands[0] : pln_cli_text(cli, "subject");
    pln_exit code = pln_cli_duration(cli, "ttl", &ttl_ms);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_duration(cli, "cert-ttl", &cert_ms);
    }
    if (code != PLN_EXIT_OK) {
        return code;
    }
    if (ttl_ms < 1000 || ttl_ms > TTL_MS_MAX) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "--ttl: expected a time from 1s to 30d");
    }
    if ((cert_ms != 0 && cert_ms < 1000) || cert_ms > CERT_TTL_MS_MAX) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "--cert-ttl: expected a time of at least 1s");
    }
    if (text != NULL && pollen_key_parse(text, subject) != POLLEN_OK) {
        return pln_fail(cli, PLN_EXIT_USAGE, "on the other node: pln id",
                        "invite: the subject '%s' is no node id: expected 64 hex digits", text);
    }
    options->subject = text == NULL ? NULL : subject;
    options->ttl_seconds = ttl_ms / 1000;
    options->membership_ttl_seconds = cert_ms / 1000;
    options->non_renewable = pln_cli_has(cli, "guest");
    return PLN_EXIT_OK;
}

static void print_invite(const pln_cli *cli, const char *token,
                         const pollen_invite_options *options) {
    char hex[POLLEN_KEY_HEX_BYTES];
    if (cli->json) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        pln_out_json(json_pack(
            "{s:s, s:s, s:o, s:s?}", "schema", "pollen.invite/1", "token", token, "expires_at",
            pln_json_time_ms((now.tv_sec + options->ttl_seconds) * 1000), "subject",
            options->subject == NULL ? NULL : pollen_key_hex(options->subject, hex)));
        return;
    }
    puts(token);
    fflush(stdout);
    /* Where a person reads it, the whole command to paste; never into a file of somebody's. */
    if (isatty(STDERR_FILENO) == 1) {
        pln_note("hint: on the new node: pln join %s", token);
    } else {
        pln_note("hint: on the new node: pln join -   (and the token on its standard input)");
    }
}

static pln_exit issue(pln_cli *cli, const pollen_credentials *credentials,
                      const pollen_invite_options *terms, const pln_bootstraps *list) {
    pollen_bootstrap bootstrap[PLN_BOOTSTRAP_MAX];
    pollen_invite_options options = *terms;
    char *token = NULL;
    for (size_t i = 0; i < list->count && i < PLN_BOOTSTRAP_MAX; i++) {
        bootstrap[i] = (pollen_bootstrap){.peer = list->items[i].peer_pub,
                                          .addrs = (const char *const *)list->items[i].addrs,
                                          .addr_count = list->items[i].addr_count};
    }
    options.bootstrap = bootstrap;
    options.bootstrap_count = list->count < PLN_BOOTSTRAP_MAX ? list->count : PLN_BOOTSTRAP_MAX;
    const pollen_err err = pollen_invite_create(credentials, &options, &token);
    if (err != POLLEN_OK) {
        return pln_fail_err(cli, err, NULL, "invite");
    }
    print_invite(cli, token, &options);
    pollen_text_free(token);
    return PLN_EXIT_OK;
}

static pln_exit with_credentials(pln_cli *cli, const pollen_credentials *credentials) {
    pollen_invite_options options;
    pollen_key subject;
    pln_bootstraps list = {0};
    const pollen_key own = pollen_credentials_key(credentials);
    pollen_invite_options_init(&options);
    pln_exit code = parse_terms(cli, &options, &subject);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    if (!pollen_credentials_enrolled(credentials)) {
        return pln_fail(cli, PLN_EXIT_FAIL, "pln init", "invite: this node belongs to no cluster");
    }
    if (!pollen_credentials_is_admin(credentials)) {
        return pln_fail(cli, PLN_EXIT_PERM, NULL,
                        "invite: this node is not an admin of its cluster: ask one that is");
    }
    code = find_bootstraps(cli, &own, &list);
    if (code == PLN_EXIT_OK) {
        code = issue(cli, credentials, &options, &list);
    }
    pln_bootstraps_fini(&list);
    return code;
}

static pln_exit run(pln_cli *cli) {
    pollen_credentials *credentials = NULL;
    pln_exit code = pln_home_load(cli, false, &credentials);
    if (code == PLN_EXIT_OK) {
        code = with_credentials(cli, credentials);
        pollen_credentials_destroy(credentials);
    }
    return code;
}

const pln_verb pln_verb_invite = {
    .name = "invite",
    .run = run,
    .operands = "[KEY]",
    .operands_max = 1,
    .summary = "print a token by which one more node can join",
    .opts = opts,
    .help = "The token alone goes to standard output, with a newline.  It is a secret until it is\n"
            "used, and holds for one node.  It is redeemed at the peers that --bootstrap names,\n"
            "else at those of config.yaml, else at this node, which has to run then.\n",
};
