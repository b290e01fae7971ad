/* SPDX-License-Identifier: Apache-2.0 */
/* Exit codes: a promise to scripts, so numbers keep their meaning and are only ever added. */
#ifndef PLN_CMD_EXIT_H
#define PLN_CMD_EXIT_H

#include <pollen/err.h>

/* clang-format off */
#define PLN_EXIT_MAP(X)                                                                            \
    X(OK,           0, "done")                                                                     \
    X(FAIL,         1, "ran and failed")                                                           \
    X(USAGE,        2, "bad arguments or configuration")                                           \
    X(NOTFOUND,     3, "no such peer or service")                                                  \
    X(PERM,         4, "not permitted, locally or by the peer")                                    \
    X(AMBIGUOUS,    5, "an id prefix matches several peers")                                       \
    X(UNREACHABLE,  6, "no daemon at the control socket")                                          \
    X(TIMEOUT,      7, "the deadline passed")                                                      \
    X(NOTDIRECT,    8, "ping --until-direct: replies, but never a direct one")                     \
    X(EXPIRED,      9, "a token or certificate has expired or was used already")                   \
    X(PROTO,       10, "the peer speaks an incompatible version")                                  \
    X(INT,        130, "interrupted")
/* clang-format on */

typedef enum pln_exit {
#define PLN_EXIT_ENUM(name, value, text) PLN_EXIT_##name = (value),
    PLN_EXIT_MAP(PLN_EXIT_ENUM)
#undef PLN_EXIT_ENUM
} pln_exit;

/* "NOTFOUND": the `code` of pollen.error/1.  "FAIL" for a foreign number. */
const char *pln_exit_name(pln_exit code);

/* The other way round; FAIL for a name that a newer daemon may have. */
pln_exit pln_exit_parse(const char *name);

/* Which exit code tells a script what this error means. */
pln_exit pln_exit_of(pollen_err err);

#endif
