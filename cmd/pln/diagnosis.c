/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/diagnosis.h"

#include <unistd.h>

#include "pln/handler.h"
#include "pln/known.h"
#include "pln/netcheck.h"
#include "pln/out.h"
#include "pln/status.h"
#include "run/admission.h"
#include "run/clock.h"

static json_t *addrs_json(const pollen_addr *addrs, size_t count) {
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < count; i++) {
        if (addrs[i].port != 0) {
            json_array_append_new(array, pln_json_addr(&addrs[i]));
        }
    }
    return array;
}

static json_t *known_addrs_json(const pln_known_peer *known) {
    if (known->peer != NULL && known->peer->addr_count > 0) {
        return addrs_json(known->peer->addrs, known->peer->addr_count);
    }
    return known->member == NULL ? json_array()
                                 : addrs_json(known->member->addrs, known->member->addr_count);
}

static json_t *seconds_or_null(int64_t ms) {
    return ms < 0 ? json_null() : json_real((double)ms / 1e3);
}

static json_t *unix_or_null(int64_t seconds) {
    return seconds <= 0 ? json_null() : pln_json_time_ms(seconds * 1000);
}

/* Where the certificate that was shown is newer than what members told, it counts. */
static void add_cert(json_t *object, pollen_mesh *mesh, const pln_known_peer *known) {
    pollen_cert_info cert = {0};
    if (pollen_mesh_peer_membership_cert(mesh, &known->key, &cert) != POLLEN_OK) {
        cert.not_after = known->member == NULL ? 0 : known->member->cert_expiry;
    }
    json_object_set_new(object, "cert_not_before", unix_or_null(cert.not_before));
    json_object_set_new(object, "cert_not_after", unix_or_null(cert.not_after));
}

static json_t *peer_json(pollen_mesh *mesh, const pln_known_peer *known, pln_now now) {
    const pollen_peer *peer = known->peer;
    json_t *object = pln_peer_json(mesh, known, now);
    if (object == NULL) {
        return NULL;
    }
    const bool met = peer != NULL && peer->generation != 0;
    const bool is_reached_before =
        met || (known->member != NULL && known->member->last_addr.port != 0);
    json_object_set_new(object, "addrs", known_addrs_json(known));
    json_object_set_new(object, "reached_before", json_boolean(is_reached_before));
    json_object_set_new(object, "permanent", json_boolean(peer != NULL && peer->permanent));
    json_object_set_new(object, "refusals", json_integer(peer == NULL ? 0 : (int)peer->refusals));
    json_object_set_new(object, "heard_seconds",
                        seconds_or_null(known->member == NULL ? -1 : known->member->heard_ms));
    add_cert(object, mesh, known);
    return object;
}

static json_t *peers_json(pollen_mesh *mesh) {
    const pln_now now = pln_clock_now();
    pln_known known;
    if (pln_known_take(mesh, &known) != POLLEN_OK) {
        return NULL;
    }
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < known.count; i++) {
        json_array_append_new(array, peer_json(mesh, &known.items[i], now));
    }
    pln_known_fini(&known);
    return array;
}

static bool can_sign(pollen_mesh *mesh) {
    pollen_credentials *credentials = NULL;
    const bool can = pollen_mesh_credentials(mesh, &credentials) == POLLEN_OK &&
                     pollen_credentials_is_admin(credentials);
    pollen_credentials_destroy(credentials);
    return can;
}

static json_t *nat_json(pollen_mesh *mesh) {
    pollen_err err;
    json_t *nat = pln_netcheck_of(mesh, &err);
    return err == POLLEN_OK ? nat : json_null();
}

json_t *pln_diagnosis_json(pln_daemon *daemon, pollen_mesh *mesh) {
    return json_pack("{s:s, s:i, s:b, s:o, s:o, s:o}", "schema", "pollen.diagnosis/1", "pid",
                     (int)getpid(), "is_admin", can_sign(mesh) ? 1 : 0, "self",
                     pln_self_json(daemon, mesh), "nat", nat_json(mesh), "peers", peers_json(mesh));
}

void pln_handle_diagnose(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                         const pln_request *request) {
    (void)request;
    pln_reply(client, pln_diagnosis_json(daemon, mesh));
}
