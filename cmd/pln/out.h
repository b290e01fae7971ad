/* SPDX-License-Identifier: Apache-2.0 */
/* Data on stdout: JSON lines of the machine contract, and what the human form needs. */
#ifndef PLN_CMD_OUT_H
#define PLN_CMD_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* One object, one line, flushed at once: the reader may be waiting for it.  Owner: takes the
 * reference; NULL (no memory) prints nothing and returns false. */
bool pln_out_json(json_t *object);

/* The text of one line.  Owner: the caller's, free(); NULL when there is no memory. */
char *pln_json_line(const json_t *object);

/* "2026-01-02T03:04:05Z" as RFC 3339 has it, with milliseconds when ms is not 0; null when it is
 * not a time that can be written.  Owner: a new reference. */
json_t *pln_json_time_ms(int64_t unix_ms);

/* The other way; false for anything else. */
bool pln_time_parse(const char *text, int64_t *ret_unix_ms);

/* Colour and redrawing only on a terminal, and never with NO_COLOR. */
bool pln_out_is_terminal(void);
bool pln_out_has_color(void);

/* getenv().  Nothing in this program changes the environment, so that any thread may look. */
char *pln_env(const char *name);

/* A string member's text, or what to show when it is null or missing. */
const char *pln_json_text(const json_t *object, const char *key, const char *otherwise);

#endif
