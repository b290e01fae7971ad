/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pln/client.h"
#include "pln/columns.h"
#include "pln/nat_words.h"
#include "pln/out.h"
#include "pln/verbs.h"

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
        pln_columns_add(&columns, pln_nat_role_words(pln_json_text(item, "role", "")), NULL);
    }
    pln_columns_end(&columns);
}

static const char *port_mapping(const json_t *protocols, const char *name) {
    const json_t *value = json_object_get(protocols, name);
    return json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "unknown";
}

static void print_port_mapping(const json_t *mapping) {
    const char *state = pln_json_text(mapping, "state", "unknown");
    const char *addr = pln_json_text(mapping, "external_addr", NULL);
    printf("port mapping  %s%s%s: %s\n", state, addr != NULL ? " " : "", addr != NULL ? addr : "",
           pln_port_mapping_words(state));
    printf("router speaks pcp %s, nat-pmp %s, upnp %s\n", port_mapping(mapping, "pcp"),
           port_mapping(mapping, "nat_pmp"), port_mapping(mapping, "upnp"));
}

static void print(const pln_cli *cli, const pln_request *request, const json_t *object) {
    const char *mapping = pln_json_text(object, "mapping", "unknown");
    const char *allocation = pln_json_text(object, "allocation", "unknown");
    const char *doubt = pln_json_text(object, "doubt", NULL);
    const char *remembered = pln_json_text(object, "remembered_at", NULL);
    const json_t *addr;
    size_t i;
    (void)cli;
    (void)request;
    printf("mapping       %s: %s\n", mapping, pln_nat_mapping_words(mapping, doubt));
    printf("allocation    %s: %s\n", allocation, pln_nat_allocation_words(mapping, allocation));
    if (remembered != NULL) {
        printf("remembered    as of %s, at this place; for now %s\n", remembered,
               pln_nat_doubt_words(doubt));
    }
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
            "guess is not made.  What was found out at an earlier time counts until peers\n"
            "contradict it, and is said to be remembered.\n",
};
