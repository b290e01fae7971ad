/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor found: checks in the order they were made, each with a verdict and, where
 * something can be done, what. */
#ifndef PLN_CMD_REPORT_H
#define PLN_CMD_REPORT_H

#include <jansson.h>

#include "pln/cli.h"

typedef enum pln_verdict { PLN_PASS, PLN_WARN, PLN_FAIL } pln_verdict;

typedef struct pln_report {
    const pln_cli *cli;
    json_t *checks;
    size_t counts[PLN_FAIL + 1];
} pln_report;

/* Owner: pln_report_fini(). */
void pln_report_init(pln_report *report, const pln_cli *cli);
void pln_report_fini(pln_report *report);

/* What a check is about: its name, the peer's id where it is about one, the fix (as a hint of
 * pln_fail()) where there is one. */
typedef struct pln_finding {
    pln_verdict verdict;
    const char *check;
    const char *peer;
    const char *fix;
} pln_finding;

__attribute__((format(printf, 3, 4))) void pln_report_add(pln_report *report, pln_finding finding,
                                                          const char *format, ...);

pln_verdict pln_report_verdict(const pln_report *report);

/* pollen.doctor/1.  Owner: a new reference. */
json_t *pln_report_json(const pln_report *report);
void pln_report_print(const pln_report *report);

#endif
