/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's log: DIR/pln.log, or the journal where systemd runs it and there is no such file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pln/client.h"
#include "pln/home.h"
#include "pln/logfile.h"
#include "pln/stopper.h"
#include "pln/verbs.h"
#include "run/last_error.h"
#include "run/statedir.h"

#define FOLLOW_MS 200

static const pln_opt opts[] = {
    {"follow", 'f', NULL, "go on and print what comes"},
    {"lines", 'n', "N", "how many of the last lines (default: 50)"},
    {0},
};

/* Both generations of the file, the older first.  Its size is bounded, so that it fits into memory.
 * */
typedef struct text {
    char *bytes;
    size_t size;
} text;

static void append_file(text *t, const char *path, ino_t *ret_ino, off_t *ret_end) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    size_t left =
        (size_t)st.st_size < PLN_LOGFILE_BYTES_MAX ? (size_t)st.st_size : PLN_LOGFILE_BYTES_MAX;
    char *bytes = realloc(t->bytes, t->size + left + 1);
    t->bytes = bytes != NULL ? bytes : t->bytes;
    ssize_t got = bytes == NULL ? 0 : 1;
    *ret_end = 0;
    while (got > 0 && left > 0) {
        got = read(fd, t->bytes + t->size, left);
        if (got > 0) {
            t->size += (size_t)got;
            left -= (size_t)got;
            *ret_end += got;
        }
    }
    *ret_ino = st.st_ino;
    close(fd);
}

static void print_tail(const text *t, int64_t lines) {
    size_t at = t->size;
    for (; at > 0 && lines > 0; at--) {
        /* The newline at the very end ends the last line and begins none. */
        if (at < t->size && t->bytes[at - 1] == '\n' && --lines == 0) {
            break;
        }
    }
    fwrite(t->bytes + at, 1, t->size - at, stdout);
    fflush(stdout);
}

/* Prints what was added behind *end; starts over when a new file stands there. */
static void print_new(const char *path, ino_t *ino, off_t *end) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    char bytes[4096];
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *end = st.st_ino == *ino && st.st_size >= *end ? *end : 0;
        *ino = st.st_ino;
        for (ssize_t got; (got = pread(fd, bytes, sizeof bytes, *end)) > 0; *end += got) {
            fwrite(bytes, 1, (size_t)got, stdout);
        }
        fflush(stdout);
    }
    close(fd);
}

static pln_exit follow(const char *path, ino_t ino, off_t end) {
    pln_stopper_start();
    while (!pln_stopper_wait(FOLLOW_MS) && !ferror(stdout)) {
        print_new(path, &ino, &end);
    }
    return ferror(stdout) ? PLN_EXIT_OK : PLN_EXIT_INT;
}

/* Does systemd keep the log?  Asked only where there is no file, and quietly. */
static pln_exit exec_journal(pln_cli *cli, int64_t lines) {
    char count[24];
    snprintf(count, sizeof count, "%lld", (long long)lines);
    fflush(stdout);
    if (pln_cli_has(cli, "follow")) {
        execlp("journalctl", "journalctl", "-u", "pln", "-n", count, "-f", (char *)NULL);
    } else {
        execlp("journalctl", "journalctl", "-u", "pln", "-n", count, "--no-pager", (char *)NULL);
    }
    return pln_fail(cli, PLN_EXIT_FAIL, NULL, "logs: journalctl: %s", pln_errno_text(errno));
}

static bool is_in_journal(pln_cli *cli) {
    json_t *info = NULL;
    if (!pln_client_is_up(cli) ||
        pln_client_ask(cli, &(pln_request){.verb = PLN_REQUEST_INFO}, &info) != PLN_EXIT_OK) {
        return false;
    }
    const char *log = json_string_value(json_object_get(info, "log"));
    const bool journal = log != NULL && strcmp(log, "journal") == 0;
    json_decref(info);
    return journal;
}

static pln_exit show_file(pln_cli *cli, int64_t lines) {
    char path[PLN_CLI_PATH_BYTES];
    char old[PLN_CLI_PATH_BYTES];
    text t = {0};
    ino_t ino = 0;
    off_t end = 0;
    if (pln_statedir_path(cli->dir, "pln.log", path) != POLLEN_OK ||
        pln_statedir_path(cli->dir, "pln.log.1", old) != POLLEN_OK) {
        return pln_fail(cli, PLN_EXIT_USAGE, NULL, "logs: the path of the directory is too long");
    }
    append_file(&t, old, &ino, &end);
    ino = 0;
    append_file(&t, path, &ino, &end);
    if (t.bytes == NULL) {
        return pln_fail(cli, PLN_EXIT_NOTFOUND, "pln up --detach", "logs: %s: no node ran here yet",
                        path);
    }
    print_tail(&t, lines);
    free(t.bytes);
    return pln_cli_has(cli, "follow") ? follow(path, ino, end) : PLN_EXIT_OK;
}

static pln_exit run(pln_cli *cli) {
    int64_t lines = 50;
    pln_exit code = pln_cli_number(cli, "lines", 0, INT32_MAX, &lines);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_dir(cli);
    }
    if (code != PLN_EXIT_OK) {
        return code;
    }
    return is_in_journal(cli) ? exec_journal(cli, lines) : show_file(cli, lines);
}

const pln_verb pln_verb_logs = {
    .name = "logs",
    .run = run,
    .summary = "show the node's log",
    .opts = opts,
};
