/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From argv to a verb with its options.  Options may stand before or after the verb, so the verb is
 * looked for first, by a scan that knows of every option of every verb whether it takes a value;
 * getopt_long then reads the rest against the table of that verb.
 */
#include "pln/cli.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "pln/out.h"
#include "run/last_error.h"

enum { OPTS_MAX = 32 };        /* Of one verb, with the global ones. */
enum { OPT_CODE_FIRST = 256 }; /* getopt's values: above every letter. */

typedef struct opt_table {
    const pln_opt *opts[OPTS_MAX];
    struct option longs[OPTS_MAX + 1];
    char letters[2 * OPTS_MAX + 3];
    size_t count;
} opt_table;

static bool is_end(const pln_opt *opt) {
    return opt->name == NULL;
}

/* Does this argument, which starts with '-', take the next one as its value? */
static bool opt_eats_next(const pln_opt *opts, const char *arg) {
    for (; opts != NULL && !is_end(opts); opts++) {
        if (opts->value == NULL) {
            continue;
        }
        if ((arg[1] == '-' && strcmp(arg + 2, opts->name) == 0) ||
            (opts->letter != 0 && arg[1] == opts->letter && arg[2] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool eats_next(const char *arg) {
    if (opt_eats_next(pln_global_opts, arg)) {
        return true;
    }
    for (size_t i = 0; pln_verbs[i] != NULL; i++) {
        if (opt_eats_next(pln_verbs[i]->opts, arg)) {
            return true;
        }
    }
    return false;
}

/* The index of the first argument from `from` on that is not an option, or argc. */
static int find_word(int argc, char **argv, int from) {
    for (int i = from; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return i + 1 < argc ? i + 1 : argc;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            return i;
        }
        if (eats_next(argv[i])) {
            i++;
        }
    }
    return argc;
}

static void remove_arg(int *argc, char **argv, int at) {
    memmove(&argv[at], &argv[at + 1], (size_t)(*argc - at) * sizeof argv[0]);
    *argc -= 1;
}

const pln_verb *pln_verb_find(const char *name) {
    for (size_t i = 0; pln_verbs[i] != NULL; i++) {
        if (strcmp(pln_verbs[i]->name, name) == 0) {
            return pln_verbs[i];
        }
    }
    return NULL;
}

static bool is_group(const char *word) {
    const size_t length = strlen(word);
    for (size_t i = 0; pln_verbs[i] != NULL; i++) {
        const char *name = pln_verbs[i]->name;
        if (strncmp(name, word, length) == 0 && name[length] == ' ') {
            return true;
        }
    }
    return false;
}

/* Takes the verb's words out of argv.  NULL: *ret_name is what stood there, "" for nothing. */
static const pln_verb *take_verb(int *argc, char **argv, char ret_name[64]) {
    ret_name[0] = '\0';
    const int first = find_word(*argc, argv, 1);
    if (first == *argc) {
        return NULL;
    }
    snprintf(ret_name, 64, "%s", argv[first]);
    const int second = find_word(*argc, argv, first + 1);
    if (is_group(argv[first]) && second < *argc) {
        snprintf(ret_name, 64, "%s %s", argv[first], argv[second]);
        if (pln_verb_find(ret_name) != NULL) {
            remove_arg(argc, argv, second);
        }
    }
    const pln_verb *verb = pln_verb_find(ret_name);
    if (verb != NULL) {
        remove_arg(argc, argv, first);
    }
    return verb;
}

static void table_add(opt_table *table, const pln_opt *opts) {
    for (; opts != NULL && !is_end(opts) && table->count < OPTS_MAX; opts++) {
        const size_t i = table->count++;
        table->opts[i] = opts;
        table->longs[i] = (struct option){
            .name = opts->name,
            .has_arg = opts->value != NULL ? required_argument : no_argument,
            .val = OPT_CODE_FIRST + (int)i,
        };
        if (opts->letter != 0) {
            const size_t used = strlen(table->letters);
            snprintf(table->letters + used, sizeof table->letters - used, "%c%s", opts->letter,
                     opts->value != NULL ? ":" : "");
        }
    }
}

static const pln_opt *table_find(const opt_table *table, int code) {
    if (code >= OPT_CODE_FIRST) {
        return table->opts[code - OPT_CODE_FIRST];
    }
    for (size_t i = 0; i < table->count; i++) {
        if (table->opts[i]->letter == code) {
            return table->opts[i];
        }
    }
    return NULL;
}

static const char *verb_help_hint(const pln_cli *cli) {
    static char hint[96];
    snprintf(hint, sizeof hint, "pln help %s", cli->verb->name);
    return hint;
}

static pln_exit parse_opts(pln_cli *cli, int argc, char **argv) {
    opt_table table = {.letters = ":"};
    table_add(&table, pln_global_opts);
    table_add(&table, cli->verb->opts);

    opterr = 0;
    optind = 0; /* 0, not 1: glibc then forgets what it knew of another argv. */
    for (;;) {
        const int at = optind == 0 ? 1 : optind;
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is no other thread yet. */
        const int code = getopt_long(argc, argv, table.letters, table.longs, NULL);
        if (code == -1) {
            break;
        }
        if (code == '?' || code == ':') {
            const char *arg = at < argc ? argv[at] : "";
            return pln_fail(cli, PLN_EXIT_USAGE, verb_help_hint(cli), "%s: %s '%s'",
                            cli->verb->name,
                            code == ':' ? "a value is missing after" : "unknown option",
                            optind > at + 1 || arg[0] != '-' ? argv[optind - 1] : arg);
        }
        const pln_opt *opt = table_find(&table, code);
        if (cli->value_count == PLN_CLI_OPTIONS_MAX) {
            return pln_fail(cli, PLN_EXIT_USAGE, NULL, "%s: more than %d options", cli->verb->name,
                            PLN_CLI_OPTIONS_MAX);
        }
        cli->values[cli->value_count++] = (pln_cli_value){opt, optarg};
    }
    cli->json = pln_cli_has(cli, "json");
    cli->operands = argv + optind;
    cli->operand_count = argc - optind;
    return PLN_EXIT_OK;
}

static pln_exit check_operands(const pln_cli *cli) {
    const pln_verb *verb = cli->verb;
    if (cli->operand_count < verb->operands_min) {
        return pln_fail(cli, PLN_EXIT_USAGE, verb_help_hint(cli), "%s: expected %s", verb->name,
                        verb->operands);
    }
    if (cli->operand_count > verb->operands_max) {
        return pln_fail(cli, PLN_EXIT_USAGE, verb_help_hint(cli), "%s: unexpected argument '%s'",
                        verb->name, cli->operands[verb->operands_max]);
    }
    return PLN_EXIT_OK;
}

/* --json counts for errors that come before the options are read. */
static bool wants_json(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return false;
        }
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}

static bool has_arg(int argc, char **argv, const char *long_name, const char *letter) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], long_name) == 0 || strcmp(argv[i], letter) == 0) {
            return true;
        }
    }
    return false;
}

static pln_exit without_verb(pln_cli *cli, int argc, char **argv, const char *name) {
    if (name[0] == '\0' && has_arg(argc, argv, "--version", "--version")) {
        return pln_verb_find("version")->run(cli);
    }
    if (name[0] == '\0' && has_arg(argc, argv, "--help", "-h")) {
        pln_help_all();
        return PLN_EXIT_OK;
    }
    if (name[0] == '\0') {
        return pln_fail(cli, PLN_EXIT_USAGE, "pln help", "no command given");
    }
    if (is_group(name) && has_arg(argc, argv, "--help", "-h")) {
        (void)pln_help_group(name);
        return PLN_EXIT_OK;
    }
    if (is_group(name)) {
        char hint[80];
        snprintf(hint, sizeof hint, "pln help %s", name);
        return pln_fail(cli, PLN_EXIT_USAGE, hint, "%s: say what to do", name);
    }
    return pln_fail(cli, PLN_EXIT_USAGE, "pln help", "unknown command '%s'", name);
}

static pln_exit run(pln_cli *cli, int argc, char **argv) {
    char name[64];
    cli->json = wants_json(argc, argv);
    cli->verb = take_verb(&argc, argv, name);
    if (cli->verb == NULL) {
        return without_verb(cli, argc, argv, name);
    }
    pln_exit code = parse_opts(cli, argc, argv);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    if (pln_cli_has(cli, "help")) {
        pln_help_verb(cli->verb);
        return PLN_EXIT_OK;
    }
    if (pln_cli_has(cli, "version")) {
        return pln_verb_find("version")->run(cli);
    }
    code = check_operands(cli);
    return code != PLN_EXIT_OK ? code : cli->verb->run(cli);
}

/* Keys and tokens live in every verb's process: no core file, no other process of the user that
 * looks in. */
static void protect_memory(void) {
    const struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* Its leak check looks into the process as a debugger does. */
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

int pln_cli_main(int argc, char **argv) {
    static pln_cli cli;
    protect_memory();
    /* A reader that went away is told by the write, which names what failed. */
    signal(SIGPIPE, SIG_IGN);
    pln_exit code = run(&cli, argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == PLN_EXIT_OK) {
        code = pln_fail(&cli, PLN_EXIT_FAIL, NULL, "writing the output: %s", pln_errno_text(errno));
    }
    return (int)code;
}
