/* SPDX-License-Identifier: Apache-2.0 */
/* The router that this machine's packets to the wide world take. */
#ifndef PLN_RUN_GATEWAY_H
#define PLN_RUN_GATEWAY_H

#include <stdbool.h>

#include <pollen/addr.h>

/* The IPv4 router of the way out, its port 0.  False when there is none: no way out, or one without
 * a router, such as a tunnel.  Asks the kernel and nobody else. */
bool pln_gateway_find(pollen_addr *ret);

#endif
