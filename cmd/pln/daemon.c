/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pln/home.h"
#include "run/clock.h"
#include "run/files.h"
#include "run/last_error.h"
#include "run/statedir.h"
#include "run/wake.h"

/* As the reference; the next session is there before the last one ends. */
enum { CONNECTION_AGE_SECONDS = 24 * 3600 };

pollen_mesh *pln_daemon_enter(pln_daemon *daemon) {
    pthread_rwlock_rdlock(&daemon->mesh_lock);
    return daemon->mesh;
}

void pln_daemon_leave(pln_daemon *daemon) {
    pthread_rwlock_unlock(&daemon->mesh_lock);
}

void pln_daemon_request_stop(pln_daemon *daemon) {
    pln_wake(daemon->stop_fd);
}

size_t pln_daemon_addrs(const pln_daemon *daemon, pollen_mesh *mesh, pollen_addr *addrs,
                        size_t cap) {
    size_t count = daemon->options.ip_count < cap ? daemon->options.ip_count : cap;
    memcpy(addrs, daemon->options.ips, count * sizeof addrs[0]);
    if (count == 0) {
        count = pollen_advertisable_addrs(addrs, cap);
        count = count < cap ? count : cap;
    }
    for (size_t i = 0; i < count; i++) {
        addrs[i].port = pollen_mesh_listen_port(mesh);
    }
    return count;
}

/* ---- The mesh -----------------------------------------------------------------------------------
 * */

static void log_line(void *context, int level, const char *line) {
    pln_logfile_write(context, (pln_log_level)level, line);
}

/* A node that cannot ask its router works all the same. */
static void map_port(pln_daemon *daemon, const pln_config *config, pollen_mesh *mesh) {
    const pln_daemon_mapping how = daemon->options.mapping;
    const bool on = how == PLN_DAEMON_MAPPING_ON ||
                    (how == PLN_DAEMON_MAPPING_AS_CONFIGURED && config->maps_port);
    const pollen_err err = pollen_mesh_map_port(mesh, on);
    if (err != POLLEN_OK) {
        pln_logfile_printf(&daemon->log, PLN_LOG_WARN, "port mapping: %s", pollen_strerror(err));
    }
}

static pollen_err create_mesh(pln_daemon *daemon, const pollen_credentials *credentials,
                              const pln_config *config, uint16_t port, pollen_mesh **ret) {
    pollen_mesh_config mesh;
    pollen_mesh_config_init(&mesh);
    mesh.credentials = credentials;
    mesh.port = port;
    mesh.state_dir = daemon->dir;
    mesh.gossip = true;
    mesh.max_connection_age_seconds = CONNECTION_AGE_SECONDS;
    if (config->tls_identity_ttl > 0) {
        mesh.tls_identity_ttl_seconds = config->tls_identity_ttl;
    }
    if (config->membership_ttl > 0) {
        mesh.membership_ttl_seconds = config->membership_ttl;
    }
    mesh.log = log_line;
    mesh.log_context = &daemon->log;
    mesh.log_level = (int)daemon->options.log_level;
    const pollen_err err = pollen_mesh_create(&mesh, ret);
    if (err == POLLEN_OK) {
        map_port(daemon, config, *ret);
    }
    return err;
}

static void destroy_mesh(pln_daemon *daemon) {
    pollen_mesh *mesh = pln_daemon_enter(daemon);
    if (mesh != NULL) {
        /* Ends every call that waits inside, so that the lock becomes free. */
        atomic_store(&daemon->mesh_closing, true);
        pollen_mesh_broadcast_disconnect(mesh);
        pollen_mesh_close(mesh);
    }
    pln_daemon_leave(daemon);
    pthread_rwlock_wrlock(&daemon->mesh_lock);
    mesh = daemon->mesh;
    daemon->mesh = NULL;
    pthread_rwlock_unlock(&daemon->mesh_lock);
    pln_tunnels_drain(&daemon->tunnels); /* Nobody can start one any more. */
    pln_bench_server_drain(&daemon->benches);
    pollen_mesh_destroy(mesh);
}

/* Services and forwards are those that the state of this cluster has. */
static void load_services(pln_daemon *daemon, pollen_mesh *mesh) {
    pln_provider_load(&daemon->provider, mesh);
    pln_forwarder_load(&daemon->forwarder, mesh);
}

/* The port stays, so that peers find us where we were. */
static pollen_err replace_mesh(pln_daemon *daemon, const pollen_credentials *credentials,
                               const pln_config *config) {
    pollen_mesh *mesh = pln_daemon_enter(daemon);
    const uint16_t port = mesh == NULL ? daemon->options.port : pollen_mesh_listen_port(mesh);
    pln_daemon_leave(daemon);
    destroy_mesh(daemon);
    const pollen_err err = create_mesh(daemon, credentials, config, port, &mesh);
    if (err != POLLEN_OK) {
        pln_logfile_printf(&daemon->log, PLN_LOG_ERROR, "listening on port %u again: %s",
                           (unsigned)port, pollen_strerror(err));
        pln_daemon_request_stop(daemon); /* Without a mesh there is nothing to stay for. */
        return err;
    }
    load_services(daemon, mesh);
    pthread_rwlock_wrlock(&daemon->mesh_lock);
    daemon->mesh = mesh;
    atomic_store(&daemon->mesh_closing, false);
    pthread_rwlock_unlock(&daemon->mesh_lock);
    pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "now a member of another cluster");
    return POLLEN_OK;
}

static void wake_keeper(pln_daemon *daemon) {
    pthread_mutex_lock(&daemon->keeper_lock);
    daemon->keeper_reload = true;
    pthread_cond_broadcast(&daemon->keeper_wake);
    pthread_mutex_unlock(&daemon->keeper_lock);
}

static pollen_err use_credentials(pln_daemon *daemon, const pollen_credentials *credentials,
                                  const pln_config *config) {
    pollen_mesh *mesh = pln_daemon_enter(daemon);
    pollen_err err = mesh == NULL ? POLLEN_ECLOSED : pollen_mesh_update_cert(mesh, credentials);
    if (err == POLLEN_OK) {
        map_port(daemon, config, mesh);
    }
    pln_daemon_leave(daemon);
    if (err == POLLEN_ECLUSTER || err == POLLEN_EINVAL) {
        err = replace_mesh(daemon, credentials, config);
    }
    return err;
}

static pollen_err reload_locked(pln_daemon *daemon) {
    pollen_credentials *credentials = NULL;
    pln_config config = {0};
    pollen_err err = pln_statedir_load_config(daemon->dir, &config);
    if (err == POLLEN_OK) {
        err = pollen_credentials_load(daemon->dir, &credentials);
    }
    if (err == POLLEN_OK) {
        err = use_credentials(daemon, credentials, &config);
    }
    pollen_credentials_destroy(credentials);
    pln_config_fini(&config);
    return err;
}

pollen_err pln_daemon_reload(pln_daemon *daemon, char *why) {
    pln_last_error_clear();
    pthread_mutex_lock(&daemon->reload_lock);
    const pollen_err err = atomic_load(&daemon->stopping) ? POLLEN_ECLOSED : reload_locked(daemon);
    pthread_mutex_unlock(&daemon->reload_lock);
    if (err == POLLEN_OK) {
        wake_keeper(daemon);
    } else {
        const char *detail = pollen_last_error();
        snprintf(why, PLN_DAEMON_WHY_BYTES, "%s",
                 detail[0] != '\0' ? detail : pollen_strerror(err));
    }
    return err;
}

/* ---- Start and stop -----------------------------------------------------------------------------
 * */

static pln_exit fail_listen(const pln_daemon *daemon, pln_cli *cli, pollen_err err) {
    if (err == POLLEN_EADDRINUSE) {
        return pln_fail(cli, PLN_EXIT_FAIL, "pln up --port 0",
                        "up: UDP port %u is in use by another program",
                        (unsigned)daemon->options.port);
    }
    return pln_fail_err(cli, err, NULL, "up: starting the node");
}

/* Loads the node, or makes it root of a cluster of its own where nothing is set up. */
static pln_exit load_node(pln_daemon *daemon, pln_cli *cli, pollen_credentials **ret_credentials) {
    pln_exit code = pln_home_load(cli, true, ret_credentials);
    if (code != PLN_EXIT_OK || pollen_credentials_enrolled(*ret_credentials)) {
        return code;
    }
    pollen_key root;
    char hex[POLLEN_KEY_HEX_BYTES];
    code = pln_home_create_cluster(cli, *ret_credentials, &root);
    if (code == PLN_EXIT_OK) {
        pln_note("made a new cluster, with this node as its root");
        pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "made a new cluster, root key %s",
                           pollen_key_hex(&root, hex));
    }
    return code;
}

static pln_exit start_mesh(pln_daemon *daemon, pln_cli *cli) {
    pollen_credentials *credentials = NULL;
    pln_config config = {0};
    pollen_err err = pln_statedir_load_config(daemon->dir, &config);
    if (err != POLLEN_OK) {
        return pln_fail_err(cli, err, NULL, "up: reading config.yaml");
    }
    pln_exit code = load_node(daemon, cli, &credentials);
    if (code == PLN_EXIT_OK) {
        err = create_mesh(daemon, credentials, &config, daemon->options.port, &daemon->mesh);
        code = err == POLLEN_OK ? PLN_EXIT_OK : fail_listen(daemon, cli, err);
    }
    if (code == PLN_EXIT_OK) {
        load_services(daemon, daemon->mesh);
    }
    pollen_credentials_destroy(credentials);
    pln_config_fini(&config);
    return code;
}

static pln_exit start_control(pln_daemon *daemon, pln_cli *cli) {
    const pollen_err err =
        pln_control_start(daemon->socket, pln_daemon_handle, daemon, &daemon->control);
    if (err == POLLEN_OK) {
        return PLN_EXIT_OK;
    }
    const char *advice = err == POLLEN_EBUSY    ? "pln down"
                         : err == POLLEN_EINVAL ? "name a shorter path with --socket PATH"
                                                : NULL;
    return pln_fail_err(cli, err, advice, "up: control socket");
}

static pollen_mesh *enter(void *daemon) {
    return pln_daemon_enter(daemon);
}

static void leave(void *daemon) {
    pln_daemon_leave(daemon);
}

static void *run_forwarder(void *arg) {
    pln_daemon *daemon = arg;
    const pln_forwarder_owner owner = {.enter = enter, .leave = leave, .ctx = daemon};
    pln_forwarder_run(&daemon->forwarder, &owner);
    return NULL;
}

static pln_exit start_threads(pln_daemon *daemon, pln_cli *cli) {
    static void *(*const runs[])(void *) = {pln_watcher_run, pln_keeper_run, pln_renewer_run,
                                            pln_acceptor_run, run_forwarder};
    while (daemon->thread_count < (int)(sizeof runs / sizeof runs[0])) {
        const int i = daemon->thread_count;
        const int error = pthread_create(&daemon->threads[i], NULL, runs[i], daemon);
        if (error != 0) {
            return pln_fail(cli, PLN_EXIT_FAIL, NULL, "up: starting a thread: %s",
                            pln_errno_text(error));
        }
        daemon->thread_count++;
    }
    return PLN_EXIT_OK;
}

static void init_locks(pln_daemon *daemon) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&daemon->keeper_wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&daemon->keeper_lock, NULL);
    pthread_mutex_init(&daemon->reload_lock, NULL);
    pthread_rwlock_init(&daemon->mesh_lock, NULL);
    pln_bench_server_init(&daemon->benches);
    pln_streams_init(&daemon->streams);
    pln_tunnels_init(&daemon->tunnels, &daemon->log);
    pln_provider_init(&daemon->provider, &daemon->tunnels);
}

static void fini_locks(pln_daemon *daemon) {
    pln_forwarder_fini(&daemon->forwarder);
    pln_provider_fini(&daemon->provider);
    pln_tunnels_fini(&daemon->tunnels);
    pln_streams_fini(&daemon->streams);
    pln_bench_server_fini(&daemon->benches);
    pthread_rwlock_destroy(&daemon->mesh_lock);
    pthread_mutex_destroy(&daemon->reload_lock);
    pthread_mutex_destroy(&daemon->keeper_lock);
    pthread_cond_destroy(&daemon->keeper_wake);
}

static void join_threads(pln_daemon *daemon) {
    atomic_store(&daemon->stopping, true);
    wake_keeper(daemon);
    pln_board_close(&daemon->board);
    pln_forwarder_close(&daemon->forwarder);
    while (daemon->thread_count > 0) {
        pthread_join(daemon->threads[--daemon->thread_count], NULL);
    }
}

void pln_daemon_stop(pln_daemon *daemon) {
    atomic_store(&daemon->stopping, true);
    pthread_mutex_lock(&daemon->reload_lock);
    destroy_mesh(daemon);
    pthread_mutex_unlock(&daemon->reload_lock);
    join_threads(daemon);
    /* Last, as its end tells `pln down` that the rest is done; the lock only after it, so that no
     * other daemon comes while the socket is still ours. */
    pln_control_stop(daemon->control);
    if (daemon->control != NULL) {
        pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "stopped");
    }
    pln_board_fini(&daemon->board);
    fini_locks(daemon);
    close(daemon->stop_fd);
    pln_logfile_close(&daemon->log);
    pln_statedir_unlock(daemon->lock_fd);
}

static pln_exit start_locked(pln_daemon *daemon, pln_cli *cli) {
    if (pln_forwarder_init(&daemon->forwarder, &daemon->tunnels, &daemon->log) != POLLEN_OK) {
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "up: out of descriptors");
    }
    pln_exit code = start_mesh(daemon, cli);
    if (code == PLN_EXIT_OK) {
        code = start_threads(daemon, cli);
    }
    if (code == PLN_EXIT_OK) {
        code = start_control(daemon, cli);
    }
    return code;
}

pln_exit pln_daemon_start(pln_daemon *daemon, pln_cli *cli, const pln_daemon_options *options) {
    *daemon = (pln_daemon){.options = *options, .started_at = pln_clock_wall()};
    snprintf(daemon->dir, sizeof daemon->dir, "%s", cli->dir);
    snprintf(daemon->socket, sizeof daemon->socket, "%s", cli->socket);
    pln_exit code = pln_home_lock(cli, &daemon->lock_fd);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    pln_logfile_init(&daemon->log, daemon->dir, options->log_level, options->log_to_stderr);
    daemon->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (daemon->stop_fd < 0 || pln_board_init(&daemon->board) != POLLEN_OK) {
        if (daemon->stop_fd >= 0) {
            close(daemon->stop_fd);
        }
        pln_statedir_unlock(daemon->lock_fd);
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "up: out of memory or descriptors");
    }
    init_locks(daemon);
    code = start_locked(daemon, cli);
    if (code != PLN_EXIT_OK) {
        pln_daemon_stop(daemon);
    }
    return code;
}
