/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_BYTES = 513 }; /* 512 and a NUL. */

/* What a peer sent may be part of the line, and must neither begin a new one nor drive a terminal.
 */
static void defuse(char *line) {
    for (; *line != '\0'; line++) {
        unsigned char c = (unsigned char)*line;
        if (c < 0x20 || c == 0x7f) {
            *line = '?';
        }
    }
}

void pln_logf(const pln_log *log, pln_log_level level, const char *room, const char *format, ...) {
    if (log == NULL || log->write == NULL || level > log->level) {
        return;
    }
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (length < 0) {
        return;
    }
    defuse(line);
    log->write(log->ctx, level, room, line);
}
