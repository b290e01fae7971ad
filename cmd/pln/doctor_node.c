/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor looks at the daemon: its port, its addresses, who helps it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pollen/peer.h>

#include "base/addr.h"
#include "base/key.h"
#include "pln/doctor.h"
#include "pln/nat_words.h"
#include "pln/out.h"
#include "pln/pick.h"
#include "pln/timespan.h"
#include "run/resolve.h"

enum { CLOCK_SLACK_MS = 120 * 1000 };

static pln_finding finding(pln_verdict verdict, const char *check, const char *fix) {
    return (pln_finding){.verdict = verdict, .check = check, .fix = fix};
}

static const json_t *self(const pln_doctor *doctor) {
    return json_object_get(doctor->diagnosis, "self");
}

bool pln_doctor_ahead(const pln_doctor *doctor, const json_t *object, const char *key,
                      int64_t *ret_ms) {
    int64_t at_ms;
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL || !pln_time_parse(text, &at_ms)) {
        return false;
    }
    *ret_ms = at_ms - doctor->now * 1000;
    return true;
}

size_t pln_doctor_connected(const pln_doctor *doctor) {
    const json_t *peer;
    size_t i;
    size_t count = 0;
    json_array_foreach(json_object_get(doctor->diagnosis, "peers"), i, peer) {
        count += pln_peer_is_connected(peer) ? 1 : 0;
    }
    return count;
}

/* ---- The port -------------------------------------------------------------------------------- */

/* The port in a line of /proc/net/udp or udp6: "  sl: LOCAL:PORT REMOTE:PORT ..", in hexadecimal;
 * 0 when there is none. */
static unsigned long port_in(const char *line) {
    const char *at = strchr(line, ':');
    at = at == NULL ? NULL : strchr(at + 1, ':');
    return at == NULL ? 0 : strtoul(at + 1, NULL, 16);
}

static bool is_bound_in(const char *path, unsigned port) {
    char line[512];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = port_in(line) == port;
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

static void check_port(pln_doctor *doctor) {
    const unsigned port = (unsigned)json_integer_value(json_object_get(self(doctor), "port"));
    if (is_bound_in("/proc/net/udp6", port) || is_bound_in("/proc/net/udp", port)) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "port", NULL), "UDP port %u is bound",
                       port);
    } else {
        pln_report_add(&doctor->report,
                       finding(PLN_WARN, "port", "is the daemon in another network namespace?"),
                       "UDP port %u is not bound as far as this process sees", port);
    }
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void count_addr(const char *text, size_t *loopback, size_t *local, size_t *global) {
    pollen_addr addr;
    if (text == NULL || pollen_addr_parse(text, &addr) != POLLEN_OK) {
        return;
    }
    if (pln_addr_is_loopback(&addr)) {
        (*loopback)++;
    } else if (pln_addr_is_global(&addr)) {
        (*global)++;
    } else {
        (*local)++;
    }
}

static void check_addrs(pln_doctor *doctor) {
    const json_t *addrs = json_object_get(self(doctor), "addrs");
    const char *first = json_string_value(json_array_get(addrs, 0));
    const json_t *item;
    size_t i;
    size_t loopback = 0;
    size_t local = 0;
    size_t global = 0;
    json_array_foreach(addrs, i, item) {
        count_addr(json_string_value(item), &loopback, &local, &global);
    }
    if (global > 0) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "addresses", NULL),
                       "tells members %zu addresses, %zu of them public", loopback + local + global,
                       global);
    } else if (local > 0) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "addresses", NULL),
                       "tells members private addresses only (%s): others must come from the same "
                       "network, or through a hole in its NAT",
                       first);
    } else if (loopback > 0) {
        pln_report_add(&doctor->report, finding(PLN_WARN, "addresses", "pln up --ips ADDRESS"),
                       "tells members loopback addresses only (%s): none on another machine can "
                       "reach this node",
                       first);
    } else {
        pln_report_add(&doctor->report, finding(PLN_WARN, "addresses", "pln up --ips ADDRESS"),
                       "has no address to tell members: is the network up?");
    }
}

/* ---- The NAT --------------------------------------------------------------------------------- */

static void check_nat(pln_doctor *doctor) {
    const json_t *nat = json_object_get(doctor->diagnosis, "nat");
    const char *mapping = pln_json_text(nat, "mapping", "unknown");
    const json_t *port = json_object_get(nat, "port_mapping");
    if (strcmp(pln_json_text(port, "state", "off"), "mapped") == 0) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "nat", NULL),
                       "%s, and the router forwards %s to this node", mapping,
                       pln_json_text(port, "external_addr", "a port"));
    } else if (strcmp(mapping, "none") == 0) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "nat", NULL),
                       "none: peers see this node at an address of its own");
    } else if (strcmp(mapping, "easy") == 0) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "nat", NULL),
                       "easy: it shows everybody the same port, so that holes can be punched");
    } else if (strcmp(mapping, "hard") == 0) {
        pln_report_add(
            &doctor->report,
            finding(PLN_WARN, "nat",
                    "pln up --port-mapping pcp; or forward a UDP port to this node, and: pln up "
                    "--port N --ips ADDRESS"),
            "hard: it shows each peer another port, so that a direct way takes longer, "
            "or is not found at all");
    } else {
        pln_report_add(&doctor->report, finding(PLN_PASS, "nat", NULL),
                       "unknown: two connected peers outside are needed to tell (pln netcheck)");
    }
}

/* A router was to be asked for a port, and gives none that is of use. */
static void check_router(pln_doctor *doctor) {
    const json_t *nat = json_object_get(doctor->diagnosis, "nat");
    const char *state = pln_json_text(json_object_get(nat, "port_mapping"), "state", "off");
    if (strcmp(state, "off") != 0 && strcmp(state, "asking") != 0 && strcmp(state, "mapped") != 0) {
        pln_report_add(&doctor->report,
                       finding(PLN_WARN, "nat",
                               "allow PCP or NAT-PMP in the router; or: pln up --port-mapping off"),
                       "port mapping is on, but %s", pln_port_mapping_words(state));
    }
}

/* ---- The clock, as others have it ------------------------------------------------------------ */

/* Certificates begin at the time of whoever signed them, and a session shows that it is valid. */
static void check_peers_clock(pln_doctor *doctor) {
    const json_t *peer;
    size_t i;
    int64_t latest_ms = 0;
    char span[PLN_TIMESPAN_TEXT_BYTES];
    json_array_foreach(json_object_get(doctor->diagnosis, "peers"), i, peer) {
        int64_t ms;
        if (pln_doctor_ahead(doctor, peer, "cert_not_before", &ms) && ms > latest_ms) {
            latest_ms = ms;
        }
    }
    if (latest_ms > CLOCK_SLACK_MS) {
        pln_report_add(&doctor->report,
                       finding(PLN_FAIL, "clock", "timedatectl set-ntp true   (or set the clock)"),
                       "a connected peer's certificate begins %s from now: the clock is behind",
                       pln_timespan_format(latest_ms, span));
    }
}

/* ---- Bootstrap peers ------------------------------------------------------------------------- */

static const json_t *find_peer(const pln_doctor *doctor, const pollen_key *key) {
    char id[POLLEN_KEY_HEX_BYTES];
    const json_t *peer;
    size_t i;
    pollen_key_hex(key, id);
    json_array_foreach(json_object_get(doctor->diagnosis, "peers"), i, peer) {
        if (strcmp(pln_json_text(peer, "id", ""), id) == 0) {
            return peer;
        }
    }
    return NULL;
}

/* Adds a finding for a name that gives nothing; false then. */
static bool resolves(pln_doctor *doctor, const pln_bootstrap *peer, const char *id) {
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < peer->addr_count; i++) {
        bool is_name;
        pln_resolve(peer->addrs[i], POLLEN_PORT_DEFAULT, addrs, POLLEN_PEER_ADDRS_MAX, &count,
                    &is_name);
    }
    if (count == 0) {
        pln_report_add(&doctor->report,
                       (pln_finding){PLN_WARN, "bootstrap", id, "check DNS, and config.yaml"},
                       "bootstrap peer: no address is found for %.100s",
                       peer->addr_count > 0 ? peer->addrs[0] : "it");
    }
    return count > 0;
}

static void check_bootstrap(pln_doctor *doctor) {
    const pln_bootstraps *list = &doctor->config.bootstrap;
    const char *own = pln_json_text(self(doctor), "id", "");
    size_t others = 0;
    size_t up = 0;
    for (size_t i = 0; i < list->count; i++) {
        char id[POLLEN_KEY_HEX_BYTES];
        pollen_key_hex(&list->items[i].peer_pub, id);
        if (strcmp(id, own) == 0) {
            continue;
        }
        const json_t *peer = find_peer(doctor, &list->items[i].peer_pub);
        others++;
        if (peer != NULL && pln_peer_is_connected(peer)) {
            up++;
        } else {
            (void)resolves(doctor, &list->items[i], id);
        }
    }
    if (others == 0) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "bootstrap", NULL),
                       "no bootstrap peer is configured: this node is found, or remembers others");
    } else if (up > 0) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "bootstrap", NULL),
                       "%zu of %zu bootstrap peers connected", up, others);
    } else {
        pln_report_add(&doctor->report,
                       finding(PLN_WARN, "bootstrap", "see the peers below; are they up?"),
                       "none of %zu bootstrap peers is connected", others);
    }
}

/* ---- Renewal --------------------------------------------------------------------------------- */

static void check_renewal(pln_doctor *doctor) {
    const json_t *cert = json_object_get(self(doctor), "cert");
    const char *health = pln_json_text(cert, "health", "");
    const bool is_late = strcmp(health, "expiring_soon") == 0 || strcmp(health, "expired") == 0;
    const size_t up = pln_doctor_connected(doctor);
    if (!json_is_object(cert)) {
        return; /* The membership is checked elsewhere. */
    }
    if (!json_is_true(json_object_get(cert, "renewable"))) {
        pln_report_add(&doctor->report,
                       finding(is_late ? PLN_WARN : PLN_PASS, "renewal",
                               is_late ? "pln join TOKEN   (of a new `pln invite`)" : NULL),
                       "the certificate is not renewable: it ends at %s",
                       pln_json_text(cert, "not_after", "?"));
    } else if (json_is_true(json_object_get(doctor->diagnosis, "is_admin"))) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "renewal", NULL),
                       "this node is an admin and renews its own certificate");
    } else if (is_late) {
        pln_report_add(&doctor->report,
                       finding(PLN_FAIL, "renewal", "connect to an admin, or: pln join TOKEN"),
                       "still not renewed: %s",
                       up == 0 ? "nobody is connected" : "none of the connected peers could do it");
    } else if (up == 0) {
        pln_report_add(&doctor->report,
                       finding(strcmp(health, "ok") == 0 ? PLN_PASS : PLN_WARN, "renewal", NULL),
                       "nobody is connected who could renew the certificate");
    } else {
        pln_report_add(&doctor->report, finding(PLN_PASS, "renewal", NULL),
                       "%zu connected peers can be asked; an admin among them is needed", up);
    }
}

/* ---- Sessions -------------------------------------------------------------------------------- */

static void check_sessions(pln_doctor *doctor) {
    const json_t *peers = json_object_get(doctor->diagnosis, "peers");
    const size_t up = pln_doctor_connected(doctor);
    const json_t *peer;
    size_t i;
    size_t members = 0;
    json_array_foreach(peers, i, peer) {
        members += json_is_true(json_object_get(peer, "revoked")) ? 0 : 1;
    }
    if (members == 0) {
        pln_report_add(&doctor->report, finding(PLN_PASS, "sessions", NULL),
                       "no other member is known yet");
    } else if (up == 0) {
        pln_report_add(&doctor->report, finding(PLN_FAIL, "sessions", "see the peers below"),
                       "none of %zu peers is connected", members);
    } else {
        pln_report_add(&doctor->report, finding(PLN_PASS, "sessions", NULL),
                       "%zu of %zu peers connected", up, members);
    }
}

void pln_doctor_check_node(pln_doctor *doctor) {
    pln_report_add(&doctor->report, finding(PLN_PASS, "daemon", NULL), "runs, process %lld",
                   (long long)json_integer_value(json_object_get(doctor->diagnosis, "pid")));
    check_port(doctor);
    check_addrs(doctor);
    check_nat(doctor);
    check_router(doctor);
    check_peers_clock(doctor);
    if (doctor->has_config) {
        check_bootstrap(doctor);
    }
    check_renewal(doctor);
    check_sessions(doctor);
}
