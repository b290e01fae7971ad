/* SPDX-License-Identifier: Apache-2.0 */
/* A mesh comes, is driven, and goes. */
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "run/admission.h"
#include "run/clock.h"
#include "run/files.h"
#include "run/last_error.h"
#include "run/loop.h"
#include "run/random.h"
#include "run/runtime.h"
#include "run/statedir.h"
#include "run/thread.h"

#define AGE_SECONDS_MAX (100 * 365 * 86400LL) /* Its nanoseconds fit. */

void pollen_mesh_config_init(pollen_mesh_config *config) {
    *config = (pollen_mesh_config){
        .size = sizeof(*config),
        .tls_identity_ttl_seconds = PLN_TLS_IDENTITY_TTL_DEFAULT,
        .membership_ttl_seconds = PLN_MEMBERSHIP_TTL_DEFAULT,
        .log_level = PLN_LOG_INFO,
    };
}

/* ---- Coming ---------------------------------------------------------------------------------- */

/* The first version's members all have to be there; later ones that an older caller does not know
 * keep their defaults. */
static pollen_err read_config(const pollen_mesh_config *config, pollen_mesh_config *ret) {
    if (config == NULL || config->size < sizeof(*config) || config->credentials == NULL) {
        pln_last_error_set("configuration without credentials, or its size was not set");
        return POLLEN_EINVAL;
    }
    *ret = *config;
    return config->max_connection_age_seconds < 0 ||
                   config->max_connection_age_seconds > AGE_SECONDS_MAX ||
                   config->tls_identity_ttl_seconds <= 0 || config->membership_ttl_seconds <= 0
               ? POLLEN_EINVAL
               : POLLEN_OK;
}

static void write_log(void *ctx, pln_log_level level, const char *room, const char *line) {
    pollen_mesh *mesh = ctx;
    (void)room; /* The lines say it themselves. */
    mesh->log_line(mesh->log_context, (int)level, line);
}

static void set_log(pollen_mesh *mesh, const pollen_mesh_config *config) {
    mesh->log_line = config->log;
    mesh->log_context = config->log_context;
    mesh->log = (pln_log){
        .write = config->log == NULL ? NULL : write_log,
        .ctx = mesh,
        .level = (pln_log_level)config->log_level,
    };
}

static pollen_err create_node(pollen_mesh *mesh, const pollen_mesh_config *config) {
    pln_node_config node = {
        .mesh =
            {
                .creds = pln_credentials_of(config->credentials),
                .rng = pln_os_rng(),
                .log = &mesh->log,
                .tls_identity_ttl_seconds = config->tls_identity_ttl_seconds,
                .membership_ttl_seconds = config->membership_ttl_seconds,
                .max_connection_age = PLN_S(config->max_connection_age_seconds),
                .is_revoked = config->is_subject_revoked,
                .is_revoked_ctx = config->is_subject_revoked_context,
                .congestion = config->congestion == POLLEN_CONGESTION_CUBIC ? PLN_CONGESTION_CUBIC
                                                                            : PLN_CONGESTION_BBR,
                .serve_invites = true,
            },
        .keep_peers = true,
        .gossip = config->gossip,
        .saves = mesh->saver.path != NULL,
    };
    mesh->now = pln_clock_now();
    return pln_node_create(&node, mesh->now, &mesh->node);
}

static void init_shared(pollen_mesh *mesh) {
    pln_directory_init(&mesh->directory, &mesh->hash_key);
    pln_inbox_init(&mesh->inbox, &mesh->hash_key);
    pln_acceptq_init(&mesh->accepts);
    pln_eventq_init(&mesh->events, &mesh->hash_key);
    pln_monitor_init(&mesh->life_monitor);
    pln_writer_init(&mesh->writer, mesh);
    pln_port_mapper_init(&mesh->port_mapper, mesh);
    pthread_mutex_init(&mesh->turn, NULL);
    atomic_store(&mesh->driver, (uintptr_t)pthread_self());
    atomic_store(&mesh->deadline, 0);
    mesh->spin_credit = 8;
    mesh->may_spin = sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

/* Accepts an object of which any part was made. */
static void free_mesh(pollen_mesh *mesh) {
    pln_node_destroy(mesh->node);
    pln_sockets_fini(&mesh->sockets);
    pln_udp_close(&mesh->udp);
    pln_writer_fini(&mesh->writer);
    pln_port_mapper_fini(&mesh->port_mapper);
    pln_saver_fini(&mesh->saver);
    pln_ledger_writer_fini(&mesh->ledger);
    pln_nat_file_fini(&mesh->nat_file);
    pln_cmdq_fini(&mesh->cmdq);
    pln_poller_fini(&mesh->poller);
    pthread_mutex_destroy(&mesh->turn);
    pln_monitor_fini(&mesh->life_monitor);
    pln_eventq_fini(&mesh->events);
    pln_acceptq_fini(&mesh->accepts);
    pln_inbox_fini(&mesh->inbox);
    pln_directory_fini(&mesh->directory);
    pln_free(mesh);
}

static pollen_err open_socket(pollen_mesh *mesh, uint16_t port) {
    pollen_err err = pln_udp_open(&mesh->udp, port);
    if (err != POLLEN_OK) {
        pln_last_error_set("UDP port %u: %s", port, pollen_strerror(err));
        return err;
    }
    mesh->port = pln_udp_port(&mesh->udp);
    err = pln_sockets_init(&mesh->sockets, &mesh->udp, &mesh->hash_key);
    if (err == POLLEN_OK) {
        err = pln_poller_init(&mesh->poller, mesh->udp.fd, mesh->sockets.epoll_fd);
    }
    pln_cmdq_init(&mesh->cmdq, mesh->poller.wake_fd, mesh->external ? &mesh->driver : NULL);
    return err;
}

static pollen_err start_loop(pollen_mesh *mesh) {
    if (mesh->external) {
        return POLLEN_OK; /* The first dispatch, due at once, finds out what there is to do. */
    }
    return pln_thread_start(&mesh->thread, pln_loop_main, mesh) ? POLLEN_OK : POLLEN_ESYS;
}

/* Whoever holds the lock of the directory has done so already; others are not in their way. */
static void sweep(const char *state_dir) {
    const struct timespec before = {.tv_sec = (time_t)pln_clock_now().wall - 1};
    if (state_dir != NULL) {
        pln_statedir_sweep(state_dir, &before);
    }
}

static pollen_err fill_mesh(pollen_mesh *mesh, const pollen_mesh_config *config) {
    mesh->key = pollen_credentials_key(config->credentials);
    mesh->external = config->external_loop;
    set_log(mesh, config);
    sweep(config->state_dir);
    pollen_err err = pln_ledger_writer_init(&mesh->ledger, config->state_dir);
    if (err == POLLEN_OK) {
        err = pln_nat_file_init(&mesh->nat_file, config->state_dir);
    }
    if (err == POLLEN_OK) {
        err = pln_saver_init(&mesh->saver, config->gossip ? config->state_dir : NULL);
    }
    if (err == POLLEN_OK) {
        err = open_socket(mesh, config->port);
    }
    if (err == POLLEN_OK) {
        err = create_node(mesh, config);
    }
    if (err == POLLEN_OK) {
        err = pln_ledger_writer_load(mesh);
    }
    if (err == POLLEN_OK) {
        err = pln_saver_load(mesh);
    }
    if (err != POLLEN_OK) {
        return err;
    }
    pln_nat_file_load(mesh);
    return start_loop(mesh);
}

pollen_err pollen_mesh_create(const pollen_mesh_config *config, pollen_mesh **ret_mesh) {
    pln_last_error_clear();
    pollen_mesh_config copy;
    pollen_err err = read_config(config, &copy);
    if (err != POLLEN_OK) {
        return err;
    }
    pollen_mesh *mesh = pln_calloc(1, sizeof(*mesh));
    if (mesh == NULL) {
        return POLLEN_ENOMEM;
    }
    err = pln_os_random(mesh->hash_key.bytes, sizeof(mesh->hash_key.bytes));
    if (err != POLLEN_OK) {
        pln_free(mesh);
        return err;
    }
    /* Until they are opened, no file descriptor is ours. */
    mesh->udp.fd = -1;
    mesh->sockets.epoll_fd = -1;
    mesh->poller = (pln_poller){.epoll_fd = -1, .wake_fd = -1};
    init_shared(mesh);
    err = fill_mesh(mesh, &copy);
    if (err != POLLEN_OK) {
        free_mesh(mesh);
        return err;
    }
    *ret_mesh = mesh;
    return POLLEN_OK;
}

uint16_t pollen_mesh_listen_port(const pollen_mesh *mesh) {
    return mesh->port;
}

pollen_key pollen_mesh_key(const pollen_mesh *mesh) {
    return mesh->key;
}

/* ---- Going ----------------------------------------------------------------------------------- */

static void run_stop(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    (void)cmd;
    (void)state;
    mesh->stop = true;
}

static void stop_loop(pollen_mesh *mesh) {
    if (mesh->external) {
        pthread_mutex_lock(&mesh->turn);
        mesh->stop = true;
        pln_loop_shutdown(mesh);
        pthread_mutex_unlock(&mesh->turn);
        return;
    }
    mesh->stop_cmd.run = run_stop;
    PLN_ASSERT(pln_cmdq_push(&mesh->cmdq, &mesh->stop_cmd) == POLLEN_OK);
    pthread_join(mesh->thread, NULL);
}

static void set_life_locked(pollen_mesh *mesh, pln_life life) {
    PLN_ASSERT(life > mesh->life);
    mesh->life = life;
    pthread_cond_broadcast(&mesh->life_monitor.changed);
}

void pollen_mesh_close(pollen_mesh *mesh) {
    pln_monitor *monitor = &mesh->life_monitor;
    pthread_mutex_lock(&monitor->lock);
    bool first = mesh->life == PLN_LIFE_OPEN;
    if (first) {
        set_life_locked(mesh, PLN_LIFE_CLOSING);
    }
    while (!first && mesh->life != PLN_LIFE_CLOSED) {
        pthread_cond_wait(&monitor->changed, &monitor->lock);
    }
    pthread_mutex_unlock(&monitor->lock);
    if (!first) {
        return;
    }
    pln_port_mapper_stop(&mesh->port_mapper);
    stop_loop(mesh);
    pthread_mutex_lock(&monitor->lock);
    set_life_locked(mesh, PLN_LIFE_CLOSED);
    pthread_mutex_unlock(&monitor->lock);
}

void pollen_mesh_destroy(pollen_mesh *mesh) {
    if (mesh == NULL) {
        return;
    }
    pollen_mesh_close(mesh);
    /* Waiting calls have been told to end; their threads may not have run yet. */
    pthread_mutex_lock(&mesh->life_monitor.lock);
    while (mesh->inside > 0) {
        pthread_cond_wait(&mesh->life_monitor.changed, &mesh->life_monitor.lock);
    }
    pthread_mutex_unlock(&mesh->life_monitor.lock);
    free_mesh(mesh);
}

/* ---- A loop of the embedder's own ------------------------------------------------------------ */

int pollen_mesh_fd(const pollen_mesh *mesh) {
    return mesh->poller.epoll_fd;
}

int pollen_mesh_timeout_ms(const pollen_mesh *mesh) {
    if (!pln_cmdq_is_empty(
            (pln_cmdq *)(uintptr_t)&mesh->cmdq)) { /* Its lock is no part of the state. */
        return 0;
    }
    return pln_clock_ms_until(atomic_load(&mesh->deadline), pln_clock_mono());
}

pollen_err pollen_mesh_dispatch(pollen_mesh *mesh) {
    if (mesh == NULL || !mesh->external) {
        return POLLEN_EINVAL;
    }
    atomic_store(&mesh->driver, (uintptr_t)pthread_self());
    pthread_mutex_lock(&mesh->turn);
    pollen_err err = mesh->stop ? POLLEN_ECLOSED : POLLEN_OK;
    if (err == POLLEN_OK) {
        pln_loop_turn(mesh, PLN_READY_READ); /* Reading in vain costs less than asking first. */
    }
    pthread_mutex_unlock(&mesh->turn);
    return err;
}
