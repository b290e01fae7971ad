/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/netcheck.h"

#include "pln/handler.h"
#include "pln/out.h"
#include "pln/status.h"
#include "run/clock.h"

static json_t *evidence_json(const pollen_nat_evidence *evidence, int64_t wall_ms) {
    char id[POLLEN_KEY_HEX_BYTES];
    return json_pack("{s:s, s:o, s:o, s:s}", "peer", pollen_key_hex(&evidence->peer, id),
                     "seen_addr", pln_json_addr(&evidence->seen), "at",
                     pln_json_time_ms((wall_ms - evidence->age_ms) / 1000 * 1000), "role",
                     evidence->role);
}

static bool is_told(const pollen_nat_report *report, size_t count, const pollen_addr *addr) {
    for (size_t i = 0; i < count; i++) {
        if (report->evidence[i].counted && pollen_addr_equal(&report->evidence[i].seen, addr)) {
            return true;
        }
    }
    return false;
}

/* Each address once, of those that count. */
static json_t *public_json(const pollen_nat_report *report) {
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < report->evidence_count; i++) {
        const pollen_nat_evidence *evidence = &report->evidence[i];
        if (evidence->counted && !is_told(report, i, &evidence->seen)) {
            json_array_append_new(array, pln_json_addr(&evidence->seen));
        }
    }
    return array;
}

/* Null for what was not tried. */
static json_t *protocol_json(pollen_port_mapping_protocol protocol) {
    return protocol == POLLEN_PORT_MAPPING_UNTRIED
               ? json_null()
               : json_boolean(protocol == POLLEN_PORT_MAPPING_SPOKEN);
}

static json_t *addr_or_null(const pollen_addr *addr) {
    return addr->port != 0 ? pln_json_addr(addr) : json_null();
}

static json_t *mapping_json(const pollen_port_mapping *mapping) {
    return json_pack("{s:o, s:o, s:n, s:s, s:o, s:o}", "pcp", protocol_json(mapping->pcp),
                     "nat_pmp", protocol_json(mapping->nat_pmp), "upnp", "state",
                     pollen_port_mapping_state_name(mapping->state), "gateway_addr",
                     addr_or_null(&mapping->gateway), "external_addr",
                     addr_or_null(&mapping->external));
}

static json_t *step_json(const pollen_nat_report *report) {
    return report->step != 0 ? json_integer(report->step) : json_null();
}

static json_t *remembered_json(const pollen_nat_report *report) {
    return report->remembered_at != 0 ? pln_json_time_ms(report->remembered_at * 1000)
                                      : json_null();
}

json_t *pln_netcheck_json(const pollen_nat_report *report, const pollen_port_mapping *mapping,
                          int64_t wall_ms) {
    json_t *evidence = json_array();
    for (size_t i = 0; evidence != NULL && i < report->evidence_count; i++) {
        json_array_append_new(evidence, evidence_json(&report->evidence[i], wall_ms));
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:s?, s:o, s:o, s:o, s:o}", "schema",
                     "pollen.netcheck/1", "mapping", pollen_nat_mapping_name(report->mapping),
                     "allocation", pollen_nat_allocation_name(report->allocation), "step",
                     step_json(report), "doubt", report->doubt, "remembered_at",
                     remembered_json(report), "public_addrs", public_json(report), "evidence",
                     evidence, "port_mapping", mapping_json(mapping));
}

json_t *pln_netcheck_of(pollen_mesh *mesh, pollen_err *ret_err) {
    pollen_nat_report report;
    pollen_port_mapping mapping;
    *ret_err = pollen_mesh_nat_report(mesh, &report);
    if (*ret_err == POLLEN_OK) {
        *ret_err = pollen_mesh_port_mapping(mesh, &mapping);
    }
    return *ret_err == POLLEN_OK ? pln_netcheck_json(&report, &mapping, pln_clock_wall() * 1000)
                                 : NULL;
}

void pln_handle_netcheck(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                         const pln_request *request) {
    pollen_err err;
    json_t *object = pln_netcheck_of(mesh, &err);
    (void)daemon;
    (void)request;
    if (err == POLLEN_OK) {
        pln_reply(client, object);
    } else {
        pln_reply_err(client, err, "netcheck");
    }
}
