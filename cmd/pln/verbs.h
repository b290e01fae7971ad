/* SPDX-License-Identifier: Apache-2.0 */
/* One for each verb, defined in the file of its function: cmd_<verb>.c. */
#ifndef PLN_CMD_VERBS_H
#define PLN_CMD_VERBS_H

#include "pln/cli.h"

extern const pln_verb pln_verb_bench;
extern const pln_verb pln_verb_connect;
extern const pln_verb pln_verb_disconnect;
extern const pln_verb pln_verb_doctor;
extern const pln_verb pln_verb_down;
extern const pln_verb pln_verb_help;
extern const pln_verb pln_verb_id;
extern const pln_verb pln_verb_init;
extern const pln_verb pln_verb_invite;
extern const pln_verb pln_verb_join;
extern const pln_verb pln_verb_logs;
extern const pln_verb pln_verb_metrics;
extern const pln_verb pln_verb_netcheck;
extern const pln_verb pln_verb_ping;
extern const pln_verb pln_verb_pipe_connect;
extern const pln_verb pln_verb_pipe_listen;
extern const pln_verb pln_verb_purge;
extern const pln_verb pln_verb_revoke;
extern const pln_verb pln_verb_serve;
extern const pln_verb pln_verb_status;
extern const pln_verb pln_verb_unserve;
extern const pln_verb pln_verb_up;
extern const pln_verb pln_verb_version;
extern const pln_verb pln_verb_wait;

#endif
