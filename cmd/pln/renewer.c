/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The renewer has our certificate renewed in time, and saves the one that the mesh uses when that
 * changed.
 *
 * An admin signs for itself, so that a lone root does not run out.  Everybody else asks the peers
 * with a session, the last one that renewed it first, then the bootstrap peers, until one does.  A
 * round without success is followed by a pause; a peer that was not asked in it is asked as soon as
 * it comes.
 */
#include <errno.h>

#include "auth/cert.h"
#include "auth/renewal_plan.h"
#include "auth/signer.h"
#include "base/key.h"
#include "pln/daemon.h"
#include "run/admission.h"
#include "run/clock.h"
#include "run/random.h"
#include "run/statedir.h"

#define TICK_MS 1000
#define ANSWER_MS 3000 /* As long as the reference waits. */
#define ROUND_MS 20000
enum { PEERS_MAX = 256 };

typedef struct renewer {
    pln_daemon *daemon;
    pln_rng rng;
    pln_renewal_plan plan;
    pollen_cert_info cert; /* On disk; the first one seen came from there. */
    bool has_cert;
    bool told; /* That it cannot be renewed. */
    pollen_key helper;
    bool has_helper; /* The last one that renewed it. */
    pollen_key asked[PEERS_MAX];
    size_t asked_count;
} renewer;

static void log_err(renewer *r, pln_log_level level, const char *what, pollen_err err) {
    const char *detail = pollen_last_error();
    pln_logfile_printf(&r->daemon->log, level, "%s: %s", what,
                       detail[0] != '\0' ? detail : pollen_strerror(err));
}

/* ---- By ourselves -------------------------------------------------------------------------- */

static pollen_err sign(renewer *r, pln_credentials *creds) {
    const pln_member_terms terms = {
        .ttl_seconds = pln_cert_life(creds->member_cert.not_before, creds->member_cert.not_after)};
    const pln_wall now = pln_clock_wall();
    pln_member_cert cert = {0};
    pollen_err err =
        pln_member_cert_issue(&creds->signer, &creds->key, &terms, &r->rng, now, &cert);
    if (err == POLLEN_OK) {
        err = pln_credentials_renew(creds, &cert, now);
    }
    pln_member_cert_fini(&cert);
    return err;
}

static pollen_err use(renewer *r, const pln_credentials *creds) {
    pollen_credentials *wrapped = NULL;
    pollen_err err = pln_credentials_wrap(creds, &wrapped);
    if (err == POLLEN_OK) {
        pollen_mesh *mesh = pln_daemon_enter(r->daemon);
        err = mesh == NULL ? POLLEN_ECLOSED : pollen_mesh_update_cert(mesh, wrapped);
        pln_daemon_leave(r->daemon);
    }
    pollen_credentials_destroy(wrapped);
    return err;
}

static pollen_err renew_by_self(renewer *r, const pollen_credentials *credentials) {
    pln_credentials creds = {.enrolled = false};
    pollen_err err = pln_credentials_copy(&creds, pln_credentials_of(credentials));
    if (err == POLLEN_OK) {
        err = sign(r, &creds);
    }
    if (err == POLLEN_OK) {
        err = use(r, &creds);
    }
    pln_credentials_fini(&creds);
    return err;
}

/* ---- By peers ------------------------------------------------------------------------------ */

static bool is_among(const pollen_key *keys, size_t count, const pollen_key *key) {
    for (size_t i = 0; i < count; i++) {
        if (pln_key_equal(&keys[i], key)) {
            return true;
        }
    }
    return false;
}

/* Moves the key to the place, when it stands behind it; returns the next place. */
static size_t move_ahead(pollen_key *keys, size_t count, size_t place, const pollen_key *key) {
    for (size_t i = place; i < count; i++) {
        if (pln_key_equal(&keys[i], key)) {
            keys[i] = keys[place];
            keys[place] = *key;
            return place + 1;
        }
    }
    return place;
}

/* Who is likely to be an admin comes first. */
static void sort_peers(const renewer *r, pollen_key *keys, size_t count) {
    size_t place = 0;
    pln_config config = {0};
    if (r->has_helper) {
        place = move_ahead(keys, count, place, &r->helper);
    }
    if (pln_statedir_load_config(r->daemon->dir, &config) == POLLEN_OK) {
        for (size_t i = 0; i < config.bootstrap.count; i++) {
            place = move_ahead(keys, count, place, &config.bootstrap.items[i].peer_pub);
        }
        pln_config_fini(&config);
    }
}

/* Connected peers that were not asked in this round. */
static size_t find_peers(const renewer *r, pollen_mesh *mesh, pollen_key *keys) {
    const size_t connected = pollen_mesh_connected_peers(mesh, keys, PEERS_MAX);
    size_t count = 0;
    for (size_t i = 0; i < connected && i < PEERS_MAX; i++) {
        if (!is_among(r->asked, r->asked_count, &keys[i])) {
            keys[count++] = keys[i];
        }
    }
    return count;
}

static pollen_err ask_peer(renewer *r, pollen_mesh *mesh, const pollen_key *peer) {
    const pollen_err err = pollen_mesh_request_cert_renewal(mesh, peer, ANSWER_MS, NULL);
    if (err == POLLEN_OK) {
        r->helper = *peer;
        r->has_helper = true;
    } else if (err != POLLEN_ENOTCONN && r->asked_count < PEERS_MAX) {
        r->asked[r->asked_count++] = *peer;
    }
    return err;
}

/* POLLEN_ENOTCONN: there was nobody to ask. */
static pollen_err renew_by_peers(renewer *r) {
    const pln_ts deadline = pln_clock_deadline(ROUND_MS);
    pollen_err err = POLLEN_ENOTCONN;
    pollen_mesh *mesh = pln_daemon_enter(r->daemon);
    if (mesh != NULL && r->asked_count < PEERS_MAX) {
        pollen_key keys[PEERS_MAX];
        const size_t count = find_peers(r, mesh, keys);
        if (count > 0) {
            sort_peers(r, keys, count);
        }
        for (size_t i = 0;
             err != POLLEN_OK && i < count && !atomic_load(&r->daemon->mesh_closing) &&
             !pln_ts_reached(deadline, pln_clock_mono());
             i++) {
            const pollen_err said = ask_peer(r, mesh, &keys[i]);
            err = said == POLLEN_ENOTCONN ? err : said;
        }
    }
    pln_daemon_leave(r->daemon);
    return err;
}

/* ---- When ---------------------------------------------------------------------------------- */

/* True when it was renewed. */
static bool renew(renewer *r, const pollen_credentials *credentials) {
    pollen_err err = POLLEN_ENOTCONN;
    const bool is_round = pln_renewal_plan_may_ask(&r->plan, pln_clock_mono());
    if (is_round) {
        r->asked_count = 0;
        if (pollen_credentials_is_admin(credentials)) {
            err = renew_by_self(r, credentials);
        }
    }
    if (err != POLLEN_OK) {
        const pollen_err said = renew_by_peers(r);
        err = said == POLLEN_ENOTCONN ? err : said;
    }
    if (err == POLLEN_OK) {
        pln_logfile_printf(&r->daemon->log, PLN_LOG_INFO, "certificate renewed");
        return true;
    }
    if (err != POLLEN_ENOTCONN && err != POLLEN_ECLOSED) {
        log_err(r, PLN_LOG_WARN, "certificate not renewed yet", err);
        if (is_round) {
            pln_renewal_plan_on_failed(&r->plan, r->cert.not_before, r->cert.not_after, &r->rng,
                                       pln_clock_mono());
        }
    }
    return false;
}

static bool renew_when_due(renewer *r, const pollen_credentials *credentials) {
    const pollen_cert_info *cert = &r->cert;
    if (!pln_renewal_plan_is_due(&r->plan, cert->not_before, cert->not_after, pln_clock_wall())) {
        return false;
    }
    if (cert->renewable) {
        return renew(r, credentials);
    }
    if (!r->told) {
        r->told = true;
        pln_logfile_printf(&r->daemon->log, PLN_LOG_WARN,
                           "the certificate ends soon, or has ended, and cannot be renewed: this "
                           "node needs a new invite");
    }
    return false;
}

/* Whoever stops us after a renewal finds it on disk.  Tried again until it is there. */
static void save(renewer *r, const pollen_credentials *credentials, const pollen_cert_info *cert) {
    if (r->has_cert && cert->serial == r->cert.serial && cert->not_after == r->cert.not_after) {
        return;
    }
    if (r->has_cert) {
        const pollen_err err = pollen_credentials_save(credentials, r->daemon->dir);
        if (err != POLLEN_OK) {
            log_err(r, PLN_LOG_ERROR, "saving the certificate", err);
            return;
        }
    }
    r->cert = *cert;
    r->has_cert = true;
    r->told = false;
    r->asked_count = 0;
    pln_renewal_plan_init(&r->plan, &r->rng);
}

/* True when there is something new to save. */
static bool look(renewer *r) {
    pollen_credentials *credentials = NULL;
    pollen_cert_info cert;
    bool renewed = false;
    pollen_mesh *mesh = pln_daemon_enter(r->daemon);
    const pollen_err err =
        mesh == NULL ? POLLEN_ECLOSED : pollen_mesh_credentials(mesh, &credentials);
    pln_daemon_leave(r->daemon);
    if (err == POLLEN_OK && pollen_credentials_cert(credentials, &cert) == POLLEN_OK) {
        save(r, credentials, &cert);
        renewed = renew_when_due(r, credentials);
    }
    pollen_credentials_destroy(credentials);
    return renewed;
}

static void wait_tick(pln_daemon *daemon) {
    const struct timespec until = pln_clock_timespec(pln_clock_deadline(TICK_MS));
    pthread_mutex_lock(&daemon->keeper_lock);
    while (!atomic_load(&daemon->stopping) &&
           pthread_cond_timedwait(&daemon->keeper_wake, &daemon->keeper_lock, &until) !=
               ETIMEDOUT) {
    }
    pthread_mutex_unlock(&daemon->keeper_lock);
}

void *pln_renewer_run(void *arg) {
    renewer r = {.daemon = arg, .rng = pln_os_rng()};
    while (!atomic_load(&r.daemon->stopping)) {
        if (look(&r)) {
            (void)look(&r);
        }
        wait_tick(r.daemon);
    }
    return NULL;
}
