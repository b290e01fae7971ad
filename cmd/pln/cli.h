/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: a const table of verbs, each with its options and its help, so that what is
 * parsed, what is checked and what `pln help` prints come from one place.
 *
 * stdout carries data only; diagnostics and hints go to stderr.
 */
#ifndef PLN_CMD_CLI_H
#define PLN_CMD_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/addr.h>

#include "pln/exit.h"

#define PLN_CLI_PATH_BYTES 4096

enum { PLN_CLI_OPTIONS_MAX = 64 }; /* Given on one command line. */

typedef struct pln_opt {
    const char *name;  /* The long one; NULL ends a table. */
    char letter;       /* 0: none. */
    const char *value; /* What the help calls the value; NULL: a flag. */
    const char *help;
} pln_opt;

typedef struct pln_cli pln_cli;

typedef struct pln_verb {
    const char *name; /* One word, or two: "pipe listen". */
    pln_exit (*run)(pln_cli *cli);
    const char *operands; /* As the usage line shows them; NULL: none. */
    int operands_min;
    int operands_max;
    const char *summary; /* One line. */
    const char *help;    /* More lines, each ended by a newline; NULL: none. */
    const pln_opt *opts; /* NULL: none but the global ones. */
} pln_verb;

typedef struct pln_cli_value {
    const pln_opt *opt;
    const char *text; /* NULL for a flag. */
} pln_cli_value;

struct pln_cli {
    const pln_verb *verb;
    char **operands;
    int operand_count;
    bool json;
    bool quiet;                      /* Failing says nothing: whoever asked tries again. */
    char dir[PLN_CLI_PATH_BYTES];    /* Empty until pln_cli_dir() was asked. */
    char socket[PLN_CLI_PATH_BYTES]; /* Empty until pln_cli_socket() was asked. */
    pln_cli_value values[PLN_CLI_OPTIONS_MAX];
    size_t value_count;
};

/* All verbs in the order of the help, ended by NULL; each is defined in the file of its function.
 * */
extern const pln_verb *const pln_verbs[];
extern const pln_opt pln_global_opts[];

/* The whole command: parses, runs the verb, flushes stdout.  Returns the exit status. */
int pln_cli_main(int argc, char **argv);

/* ---- Help ---- */

const pln_verb *pln_verb_find(const char *name);
void pln_help_all(void);
void pln_help_verb(const pln_verb *verb);
/* Of each verb that begins with this word, such as "pipe"; false when there is none. */
bool pln_help_group(const char *word);

/* ---- Options.  Each reports the error itself; then the verb returns its result at once. ---- */

bool pln_cli_has(const pln_cli *cli, const char *name);
const char *pln_cli_text(const pln_cli *cli, const char *name); /* The last one given, or NULL. */

/* Calls of the same name in turn give all values; *at starts at 0.  NULL at the end. */
const char *pln_cli_next(const pln_cli *cli, const char *name, size_t *at);

/* Left unchanged when the option was not given. */
POLLEN_MUST_USE pln_exit pln_cli_number(const pln_cli *cli, const char *name, int64_t min,
                                        int64_t max, int64_t *value);
POLLEN_MUST_USE pln_exit pln_cli_duration(const pln_cli *cli, const char *name, int64_t *ms);

/* The same for how long to wait: at least a millisecond, at most a day. */
POLLEN_MUST_USE pln_exit pln_cli_wait(const pln_cli *cli, const char *name, int64_t *ms);

/* --ips: addresses without ports, up to cap of them. */
POLLEN_MUST_USE pln_exit pln_cli_ips(const pln_cli *cli, pollen_addr *addrs, size_t cap,
                                     size_t *ret_count);

/* Something that can be an id or its beginning, into peer[65]. */
POLLEN_MUST_USE pln_exit pln_cli_peer(const pln_cli *cli, const char *text, char *peer);

/* The same for a service's name, or the number of its port: PLN_REQUEST_SERVICE_BYTES. */
POLLEN_MUST_USE pln_exit pln_cli_service(const pln_cli *cli, const char *text, char *service);

/* The state directory, and the control socket that --socket or it names.  Filled into cli. */
POLLEN_MUST_USE pln_exit pln_cli_dir(pln_cli *cli);
POLLEN_MUST_USE pln_exit pln_cli_socket(pln_cli *cli);

/* ---- Failing: `pln: <what failed>: <reason>`, one hint, with --json also pollen.error/1. ---- */

/* hint may be NULL; one that is a command of ours, "pln ...", is shown with the --dir and --socket
 * that were given, so that it can be pasted as it is.  Returns code. */
__attribute__((format(printf, 4, 5))) pln_exit pln_fail(const pln_cli *cli, pln_exit code,
                                                        const char *hint, const char *format, ...);

/* The reason is pollen_last_error(), or the error's text.  Returns pln_exit_of(err). */
__attribute__((format(printf, 4, 5))) pln_exit
pln_fail_err(const pln_cli *cli, pollen_err err, const char *hint, const char *format, ...);

/* The hint as it is shown: into text[PLN_HINT_BYTES], or hint itself where nothing is added. */
enum { PLN_HINT_BYTES = 2048 };
const char *pln_hint_text(const pln_cli *cli, const char *hint, char *text);

/* A hint alone, after something that went well. */
void pln_hint(const pln_cli *cli, const char *hint);

/* A line of progress or advice on stderr. */
__attribute__((format(printf, 1, 2))) void pln_note(const char *format, ...);

#endif
