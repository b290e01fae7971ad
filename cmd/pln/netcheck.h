/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon knows of the NAT in front of it: pollen.netcheck/1. */
#ifndef PLN_CMD_NETCHECK_H
#define PLN_CMD_NETCHECK_H

#include <jansson.h>

#include <pollen/nat.h>

/* wall_ms is the time of the report, in Unix time.  Owner: a new reference; NULL when there is no
 * memory. */
json_t *pln_netcheck_json(const pollen_nat_report *report, const pollen_port_mapping *mapping,
                          int64_t wall_ms);

/* The same of this mesh, now.  NULL with an error as well. */
json_t *pln_netcheck_of(pollen_mesh *mesh, pollen_err *ret_err);

#endif
