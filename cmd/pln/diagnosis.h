/* SPDX-License-Identifier: Apache-2.0 */
/* What `pln doctor` asks of the daemon: pollen.diagnosis/1, which is a status with what explains
 * it.  Not for scripts. */
#ifndef PLN_CMD_DIAGNOSIS_H
#define PLN_CMD_DIAGNOSIS_H

#include <jansson.h>

#include "pln/daemon.h"

/* Owner: a new reference; NULL when there is no memory or the mesh closed. */
json_t *pln_diagnosis_json(pln_daemon *daemon, pollen_mesh *mesh);

#endif
