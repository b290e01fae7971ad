/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/logfile.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pln/out.h"
#include "run/statedir.h"

enum { LINE_BYTES = 1024 };
enum { SECRET_RUN = 80 }; /* Ids have 64 characters, the shortest token and ticket more than 90. */

static const char *const level_names[] = {
    [PLN_LOG_ERROR] = "error",
    [PLN_LOG_WARN] = "warn",
    [PLN_LOG_INFO] = "info",
    [PLN_LOG_DEBUG] = "debug",
};

/* What the journal takes in front of a line (sd-daemon(3)). */
static const char *const journal_prefixes[] = {
    [PLN_LOG_ERROR] = "<3>",
    [PLN_LOG_WARN] = "<4>",
    [PLN_LOG_INFO] = "<6>",
    [PLN_LOG_DEBUG] = "<7>",
};

bool pln_log_level_parse(const char *name, pln_log_level *ret) {
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (pln_log_level)i;
            return true;
        }
    }
    return false;
}

bool pln_logfile_is_journal(void) {
    /* "device:inode" of the journal's socket; a child whose stderr was redirected inherits the
     * variable but not the descriptor. */
    const char *stream = pln_env("JOURNAL_STREAM");
    struct stat st;
    char mine[64];
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0) {
        return false;
    }
    snprintf(mine, sizeof mine, "%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
    return strcmp(stream, mine) == 0;
}

void pln_logfile_init(pln_logfile *log, const char *dir, pln_log_level level, bool to_stderr) {
    *log = (pln_logfile){.fd = -1, .level = level, .to_stderr = to_stderr};
    log->to_journal = to_stderr && pln_logfile_is_journal();
    pthread_mutex_init(&log->lock, NULL);
    if (dir != NULL && !log->to_journal &&
        pln_statedir_path(dir, "pln.log", log->path) != POLLEN_OK) {
        log->path[0] = '\0';
    }
}

static void open_file_locked(pln_logfile *log) {
    struct stat st;
    log->fd =
        open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (log->fd >= 0 && (fstat(log->fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        close(log->fd);
        log->fd = -1;
    }
    log->size = log->fd >= 0 ? (size_t)st.st_size : 0;
}

void pln_logfile_close(pln_logfile *log) {
    if (log->fd >= 0) {
        close(log->fd);
        log->fd = -1;
    }
    pthread_mutex_destroy(&log->lock);
}

static bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '-' || c == '_' || c == '=';
}

void pln_log_scrub(char *line) {
    size_t run = 0;
    for (char *at = line;; at++) {
        if (is_token_char(*at)) {
            run++;
            continue;
        }
        if (run >= SECRET_RUN) {
            memset(at - run, '.', run);
        }
        run = 0;
        if (*at == '\0') {
            return;
        }
    }
}

/* A log line is one line, whatever a peer managed to put into it. */
static void flatten(char *line) {
    for (; *line != '\0'; line++) {
        if ((unsigned char)*line < ' ' || *line == 0x7f) {
            *line = '?';
        }
    }
}

static void rotate_locked(pln_logfile *log) {
    char old[sizeof log->path + 2];
    snprintf(old, sizeof old, "%s.1", log->path);
    close(log->fd);
    log->fd = -1;
    (void)rename(log->path, old); /* When it fails, the file grows; better than no log. */
    open_file_locked(log);
}

static void write_file_locked(pln_logfile *log, const char *text, size_t size) {
    if (log->fd < 0 && log->path[0] != '\0') {
        open_file_locked(log);
    }
    if (log->fd >= 0 && log->size + size > PLN_LOGFILE_BYTES_MAX) {
        rotate_locked(log);
    }
    /* A full disk loses lines of the log and nothing else. */
    if (log->fd >= 0 && write(log->fd, text, size) == (ssize_t)size) {
        log->size += size;
    }
}

void pln_logfile_write(pln_logfile *log, pln_log_level level, const char *line) {
    if (level > log->level) {
        return;
    }
    struct timespec now;
    struct tm tm;
    char text[LINE_BYTES];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    used += (size_t)snprintf(text + used, sizeof text - used, ".%03ldZ %-5s ",
                             now.tv_nsec / 1000000, level_names[level]);
    snprintf(text + used, sizeof text - used, "%s", line);
    pln_log_scrub(text + used);
    flatten(text + used);

    pthread_mutex_lock(&log->lock);
    if (log->to_journal) {
        fprintf(stderr, "%s%s\n", journal_prefixes[level], text + used);
    } else if (log->to_stderr) {
        fprintf(stderr, "%s\n", text);
    }
    const size_t size = strlen(text);
    text[size < LINE_BYTES - 1 ? size : LINE_BYTES - 2] = '\n';
    write_file_locked(log, text, size < LINE_BYTES - 1 ? size + 1 : LINE_BYTES - 1);
    pthread_mutex_unlock(&log->lock);
}

void pln_logfile_printf(pln_logfile *log, pln_log_level level, const char *format, ...) {
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pln_logfile_write(log, level, line);
}
