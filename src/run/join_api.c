/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions that join: redeem an invite, apply a join token,
 * go to the bootstrap peers. */
#include <string.h>

#include "base/assert.h"
#include "run/admission.h"
#include "run/clock.h"
#include "run/last_error.h"
#include "run/paths.h"
#include "run/runtime.h"

/* Paths of one redemption: more than these are not worth racing. */
enum { REDEEM_PATHS_MAX = 64 };

static pln_mesh *core_of(pollen_mesh *mesh) {
    return pln_node_mesh(mesh->node);
}

/* ---- Redeeming ------------------------------------------------------------------------------- */

static void start_redeem(pollen_mesh *mesh, pln_call *call) {
    pln_mesh_redeem(core_of(mesh), call->op, call->invite, call->targets, call->paths,
                    call->path_count, call->deadline, mesh->now);
}

/* First addresses first, so that every bootstrap peer is tried before any is tried twice. */
static void spread_paths(pln_call *call, const pln_targets *targets) {
    for (size_t i = 0; i < PLN_DIAL_ADDRS_MAX; i++) {
        for (size_t t = 0; t < targets->count && call->path_count < REDEEM_PATHS_MAX; t++) {
            const pln_target *target = &targets->items[t];
            if (i < target->addr_count) {
                call->targets[call->path_count] = target->peer;
                call->paths[call->path_count++] = (pln_path){PLN_VIA_MAIN, target->addrs[i]};
            }
        }
    }
}

/* Takes what is in the invite. */
static pollen_err fill_redeem(pollen_mesh *mesh, pln_call *call, pln_invite_token *invite,
                              pollen_cancel *cancel) {
    call->invite = pln_memdup(invite, sizeof(*invite));
    call->targets = pln_calloc(REDEEM_PATHS_MAX, sizeof(*call->targets));
    call->paths = pln_calloc(REDEEM_PATHS_MAX, sizeof(*call->paths));
    if (call->invite == NULL || call->targets == NULL || call->paths == NULL) {
        pln_free(call->invite);
        call->invite = NULL;
        return POLLEN_ENOMEM;
    }
    *invite = (pln_invite_token){0};
    pln_targets targets;
    pollen_err err =
        pln_targets_resolve(mesh, &call->invite->bootstrap, call->deadline, cancel, &targets);
    if (err != POLLEN_OK) {
        return err;
    }
    spread_paths(call, &targets);
    pln_free(targets.items);
    return call->path_count > 0 ? POLLEN_OK : POLLEN_EUNREACHABLE;
}

/* Owner: takes what is in the invite; ret is filled on success (pln_join_token_fini). */
static pollen_err redeem(pollen_mesh *mesh, pln_invite_token *invite, pln_ts deadline,
                         pollen_cancel *cancel, pln_join_token *ret) {
    pln_call *call = pln_call_create(start_redeem, NULL);
    if (call == NULL) {
        return POLLEN_ENOMEM;
    }
    call->deadline = deadline;
    pollen_err err = fill_redeem(mesh, call, invite, cancel);
    if (err == POLLEN_OK) {
        err = pln_call_run(mesh, call, cancel);
    }
    if (err == POLLEN_OK) {
        PLN_ASSERT(call->join_token != NULL);
        *ret = *call->join_token;
        pln_free(call->join_token);
        call->join_token = NULL;
    } else {
        pln_last_error_set("redeem invite: %s%s%s", pollen_strerror(err),
                           call->words[0] != '\0' ? ": " : "", call->words);
    }
    pln_call_unref(call);
    return err;
}

/* ---- Going to the bootstrap peers ------------------------------------------------------------ */

typedef struct dials {
    pln_call *calls[PLN_BOOTSTRAP_MAX]; /* The first one's monitor serves all. */
    size_t count;
} dials;

static pollen_err start_dials(pollen_mesh *mesh, const pln_targets *targets, pln_ts deadline,
                              dials *all) {
    pollen_err err = POLLEN_EUNREACHABLE;
    for (size_t i = 0; i < targets->count && all->count < PLN_BOOTSTRAP_MAX; i++) {
        const pln_target *target = &targets->items[i];
        pln_call *call;
        err = pln_connect_create(mesh, &target->peer, target->addrs, target->addr_count, deadline,
                                 all->count > 0 ? all->calls[0] : NULL, &call);
        if (err == POLLEN_OK) {
            all->calls[all->count++] = call;
        }
    }
    for (size_t i = 0; i < all->count; i++) {
        (void)pln_call_submit(mesh, all->calls[i]); /* A closed mesh ends the call as well. */
    }
    return all->count > 0 ? POLLEN_OK : err;
}

/* With the monitor locked: true when one has a session, or all have failed. */
static bool is_decided(const dials *all, pollen_err *ret_err) {
    size_t done = 0;
    for (size_t i = 0; i < all->count; i++) {
        const pln_call *call = all->calls[i];
        done += call->done;
        if (call->done &&
            (call->err == POLLEN_OK || *ret_err == POLLEN_OK || *ret_err == POLLEN_EUNREACHABLE)) {
            *ret_err = call->err;
        }
        if (call->done && call->err == POLLEN_OK) {
            return true;
        }
    }
    return done == all->count;
}

static pollen_err wait_for_dials(pollen_mesh *mesh, dials *all, pln_ts deadline,
                                 pollen_cancel *cancel) {
    pln_monitor *monitor = &all->calls[0]->monitor;
    pollen_err waited = POLLEN_OK, result = POLLEN_OK;
    pln_wait wait;
    pln_wait_begin(&wait, mesh, monitor, pln_call_last_moment(deadline), cancel);
    pthread_mutex_lock(&monitor->lock);
    while (!is_decided(all, &result) && waited == POLLEN_OK) {
        waited = pln_wait_step(&wait);
    }
    pthread_mutex_unlock(&monitor->lock);
    for (size_t i = 0; i < all->count; i++) {
        pln_call_abandon(mesh, all->calls[i]); /* Nothing happens to those that are done. */
    }
    pln_wait_end(&wait);
    return waited != POLLEN_OK ? waited : result;
}

static pollen_err go_to(pollen_mesh *mesh, const pln_bootstraps *bootstrap, pln_ts deadline,
                        pollen_cancel *cancel) {
    if (bootstrap->count == 0) {
        return POLLEN_OK; /* A token may leave it to the joiner where to go. */
    }
    pln_targets targets;
    pollen_err err = pln_targets_resolve(mesh, bootstrap, deadline, cancel, &targets);
    if (err != POLLEN_OK) {
        return err;
    }
    dials all = {.count = 0};
    err = start_dials(mesh, &targets, deadline, &all);
    if (err == POLLEN_OK) {
        err = wait_for_dials(mesh, &all, deadline, cancel);
    }
    if (err != POLLEN_OK) {
        pln_last_error_set("bootstrap peers: %s", pollen_strerror(err));
    }
    /* The first call's monitor is used by the others, which hold references to it. */
    for (size_t i = all.count; i-- > 0;) {
        pln_call_unref(all.calls[i]);
    }
    pln_free(targets.items);
    return err;
}

/* ---- Joining --------------------------------------------------------------------------------- */

typedef struct apply_arg {
    const pln_join_token *token;
} apply_arg;

static pollen_err apply(pollen_mesh *mesh, void *arg) {
    return pln_mesh_apply(core_of(mesh), ((const apply_arg *)arg)->token, mesh->now);
}

static pollen_err apply_and_go(pollen_mesh *mesh, const pln_join_token *token, pln_ts deadline,
                               pollen_cancel *cancel) {
    apply_arg arg = {.token = token};
    pollen_err err = pln_request(mesh, apply, &arg);
    if (err != POLLEN_OK) {
        pln_last_error_set("join token: %s", pollen_strerror(err));
        return err;
    }
    return go_to(mesh, &token->bootstrap, deadline, cancel);
}

pollen_err pollen_mesh_join_with_token(pollen_mesh *mesh, const char *token, int timeout_ms,
                                       pollen_cancel *cancel) {
    pln_last_error_clear();
    if (mesh == NULL || token == NULL) {
        return POLLEN_EINVAL;
    }
    pln_join_token decoded = {0};
    pollen_err err = pln_read_join_token(token, &decoded);
    if (err == POLLEN_OK) {
        err = apply_and_go(mesh, &decoded, pln_clock_deadline(timeout_ms), cancel);
    }
    pln_join_token_fini(&decoded);
    return err;
}

/* An invite of another cluster is refused before it is used up. */
static pollen_err check_cluster(pollen_mesh *mesh, void *arg) {
    const pln_invite_token *invite = arg;
    const pln_credentials *creds = pln_mesh_credentials(core_of(mesh));
    return creds->enrolled && !pln_trust_equal(&creds->trust, &invite->trust) ? POLLEN_ECLUSTER
                                                                              : POLLEN_OK;
}

static pollen_err read_and_check(pollen_mesh *mesh, const char *text, pln_invite_token *ret) {
    pollen_err err = pln_read_invite(text, ret);
    if (err == POLLEN_OK) {
        err = pln_invite_verify(ret, &mesh->key, pln_clock_wall());
    }
    if (err == POLLEN_OK) {
        err = pln_request(mesh, check_cluster, ret);
    }
    if (err != POLLEN_OK && pollen_last_error()[0] == '\0') {
        pln_last_error_set("invite: %s", pollen_strerror(err));
    }
    return err;
}

pollen_err pollen_mesh_join_with_invite(pollen_mesh *mesh, const char *invite, int timeout_ms,
                                        pollen_cancel *cancel) {
    pln_last_error_clear();
    if (mesh == NULL || invite == NULL) {
        return POLLEN_EINVAL;
    }
    const pln_ts deadline = pln_clock_deadline(timeout_ms);
    pln_invite_token decoded = {0};
    pln_join_token token = {0};
    pollen_err err = read_and_check(mesh, invite, &decoded);
    if (err == POLLEN_OK) {
        err = redeem(mesh, &decoded, deadline, cancel, &token);
    }
    if (err == POLLEN_OK) {
        err = apply_and_go(mesh, &token, deadline, cancel);
    }
    pln_invite_token_fini(&decoded);
    pln_join_token_fini(&token);
    return err;
}

/* ---- Without a mesh -------------------------------------------------------------------------- */

/* A mesh that belongs to no cluster, for the time of a call. */
static pollen_err open_outsider(const pollen_seed *seed, pollen_mesh **ret) {
    pollen_credentials *creds = NULL;
    pollen_err err = pollen_credentials_create(seed, &creds);
    if (err == POLLEN_OK) {
        pollen_mesh_config config;
        pollen_mesh_config_init(&config);
        config.credentials = creds;
        err = pollen_mesh_create(&config, ret);
    }
    pollen_credentials_destroy(creds);
    return err;
}

pollen_err pollen_redeem_invite(const pollen_seed *seed, const char *invite, int timeout_ms,
                                char **ret_join_token) {
    pln_last_error_clear();
    if (seed == NULL || invite == NULL || ret_join_token == NULL) {
        return POLLEN_EINVAL;
    }
    const pln_ts deadline = pln_clock_deadline(timeout_ms);
    pollen_mesh *mesh = NULL;
    pln_invite_token decoded = {0};
    pln_join_token token = {0};
    pollen_err err = open_outsider(seed, &mesh);
    if (err == POLLEN_OK) {
        err = read_and_check(mesh, invite, &decoded);
    }
    if (err == POLLEN_OK) {
        err = redeem(mesh, &decoded, deadline, NULL, &token);
    }
    if (err == POLLEN_OK) {
        err = pln_token_text_encode(&token.wire, ret_join_token);
    }
    pln_join_token_fini(&token);
    pln_invite_token_fini(&decoded);
    pollen_mesh_destroy(mesh);
    return err;
}
