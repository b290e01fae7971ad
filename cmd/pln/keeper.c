/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper resolves the bootstrap peers of config.yaml, which may block, and hands them to the
 * mesh, again now and then where they have names; and it tells where we are.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/key.h"
#include "base/limits.h"
#include "pln/daemon.h"
#include "run/clock.h"
#include "run/resolve.h"
#include "run/statedir.h"

#define TICK_MS 1000
#define ADVERTISE_SECONDS 60
#define RESOLVE_INTERVAL PLN_S(60)
#define RESOLVE_RETRY PLN_S(5) /* After a name that gave nothing. */

typedef struct keeper {
    pln_daemon *daemon;
    pln_config config;
    pln_ts resolve_at; /* PLN_TS_NEVER: no names. */
    pln_ts advertise_at;
} keeper;

static void log_err(keeper *k, pln_log_level level, const char *what, pollen_err err) {
    const char *detail = pollen_last_error();
    pln_logfile_printf(&k->daemon->log, level, "%s: %s", what,
                       detail[0] != '\0' ? detail : pollen_strerror(err));
}

/* ---- Bootstrap peers ----------------------------------------------------------------------------
 * */

static void reload_config(keeper *k) {
    pln_config config = {0};
    const pollen_err err = pln_statedir_load_config(k->daemon->dir, &config);
    if (err != POLLEN_OK) {
        log_err(k, PLN_LOG_ERROR, "config.yaml, which stays as it was", err);
        return;
    }
    pln_config_fini(&k->config);
    k->config = config;
}

/* Returns when to ask again for this peer. */
static pln_ts keep_peer(keeper *k, const pln_bootstrap *peer, pln_ts now) {
    pollen_addr addrs[PLN_ADDRS_MAX];
    size_t count = 0;
    bool has_name = false;
    for (size_t i = 0; i < peer->addr_count; i++) {
        bool is_name;
        pln_resolve(peer->addrs[i], POLLEN_PORT_DEFAULT, addrs, PLN_ADDRS_MAX, &count, &is_name);
        has_name = has_name || is_name;
    }
    char hex[POLLEN_KEY_HEX_BYTES];
    pollen_key_hex(&peer->peer_pub, hex);
    if (count == 0) {
        pln_logfile_printf(&k->daemon->log, PLN_LOG_WARN, "bootstrap peer %s: no address found",
                           hex);
        return has_name ? pln_ts_add(now, RESOLVE_RETRY) : PLN_TS_NEVER;
    }
    pollen_mesh *mesh = pln_daemon_enter(k->daemon);
    const pollen_err err =
        mesh == NULL ? POLLEN_ECLOSED : pollen_mesh_keep_peer(mesh, &peer->peer_pub, addrs, count);
    pln_daemon_leave(k->daemon);
    if (err != POLLEN_OK && err != POLLEN_ECLOSED) {
        pln_logfile_printf(&k->daemon->log, PLN_LOG_WARN, "bootstrap peer %s: %s", hex,
                           pollen_strerror(err));
    }
    return has_name ? pln_ts_add(now, RESOLVE_INTERVAL) : PLN_TS_NEVER;
}

static bool is_own_key(keeper *k, const pollen_key *key) {
    pollen_mesh *mesh = pln_daemon_enter(k->daemon);
    bool own = false;
    if (mesh != NULL) {
        const pollen_key mine = pollen_mesh_key(mesh);
        own = pln_key_equal(&mine, key);
    }
    pln_daemon_leave(k->daemon);
    return own;
}

static void keep_peers(keeper *k) {
    k->resolve_at = PLN_TS_NEVER;
    for (size_t i = 0; i < k->config.bootstrap.count; i++) {
        const pln_bootstrap *peer = &k->config.bootstrap.items[i];
        if (atomic_load(&k->daemon->stopping)) {
            return;
        }
        if (!is_own_key(k, &peer->peer_pub)) {
            k->resolve_at = pln_ts_min(k->resolve_at, keep_peer(k, peer, pln_clock_mono()));
        }
    }
}

/* ---- Where we are -------------------------------------------------------------------------------
 * */

/* Interfaces come and go.  The same addresses again are no news to anybody. */
static void advertise(keeper *k) {
    const pln_ts now = pln_clock_mono();
    if (!pln_ts_reached(k->advertise_at, now)) {
        return;
    }
    k->advertise_at = pln_ts_add(now, PLN_S(ADVERTISE_SECONDS));
    pollen_mesh *mesh = pln_daemon_enter(k->daemon);
    if (mesh != NULL) {
        pollen_addr addrs[PLN_DAEMON_ADDRS_MAX];
        const size_t count = pln_daemon_addrs(k->daemon, mesh, addrs, PLN_DAEMON_ADDRS_MAX);
        const pollen_err err = pollen_mesh_advertise(mesh, addrs, count);
        if (err != POLLEN_OK && err != POLLEN_ECLOSED) {
            pln_logfile_printf(&k->daemon->log, PLN_LOG_WARN, "advertising our addresses: %s",
                               pollen_strerror(err));
        }
    }
    pln_daemon_leave(k->daemon);
}

/* ---- The thread ---------------------------------------------------------------------------------
 * */

/* Waits for the next tick; true when the configuration is to be read again. */
static bool wait_tick(pln_daemon *daemon) {
    const struct timespec until = pln_clock_timespec(pln_clock_deadline(TICK_MS));
    pthread_mutex_lock(&daemon->keeper_lock);
    while (!daemon->keeper_reload && !atomic_load(&daemon->stopping) &&
           pthread_cond_timedwait(&daemon->keeper_wake, &daemon->keeper_lock, &until) !=
               ETIMEDOUT) {
    }
    const bool reload = daemon->keeper_reload;
    daemon->keeper_reload = false;
    pthread_mutex_unlock(&daemon->keeper_lock);
    return reload;
}

void *pln_keeper_run(void *arg) {
    keeper k = {.daemon = arg};
    bool reload = true;
    while (!atomic_load(&k.daemon->stopping)) {
        if (reload) {
            k.advertise_at = 0; /* The mesh may be another one now. */
            reload_config(&k);
        }
        if (reload || pln_ts_reached(k.resolve_at, pln_clock_mono())) {
            keep_peers(&k);
        }
        advertise(&k);
        reload = wait_tick(k.daemon);
    }
    pln_config_fini(&k.config);
    return NULL;
}
