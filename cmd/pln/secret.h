/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens and tickets: secrets, so they need not stand in argv, where every user of the machine can
 * read them. */
#ifndef PLN_CMD_SECRET_H
#define PLN_CMD_SECRET_H

#include "pln/cli.h"

#define PLN_SECRET_ENV "POLLEN_TOKEN"
enum { PLN_SECRET_BYTES_MAX = 64 * 1024 };

/*
 * What the operand means: "-" is standard input, "@FILE" a file, anything else the secret itself;
 * NULL takes the environment's.  White space around it is cut off.  A secret that stands in the
 * arguments or the environment is wiped there, so that the process list shows it for a moment only.
 *
 * Owner:  ret_text is the caller's: pln_secret_free().
 * Exits:  USAGE (none given, empty, too long), NOTFOUND and PERM (of the file), FAIL
 */
POLLEN_MUST_USE pln_exit pln_secret_read(const pln_cli *cli, char *operand, char **ret_text);

void pln_secret_free(char *text); /* Wipes it; accepts NULL. */

#endif
