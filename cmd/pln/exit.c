/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/exit.h"

#include <stddef.h>
#include <string.h>

typedef struct exit_row {
    pln_exit code;
    const char *name;
} exit_row;

static const exit_row exit_rows[] = {
#define EXIT_ROW(name, value, text) {PLN_EXIT_##name, #name},
    PLN_EXIT_MAP(EXIT_ROW)
#undef EXIT_ROW
};

typedef struct err_row {
    pollen_err err;
    pln_exit code;
} err_row;

/* What is not listed is FAIL. */
static const err_row err_rows[] = {
    {POLLEN_OK, PLN_EXIT_OK},
    {POLLEN_EINVAL, PLN_EXIT_USAGE},
    {POLLEN_EADDR, PLN_EXIT_USAGE},
    {POLLEN_ETOKEN, PLN_EXIT_USAGE},
    {POLLEN_ECONFIG, PLN_EXIT_USAGE},
    {POLLEN_ESTATE, PLN_EXIT_USAGE},
    {POLLEN_EKEY, PLN_EXIT_USAGE},
    {POLLEN_ENOENT, PLN_EXIT_NOTFOUND},
    {POLLEN_EPERM, PLN_EXIT_PERM},
    {POLLEN_EMODE, PLN_EXIT_PERM},
    {POLLEN_EDENIED, PLN_EXIT_PERM},
    {POLLEN_EIDENTITY, PLN_EXIT_PERM},
    {POLLEN_EREVOKED, PLN_EXIT_PERM},
    {POLLEN_ESIGNATURE, PLN_EXIT_PERM},
    {POLLEN_ECLUSTER, PLN_EXIT_PERM},
    {POLLEN_ESUBJECT, PLN_EXIT_PERM},
    {POLLEN_ECERT, PLN_EXIT_PERM},
    {POLLEN_ENOTADMIN, PLN_EXIT_PERM},
    {POLLEN_ETIMEDOUT, PLN_EXIT_TIMEOUT},
    {POLLEN_EEXPIRED, PLN_EXIT_EXPIRED},
    {POLLEN_ECONSUMED, PLN_EXIT_EXPIRED},
    {POLLEN_EVERSION, PLN_EXIT_PROTO},
    {POLLEN_EPROTO, PLN_EXIT_PROTO},
    {POLLEN_ENOTSUP, PLN_EXIT_PROTO},
    {POLLEN_ECANCELED, PLN_EXIT_INT},
};

const char *pln_exit_name(pln_exit code) {
    for (size_t i = 0; i < sizeof exit_rows / sizeof exit_rows[0]; i++) {
        if (exit_rows[i].code == code) {
            return exit_rows[i].name;
        }
    }
    return "FAIL";
}

pln_exit pln_exit_parse(const char *name) {
    for (size_t i = 0; i < sizeof exit_rows / sizeof exit_rows[0]; i++) {
        if (strcmp(exit_rows[i].name, name) == 0) {
            return exit_rows[i].code;
        }
    }
    return PLN_EXIT_FAIL;
}

pln_exit pln_exit_of(pollen_err err) {
    for (size_t i = 0; i < sizeof err_rows / sizeof err_rows[0]; i++) {
        if (err_rows[i].err == err) {
            return err_rows[i].code;
        }
    }
    return PLN_EXIT_FAIL;
}
