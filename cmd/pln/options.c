/* SPDX-License-Identifier: Apache-2.0 */
/* The values of options, checked where they are asked for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/bytes.h"
#include "pln/cli.h"
#include "pln/request.h"
#include "pln/timespan.h"
#include "run/statedir.h"

const pln_opt pln_global_opts[] = {
    {"dir", 0, "DIR", "state directory (default: /var/lib/pln, or ~/.pln)"},
    {"socket", 0, "PATH", "control socket (default: DIR/pln.sock)"},
    {"json", 0, NULL, "machine-readable output"},
    {"help", 'h', NULL, "this help"},
    {"version", 0, NULL, "the version"},
    {0},
};

static const pln_cli_value *find_value(const pln_cli *cli, const char *name) {
    for (size_t i = cli->value_count; i > 0; i--) {
        if (strcmp(cli->values[i - 1].opt->name, name) == 0) {
            return &cli->values[i - 1];
        }
    }
    return NULL;
}

bool pln_cli_has(const pln_cli *cli, const char *name) {
    return find_value(cli, name) != NULL;
}

const char *pln_cli_text(const pln_cli *cli, const char *name) {
    const pln_cli_value *value = find_value(cli, name);
    return value == NULL ? NULL : value->text;
}

const char *pln_cli_next(const pln_cli *cli, const char *name, size_t *at) {
    while (*at < cli->value_count) {
        const pln_cli_value *value = &cli->values[(*at)++];
        if (strcmp(value->opt->name, name) == 0) {
            return value->text;
        }
    }
    return NULL;
}

pln_exit pln_cli_number(const pln_cli *cli, const char *name, int64_t min, int64_t max,
                        int64_t *value) {
    const char *text = pln_cli_text(cli, name);
    if (text == NULL) {
        return PLN_EXIT_OK;
    }
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < min || number > max) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "--%s '%s': expected a number from %lld to %lld",
                        name, text, (long long)min, (long long)max);
    }
    *value = number;
    return PLN_EXIT_OK;
}

pln_exit pln_cli_duration(const pln_cli *cli, const char *name, int64_t *ms) {
    const char *text = pln_cli_text(cli, name);
    if (text != NULL && pln_timespan_parse(text, ms) != POLLEN_OK) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL,
                        "--%s '%s': expected a duration such as 500ms, 10s, 5m or 1h30m", name,
                        text);
    }
    return PLN_EXIT_OK;
}

pln_exit pln_cli_wait(const pln_cli *cli, const char *name, int64_t *ms) {
    const pln_exit code = pln_cli_duration(cli, name, ms);
    if (code == PLN_EXIT_OK && (*ms < 1 || *ms > PLN_REQUEST_TIMEOUT_MS_MAX)) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "--%s: expected a time from 1ms to 24h", name);
    }
    return code;
}

pln_exit pln_cli_peer(const pln_cli *cli, const char *text, char *peer) {
    const size_t length = strlen(text);
    if (length == 0 || length >= PLN_REQUEST_PEER_BYTES) {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln status --wide",
                        "%s: '%s' is no id: expected up to 64 hex digits", cli->verb->name, text);
    }
    for (size_t i = 0; i < length; i++) {
        if (pln_hex_value(text[i]) < 0) {
            return pln_fail(cli, PLN_EXIT_NOTFOUND, "pln status --wide",
                            "%s: no peer is named '%s'", cli->verb->name, text);
        }
    }
    memcpy(peer, text, length + 1);
    return PLN_EXIT_OK;
}

pln_exit pln_cli_service(const pln_cli *cli, const char *text, char *service) {
    const size_t length = strlen(text);
    if (length >= PLN_REQUEST_SERVICE_BYTES) {
        return pln_fail(cli, PLN_EXIT_NOTFOUND, "pln status services",
                        "%s: no service has so long a name", cli->verb->name);
    }
    memcpy(service, text, length + 1);
    return PLN_EXIT_OK;
}

static pln_exit parse_ip(const pln_cli *cli, const char *text, size_t size, pollen_addr *ret) {
    char ip[POLLEN_ADDR_TEXT_BYTES];
    snprintf(ip, sizeof ip, "%.*s", (int)size, text);
    /* A port that was given would not be this one. */
    if (size >= sizeof ip || pln_addr_parse_lenient(ip, 1, ret) != POLLEN_OK || ret->port != 1) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL,
                        "--ips '%s': expected IP addresses, separated by commas", text);
    }
    ret->port = 0;
    return PLN_EXIT_OK;
}

pln_exit pln_cli_ips(const pln_cli *cli, pollen_addr *addrs, size_t cap, size_t *ret_count) {
    const char *at = pln_cli_text(cli, "ips");
    size_t count = 0;
    pln_exit code = PLN_EXIT_OK;
    while (at != NULL && code == PLN_EXIT_OK) {
        const size_t size = strcspn(at, ",");
        if (count == cap) {
            return pln_fail(cli, PLN_EXIT_USAGE, NULL, "--ips: more than %zu addresses", cap);
        }
        code = parse_ip(cli, at, size, &addrs[count++]);
        at = at[size] == ',' ? at + size + 1 : NULL;
    }
    *ret_count = count;
    return code;
}

static pln_exit copy_path(const pln_cli *cli, const char *option, const char *from, char *to) {
    if (from[0] == '\0') {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "--%s: an empty path", option);
    }
    if (strlen(from) >= PLN_CLI_PATH_BYTES) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "--%s: the path is too long", option);
    }
    snprintf(to, PLN_CLI_PATH_BYTES, "%s", from);
    return PLN_EXIT_OK;
}

pln_exit pln_cli_dir(pln_cli *cli) {
    if (cli->dir[0] != '\0') {
        return PLN_EXIT_OK;
    }
    const char *given = pln_cli_text(cli, "dir");
    if (given != NULL) {
        return copy_path(cli, "dir", given, cli->dir);
    }
    const pollen_err err = pln_statedir_default(cli->dir);
    return err == POLLEN_OK ? PLN_EXIT_OK
                            : pln_fail_err(cli, err, "say where with --dir DIR", "state directory");
}

pln_exit pln_cli_socket(pln_cli *cli) {
    const char *given = pln_cli_text(cli, "socket");
    if (given != NULL) {
        return copy_path(cli, "socket", given, cli->socket);
    }
    const pln_exit code = pln_cli_dir(cli);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    const pollen_err err = pln_statedir_path(cli->dir, "pln.sock", cli->socket);
    return err == POLLEN_OK
               ? PLN_EXIT_OK
               : pln_fail_err(cli, err, "say where with --socket PATH", "control socket");
}
