/* SPDX-License-Identifier: Apache-2.0 */
#include "run/last_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <pollen/admission.h>

#include "base/key.h"

enum { TEXT_BYTES = 512 };

static _Thread_local char text[TEXT_BYTES];

void pln_last_error_set(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
}

void pln_last_error_clear(void) {
    text[0] = '\0';
}

const char *pln_errno_text(int error) {
    /* Not strerror(): its buffer is the thread's at best. */
    const char *words = strerrordesc_np(error);
    return words != NULL ? words : "unknown error";
}

void pln_last_error_peer(const char *what, const pollen_key *peer, const pollen_addr *addr,
                         pollen_err err, const char *detail) {
    char key[PLN_KEY_SHORT_BYTES];
    char at[POLLEN_ADDR_TEXT_BYTES + 4] = "";
    if (addr != NULL) {
        char address[POLLEN_ADDR_TEXT_BYTES];
        (void)snprintf(at, sizeof(at), " at %s", pollen_addr_format(addr, address));
    }
    const char *error = pollen_strerror(err);
    /* A peer may say of itself just what the error is called. */
    const bool more = detail[0] != '\0' && strcmp(detail, error) != 0;
    pln_last_error_set("%s peer %s%s: %s%s%s%s", what, pln_key_short(peer, key), at, error,
                       more ? " (" : "", more ? detail : "", more ? ")" : "");
}

const char *pollen_last_error(void) {
    return text;
}
