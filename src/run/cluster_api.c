/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions about the cluster. */
#include <pollen/cluster.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/key.h"
#include "node/cluster.h"
#include "run/last_error.h"
#include "run/runtime.h"

_Static_assert(POLLEN_SERVICE_NAME_BYTES == PLN_SERVICE_NAME_MAX + 1, "a NUL more");

/* ---- Members --------------------------------------------------------------------------------- */

static uint16_t port_of(uint32_t told) {
    return told <= UINT16_MAX ? (uint16_t)told : 0;
}

static void fill_addrs(const pln_member_info *info, pollen_member *ret) {
    for (size_t i = 0; i < info->ip_count && ret->addr_count < POLLEN_PEER_ADDRS_MAX; i++) {
        pollen_addr addr;
        if (pln_addr_parse_lenient(info->ips[i], POLLEN_PORT_DEFAULT, &addr) == POLLEN_OK) {
            addr.port = port_of(info->local_port);
            ret->addrs[ret->addr_count++] = addr;
        }
    }
}

static int64_t heard_ms(const pollen_mesh *mesh, const pln_member_info *info) {
    if (pln_key_equal(&info->key, &mesh->key)) {
        return 0;
    }
    return info->heard_at == 0
               ? -1
               : (int64_t)(pln_ts_since(info->heard_at, mesh->now.mono) / PLN_NS_PER_MS);
}

static pollen_member member_of(pollen_mesh *mesh, const pln_member_info *info) {
    pln_session_info session;
    pollen_member member = {
        .key = info->key,
        .revoked = info->revoked,
        .has_session =
            pln_mesh_session_info(pln_node_mesh(mesh->node), &info->key, &session) == POLLEN_OK,
        .is_public = info->is_public,
        .last_addr = info->last_addr,
        .external_port = port_of(info->external_port),
        .cert_expiry = info->cert_expiry,
        .heard_ms = heard_ms(mesh, info),
    };
    fill_addrs(info, &member);
    return member;
}

static pollen_err query_members(pollen_mesh *mesh, void *arg) {
    pln_list_query *query = arg;
    pollen_member *members = query->items;
    const pln_state *state = pln_node_state(mesh->node);
    pln_member_info info;
    query->count = state == NULL ? 0 : pln_state_member_count(state);
    for (size_t i = 0; i < query->count && i < query->cap; i++) {
        const pollen_err err = pln_state_member_at(state, i, &info);
        if (err != POLLEN_OK) {
            return err;
        }
        members[i] = member_of(mesh, &info);
    }
    return POLLEN_OK;
}

size_t pollen_mesh_members(pollen_mesh *mesh, pollen_member *members, size_t cap) {
    return pln_request_list(mesh, query_members, members, cap);
}

/* ---- Services -------------------------------------------------------------------------------- */

typedef struct service_arg {
    const char *name;
    uint16_t port;
} service_arg;

static pollen_err set_service(pollen_mesh *mesh, void *arg) {
    const service_arg *service = arg;
    return pln_node_set_service(mesh->node, service->name, service->port, mesh->now);
}

static pollen_err remove_service(pollen_mesh *mesh, void *arg) {
    const service_arg *service = arg;
    return pln_node_remove_service(mesh->node, service->name, mesh->now);
}

static pollen_err fail_service(const char *verb, const char *name, pollen_err err) {
    if (err != POLLEN_OK) {
        pln_last_error_set("%s service %.64s: %s", verb, name, pollen_strerror(err));
    }
    return err;
}

pollen_err pollen_mesh_set_service(pollen_mesh *mesh, const char *name, uint16_t port) {
    pln_last_error_clear();
    if (mesh == NULL || name == NULL) {
        return POLLEN_EINVAL;
    }
    service_arg service = {.name = name, .port = port};
    return fail_service("tell of", name, pln_request(mesh, set_service, &service));
}

pollen_err pollen_mesh_remove_service(pollen_mesh *mesh, const char *name) {
    pln_last_error_clear();
    if (mesh == NULL || name == NULL) {
        return POLLEN_EINVAL;
    }
    service_arg service = {.name = name};
    return fail_service("withdraw", name, pln_request(mesh, remove_service, &service));
}

/* A port that no stream can be opened to is none; others may tell anything. */
static void add_service(pln_list_query *query, const pln_service_info *info) {
    if (port_of(info->port) == 0) {
        return;
    }
    if (query->count < query->cap) {
        pollen_service *service = (pollen_service *)query->items + query->count;
        *service = (pollen_service){.provider = info->provider, .port = port_of(info->port)};
        (void)snprintf(service->name, sizeof(service->name), "%s", info->name);
    }
    query->count++;
}

static pollen_err query_services(pollen_mesh *mesh, void *arg) {
    const pln_state *state = pln_node_state(mesh->node);
    const pln_service_filter all = {.name = NULL};
    const size_t count = state == NULL ? 0 : pln_state_services(state, &all, NULL, 0);
    pln_service_info *infos = pln_calloc(count + 1, sizeof(*infos));
    if (infos == NULL) {
        return POLLEN_ENOMEM;
    }
    if (count > 0) {
        (void)pln_state_services(state, &all, infos, count);
    }
    for (size_t i = 0; i < count; i++) {
        add_service(arg, &infos[i]);
    }
    pln_free(infos);
    return POLLEN_OK;
}

size_t pollen_mesh_services(pollen_mesh *mesh, pollen_service *services, size_t cap) {
    return pln_request_list(mesh, query_services, services, cap);
}

/* ---- Forwards -------------------------------------------------------------------------------- */

typedef struct forward_arg {
    pln_saved_connection connection;
    bool on;
} forward_arg;

_Static_assert((int)POLLEN_FORWARD_BIND_BYTES == (int)PLN_SAVED_BIND_BYTES, "copied whole");

static pollen_err set_forward(pollen_mesh *mesh, void *arg) {
    const forward_arg *forward = arg;
    return pln_node_set_connection(mesh->node, &forward->connection, forward->on, mesh->now);
}

pollen_err pollen_mesh_set_forward(pollen_mesh *mesh, const pollen_forward *forward, bool on) {
    pln_last_error_clear();
    /* One of the reference's may have no local port, and can be removed. */
    if (mesh == NULL || forward == NULL || forward->remote_port == 0 ||
        (on && forward->local_port == 0) ||
        memchr(forward->bind, '\0', sizeof(forward->bind)) == NULL) {
        return POLLEN_EINVAL;
    }
    forward_arg arg = {.connection = {.peer = forward->provider,
                                      .remote_port = forward->remote_port,
                                      .local_port = forward->local_port},
                       .on = on};
    memcpy(arg.connection.bind, forward->bind, strlen(forward->bind) + 1);
    return pln_request(mesh, set_forward, &arg);
}

/* The reference keeps the local port as 0 when any would do. */
static pollen_err query_forwards(pollen_mesh *mesh, void *arg) {
    pln_list_query *query = arg;
    pollen_forward *forwards = query->items;
    const pln_state *state = pln_node_state(mesh->node);
    pln_saved_connection connection;
    for (size_t i = 0; state != NULL && pln_state_connection_at(state, i, &connection) == POLLEN_OK;
         i++) {
        pollen_forward forward = {.provider = connection.peer,
                                  .remote_port = port_of(connection.remote_port),
                                  .local_port = port_of(connection.local_port)};
        memcpy(forward.bind, connection.bind, sizeof(forward.bind));
        if (forward.remote_port == 0) {
            continue;
        }
        if (query->count < query->cap) {
            forwards[query->count] = forward;
        }
        query->count++;
    }
    return POLLEN_OK;
}

size_t pollen_mesh_forwards(pollen_mesh *mesh, pollen_forward *forwards, size_t cap) {
    return pln_request_list(mesh, query_forwards, forwards, cap);
}

/* ---- Revocation ------------------------------------------------------------------------------ */

/* On the stack of who asks: it has no deadline, and is answered when the disk is, or the mesh
 * closes. */
typedef struct revoke_cmd {
    pln_cmd cmd;
    pln_save_waiter waiter;
    pollen_key key;
    pln_monitor monitor; /* Guards done and err. */
    bool done;
    pollen_err err;
} revoke_cmd;

static void answer(revoke_cmd *revoke, pollen_err err) {
    pthread_mutex_lock(&revoke->monitor.lock);
    revoke->err = err;
    revoke->done = true;
    pthread_cond_signal(&revoke->monitor.changed);
    pthread_mutex_unlock(&revoke->monitor.lock); /* From here on it may be gone. */
}

static void handle_saved(pln_save_waiter *waiter, pollen_err err) {
    answer((revoke_cmd *)(void *)((char *)waiter - offsetof(revoke_cmd, waiter)), err);
}

static void run_revoke(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    revoke_cmd *revoke = (revoke_cmd *)(void *)cmd;
    const pollen_err err =
        state == POLLEN_OK ? pln_node_revoke(mesh->node, &revoke->key, mesh->now) : state;
    if (err == POLLEN_OK) {
        pln_saver_wait(mesh, &revoke->waiter);
    } else {
        answer(revoke, err);
    }
}

static pollen_err wait_for_answer(revoke_cmd *revoke, pln_wait *wait) {
    pthread_mutex_lock(&revoke->monitor.lock);
    while (!revoke->done) {
        const pollen_err step = pln_wait_step(wait);
        PLN_ASSERT(step == POLLEN_OK); /* It has no deadline and no cancel. */
    }
    const pollen_err err = revoke->err;
    pthread_mutex_unlock(&revoke->monitor.lock);
    return err;
}

pollen_err pollen_mesh_revoke(pollen_mesh *mesh, const pollen_key *peer) {
    pln_last_error_clear();
    if (mesh == NULL || peer == NULL) {
        return POLLEN_EINVAL;
    }
    revoke_cmd revoke = {.cmd.run = run_revoke, .waiter.done = handle_saved, .key = *peer};
    pln_wait wait;
    pln_monitor_init(&revoke.monitor);
    pln_wait_begin(&wait, mesh, &revoke.monitor, PLN_TS_NEVER, NULL);
    pollen_err err = pln_cmdq_push(&mesh->cmdq, &revoke.cmd);
    if (err == POLLEN_OK) {
        err = wait_for_answer(&revoke, &wait);
    }
    pln_wait_end(&wait);
    pln_monitor_fini(&revoke.monitor);
    if (err != POLLEN_OK) {
        pln_last_error_peer("revoke", peer, NULL, err, "");
    }
    return err;
}
