/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions about the NAT in front of us, and the router. */
#include <pollen/nat.h>

#include "base/assert.h"
#include "run/last_error.h"
#include "run/runtime.h"

_Static_assert((int)POLLEN_NAT_EVIDENCE_MAX == (int)PLN_NAT_OBSERVATIONS_MAX, "all of it fits");

static int64_t age_ms(const pollen_mesh *mesh, pln_ts at) {
    return (int64_t)(pln_ts_since(at, mesh->now.mono) / PLN_NS_PER_MS);
}

static pollen_err query_observed(pollen_mesh *mesh, void *arg) {
    pln_list_query *query = arg;
    pollen_observed *observed = query->items;
    pln_observed item;
    while (pln_node_observed_at(mesh->node, query->count, &item) == POLLEN_OK) {
        if (query->count < query->cap) {
            observed[query->count] = (pollen_observed){
                .peer = item.peer,
                .addr = item.addr,
                .age_ms = age_ms(mesh, item.at),
            };
        }
        query->count++;
    }
    return POLLEN_OK;
}

size_t pollen_mesh_observed_addrs(pollen_mesh *mesh, pollen_observed *observed, size_t cap) {
    return pln_request_list(mesh, query_observed, observed, cap);
}

static pollen_nat_evidence evidence_of(const pollen_mesh *mesh, const pln_nat_evidence *item) {
    return (pollen_nat_evidence){
        .peer = item->observation.observer,
        .seen = item->observation.seen,
        .age_ms = age_ms(mesh, item->observation.at),
        .counted = item->role == PLN_NAT_ROLE_COUNTED,
        .role = pln_nat_role_name(item->role),
    };
}

static pollen_err query_nat(pollen_mesh *mesh, void *arg) {
    pollen_nat_report *report = arg;
    pln_nat_verdict verdict;
    pln_node_judge_nat(mesh->node, mesh->now, &verdict);
    *report = (pollen_nat_report){
        .mapping = verdict.mapping,
        .allocation = verdict.allocation,
        .step = verdict.step,
        .external = verdict.external,
        .evidence_count = verdict.evidence_count,
        .doubt = pln_nat_doubt_name(verdict.doubt),
        .remembered_at = verdict.remembered_at,
    };
    PLN_ASSERT(verdict.evidence_count <= POLLEN_NAT_EVIDENCE_MAX);
    for (size_t i = 0; i < verdict.evidence_count; i++) {
        report->evidence[i] = evidence_of(mesh, &verdict.evidence[i]);
    }
    return POLLEN_OK;
}

pollen_err pollen_mesh_nat_report(pollen_mesh *mesh, pollen_nat_report *ret_report) {
    pln_last_error_clear();
    if (mesh == NULL || ret_report == NULL) {
        return POLLEN_EINVAL;
    }
    return pln_request(mesh, query_nat, ret_report);
}

/* ---- Port mapping ---------------------------------------------------------------------------- */

pollen_err pollen_mesh_map_port(pollen_mesh *mesh, bool on) {
    pln_last_error_clear();
    if (mesh == NULL) {
        return POLLEN_EINVAL;
    }
    if (on) {
        return pln_port_mapper_start(&mesh->port_mapper);
    }
    pln_port_mapper_stop(&mesh->port_mapper);
    return POLLEN_OK;
}

pollen_err pollen_mesh_port_mapping(pollen_mesh *mesh, pollen_port_mapping *ret_mapping) {
    pln_last_error_clear();
    if (mesh == NULL || ret_mapping == NULL) {
        return POLLEN_EINVAL;
    }
    pthread_mutex_lock(&mesh->port_mapper.lock);
    *ret_mapping = mesh->port_mapper.report;
    pthread_mutex_unlock(&mesh->port_mapper.lock);
    return POLLEN_OK;
}
