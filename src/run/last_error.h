/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence behind pollen_last_error(): one per thread. */
#ifndef PLN_RUN_LAST_ERROR_H
#define PLN_RUN_LAST_ERROR_H

#include <pollen/addr.h>
#include <pollen/key.h>

__attribute__((format(printf, 1, 2))) void pln_last_error_set(const char *format, ...);
void pln_last_error_clear(void);

/* What errno says, a literal. */
const char *pln_errno_text(int error);

/* "<what> peer <8 digits> at <address>: <error> (<detail>)"; addr may be NULL, and a
 * detail that is empty or the error's own text is left out. */
void pln_last_error_peer(const char *what, const pollen_key *peer, const pollen_addr *addr,
                         pollen_err err, const char *detail);

#endif
