/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/verbs.h"

/* In the order in which people need them. */
/* clang-format off */
const pln_verb *const pln_verbs[] = {
    &pln_verb_init,
    &pln_verb_up,
    &pln_verb_down,
    &pln_verb_invite,
    &pln_verb_join,
    &pln_verb_status,
    &pln_verb_ping,
    &pln_verb_bench,
    &pln_verb_wait,
    &pln_verb_serve,
    &pln_verb_unserve,
    &pln_verb_connect,
    &pln_verb_disconnect,
    &pln_verb_revoke,
    &pln_verb_pipe_listen,
    &pln_verb_pipe_connect,
    &pln_verb_netcheck,
    &pln_verb_doctor,
    &pln_verb_metrics,
    &pln_verb_id,
    &pln_verb_logs,
    &pln_verb_purge,
    &pln_verb_version,
    &pln_verb_help,
    NULL,
};
/* clang-format on */
