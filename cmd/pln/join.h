/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of joining; see cmd_join.c for their order.  Each reports its own error. */
#ifndef PLN_CMD_JOIN_H
#define PLN_CMD_JOIN_H

#include "auth/token.h"
#include "pln/cli.h"
#include "wire/config_yaml.h"

#include <pollen/admission.h>

typedef struct pln_join {
    const char *text; /* The token as it was given; borrowed. */
    char *join_text;  /* The join token that it is, or that it was redeemed for. */
    bool is_invite;
    bool is_new_node;    /* There is no node key on disk yet. */
    bool leaves_cluster; /* The node is a member elsewhere, and --force was given. */
    pollen_seed seed;
    pollen_credentials *credentials;
    pln_trust trust; /* Whose cluster the token says it is. */
    pln_bootstraps bootstrap;
    pln_config config;
} pln_join;

/* Reads the token and the directory, and checks all that can be checked here; writes nothing. */
POLLEN_MUST_USE pln_exit pln_join_prepare(pln_cli *cli, const char *text, pln_join *join);

/* Puts a new node's key on disk and redeems an invite. */
POLLEN_MUST_USE pln_exit pln_join_redeem(pln_cli *cli, pln_join *join, int timeout_ms);

/* Enrols, and merges the bootstrap peers into config.yaml. */
POLLEN_MUST_USE pln_exit pln_join_commit(pln_cli *cli, pln_join *join);

void pln_join_fini(pln_join *join);

#endif
