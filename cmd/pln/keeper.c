/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper does what may block or takes long: it resolves the bootstrap peers of config.yaml and
 * hands them to the mesh, again now and then where they have names; it has our certificate renewed
 * in time; and it saves credentials that changed in the mesh.
 */
#include <errno.h>
#include <stdlib.h>

#include "auth/cert.h"
#include "base/key.h"
#include "base/limits.h"
#include "pln/daemon.h"
#include "run/clock.h"
#include "run/random.h"
#include "run/resolve.h"
#include "run/statedir.h"

#define TICK_MS 1000
#define ADVERTISE_SECONDS 60
#define RESOLVE_INTERVAL PLN_S(60)
#define RESOLVE_RETRY PLN_S(5) /* After a name that gave nothing. */
#define RENEWAL_TIMEOUT_MS 3000
#define RENEWAL_RETRY_S_MAX 3600
#define RENEWAL_RETRY_S_MIN 5
enum { RENEWAL_PEERS = 8 }; /* Asked in one round. */

typedef struct keeper {
    pln_daemon *daemon;
    pln_config config;
    pln_ts resolve_at; /* PLN_TS_NEVER: no names. */
    pln_ts advertise_at;
    pln_wall renew_at; /* Not before. */
    pollen_cert_info saved;
    bool has_saved; /* The first one seen came from the disk. */
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

/* ---- Certificate --------------------------------------------------------------------------------
 * */

/* Due once a third of the lifetime is left.  Peers refuse an expired one; an admin asks nobody. */
static bool is_renewal_due(const keeper *k, const pollen_cert_info *cert, bool is_admin,
                           pln_wall now) {
    const int64_t life = cert->not_after - cert->not_before;
    return cert->renewable && now >= k->renew_at && (is_admin || now < cert->not_after) &&
           life > 0 && cert->not_after - now < life / 3;
}

static pollen_err load_renewed(keeper *k, pln_wall now, pln_credentials *creds) {
    pollen_err err = pln_statedir_load_credentials(k->daemon->dir, now, creds);
    if (err != POLLEN_OK) {
        return err;
    }
    const int64_t ttl = creds->member_cert.not_after - creds->member_cert.not_before;
    const pln_member_terms terms = {.ttl_seconds = ttl};
    const pln_rng rng = pln_os_rng();
    pln_member_cert cert = {0};
    err = creds->has_signer
              ? pln_member_cert_issue(&creds->signer, &creds->key, &terms, &rng, now, &cert)
              : POLLEN_ENOTADMIN;
    if (err == POLLEN_OK) {
        err = pln_credentials_renew(creds, &cert, now);
    }
    pln_member_cert_fini(&cert);
    return err;
}

/* An admin needs nobody: it signs for itself, so that a lone root does not run out. */
static pollen_err renew_by_self(keeper *k, pln_wall now) {
    pln_credentials creds = {0};
    char why[PLN_DAEMON_WHY_BYTES];
    pollen_err err = load_renewed(k, now, &creds);
    if (err == POLLEN_OK) {
        err = pln_statedir_save_credentials(k->daemon->dir, &creds);
    }
    pln_credentials_fini(&creds);
    return err == POLLEN_OK ? pln_daemon_reload(k->daemon, why) : err;
}

static pollen_err renew_by_peers(keeper *k) {
    pollen_key peers[RENEWAL_PEERS];
    pollen_err err = POLLEN_ENOTCONN;
    pollen_mesh *mesh = pln_daemon_enter(k->daemon);
    const size_t count = mesh == NULL ? 0 : pollen_mesh_connected_peers(mesh, peers, RENEWAL_PEERS);
    for (size_t i = 0; err != POLLEN_OK && i < count && i < RENEWAL_PEERS; i++) {
        err = pollen_mesh_request_cert_renewal(mesh, &peers[i], RENEWAL_TIMEOUT_MS, NULL);
    }
    pln_daemon_leave(k->daemon);
    return err;
}

/* True when it was renewed. */
static bool renew(keeper *k, const pollen_cert_info *cert, bool is_admin) {
    const pln_wall now = pln_clock_wall();
    if (!is_renewal_due(k, cert, is_admin, now)) {
        return false;
    }
    const pollen_err err = is_admin ? renew_by_self(k, now) : renew_by_peers(k);
    if (err == POLLEN_ENOTCONN) {
        return false; /* Nobody to ask, until somebody comes. */
    }
    const int64_t share = (cert->not_after - cert->not_before) / 30;
    k->renew_at = now + (share < RENEWAL_RETRY_S_MIN   ? RENEWAL_RETRY_S_MIN
                         : share > RENEWAL_RETRY_S_MAX ? RENEWAL_RETRY_S_MAX
                                                       : share);
    if (err != POLLEN_OK) {
        log_err(k, PLN_LOG_WARN, "certificate not renewed yet", err);
        return false;
    }
    pln_logfile_printf(&k->daemon->log, PLN_LOG_INFO, "certificate renewed");
    return true;
}

static void save(keeper *k, const pollen_credentials *credentials, const pollen_cert_info *cert) {
    if (!k->has_saved) {
        k->saved = *cert;
        k->has_saved = true;
    }
    if (cert->serial == k->saved.serial && cert->not_after == k->saved.not_after) {
        return;
    }
    const pollen_err err = pollen_credentials_save(credentials, k->daemon->dir);
    if (err == POLLEN_OK) {
        k->saved = *cert;
    } else {
        log_err(k, PLN_LOG_ERROR, "saving the certificate", err);
    }
}

/* Saves what the mesh holds, and has it renewed when that is due; true when it was. */
static bool save_and_renew(keeper *k) {
    pollen_credentials *credentials = NULL;
    pollen_cert_info cert;
    bool renewed = false;
    pollen_mesh *mesh = pln_daemon_enter(k->daemon);
    const pollen_err err =
        mesh == NULL ? POLLEN_ECLOSED : pollen_mesh_credentials(mesh, &credentials);
    pln_daemon_leave(k->daemon);
    if (err == POLLEN_OK && pollen_credentials_cert(credentials, &cert) == POLLEN_OK) {
        save(k, credentials, &cert);
        renewed = renew(k, &cert, pollen_credentials_is_admin(credentials));
    }
    pollen_credentials_destroy(credentials);
    return renewed;
}

/* Whoever stops us after a renewal finds it on disk. */
static void look_after_cert(keeper *k) {
    if (save_and_renew(k)) {
        (void)save_and_renew(k);
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
        look_after_cert(&k);
        reload = wait_tick(k.daemon);
    }
    pln_config_fini(&k.config);
    return NULL;
}
