/* SPDX-License-Identifier: Apache-2.0 */
#include "story.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"

static const sim_link plain = {.delay = PLN_MS(20), .mtu = 1472};

/* ---- The stories ----------------------------------------------------------------------------- */

static void add(sim_world *world, size_t count) {
    for (size_t i = 0; i < count; i++) {
        (void)sim_add_node(world);
    }
}

static void pair(sim_world *world) {
    add(world, 2);
    sim_connect(world, 1, 0, PLN_S(5));
    sim_run(world, PLN_S(1));
}

static void tell_connect(sim_world *world) {
    pair(world);
    sim_connect(world, 0, 1, PLN_S(5)); /* There is one. */
    sim_run(world, PLN_S(60));
}

static void tell_both_at_once(sim_world *world) {
    add(world, 2);
    sim_connect(world, 0, 1, PLN_S(5));
    sim_connect(world, 1, 0, PLN_S(5));
    sim_run(world, PLN_S(10));
}

/* The second dial is sent while the first one's answers are under way. */
static void tell_nearly_at_once(sim_world *world) {
    add(world, 2);
    sim_connect(world, 0, 1, PLN_S(5));
    sim_run(world, PLN_MS(30));
    sim_connect(world, 1, 0, PLN_S(5));
    sim_run(world, PLN_S(10));
}

static void tell_nobody_there(sim_world *world) {
    add(world, 2);
    sim_kill(world, 0);
    sim_connect(world, 1, 0, PLN_S(5));
    sim_run(world, PLN_S(30));
}

static void tell_a_join(sim_world *world) {
    add(world, 1);
    const size_t joiner = sim_add_outsider(world);
    pln_invite_token invite = {0};
    sim_invite(world, &invite);
    sim_join(world, joiner, &invite, PLN_S(10));
    sim_run(world, PLN_S(1));
    pln_invite_token_fini(&invite);
    PLN_ASSERT(sim_is_enrolled(world, joiner));
    sim_connect(world, joiner, 0, PLN_S(5));
    sim_run(world, PLN_S(5));
}

/* Whoever is not enrolled is not let in. */
static void tell_a_stranger(sim_world *world) {
    add(world, 1);
    const size_t stranger = sim_add_outsider(world);
    sim_connect(world, 0, stranger, PLN_S(5));
    sim_run(world, PLN_S(10));
}

/* Somebody else lives at the address. */
static void tell_another_key(sim_world *world) {
    add(world, 3);
    const pln_path path = {.via = PLN_VIA_MAIN, .remote = sim_addr(world, 2)};
    const pln_now now = sim_now(world, 0);
    pln_mesh_connect(sim_mesh(world, 0), 77, sim_key(world, 1), &path, 1,
                     pln_ts_add(now.mono, PLN_S(5)), now);
    sim_poke(world, 0);
    sim_run(world, PLN_S(10));
}

static void tell_a_killed_acceptor(sim_world *world) {
    pair(world);
    sim_kill(world, 0);
    sim_run(world, PLN_S(2));
    sim_restart(world, 0);
    sim_run(world, PLN_S(60));
}

static void tell_a_killed_dialler(sim_world *world) {
    pair(world);
    sim_kill(world, 1);
    sim_run(world, PLN_S(2));
    sim_restart(world, 1);
    sim_run(world, PLN_S(60));
}

static void tell_a_dialler_that_is_back(sim_world *world) {
    pair(world);
    sim_kill(world, 1);
    sim_restart(world, 1);
    sim_connect(world, 1, 0, PLN_S(5));
    sim_run(world, PLN_S(60));
}

static void tell_an_acceptor_that_dials_back(sim_world *world) {
    pair(world);
    sim_kill(world, 0);
    sim_restart(world, 0);
    sim_connect(world, 0, 1, PLN_S(5));
    sim_run(world, PLN_S(60));
}

static void tell_closes(sim_world *world) {
    static const pollen_end_reason reasons[] = {POLLEN_END_GRACEFUL, POLLEN_END_CERT_ROTATION,
                                                POLLEN_END_CERT_EXPIRED, POLLEN_END_REVOKED,
                                                POLLEN_END_DENIED};
    pair(world);
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        const size_t closer = i % 2;
        pln_mesh_close_peer(sim_mesh(world, closer), sim_key(world, 1 - closer), reasons[i],
                            sim_now(world, closer));
        sim_poke(world, closer);
        sim_run(world, PLN_S(1));
        sim_connect(world, 1, 0, PLN_S(5));
        sim_run(world, PLN_S(1));
    }
}

static void tell_a_shutdown(sim_world *world) {
    pair(world);
    pln_mesh_shutdown(sim_mesh(world, 0), sim_now(world, 0));
    sim_poke(world, 0);
    sim_run(world, PLN_S(1));
    sim_connect(world, 1, 0, PLN_S(5));
    sim_run(world, PLN_S(10));
}

static void tell_a_revocation(sim_world *world) {
    pair(world);
    pln_mesh_handle_revoked(sim_mesh(world, 0), sim_key(world, 1), sim_now(world, 0));
    sim_poke(world, 0);
    sim_run(world, PLN_S(10));
}

/* The certificates of both are a year old, and a minute. */
static void tell_an_expiry(sim_world *world) {
    pair(world);
    sim_jump_wall(world, 0, 366 * 86400);
    sim_run(world, PLN_S(2 * 3600));
}

static void tell_a_cut(sim_world *world) {
    pair(world);
    sim_partition(world, 1);
    sim_run(world, PLN_S(60));
    sim_partition(world, 0);
    sim_connect(world, 1, 0, PLN_S(5));
    sim_run(world, PLN_S(60));
}

static void tell_a_short_cut(sim_world *world) {
    pair(world);
    sim_partition(world, 1);
    sim_run(world, PLN_S(15));
    sim_partition(world, 0);
    sim_run(world, PLN_S(60));
}

static void tell_a_sleep(sim_world *world) {
    pair(world);
    sim_sleep(world, 1, PLN_S(7200), true);
    sim_run(world, PLN_S(7300));
}

static void tell_a_kept_peer(sim_world *world) {
    add(world, 2);
    sim_keep(world, 1, 0);
    sim_run(world, PLN_S(5));
    sim_kill(world, 0);
    sim_restart(world, 0);
    sim_run(world, PLN_S(60));
}

#define SHORT PLN_MS(100) /* Round trips, and a delayed acknowledgement or two. */
#define PROBES                                                                                     \
    PLN_MS(500)           /* The real thing also looks for jumbo frames, so that PINGs are later. */
#define RESETS PLN_S(14)  /* Whatever draws the reset: a PING within thirteen seconds. */
#define REDIALS PLN_S(18) /* The same, and the jitter of the delay after it. */

const story stories[] = {
    {"connect", tell_connect, SHORT},
    {"both_at_once", tell_both_at_once, SHORT},
    {"nearly_at_once", tell_nearly_at_once, SHORT},
    {"nobody_there", tell_nobody_there, SHORT},
    {"a_join", tell_a_join, SHORT},
    {"a_stranger", tell_a_stranger, SHORT},
    {"another_key", tell_another_key, SHORT},
    {"a_killed_acceptor", tell_a_killed_acceptor, RESETS},
    {"a_killed_dialler", tell_a_killed_dialler, RESETS},
    {"a_dialler_that_is_back", tell_a_dialler_that_is_back, SHORT},
    {"an_acceptor_that_dials_back", tell_an_acceptor_that_dials_back, SHORT},
    {"closes", tell_closes, SHORT},
    {"a_shutdown", tell_a_shutdown, SHORT},
    {"a_revocation", tell_a_revocation, SHORT},
    {"an_expiry", tell_an_expiry, PROBES},
    {"a_cut", tell_a_cut, RESETS},
    {"a_short_cut", tell_a_short_cut, SHORT},
    {"a_sleep", tell_a_sleep, RESETS},
    {"a_kept_peer", tell_a_kept_peer, REDIALS},
};
const size_t story_count = sizeof stories / sizeof stories[0];

/* ---- Telling --------------------------------------------------------------------------------- */

static void listen(void *arg, pln_ts at, size_t node, size_t peer, const pln_mesh_event *event) {
    story_log *log = arg;
    if (event->kind != PLN_MESH_CONNECTED && event->kind != PLN_MESH_DISCONNECTED &&
        event->kind != PLN_MESH_OP_DONE) {
        return;
    }
    PLN_ASSERT(log->count < STORY_LINES_MAX);
    log->lines[log->count++] = (story_line){.at = at - log->from,
                                            .node = node,
                                            .peer = peer,
                                            .kind = event->kind,
                                            .inbound = event->inbound,
                                            .reason = event->reason,
                                            .err = event->err};
}

void story_run(const story *told, uint64_t seed, story_log *ret) {
    sim_world *world = sim_world_create(seed, &plain);
    ret->count = 0;
    ret->from = sim_world_now(world);
    sim_world_listen(world, listen, ret);
    told->tell(world);
    sim_world_destroy(world);
}

void story_format(const story_line *line, char *text, size_t cap) {
    (void)snprintf(text, cap, "%" PRIu64 " node %zu peer %zu kind %d inbound %d reason %d err %d",
                   line->at, line->node, line->peer, (int)line->kind, (int)line->inbound,
                   (int)line->reason, (int)line->err);
}

bool story_parse(const char *text, story_line *ret) {
    int kind, inbound, reason, err;
    if (sscanf(text, "%" SCNu64 " node %zu peer %zu kind %d inbound %d reason %d err %d", &ret->at,
               &ret->node, &ret->peer, &kind, &inbound, &reason, &err) != 7) {
        return false;
    }
    ret->kind = (pln_mesh_event_kind)kind;
    ret->inbound = inbound != 0;
    ret->reason = (pollen_end_reason)reason;
    ret->err = (pollen_err)err;
    return true;
}
