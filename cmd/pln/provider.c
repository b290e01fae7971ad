/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "pln/service.h"

void pln_provider_init(pln_provider *provider, pln_tunnels *tunnels) {
    *provider = (pln_provider){.tunnels = tunnels};
    pthread_mutex_init(&provider->lock, NULL);
}

void pln_provider_fini(pln_provider *provider) {
    pthread_mutex_destroy(&provider->lock);
}

static pln_served *find_locked(pln_provider *provider, const char *name) {
    for (size_t i = 0; i < provider->count; i++) {
        if (strcmp(provider->served[i].name, name) == 0) {
            return &provider->served[i];
        }
    }
    return NULL;
}

static bool serves_locked(const pln_provider *provider, uint16_t port) {
    for (size_t i = 0; i < provider->count; i++) {
        if (provider->served[i].port == port) {
            return true;
        }
    }
    return false;
}

static void put_locked(pln_provider *provider, const char *name, uint16_t port) {
    pln_served *served = find_locked(provider, name);
    if (served == NULL && provider->count < PLN_PROVIDER_MAX) {
        served = &provider->served[provider->count++];
        snprintf(served->name, sizeof served->name, "%s", name);
    }
    if (served != NULL) {
        served->port = port;
    }
}

void pln_provider_load(pln_provider *provider, pollen_mesh *mesh) {
    const pollen_key own = pollen_mesh_key(mesh);
    const size_t cap = pollen_mesh_services(mesh, NULL, 0);
    pollen_service *services = cap == 0 ? NULL : calloc(cap, sizeof *services);
    const size_t found = services == NULL ? 0 : pollen_mesh_services(mesh, services, cap);
    pthread_mutex_lock(&provider->lock);
    provider->count = 0;
    for (size_t i = 0; i < found && i < cap; i++) {
        if (pln_key_equal(&services[i].provider, &own)) {
            put_locked(provider, services[i].name, services[i].port);
        }
    }
    pthread_mutex_unlock(&provider->lock);
    free(services);
}

pollen_err pln_provider_serve(pln_provider *provider, pollen_mesh *mesh, const char *name,
                              uint16_t port) {
    pthread_mutex_lock(&provider->lock);
    const pln_served *served = find_locked(provider, name);
    const uint16_t former = served == NULL ? port : served->port;
    pollen_err err = served == NULL && provider->count == PLN_PROVIDER_MAX
                         ? POLLEN_ELIMIT
                         : pollen_mesh_set_service(mesh, name, port);
    if (err == POLLEN_OK) {
        put_locked(provider, name, port);
        if (!serves_locked(provider, former)) {
            pln_tunnels_cut(provider->tunnels, former);
        }
    }
    pthread_mutex_unlock(&provider->lock);
    return err;
}

static bool is_meant(const pln_served *served, const char *text) {
    uint16_t port;
    return strcmp(served->name, text) == 0 ||
           (pln_service_parse_port(text, &port) && port == served->port);
}

pollen_err pln_provider_unserve(pln_provider *provider, pollen_mesh *mesh, const char *text,
                                pln_served *ret_gone, size_t *ret_count) {
    pollen_err err = POLLEN_OK;
    size_t gone = 0;
    pthread_mutex_lock(&provider->lock);
    for (size_t i = 0; err == POLLEN_OK && i < provider->count;) {
        pln_served *served = &provider->served[i];
        if (!is_meant(served, text)) {
            i++;
            continue;
        }
        err = pollen_mesh_remove_service(mesh, served->name);
        if (err == POLLEN_OK) {
            ret_gone[gone++] = *served;
            *served = provider->served[--provider->count];
        }
    }
    for (size_t i = 0; i < gone; i++) {
        if (!serves_locked(provider, ret_gone[i].port)) {
            pln_tunnels_cut(provider->tunnels, ret_gone[i].port);
        }
    }
    pthread_mutex_unlock(&provider->lock);
    *ret_count = gone;
    return err == POLLEN_OK && gone == 0 ? POLLEN_ENOENT : err;
}

bool pln_provider_serves(pln_provider *provider, uint16_t port) {
    pthread_mutex_lock(&provider->lock);
    const bool serves = serves_locked(provider, port);
    pthread_mutex_unlock(&provider->lock);
    return serves;
}

void pln_provider_accept(pln_provider *provider, pollen_mesh *mesh, pollen_stream *stream) {
    const pln_tunnel_job job = {.peer = pollen_stream_peer(stream),
                                .port = pollen_stream_port(stream),
                                .stream = stream,
                                .fd = -1};
    /* One with pln_provider_unserve(): either it sees the tunnel, or we see that it is over. */
    pthread_mutex_lock(&provider->lock);
    if (serves_locked(provider, job.port)) {
        pln_tunnels_start(provider->tunnels, mesh, &job);
    } else {
        pollen_stream_reset(stream, POLLEN_STREAM_REFUSED);
        pollen_stream_close(stream);
    }
    pthread_mutex_unlock(&provider->lock);
}
