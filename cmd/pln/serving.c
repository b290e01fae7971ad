/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about services: serve, unserve, connect, disconnect. */
#include <stdio.h>
#include <stdlib.h>

#include "base/key.h"
#include "pln/handler.h"
#include "pln/services.h"

enum { LISTED_MAX = 6 };      /* Choices that an error names. */
enum { MESSAGE_BYTES = 640 }; /* With all of them. */
enum { HINT_BYTES = 128 };
enum { SHORT_ID = 12 }; /* Digits of an id in messages, as in tables. */

/* Name as text of JSON; a foreign one may be no UTF-8. */
static json_t *name_json(const char *name) {
    char text[POLLEN_SERVICE_NAME_BYTES];
    json_t *json = json_string(name);
    return json != NULL ? json : json_string(pln_service_show_name(name, text));
}

/* ---- serve, unserve -------------------------------------------------------------------------- */

void pln_handle_serve(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                      const pln_request *request) {
    const uint16_t port = (uint16_t)request->port;
    const char *problem = pln_service_name_problem(request->service, port);
    char message[MESSAGE_BYTES];
    if (problem != NULL) {
        snprintf(message, sizeof message, "serve: the name %s", problem);
        pln_reply_error(client, PLN_EXIT_USAGE, NULL, message);
        return;
    }
    const pollen_err err = pln_provider_serve(&daemon->provider, mesh, request->service, port);
    if (err != POLLEN_OK) {
        pln_reply_err(client, err, "serve");
        return;
    }
    pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "serving port %u as %s", (unsigned)port,
                       request->service);
    pln_reply(client, json_pack("{s:s, s:s, s:i}", "schema", "pollen.serve/1", "name",
                                request->service, "port", (int)port));
}

static json_t *served_json(const pln_served *served, size_t count) {
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < count; i++) {
        json_array_append_new(array, json_pack("{s:o, s:i}", "name", name_json(served[i].name),
                                               "port", (int)served[i].port));
    }
    return array;
}

void pln_handle_unserve(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                        const pln_request *request) {
    size_t count = 0;
    char message[MESSAGE_BYTES];
    pln_served *gone = calloc(PLN_PROVIDER_MAX, sizeof *gone);
    const pollen_err err = gone == NULL ? POLLEN_ENOMEM
                                        : pln_provider_unserve(&daemon->provider, mesh,
                                                               request->service, gone, &count);
    for (size_t i = 0; i < count; i++) {
        pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "no longer serving port %u as %s",
                           (unsigned)gone[i].port, gone[i].name);
    }
    if (err == POLLEN_ENOENT) {
        snprintf(message, sizeof message, "unserve: this node does not serve '%s'",
                 request->service);
        pln_reply_error(client, PLN_EXIT_NOTFOUND, "pln status services", message);
    } else if (err != POLLEN_OK) {
        pln_reply_err(client, err, "unserve");
    } else {
        pln_reply(client, json_pack("{s:s, s:o}", "schema", "pollen.unserve/1", "services",
                                    served_json(gone, count)));
    }
    free(gone);
}

/* ---- connect --------------------------------------------------------------------------------- */

/* " 3f2a9c1d0b6e (port 8080)," for each, up to LISTED_MAX. */
static void list_matches(const pln_matches *matches, char *text, size_t cap) {
    size_t used = 0;
    for (size_t i = 0; i < matches->count && i < LISTED_MAX && used < cap; i++) {
        char id[POLLEN_KEY_HEX_BYTES];
        used += (size_t)snprintf(text + used, cap - used, "%s %.*s (port %u)", i == 0 ? "" : ",",
                                 SHORT_ID, pollen_key_hex(&matches->items[i].provider, id),
                                 (unsigned)matches->items[i].port);
    }
    if (matches->count > LISTED_MAX && used < cap) {
        snprintf(text + used, cap - used, " and %zu more", matches->count - LISTED_MAX);
    }
}

static void refuse_several(pln_control_client *client, const pln_request *request,
                           const pln_matches *matches) {
    char list[MESSAGE_BYTES / 2];
    char message[MESSAGE_BYTES];
    char hint[POLLEN_SERVICE_NAME_BYTES + 32];
    char id[POLLEN_KEY_HEX_BYTES];
    list_matches(matches, list, sizeof list);
    snprintf(message, sizeof message, "connect: %zu services are called '%s':%s", matches->count,
             request->service, list);
    snprintf(hint, sizeof hint, "pln connect %s %.*s", request->service, SHORT_ID,
             pollen_key_hex(&matches->items[0].provider, id));
    pln_reply_error(client, PLN_EXIT_AMBIGUOUS, hint, message);
}

/* A number at PROVIDER's place was most likely meant for a port. */
static const char *hint_of_none(const pln_request *request, char text[HINT_BYTES]) {
    uint16_t port = 0;
    if (!pln_service_parse_port(request->peer, &port)) {
        return "pln status services";
    }
    snprintf(text, HINT_BYTES, "pln connect %s --local-port %u", request->service, (unsigned)port);
    return text;
}

static void refuse_none(pln_control_client *client, const pln_request *request, bool own) {
    char message[MESSAGE_BYTES];
    char hint[HINT_BYTES];
    if (own) {
        snprintf(message, sizeof message, "connect: '%s' is served by this node itself",
                 request->service);
        pln_reply_error(client, PLN_EXIT_USAGE, "pln status services", message);
        return;
    }
    snprintf(message, sizeof message, "connect: no member %.64s%sserves '%s', as far as is known",
             request->peer, request->peer[0] == '\0' ? "" : " ", request->service);
    pln_reply_error(client, PLN_EXIT_NOTFOUND, hint_of_none(request, hint), message);
}

/* The one service that is meant; false: the client was told why there is none. */
static bool find_service(pollen_mesh *mesh, pln_control_client *client, const pln_request *request,
                         pollen_service *ret) {
    pln_matches matches = {0};
    const pollen_err err = pln_services_find(mesh, request->service, request->peer, &matches);
    if (err != POLLEN_OK) {
        pln_reply_err(client, err, "connect");
        return false;
    }
    const bool found = matches.count == 1;
    if (found) {
        *ret = matches.items[0];
    } else if (matches.count > 1) {
        refuse_several(client, request, &matches);
    } else {
        refuse_none(client, request, matches.of_this_node);
    }
    pln_matches_fini(&matches);
    return found;
}

static void refuse_forward(pln_control_client *client, const pln_request *request, pollen_err err,
                           const pln_forward *forward) {
    char addr[PLN_FORWARD_ADDR_BYTES];
    char message[MESSAGE_BYTES];
    char hint[POLLEN_SERVICE_NAME_BYTES + 32];
    switch ((int)err) {
    case POLLEN_EBUSY:
        snprintf(message, sizeof message, "connect: '%s' is forwarded already, at %s",
                 request->service, pln_forward_addr(forward, addr));
        snprintf(hint, sizeof hint, "pln disconnect %s", request->service);
        pln_reply_error(client, PLN_EXIT_FAIL, hint, message);
        break;
    case POLLEN_EADDRINUSE:
        snprintf(message, sizeof message, "connect: %s is in use by another program or forward",
                 pln_forward_addr(forward, addr));
        pln_reply_error(client, PLN_EXIT_FAIL, "name another LOCAL-PORT", message);
        break;
    case POLLEN_EADDR:
        snprintf(message, sizeof message, "connect: '%s' is no address of this machine",
                 forward->bind);
        pln_reply_error(client, PLN_EXIT_USAGE, NULL, message);
        break;
    default:
        pln_reply_err(client, err, "connect");
        break;
    }
}

static json_t *forward_json(const char *schema, const char *name, const pln_forward *forward) {
    char id[POLLEN_KEY_HEX_BYTES];
    char addr[PLN_FORWARD_ADDR_BYTES];
    return json_pack("{s:s, s:o, s:s, s:i, s:i, s:s}", "schema", schema, "service",
                     name == NULL ? json_null() : name_json(name), "provider",
                     pollen_key_hex(&forward->provider, id), "port", (int)forward->port,
                     "local_port", (int)forward->local_port, "local_addr",
                     pln_forward_addr(forward, addr));
}

void pln_handle_connect(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                        const pln_request *request) {
    pollen_service service;
    pollen_session_info info;
    pln_forward wanted = {.local_port = (uint16_t)request->local_port};
    pln_forward forward;
    if (!find_service(mesh, client, request, &service)) {
        return;
    }
    wanted.provider = service.provider;
    wanted.port = service.port;
    snprintf(wanted.bind, sizeof wanted.bind, "%s", request->bind);
    const pollen_err err = pln_forwarder_add(&daemon->forwarder, mesh, &wanted, &forward);
    if (err != POLLEN_OK) {
        refuse_forward(client, request, err, &forward);
        return;
    }
    json_t *object = forward_json("pollen.connect/1", service.name, &forward);
    const bool up = pollen_mesh_session_info(mesh, &service.provider, &info) == POLLEN_OK;
    if (object != NULL) {
        json_object_set_new(object, "connected", json_boolean(up));
    }
    pln_reply(client, object);
}

/* ---- disconnect ------------------------------------------------------------------------------ */

/* The name of a forward's service, as far as it is known; NULL. */
static const pollen_service *service_of(const pln_forward *forward, const pollen_service *services,
                                        size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (services[i].port == forward->port &&
            pln_key_equal(&services[i].provider, &forward->provider)) {
            return &services[i];
        }
    }
    return NULL;
}

static bool is_meant(const pln_forward *forward, const pln_request *request,
                     const pollen_service *services, size_t count) {
    const pollen_service as_port = {.port = forward->port};
    const pollen_service as_local = {.port = forward->local_port};
    if (!pln_key_has_prefix(&forward->provider, request->peer)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (services[i].port == forward->port &&
            pln_key_equal(&services[i].provider, &forward->provider) &&
            pln_service_has_name(&services[i], request->service)) {
            return true;
        }
    }
    return pln_service_has_port(&as_port, request->service) ||
           pln_service_has_port(&as_local, request->service);
}

/* Keeps the forwards that are meant; returns how many. */
static size_t choose(pln_forward *forwards, size_t count, const pln_request *request,
                     const pollen_service *services, size_t service_count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_meant(&forwards[i], request, services, service_count)) {
            forwards[kept++] = forwards[i];
        }
    }
    return kept;
}

static void refuse_disconnect(pln_control_client *client, const pln_request *request,
                              const pln_forward *forwards, size_t count) {
    char message[MESSAGE_BYTES];
    size_t used = (size_t)snprintf(message, sizeof message,
                                   count == 0 ? "disconnect: no forward is called '%s'"
                                              : "disconnect: several forwards are called '%s':",
                                   request->service);
    for (size_t i = 0; i < count && i < LISTED_MAX && used < sizeof message; i++) {
        char addr[PLN_FORWARD_ADDR_BYTES];
        char id[POLLEN_KEY_HEX_BYTES];
        used += (size_t)snprintf(message + used, sizeof message - used, "%s %s (to %.*s)",
                                 i == 0 ? "" : ",", pln_forward_addr(&forwards[i], addr), SHORT_ID,
                                 pollen_key_hex(&forwards[i].provider, id));
    }
    pln_reply_error(client, count == 0 ? PLN_EXIT_NOTFOUND : PLN_EXIT_AMBIGUOUS,
                    "pln status services", message);
}

static void disconnect(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                       const pln_forward *forward, const pollen_service *service) {
    const pollen_err err =
        pln_forwarder_remove(&daemon->forwarder, mesh, &forward->provider, forward->port);
    if (err != POLLEN_OK) {
        pln_reply_err(client, err, "disconnect");
        return;
    }
    pln_reply(client,
              forward_json("pollen.disconnect/1", service == NULL ? NULL : service->name, forward));
}

void pln_handle_disconnect(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                           const pln_request *request) {
    const size_t cap = pollen_mesh_services(mesh, NULL, 0) + 1;
    pollen_service *services = calloc(cap, sizeof *services);
    pln_forward *forwards = calloc(PLN_FORWARDS_MAX, sizeof *forwards);
    if (services == NULL || forwards == NULL) {
        pln_reply_err(client, POLLEN_ENOMEM, "disconnect");
    } else {
        size_t known = pollen_mesh_services(mesh, services, cap);
        known = known < cap ? known : cap;
        size_t count = pln_forwarder_list(&daemon->forwarder, forwards, PLN_FORWARDS_MAX);
        count = choose(forwards, count, request, services, known);
        if (count == 1) {
            disconnect(daemon, mesh, client, &forwards[0],
                       service_of(&forwards[0], services, known));
        } else {
            refuse_disconnect(client, request, forwards, count);
        }
    }
    free(services);
    free(forwards);
}
