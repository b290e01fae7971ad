/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor says why a peer is not connected, and what to do about it. */
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "pln/doctor.h"
#include "pln/out.h"
#include "pln/pick.h"
#include "pln/timespan.h"

enum { TEXT_BYTES = 384 };
enum { LISTED_MAX = 50 }; /* Peers that are explained one by one when none was asked for. */

/* ---- Where it can be reached ----------------------------------------------------------------- */

typedef struct reach {
    size_t count, loopback, local, global;
    char first[POLLEN_ADDR_TEXT_BYTES];
} reach;

static reach reach_of(const json_t *peer) {
    reach r = {0};
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(peer, "addrs"), i, item) {
        pollen_addr addr;
        const char *text = json_string_value(item);
        if (text == NULL || pollen_addr_parse(text, &addr) != POLLEN_OK) {
            continue;
        }
        if (r.count++ == 0) {
            pollen_addr_format(&addr, r.first);
        }
        if (pln_addr_is_loopback(&addr)) {
            r.loopback++;
        } else if (pln_addr_is_global(&addr)) {
            r.global++;
        } else {
            r.local++;
        }
    }
    return r;
}

/* ---- Why ------------------------------------------------------------------------------------- */

typedef struct cause {
    char why[TEXT_BYTES];
    const char *fix;
} cause;

static bool has_ended(const pln_doctor *doctor, const json_t *object, const char *key) {
    int64_t ms;
    return pln_doctor_ahead(doctor, object, key, &ms) && ms <= 0;
}

static bool find_expired(const pln_doctor *doctor, const json_t *peer, cause *ret) {
    const json_t *own = json_object_get(json_object_get(doctor->diagnosis, "self"), "cert");
    if (has_ended(doctor, own, "not_after")) {
        *ret = (cause){"this node's own certificate ran out", "pln join TOKEN"};
    } else if (has_ended(doctor, peer, "cert_not_after")) {
        *ret = (cause){"its certificate ran out",
                       "on that node: pln join TOKEN   (of a new `pln invite` on an admin)"};
    } else {
        return false;
    }
    return true;
}

/* It was reached, and one of the two did not want the other. */
static bool find_refusal(const pln_doctor *doctor, const json_t *peer, cause *ret) {
    const char *end = pln_json_text(json_object_get(peer, "last_end"), "reason", "");
    if (json_is_true(json_object_get(peer, "revoked"))) {
        *ret = (cause){"it is revoked, for good", NULL};
    } else if (find_expired(doctor, peer, ret)) {
        return true;
    } else if (strcmp(end, "cert_expired") == 0) {
        *ret = (cause){"one side takes the other's certificate for expired",
                       "compare the clocks of both nodes (date -u)"};
    } else if (strcmp(end, "revoked") == 0) {
        *ret = (cause){"this node is revoked there", "ask who has the cluster's root key"};
    } else if (strcmp(end, "denied") == 0) {
        *ret = (cause){"one side refused the other's certificate",
                       "compare the cluster that `pln status` names on both nodes"};
    } else {
        return false;
    }
    return true;
}

static void find_distance(const pln_doctor *doctor, const json_t *peer, cause *ret) {
    const reach r = reach_of(peer);
    const bool is_met = json_is_true(json_object_get(peer, "reached_before"));
    const char *end = pln_json_text(json_object_get(peer, "last_end"), "reason", "");
    if (is_met && strcmp(end, "graceful") == 0) {
        *ret = (cause){"the session was closed on purpose", "was that node stopped?"};
    } else if (is_met && r.global == 0 && r.local == 0) {
        *ret = (cause){"it does not answer where it was reached before", "is it up?"};
    } else if (r.count == 0) {
        *ret = (cause){"no address of it is known", "is it up, and connected to any member?"};
    } else if (r.count > 0 && r.loopback == r.count) {
        snprintf(ret->why, sizeof ret->why, "it tells loopback addresses only (%s)", r.first);
        ret->fix = "on that node: pln up --ips ADDRESS";
    } else if (r.global == 0 && pln_doctor_connected(doctor) == 0) {
        snprintf(ret->why, sizeof ret->why,
                 "its addresses are private (%s), and no other member is connected that could help "
                 "through a NAT",
                 r.first);
        ret->fix = "connect both to a member that both can reach";
    } else if (r.global == 0) {
        snprintf(ret->why, sizeof ret->why,
                 "its addresses are private (%s) and do not answer from here", r.first);
        ret->fix = "is it up? else open a UDP port for it and tell it: pln up --ips ADDRESS";
    } else {
        snprintf(ret->why, sizeof ret->why, "none of its %zu addresses answers (%s%s)", r.count,
                 r.first, r.count > 1 ? ", ..." : "");
        ret->fix = "is it up, and does a firewall let its UDP port in?";
    }
}

/* ---- What was, and what comes next ----------------------------------------------------------- */

static void append(char *text, const char *separator, const char *more) {
    const size_t used = strlen(text);
    snprintf(text + used, TEXT_BYTES - used, "%s%s", separator, more);
}

static void append_past(const pln_doctor *doctor, const json_t *peer, char *text) {
    char ago[PLN_TIMESPAN_TEXT_BYTES];
    char part[TEXT_BYTES / 2];
    int64_t ms;
    const json_t *end = json_object_get(peer, "last_end");
    if (!json_is_true(json_object_get(peer, "reached_before"))) {
        append(text, "", "never reached yet: ");
    } else if (json_is_object(end) && pln_doctor_ahead(doctor, end, "at", &ms)) {
        snprintf(part, sizeof part, "last end %s ago (%s): ", pln_timespan_format(-ms, ago),
                 pln_json_text(end, "reason", "?"));
        append(text, "", part);
    }
}

static void append_future(const pln_doctor *doctor, const json_t *peer, char *text) {
    char in[PLN_TIMESPAN_TEXT_BYTES];
    char part[TEXT_BYTES / 2];
    int64_t ms;
    const char *stage = pln_json_text(peer, "stage", "?");
    if (strcmp(pln_json_text(peer, "state", ""), "connecting") == 0) {
        snprintf(part, sizeof part, "trying now (%s)", stage);
        append(text, "; ", part);
    } else if (pln_doctor_ahead(doctor, peer, "next_action_at", &ms)) {
        snprintf(part, sizeof part, "next try in %s (%s)", pln_timespan_format(ms < 0 ? 0 : ms, in),
                 stage);
        append(text, "; ", part);
    }
}

/* ---- The checks ------------------------------------------------------------------------------ */

static void tell_connected(pln_doctor *doctor, const json_t *peer) {
    const char *id = pln_json_text(peer, "id", "?");
    const char *path = pln_json_text(peer, "path", "an unknown way");
    const char *addr = pln_json_text(peer, "addr", "an unknown address");
    pln_report_add(&doctor->report, (pln_finding){PLN_PASS, "peer", id, NULL},
                   "connected, %s via %s", path, addr);
}

static void tell(pln_doctor *doctor, const json_t *peer, pln_verdict verdict) {
    char text[TEXT_BYTES] = "";
    cause c = {.fix = NULL};
    if (pln_peer_is_connected(peer)) {
        tell_connected(doctor, peer);
        return;
    }
    if (!find_refusal(doctor, peer, &c)) {
        append_past(doctor, peer, text);
        find_distance(doctor, peer, &c);
    }
    append(text, "", c.why);
    append_future(doctor, peer, text);
    pln_report_add(&doctor->report,
                   (pln_finding){verdict, "peer", pln_json_text(peer, "id", "?"), c.fix}, "%s",
                   text);
}

void pln_doctor_check_peer(pln_doctor *doctor, const json_t *peer) {
    tell(doctor, peer, PLN_FAIL);
}

void pln_doctor_check_peers(pln_doctor *doctor) {
    const json_t *peer;
    size_t i;
    size_t told = 0;
    size_t left = 0;
    json_array_foreach(json_object_get(doctor->diagnosis, "peers"), i, peer) {
        if (pln_peer_is_connected(peer) || json_is_true(json_object_get(peer, "revoked"))) {
            continue;
        }
        if (told < LISTED_MAX) {
            tell(doctor, peer, PLN_WARN);
            told++;
        } else {
            left++;
        }
    }
    if (left > 0) {
        pln_report_add(&doctor->report, (pln_finding){PLN_WARN, "peer", NULL, "pln doctor PEER"},
                       "and %zu more that are not connected", left);
    }
}
