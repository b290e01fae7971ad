/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's log: readable lines with a time and a level, to stderr, to DIR/pln.log, or both.
 * The file never grows beyond PLN_LOGFILE_BYTES_MAX: then it becomes pln.log.1 and a new one
 * begins.  Below systemd the journal keeps the lines, with their level and without our time, and
 * there is no file.
 *
 * What looks like a token is not written, wherever it comes from.
 *
 * Thread: any.
 */
#ifndef PLN_CMD_LOGFILE_H
#define PLN_CMD_LOGFILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

enum { PLN_LOGFILE_BYTES_MAX = 1024 * 1024 };

typedef struct pln_logfile {
    pthread_mutex_t lock;
    char path[4096]; /* Empty: no file. */
    int fd;          /* guarded by lock; -1: not open. */
    size_t size;     /* guarded by lock */
    bool to_stderr;
    bool to_journal;
    pln_log_level level;
} pln_logfile;

/* dir NULL: no file.  The file is opened at the first line, so that a daemon that cannot start
 * leaves no trace; when that fails, the lines still go to stderr. */
void pln_logfile_init(pln_logfile *log, const char *dir, pln_log_level level, bool to_stderr);
void pln_logfile_close(pln_logfile *log);

void pln_logfile_write(pln_logfile *log, pln_log_level level, const char *line);
__attribute__((format(printf, 3, 4))) void pln_logfile_printf(pln_logfile *log, pln_log_level level,
                                                              const char *format, ...);

/* Do our lines on stderr go to the journal? */
bool pln_logfile_is_journal(void);

/* False for an unknown name. */
bool pln_log_level_parse(const char *name, pln_log_level *ret);

/* Replaces runs that look like a token by dots, in place; for tests. */
void pln_log_scrub(char *line);

#endif
