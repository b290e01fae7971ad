/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One punching engine on a virtual clock, whose owner opens every socket that it asks for (or
 * none), and what it sent and told.
 *
 * Use:  pollen_test(<name> LIBRARIES pollen_sock_rig) in CMake.
 */
#ifndef TESTS_SUPPORT_SOCK_RIG_H
#define TESTS_SUPPORT_SOCK_RIG_H

#include "sock/probe.h"
#include "sock/sock.h"

enum { RIG_SENT_MAX = 32768, RIG_EVENTS_MAX = 8192 };

typedef struct rig_sent {
    pln_ts at; /* Since the rig's start. */
    pln_transmit to;
    pln_probe probe;
} rig_sent;

typedef struct sock_rig {
    pln_rng_seeded seeded;
    pln_sock *sock;
    pln_ts start, now;
    size_t sent_count;
    rig_sent sent[RIG_SENT_MAX];
    size_t event_count;
    pln_sock_event events[RIG_EVENTS_MAX];
    size_t open, open_most; /* Sockets now, and at most. */
    size_t fd_max;          /* Opening more fails. */
    bool answer_late;       /* OPEN_SOCKET is left to the test. */
} sock_rig;

sock_rig *sock_rig_create(void);
sock_rig *sock_rig_create_with(pln_sock_config config); /* Its rng is filled in. */
void sock_rig_destroy(sock_rig *rig);

/* Each rule is tried on a rig of its own, which is its state. */
int sock_rig_set_up(void **state);
int sock_rig_tear_down(void **state);
#define RULE(test) cmocka_unit_test_setup_teardown(test, sock_rig_set_up, sock_rig_tear_down)

/* Runs to `ms` milliseconds after the start, waking up whenever the engine asks for it. */
void sock_rig_run_to(sock_rig *rig, uint64_t ms);
void sock_rig_drain(sock_rig *rig); /* Sends and tells what is due now. */

/* "198.51.100.2:40000" */
pollen_addr sock_rig_addr(const char *text);
pollen_key sock_rig_key(uint8_t number);

/* A plan for peer 1 at 198.51.100.2:40000, both NATs easy, from now for 3 s. */
pln_punch_plan sock_rig_plan(const sock_rig *rig);

/* The same between other NATs. */
pln_punch_plan sock_rig_plan_for(const sock_rig *rig, pollen_nat_mapping ours,
                                 pollen_nat_mapping theirs);

/* Fails the test when the punch does not start; drains. */
void sock_rig_start(sock_rig *rig, const pln_punch_plan *plan);

/* A probe arrives; drains. */
void sock_rig_hear(sock_rig *rig, uint32_t via, const char *from, const pln_probe *probe);
void sock_rig_hear_request(sock_rig *rig, uint32_t via, const char *from);

/* The peer answers this request from where it went. */
void sock_rig_hear_answer(sock_rig *rig, const rig_sent *request);

size_t sock_rig_count(const sock_rig *rig, pln_sock_event_kind kind);
const pln_sock_event *sock_rig_last(const sock_rig *rig, pln_sock_event_kind kind); /* Or NULL. */
size_t sock_rig_requests(const sock_rig *rig);
size_t sock_rig_answers(const sock_rig *rig);

#endif
