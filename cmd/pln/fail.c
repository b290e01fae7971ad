/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How failing looks: `pln: <what failed>: <reason>` and at most one `hint:` line with the command
 * to run, on stderr; with --json the same as one pollen.error/1 line on stdout, so that a script
 * reads one stream.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <pollen/admission.h>

#include "pln/cli.h"
#include "pln/out.h"

enum { MESSAGE_BYTES = 2048 };

/* " --dir 'D'"; nothing when the option was not given. */
static void append_option(const pln_cli *cli, const char *name, char *text, size_t cap) {
    const char *value = pln_cli_text(cli, name);
    const size_t used = strlen(text);
    if (value != NULL && used < cap) {
        const char *quote = strpbrk(value, " \t\n\"\\$&;|<>()*?#`") != NULL ? "'" : "";
        snprintf(text + used, cap - used, " --%s %s%s%s", name, quote, value, quote);
    }
}

const char *pln_hint_text(const pln_cli *cli, const char *hint, char *text) {
    if (hint == NULL || strncmp(hint, "pln ", 4) != 0 || strncmp(hint, "pln help", 8) == 0) {
        return hint;
    }
    snprintf(text, PLN_HINT_BYTES, "pln");
    append_option(cli, "dir", text, PLN_HINT_BYTES);
    append_option(cli, "socket", text, PLN_HINT_BYTES);
    const size_t used = strlen(text);
    snprintf(text + used, PLN_HINT_BYTES - used, "%s", hint + 3);
    return text;
}

void pln_hint(const pln_cli *cli, const char *hint) {
    char text[PLN_HINT_BYTES];
    fprintf(stderr, "hint: %s\n", pln_hint_text(cli, hint, text));
}

static pln_exit report(const pln_cli *cli, pln_exit code, const char *hint, const char *message) {
    char text[PLN_HINT_BYTES];
    if (cli->quiet) {
        return code;
    }
    hint = pln_hint_text(cli, hint, text);
    fflush(stdout);
    fprintf(stderr, "pln: %s\n", message);
    if (hint != NULL) {
        fprintf(stderr, "hint: %s\n", hint);
    }
    if (cli->json) {
        pln_out_json(json_pack("{s:s, s:s, s:s, s:s?}", "schema", "pollen.error/1", "code",
                               pln_exit_name(code), "message", message, "hint", hint));
    }
    return code;
}

pln_exit pln_fail(const pln_cli *cli, pln_exit code, const char *hint, const char *format, ...) {
    char message[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return report(cli, code, hint, message);
}

pln_exit pln_fail_err(const pln_cli *cli, pollen_err err, const char *hint, const char *format,
                      ...) {
    char message[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    const int used = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const char *reason = pollen_last_error();
    if (used >= 0 && used < MESSAGE_BYTES) {
        snprintf(message + used, (size_t)(MESSAGE_BYTES - used), ": %s",
                 reason[0] != '\0' ? reason : pollen_strerror(err));
    }
    return report(cli, pln_exit_of(err), hint, message);
}

void pln_note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}
