/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log.  The core formats a line and hands it to an injected sink; it never prints.  Secrets and
 * tokens are never logged.
 */
#ifndef PLN_BASE_LOG_H
#define PLN_BASE_LOG_H

typedef enum pln_log_level {
    PLN_LOG_ERROR,
    PLN_LOG_WARN,
    PLN_LOG_INFO,
    PLN_LOG_DEBUG,
} pln_log_level;

typedef struct pln_log {
    void (*write)(void *ctx, pln_log_level level, const char *room, const char *line);
    void *ctx;
    pln_log_level level; /* Lines above it are not formatted. */
} pln_log;

/* One line without a newline, cut at 512 bytes.  A NULL log or sink is silent. */
__attribute__((format(printf, 4, 5))) void pln_logf(const pln_log *log, pln_log_level level,
                                                    const char *room, const char *format, ...);

#endif
