/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pln/out.h"
#include "run/last_error.h"

void pln_secret_free(char *text) {
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
}

/* In place.  Also the white space inside: a token that was pasted over several lines is still that
 * token. */
static void strip(char *text) {
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (!isspace((unsigned char)*at)) {
            *to++ = *at;
        }
    }
    *to = '\0';
}

/* One byte more than a secret may have, so that a longer one shows. */
static ssize_t read_all(int fd, char *text) {
    size_t used = 0;
    while (used <= PLN_SECRET_BYTES_MAX) {
        const ssize_t got = read(fd, text + used, PLN_SECRET_BYTES_MAX + 1 - used);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        used += (size_t)got;
    }
    text[used] = '\0';
    return (ssize_t)used;
}

static pln_exit fail_file(const pln_cli *cli, const char *name, int error) {
    const pln_exit code = error == ENOENT                     ? PLN_EXIT_NOTFOUND
                          : error == EACCES || error == EPERM ? PLN_EXIT_PERM
                                                              : PLN_EXIT_FAIL;
    return pln_fail(cli, code, NULL, "%s: reading the token from %s: %s", cli->verb->name, name,
                    pln_errno_text(error));
}

static pln_exit read_fd(const pln_cli *cli, int fd, const char *name, char **ret_text) {
    char *text = calloc(1, PLN_SECRET_BYTES_MAX + 2);
    const ssize_t size = text == NULL ? -1 : read_all(fd, text);
    if (size < 0) {
        const int error = errno;
        free(text);
        return fail_file(cli, name, error);
    }
    *ret_text = text;
    return PLN_EXIT_OK;
}

static pln_exit read_file(const pln_cli *cli, const char *path, char **ret_text) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_file(cli, path, errno);
    }
    const pln_exit code = read_fd(cli, fd, path, ret_text);
    close(fd);
    return code;
}

static pln_exit read_source(const pln_cli *cli, char *operand, char **ret_text) {
    if (operand == NULL) {
        operand = pln_env(PLN_SECRET_ENV);
        if (operand == NULL) {
            return pln_fail(
                cli, PLN_EXIT_USAGE, NULL,
                "%s: no token: give it as argument, as '-' (standard input), as @FILE, or "
                "in $" PLN_SECRET_ENV,
                cli->verb->name);
        }
    } else if (strcmp(operand, "-") == 0) {
        return read_fd(cli, STDIN_FILENO, "standard input", ret_text);
    } else if (operand[0] == '@') {
        return read_file(cli, operand + 1, ret_text);
    }
    *ret_text = strdup(operand);
    explicit_bzero(operand, strlen(operand));
    return *ret_text != NULL ? PLN_EXIT_OK : pln_fail(cli, PLN_EXIT_FAIL, NULL, "out of memory");
}

pln_exit pln_secret_read(const pln_cli *cli, char *operand, char **ret_text) {
    char *text = NULL;
    pln_exit code = read_source(cli, operand, &text);
    if (code != PLN_EXIT_OK || text == NULL) {
        return code;
    }
    if (strlen(text) > PLN_SECRET_BYTES_MAX) {
        code = pln_fail(cli, PLN_EXIT_USAGE, NULL, "%s: the token is longer than %d bytes",
                        cli->verb->name, PLN_SECRET_BYTES_MAX);
    } else {
        strip(text);
        if (text[0] == '\0') {
            code = pln_fail(cli, PLN_EXIT_USAGE, NULL, "%s: the token is empty", cli->verb->name);
        }
    }
    if (code != PLN_EXIT_OK) {
        pln_secret_free(text);
        return code;
    }
    *ret_text = text;
    return PLN_EXIT_OK;
}
