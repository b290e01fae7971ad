/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "pln/cli.h"

static void print_opts(const pln_opt *opts) {
    for (; opts != NULL && opts->name != NULL; opts++) {
        char left[40];
        const char letter[] = {'-', opts->letter, ',', ' ', '\0'};
        snprintf(left, sizeof left, "%s--%s%s%s", opts->letter == 0 ? "    " : letter, opts->name,
                 opts->value == NULL ? "" : " ", opts->value == NULL ? "" : opts->value);
        printf("  %-26s  %s\n", left, opts->help);
    }
}

void pln_help_all(void) {
    puts("pln: a node of a Pollen cluster, and the command that drives it\n"
         "\n"
         "usage: pln [--dir DIR] COMMAND [options] [arguments]\n");
    for (size_t i = 0; pln_verbs[i] != NULL; i++) {
        printf("  %-13s  %s\n", pln_verbs[i]->name, pln_verbs[i]->summary);
    }
    puts("\nFor every command:");
    print_opts(pln_global_opts);
    puts("\nA first cluster:\n"
         "  pln up --detach                      on one machine: makes a cluster and starts it\n"
         "  pln invite                           prints a token\n"
         "  pln join TOKEN && pln up --detach    on another machine\n"
         "  pln status\n"
         "\n"
         "Without any of that, one pipe between two machines:\n"
         "  pln pipe listen                      prints the command for the other side\n"
         "\n"
         "Details: pln help COMMAND, man pln");
}

void pln_help_verb(const pln_verb *verb) {
    printf("pln %s: %s\n\nusage: pln %s%s%s%s\n\n", verb->name, verb->summary, verb->name,
           verb->opts != NULL ? " [options]" : "", verb->operands != NULL ? " " : "",
           verb->operands != NULL ? verb->operands : "");
    if (verb->opts != NULL) {
        print_opts(verb->opts);
        puts("");
    }
    print_opts(pln_global_opts);
    if (verb->help != NULL) {
        printf("\n%s", verb->help);
    }
}

bool pln_help_group(const char *word) {
    const size_t length = strlen(word);
    size_t count = 0;
    for (size_t i = 0; pln_verbs[i] != NULL; i++) {
        const char *name = pln_verbs[i]->name;
        if (strncmp(name, word, length) == 0 && name[length] == ' ') {
            printf("%s", count++ == 0 ? "" : "\n");
            pln_help_verb(pln_verbs[i]);
        }
    }
    return count > 0;
}
