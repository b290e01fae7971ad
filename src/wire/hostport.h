/* SPDX-License-Identifier: Apache-2.0 */
/* "host:port" where the host may be a name that a resolver will be asked for. */
#ifndef PLN_WIRE_HOSTPORT_H
#define PLN_WIRE_HOSTPORT_H

#include <stddef.h>

#include <pollen/err.h>

#include "base/limits.h"

/*
 * The form in which settings and tokens hold an address: blanks around it go, an IPv6 address gets
 * brackets, the default port is added where there is none.  The result of a result is itself.
 *
 * Errors: POLLEN_EADDR  empty, longer than PLN_ADDR_TEXT_MAX, with blanks or control characters
 *                       inside, or with brackets in odd places
 */
POLLEN_MUST_USE pollen_err pln_hostport_normalise(const char *text, size_t size,
                                                  char ret[PLN_ADDR_TEXT_MAX + 1]);

#endif
