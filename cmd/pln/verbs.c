/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/verbs.h"

const pln_verb *const pln_verbs[] = {
    &pln_verb_init, &pln_verb_id, &pln_verb_version, &pln_verb_help, NULL,
};
