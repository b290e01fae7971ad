/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/signer.h"
#include "base/key.h"
#include "pln/out.h"
#include "run/clock.h"

#define DAY_S 86400LL

/* A time of the mesh's monotonic clock as wall time, seen from now. */
static json_t *mono_time(uint64_t at_ns, pln_now now) {
    if (at_ns == POLLEN_PEER_NEVER || at_ns == 0) {
        return json_null();
    }
    const int64_t offset_ms = ((int64_t)at_ns - (int64_t)now.mono) / (int64_t)PLN_NS_PER_MS;
    return pln_json_time_ms((now.wall * 1000 + offset_ms) / 1000 * 1000);
}

json_t *pln_json_addr(const pollen_addr *addr) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    return addr->port == 0 ? json_null() : json_string(pollen_addr_format(addr, text));
}

const char *pln_path_name(const pollen_session_info *info) {
    return info->punched ? "punched" : "direct";
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Thirty and seven days before the end, as the reference; earlier parts of shorter lives, so that a
 * certificate of a day is not soon to expire from its first minute on. */
const char *pln_cert_health(const pollen_cert_info *cert, pln_wall now) {
    const int64_t life = pln_cert_life(cert->not_before, cert->not_after);
    const int64_t left = cert->not_after - now;
    if (left <= 0) {
        return "expired";
    }
    if (left <= smaller(7 * DAY_S, life / 10)) {
        return "expiring_soon";
    }
    if (left <= smaller(30 * DAY_S, life / 3)) {
        return cert->renewable ? "renewing" : "expiring_soon";
    }
    return "ok";
}

static json_t *cert_json(pollen_mesh *mesh, json_t **ret_cluster) {
    pollen_credentials *credentials = NULL;
    pollen_cert_info cert;
    pollen_key cluster;
    json_t *object = NULL;
    *ret_cluster = NULL;
    if (pollen_mesh_credentials(mesh, &credentials) == POLLEN_OK &&
        pollen_credentials_cert(credentials, &cert) == POLLEN_OK &&
        pollen_credentials_cluster(credentials, &cluster) == POLLEN_OK) {
        char hex[POLLEN_KEY_HEX_BYTES];
        char serial[17];
        /* Text: a JSON number has 53 bits in most readers, a serial has 64. */
        snprintf(serial, sizeof serial, "%016llx", (unsigned long long)cert.serial);
        *ret_cluster = json_string(pollen_key_hex(&cluster, hex));
        object = json_pack(
            "{s:o, s:o, s:s, s:s, s:b}", "not_before", pln_json_time_ms(cert.not_before * 1000),
            "not_after", pln_json_time_ms(cert.not_after * 1000), "serial", serial, "health",
            pln_cert_health(&cert, pln_clock_wall()), "renewable", cert.renewable ? 1 : 0);
    }
    pollen_credentials_destroy(credentials);
    *ret_cluster = *ret_cluster == NULL ? json_null() : *ret_cluster;
    return object == NULL ? json_null() : object;
}

/* What the router forwards is ours as well. */
static void append_mapped(pollen_mesh *mesh, json_t *array) {
    pollen_port_mapping mapping;
    if (pollen_mesh_port_mapping(mesh, &mapping) == POLLEN_OK &&
        mapping.state == POLLEN_PORT_MAPPING_MAPPED) {
        json_array_append_new(array, pln_json_addr(&mapping.external));
    }
}

static json_t *addrs_json(pln_daemon *daemon, pollen_mesh *mesh) {
    pollen_addr addrs[PLN_DAEMON_ADDRS_MAX];
    json_t *array = json_array();
    const size_t count = pln_daemon_addrs(daemon, mesh, addrs, PLN_DAEMON_ADDRS_MAX);
    for (size_t i = 0; array != NULL && i < count; i++) {
        json_array_append_new(array, pln_json_addr(&addrs[i]));
    }
    append_mapped(mesh, array);
    return array;
}

/* Where peers see us, newest first: behind a NAT that is another address than our own. */
static json_t *observed_json(pollen_mesh *mesh) {
    enum { OBSERVED_MAX = 64 };
    pollen_observed seen[OBSERVED_MAX];
    size_t count = pollen_mesh_observed_addrs(mesh, seen, OBSERVED_MAX);
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < count && i < OBSERVED_MAX; i++) {
        char id[POLLEN_KEY_HEX_BYTES];
        json_array_append_new(array,
                              json_pack("{s:s, s:o}", "peer", pollen_key_hex(&seen[i].peer, id),
                                        "addr", pln_json_addr(&seen[i].addr)));
    }
    return array;
}

json_t *pln_self_json(pln_daemon *daemon, pollen_mesh *mesh) {
    char id[POLLEN_KEY_HEX_BYTES];
    json_t *cluster;
    const pollen_key key = pollen_mesh_key(mesh);
    json_t *cert = cert_json(mesh, &cluster);
    return json_pack("{s:s, s:o, s:s, s:i, s:o, s:o, s:o}", "id", pollen_key_hex(&key, id),
                     "cluster_id", cluster, "version", PLN_VERSION, "port",
                     (int)pollen_mesh_listen_port(mesh), "addrs", addrs_json(daemon, mesh),
                     "observed", observed_json(mesh), "cert", cert);
}

static json_t *end_json(const pollen_peer *peer, pln_now now) {
    if (peer->last_end_reason == POLLEN_END_NONE || peer->last_end_at_ns == POLLEN_PEER_NEVER) {
        return json_null();
    }
    return json_pack("{s:s, s:o}", "reason", pollen_end_reason_name(peer->last_end_reason), "at",
                     mono_time(peer->last_end_at_ns, now));
}

static bool awaits_action(const pollen_peer *peer) {
    return peer->state == POLLEN_PEER_DISCOVERED || peer->state == POLLEN_PEER_UNREACHABLE;
}

static json_t *number(bool known, uint64_t value) {
    return known ? json_integer((json_int_t)value) : json_null();
}

static json_t *addr_json(const pln_known_peer *known, const pollen_session_info *info) {
    const pollen_addr *addr = info != NULL ? &info->addr : pln_known_addr(known);
    return addr == NULL ? json_null() : pln_json_addr(addr);
}

json_t *pln_peer_json(pollen_mesh *mesh, const pln_known_peer *known, pln_now now) {
    static const pollen_peer heard_of = {.state = POLLEN_PEER_DISCOVERED,
                                         .since_ns = POLLEN_PEER_NEVER,
                                         .next_action_ns = POLLEN_PEER_NEVER};
    const pollen_peer *peer = known->peer != NULL ? known->peer : &heard_of;
    pollen_session_info info = {0};
    const bool up = pollen_mesh_session_info(mesh, &known->key, &info) == POLLEN_OK;
    const bool stage = peer->stage != POLLEN_STAGE_NONE && peer->state != POLLEN_PEER_CONNECTED;
    char id[POLLEN_KEY_HEX_BYTES];
    return json_pack(
        "{s:s, s:s, s:s?, s:s?, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:b}", "id",
        pollen_key_hex(&known->key, id), "state", pollen_peer_state_name(peer->state), "stage",
        stage ? pollen_connect_stage_name(peer->stage) : NULL, "path",
        up ? pln_path_name(&info) : NULL, "addr", addr_json(known, up ? &info : NULL),
        "rtt_seconds", up && info.rtt_us > 0 ? json_real(info.rtt_us / 1e6) : json_null(), "since",
        mono_time(peer->since_ns, now), "last_end", end_json(peer, now), "next_action_at",
        awaits_action(peer) ? mono_time(peer->next_action_ns, now) : json_null(), "attempts",
        (int)peer->stage_attempts, "bytes_in", number(up, info.bytes_in), "bytes_out",
        number(up, info.bytes_out), "datagrams_in", number(up, info.datagrams_in), "datagrams_out",
        number(up, info.datagrams_out), "datagrams_dropped", number(up, info.datagrams_dropped),
        "revoked", pln_known_is_revoked(known) ? 1 : 0);
}

static json_t *peers_json(pollen_mesh *mesh, bool with_revoked) {
    const pln_now now = pln_clock_now();
    pln_known known;
    if (pln_known_take(mesh, &known) != POLLEN_OK) {
        return NULL;
    }
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < known.count; i++) {
        if (with_revoked || !pln_known_is_revoked(&known.items[i])) {
            json_array_append_new(array, pln_peer_json(mesh, &known.items[i], now));
        }
    }
    pln_known_fini(&known);
    return array;
}

/* ---- Services -----------------------------------------------------------------------------------
 * */

/* The local port of a forward to it; null where there is none. */
static json_t *local_port(const pollen_service *service, const pollen_forward *forwards,
                          size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (forwards[i].remote_port == service->port &&
            pln_key_equal(&forwards[i].provider, &service->provider)) {
            return json_integer(forwards[i].local_port);
        }
    }
    return json_null();
}

static json_t *services_json(pollen_mesh *mesh) {
    const size_t service_cap = pollen_mesh_services(mesh, NULL, 0) + 1;
    const size_t forward_cap = pollen_mesh_forwards(mesh, NULL, 0) + 1;
    pollen_service *services = calloc(service_cap, sizeof *services);
    pollen_forward *forwards = calloc(forward_cap, sizeof *forwards);
    json_t *array = services == NULL || forwards == NULL ? NULL : json_array();
    const size_t found = array == NULL ? 0 : pollen_mesh_services(mesh, services, service_cap);
    size_t wanted = array == NULL ? 0 : pollen_mesh_forwards(mesh, forwards, forward_cap);
    wanted = wanted < forward_cap ? wanted : forward_cap;
    for (size_t i = 0; i < found && i < service_cap; i++) {
        char id[POLLEN_KEY_HEX_BYTES];
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:i, s:o}", "name", services[i].name,
                                        "provider", pollen_key_hex(&services[i].provider, id),
                                        "port", (int)services[i].port, "local_port",
                                        local_port(&services[i], forwards, wanted)));
    }
    free(services);
    free(forwards);
    return array;
}

json_t *pln_status_json(pln_daemon *daemon, pollen_mesh *mesh, bool with_revoked) {
    return json_pack("{s:s, s:o, s:o, s:o}", "schema", "pollen.status/1", "self",
                     pln_self_json(daemon, mesh), "peers", peers_json(mesh, with_revoked),
                     "services", services_json(mesh));
}

json_t *pln_info_json(pln_daemon *daemon, pollen_mesh *mesh) {
    char id[POLLEN_KEY_HEX_BYTES];
    const pollen_key key = pollen_mesh_key(mesh);
    const char *log = daemon->log.to_journal ? "journal" : "file";
    return json_pack("{s:s, s:s, s:i, s:i, s:o, s:s}", "schema", "pollen.info/1", "id",
                     pollen_key_hex(&key, id), "pid", (int)getpid(), "port",
                     (int)pollen_mesh_listen_port(mesh), "addrs", addrs_json(daemon, mesh), "log",
                     log);
}
