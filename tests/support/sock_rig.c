/* SPDX-License-Identifier: Apache-2.0 */
#include "support/sock_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/sock_drain.h"

sock_rig *sock_rig_create_with(pln_sock_config config) {
    sock_rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    config.rng = pln_rng_from_seed(&rig->seeded, 42);
    assert_int_equal(pln_sock_create(&config, &rig->sock), POLLEN_OK);
    rig->start = PLN_S(1000);
    rig->now = rig->start;
    rig->fd_max = SIZE_MAX;
    return rig;
}

sock_rig *sock_rig_create(void) {
    return sock_rig_create_with((pln_sock_config){.log = NULL});
}

void sock_rig_destroy(sock_rig *rig) {
    pln_sock_destroy(rig->sock);
    free(rig);
}

int sock_rig_set_up(void **state) {
    *state = sock_rig_create();
    return 0;
}

int sock_rig_tear_down(void **state) {
    sock_rig_destroy(*state);
    return 0;
}

static void answer_open(sock_rig *rig, uint32_t via) {
    if (rig->open == rig->fd_max) {
        pln_sock_socket_failed(rig->sock, via, rig->now);
        return;
    }
    rig->open++;
    rig->open_most = rig->open > rig->open_most ? rig->open : rig->open_most;
    pln_sock_socket_opened(rig->sock, via, (uint16_t)(10000 + via), rig->now);
}

static void take_event(void *arg, const pln_sock_event *event) {
    sock_rig *rig = arg;
    assert_true(rig->event_count < RIG_EVENTS_MAX);
    rig->events[rig->event_count++] = *event;
    if (event->kind == PLN_SOCK_OPEN_SOCKET && !rig->answer_late) {
        answer_open(rig, event->via);
    } else if (event->kind == PLN_SOCK_CLOSE_SOCKET) {
        assert_true(rig->open > 0);
        rig->open--;
    }
}

static void take_sent(void *arg, const uint8_t *buf, const pln_transmit *to) {
    sock_rig *rig = arg;
    assert_true(rig->sent_count < RIG_SENT_MAX);
    rig_sent *sent = &rig->sent[rig->sent_count++];
    *sent = (rig_sent){.at = rig->now - rig->start, .to = *to};
    assert_true(pln_probe_decode(buf, to->size, &sent->probe));
    assert_int_equal(to->segment, to->size);
}

void sock_rig_drain(sock_rig *rig) {
    const sock_owner owner = {.arg = rig, .sent = take_sent, .told = take_event};
    sock_drain(rig->sock, &owner, rig->now);
}

void sock_rig_run_to(sock_rig *rig, uint64_t ms) {
    pln_ts end = rig->start + PLN_MS(ms);
    unsigned repeats = 0;
    sock_rig_drain(rig);
    for (;;) {
        pln_ts next = pln_sock_next_expiry(rig->sock);
        if (next > end) {
            break;
        }
        repeats = next > rig->now ? 0 : repeats + 1;
        assert_in_range(repeats, 0, 1000); /* Else it wakes up for nothing. */
        rig->now = next > rig->now ? next : rig->now;
        pln_sock_handle_timeout(rig->sock, rig->now);
        sock_rig_drain(rig);
    }
    rig->now = end;
    pln_sock_handle_timeout(rig->sock, rig->now);
    sock_rig_drain(rig);
}

pollen_addr sock_rig_addr(const char *text) {
    pollen_addr addr;
    assert_int_equal(pollen_addr_parse(text, &addr), POLLEN_OK);
    return addr;
}

pollen_key sock_rig_key(uint8_t number) {
    pollen_key key;
    memset(key.bytes, number, sizeof(key.bytes));
    return key;
}

pln_punch_plan sock_rig_plan(const sock_rig *rig) {
    return (pln_punch_plan){
        .peer = sock_rig_key(1),
        .attempt = 77,
        .target_count = 1,
        .targets = {{.addr = sock_rig_addr("198.51.100.2:40000"), .kind = PLN_TARGET_OBSERVED}},
        .ours = {.mapping = POLLEN_NAT_MAPPING_EASY},
        .theirs = {.mapping = POLLEN_NAT_MAPPING_EASY},
        .at = rig->now,
        .deadline = rig->now + PLN_S(3),
    };
}

pln_punch_plan sock_rig_plan_for(const sock_rig *rig, pollen_nat_mapping ours,
                                 pollen_nat_mapping theirs) {
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.ours.mapping = ours;
    plan.theirs.mapping = theirs;
    return plan;
}

void sock_rig_start(sock_rig *rig, const pln_punch_plan *plan) {
    assert_int_equal(pln_sock_start(rig->sock, plan, rig->now), POLLEN_OK);
    sock_rig_drain(rig);
}

void sock_rig_hear(sock_rig *rig, uint32_t via, const char *from, const pln_probe *probe) {
    uint8_t bytes[PLN_PROBE_BYTES];
    pln_probe_encode(probe, bytes);
    pln_datagram datagram = {
        .path = {.via = via, .remote = sock_rig_addr(from)}, .data = bytes, .size = sizeof(bytes)};
    pln_sock_handle_probe(rig->sock, &datagram, rig->now);
    sock_rig_drain(rig);
}

void sock_rig_hear_request(sock_rig *rig, uint32_t via, const char *from) {
    pln_probe probe = {.kind = PLN_PROBE_REQUEST, .nonce = {0xaa, 0xbb}};
    sock_rig_hear(rig, via, from, &probe);
}

void sock_rig_hear_answer(sock_rig *rig, const rig_sent *request) {
    pln_probe probe = request->probe;
    probe.kind = PLN_PROBE_RESPONSE;
    char from[POLLEN_ADDR_TEXT_BYTES];
    sock_rig_hear(rig, request->to.path.via, pollen_addr_format(&request->to.path.remote, from),
                  &probe);
}

size_t sock_rig_count(const sock_rig *rig, pln_sock_event_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < rig->event_count; i++) {
        count += rig->events[i].kind == kind;
    }
    return count;
}

const pln_sock_event *sock_rig_last(const sock_rig *rig, pln_sock_event_kind kind) {
    for (size_t i = rig->event_count; i > 0; i--) {
        if (rig->events[i - 1].kind == kind) {
            return &rig->events[i - 1];
        }
    }
    return NULL;
}

static size_t count_kind(const sock_rig *rig, pln_probe_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < rig->sent_count; i++) {
        count += rig->sent[i].probe.kind == kind;
    }
    return count;
}

size_t sock_rig_requests(const sock_rig *rig) {
    return count_kind(rig, PLN_PROBE_REQUEST);
}

size_t sock_rig_answers(const sock_rig *rig) {
    return count_kind(rig, PLN_PROBE_RESPONSE);
}
