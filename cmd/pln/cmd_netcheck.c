/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "pln/client.h"
#include "pln/columns.h"
#include "pln/out.h"
#include "pln/verbs.h"

typedef struct word {
    const char *name;
    const char *meaning;
} word;

static const word mappings[] = {
    {"none", "no NAT: peers see this node at an address of its own"},
    {"easy", "a NAT that shows one port to everybody: holes can be punched to anybody"},
    {"hard", "a NAT that shows each peer another port: holes lead to easy ones, seldom to hard"},
    {"unknown", "two connected peers, outside and not behind one address, are needed to tell"},
};

static const word allocations[] = {
    {"preserving", "the port of the socket itself"},
    {"sequential", "in small steps, which can be guessed"},
    {"random", "any"},
    {"unknown", "not enough is seen to tell"},
};

static const word roles[] = {
    {"counted", "counts"},
    {"inside", "sits on this side of the NAT: does not count"},
    {"same_address", "another one behind its address counts"},
    {"other_socket", "looks at another socket: does not count"},
    {"other_family", "sees it by the other kind of IP: does not count"},
    {"old", "too old to count"},
};

static const char *meaning(const word *words, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i].name, name) == 0) {
            return words[i].meaning;
        }
    }
    return "";
}

#define MEANING(words, name) meaning(words, sizeof(words) / sizeof((words)[0]), name)

static void print_evidence(const json_t *evidence) {
    static const char *const titles[] = {"PEER", "SEES THIS NODE AT", "AT", "", NULL};
    const json_t *item;
    size_t i;
    pln_columns columns;
    pln_columns_init(&columns, titles);
    json_array_foreach(evidence, i, item) {
        pln_columns_addf(&columns, "%.12s", pln_json_text(item, "peer", "?"));
        pln_columns_add(&columns, pln_json_text(item, "seen_addr", "?"), NULL);
        pln_columns_add(&columns, pln_json_text(item, "at", "?"), NULL);
        pln_columns_add(&columns, MEANING(roles, pln_json_text(item, "role", "")), NULL);
    }
    pln_columns_end(&columns);
}

static const word port_mappings[] = {
    {"off", "nobody asked the router for it: pln up --port-mapping pcp"},
    {"no_router", "no router to ask"},
    {"asking", "the router is being asked"},
    {"mapped", "the router forwards what comes there"},
    {"nested", "the router is itself behind a NAT, so that few can use it"},
    {"refused", "the router says no; it is asked again later"},
    {"silent", "the router does not answer; it is asked again later"},
};

static const char *port_mapping(const json_t *protocols, const char *name) {
    const json_t *value = json_object_get(protocols, name);
    return json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "unknown";
}

static void print_port_mapping(const json_t *mapping) {
    const char *state = pln_json_text(mapping, "state", "unknown");
    const char *addr = pln_json_text(mapping, "external_addr", NULL);
    printf("port mapping  %s%s%s: %s\n", state, addr != NULL ? " " : "", addr != NULL ? addr : "",
           MEANING(port_mappings, state));
    printf("router speaks pcp %s, nat-pmp %s, upnp %s\n", port_mapping(mapping, "pcp"),
           port_mapping(mapping, "nat_pmp"), port_mapping(mapping, "upnp"));
}

static void print(const pln_cli *cli, const pln_request *request, const json_t *object) {
    const char *mapping = pln_json_text(object, "mapping", "unknown");
    const char *allocation = pln_json_text(object, "allocation", "unknown");
    const json_t *addr;
    size_t i;
    (void)cli;
    (void)request;
    printf("mapping       %s: %s\n", mapping, MEANING(mappings, mapping));
    printf("allocation    %s: %s\n", allocation, MEANING(allocations, allocation));
    printf("public addrs ");
    json_array_foreach(json_object_get(object, "public_addrs"), i, addr) {
        printf(" %s", json_string_value(addr));
    }
    puts(i == 0 ? " unknown" : "");
    print_port_mapping(json_object_get(object, "port_mapping"));
    if (json_array_size(json_object_get(object, "evidence")) == 0) {
        puts("evidence      none: no peer on another machine has told where it sees this node");
    } else {
        puts("");
        print_evidence(json_object_get(object, "evidence"));
    }
}

static pln_exit run(pln_cli *cli) {
    return pln_client_show(cli, &(pln_request){.verb = PLN_REQUEST_NETCHECK}, print);
}

const pln_verb pln_verb_netcheck = {
    .name = "netcheck",
    .run = run,
    .summary = "tell which NAT this node is behind, and how that is known",
    .help = "Nobody outside the cluster is asked: it is what connected peers see of this node.  A\n"
            "guess is not made.\n",
};
