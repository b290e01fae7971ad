/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's checks.  Those of this machine's files work without a daemon; the others look at its
 * pollen.diagnosis/1.  None changes anything.
 */
#ifndef PLN_CMD_DOCTOR_H
#define PLN_CMD_DOCTOR_H

#include "base/time.h"
#include "pln/report.h"
#include "wire/config_yaml.h"

typedef struct pln_doctor {
    pln_cli *cli;
    pln_report report;
    pln_wall now;
    bool has_config;
    pln_config config;
    json_t *diagnosis; /* NULL: no daemon answers. */
} pln_doctor;

void pln_doctor_check_files(pln_doctor *doctor); /* Fills config. */
void pln_doctor_check_free_port(pln_doctor *doctor);
void pln_doctor_check_node(pln_doctor *doctor);

/* Every peer that should be connected and is not, or this one; peer is of the diagnosis. */
void pln_doctor_check_peers(pln_doctor *doctor);
void pln_doctor_check_peer(pln_doctor *doctor, const json_t *peer);

/* How many peers of the diagnosis have a session. */
size_t pln_doctor_connected(const pln_doctor *doctor);

/* "5m3s" from now to a time member, or back; false when there is none. */
bool pln_doctor_ahead(const pln_doctor *doctor, const json_t *object, const char *key,
                      int64_t *ret_ms);

#endif
