/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses.  Blocks on the system's resolver, so never on the mesh's thread. */
#ifndef PLN_RUN_RESOLVE_H
#define PLN_RUN_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/addr.h>

/* Takes "host:port", "[v6]:port" or either without port, and appends up to cap - *count addresses.
 * *ret_is_name tells whether a resolver was asked, so that asking again may give another answer. */
void pln_resolve(const char *text, uint16_t default_port, pollen_addr *addrs, size_t cap,
                 size_t *count, bool *ret_is_name);

/* The same text in its canonical form: port filled in, brackets where they belong.  Into text of
 * cap bytes; false when it cannot be one.  Asks nobody.  Stricter than pln_hostport_normalise(),
 * which takes whatever a file of the reference may hold: this is for what a user types. */
bool pln_resolve_normalise(const char *from, uint16_t default_port, char *text, size_t cap);

#endif
