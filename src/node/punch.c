/* SPDX-License-Identifier: Apache-2.0 */
#include "node/punch.h"

#include <string.h>

#include <utlist.h>

#include "base/assert.h"
#include "base/mem.h"
#include "node/send.h"
#include "wire/envelope.h"

/* Coordinators are asked again after these times, then the trigger is given up for lost. */
static const pln_dur ask_again[] = {PLN_MS(250), PLN_MS(500), PLN_MS(1000)};
enum { ASKS_MAX = sizeof ask_again / sizeof ask_again[0] };
enum { COORDINATORS_MAX = 3, REACHERS_LOOKED_AT = 16 };

/* A punch that nobody here waits for: as long as the reference gives it, and the other side's
 * handshake. */
#define UNASKED_PUNCH_TIME PLN_S(5)

/* How long a node without NAT waits for one behind a NAT to come. */
#define FIRST_STEP PLN_MS(300)

/* The larger key leaves the first dial to the smaller one for so long. */
#define HOLE_YIELD PLN_MS(250)
#define HOLE_DIAL_TIME PLN_S(3)

struct pln_errand {
    pollen_key peer;
    UT_hash_handle hh;
    pln_errand *next; /* In the list of failed ones. */
    uint64_t attempt; /* The store's; 0: accompanies another. */
    pln_ts deadline;
    pln_timer timer; /* Asks, or ends the errand. */
    unsigned asks;
    bool speaks_2; /* So a trigger said of the peer. */
    bool punching; /* A trigger has come; planned with these: */
    bool one_shot;
    pln_nat_brief ours, theirs;
    size_t asked_count;
    pollen_key asked[COORDINATORS_MAX];
};

struct pln_hole {
    pln_hole *prev, *next;
    pollen_key peer;
    pln_path path;
    pln_op op;       /* 0: not dialled yet. */
    pln_timer timer; /* Dials. */
};

/* ---- Life ------------------------------------------------------------------------------------ */

pollen_err pln_punching_init(pln_punching *punching, pln_mesh *mesh, const pln_state *state,
                             const pln_node_config *config) {
    *punching = (pln_punching){.mesh = mesh,
                               .state = state,
                               .log = config->mesh.log,
                               .rng = config->mesh.rng,
                               .self = config->mesh.creds->key};
    pln_heap_init(&punching->asks);
    pln_heap_init(&punching->dials);
    pln_neighbours_init(&punching->neighbours, &punching->rng);
    pln_coordinator_init(&punching->coordinator, mesh, &punching->neighbours, punching->log);
    const pln_sock_config sock = {.rng = config->mesh.rng, .log = config->mesh.log};
    return pln_sock_create(&sock, &punching->sock);
}

static void destroy_errand(pln_punching *punching, pln_errand *errand) {
    pln_heap_cancel(&punching->asks, &errand->timer);
    HASH_DEL(punching->errands, errand);
    pln_free(errand);
}

static void destroy_hole(pln_punching *punching, pln_hole *hole) {
    PLN_ASSERT(punching->hole_count > 0);
    punching->hole_count--;
    pln_heap_cancel(&punching->dials, &hole->timer);
    DL_DELETE(punching->holes, hole);
    pln_free(hole);
}

void pln_punching_fini(pln_punching *punching) {
    while (punching->errands != NULL) {
        destroy_errand(punching, punching->errands);
    }
    pln_punch_failure failure;
    while (pln_punching_poll_failure(punching, &failure)) {
    }
    while (punching->holes != NULL) {
        destroy_hole(punching, punching->holes);
    }
    pln_heap_fini(&punching->asks);
    pln_heap_fini(&punching->dials);
    if (punching->mesh != NULL) {
        pln_coordinator_fini(&punching->coordinator);
    }
    pln_neighbours_fini(&punching->neighbours);
    pln_bytes_fini(&punching->told);
    pln_sock_destroy(punching->sock);
    punching->sock = NULL;
}

static bool has_session(const pln_punching *punching, const pollen_key *peer) {
    pln_session_info info;
    return pln_mesh_session_info(punching->mesh, peer, &info) == POLLEN_OK;
}

/* ---- Errands --------------------------------------------------------------------------------- */

static pln_errand *find_errand(const pln_punching *punching, const pollen_key *peer) {
    pln_errand *errand;
    PLN_MAP_FIND(&punching->neighbours.hash_key, punching->errands, peer->bytes, POLLEN_KEY_BYTES,
                 errand);
    return errand;
}

static pln_errand *add_errand(pln_punching *punching, const pollen_key *peer) {
    if (HASH_COUNT(punching->errands) >= PLN_ERRANDS_MAX) {
        return NULL;
    }
    pln_errand *errand = pln_calloc(1, sizeof *errand);
    if (errand == NULL) {
        return NULL;
    }
    errand->peer = *peer;
    pln_timer_init(&errand->timer);
    if (!pln_heap_set(&punching->asks, &errand->timer, PLN_TS_NEVER - 1)) {
        pln_free(errand);
        return NULL;
    }
    PLN_MAP_ADD(&punching->neighbours.hash_key, punching->errands, peer, POLLEN_KEY_BYTES, errand);
    if (!PLN_MAP_ADDED(errand)) {
        pln_heap_cancel(&punching->asks, &errand->timer);
        pln_free(errand);
        return NULL;
    }
    return errand;
}

static void plan(pln_punching *punching, pln_errand *errand, pln_ts at) {
    const bool planned =
        pln_heap_set(&punching->asks, &errand->timer, pln_ts_min(at, errand->deadline));
    PLN_ASSERT(planned); /* It has its place in the heap. */
}

/* It did not lead to a session. */
static void fail_errand(pln_punching *punching, pln_errand *errand) {
    pln_heap_cancel(&punching->asks, &errand->timer);
    HASH_DEL(punching->errands, errand);
    if (errand->attempt == 0) {
        pln_free(errand);
    } else {
        LL_APPEND(punching->failed, errand);
    }
}

bool pln_punching_poll_failure(pln_punching *punching, pln_punch_failure *ret) {
    pln_errand *errand = punching->failed;
    if (errand == NULL) {
        return false;
    }
    punching->failed = errand->next;
    *ret = (pln_punch_failure){.peer = errand->peer, .attempt = errand->attempt};
    pln_free(errand);
    return true;
}

/* ---- Coordinators ---------------------------------------------------------------------------- */

static bool was_asked(const pln_errand *errand, const pollen_key *coordinator) {
    for (size_t i = 0; i < errand->asked_count; i++) {
        if (pln_key_equal(&errand->asked[i], coordinator)) {
            return true;
        }
    }
    return false;
}

/* One on our own machine sees nothing of the network between us and the peer. */
static bool may_coordinate(const pln_punching *punching, const pln_errand *errand,
                           const pollen_key *member) {
    pln_session_info info;
    return !pln_key_equal(member, &errand->peer) &&
           pln_mesh_session_info(punching->mesh, member, &info) == POLLEN_OK &&
           !pln_addr_is_loopback(&info.conn.path.remote);
}

static void choose(const pln_punching *punching, pln_errand *errand, const pollen_key *member) {
    if (errand->asked_count < COORDINATORS_MAX && !was_asked(errand, member) &&
        may_coordinate(punching, errand, member)) {
        errand->asked[errand->asked_count++] = *member;
    }
}

/* First those that say they have a session with the peer.  While nobody does, which is so for the
 * first moments of a node, whoever is there: one that cannot help does nothing. */
static void choose_all(const pln_punching *punching, pln_errand *errand) {
    pln_reacher reachers[REACHERS_LOOKED_AT];
    size_t count = 0;
    if (punching->state != NULL) {
        count = pln_state_reachers(punching->state, &errand->peer, reachers, REACHERS_LOOKED_AT);
    }
    for (size_t i = 0; i < count && i < REACHERS_LOOKED_AT; i++) {
        choose(punching, errand, &reachers[i].key);
    }
    const pln_neighbour *neighbour, *next;
    HASH_ITER(hh, punching->neighbours.map, neighbour, next) {
        if (errand->asked_count > 0) {
            return;
        }
        choose(punching, errand, &neighbour->key);
    }
}

bool pln_punching_can_ask(const pln_punching *punching, const pollen_key *peer) {
    pln_errand errand = {.peer = *peer};
    choose_all(punching, &errand);
    return errand.asked_count > 0;
}

/* What is known of us.  It was told before, but datagrams get lost. */
static void tell_one(const pln_punching *punching, const pln_neighbour *neighbour, pln_now now) {
    if (neighbour != NULL && neighbour->speaks_2 && punching->told.size > 0) {
        (void)pln_node_send(punching->mesh, &neighbour->key, &punching->told, now);
    }
}

static void ask(pln_punching *punching, const pln_errand *errand, pln_now now) {
    const pln_punch_request msg = {.peer = errand->peer};
    pln_bytes envelope = {0};
    if (pln_punch_request_encode(&msg, &envelope) != POLLEN_OK) {
        return;
    }
    for (size_t i = 0; i < errand->asked_count; i++) {
        tell_one(punching, pln_neighbours_find(&punching->neighbours, &errand->asked[i]), now);
        (void)pln_node_send(punching->mesh, &errand->asked[i], &envelope, now);
    }
    pln_bytes_fini(&envelope);
}

/* A peer that has just come may learn of its NAT in the next moments; while that is not known, a
 * punch does what either kind would need. */
static bool is_vague(const pln_errand *errand) {
    return errand->speaks_2 && errand->theirs.mapping == POLLEN_NAT_MAPPING_UNKNOWN &&
           errand->asks < ASKS_MAX;
}

static void run_errand(pln_punching *punching, pln_errand *errand, pln_now now) {
    if (has_session(punching, &errand->peer)) {
        destroy_errand(punching, errand); /* The store hears of the session from the mesh. */
        return;
    }
    if (pln_ts_reached(errand->deadline, now.mono) ||
        (!errand->punching && errand->asks == ASKS_MAX)) {
        fail_errand(punching, errand);
        return;
    }
    if (errand->punching && errand->asks > 0 && !is_vague(errand)) {
        plan(punching, errand, errand->deadline);
        return;
    }
    choose_all(punching, errand);
    if (errand->asked_count == 0 && errand->attempt != 0) {
        fail_errand(punching, errand);
        return;
    }
    ask(punching, errand, now);
    plan(punching, errand, pln_ts_add(now.mono, ask_again[errand->asks]));
    errand->asks++;
}

bool pln_punching_want(pln_punching *punching, const pollen_key *peer, uint64_t attempt,
                       pln_dur delay, pln_ts deadline, pln_now now) {
    pln_errand *errand = find_errand(punching, peer);
    if (errand == NULL) {
        errand = add_errand(punching, peer);
    }
    if (errand == NULL) {
        return false;
    }
    errand->attempt = attempt != 0 ? attempt : errand->attempt;
    errand->deadline = deadline > errand->deadline ? deadline : errand->deadline;
    if (!errand->punching) {
        errand->asks = 0;
        plan(punching, errand, pln_ts_add(now.mono, delay));
    }
    return true;
}

void pln_punching_forget(pln_punching *punching, const pollen_key *peer, pln_now now) {
    pln_errand *errand = find_errand(punching, peer);
    if (errand != NULL) {
        destroy_errand(punching, errand);
    }
    pln_sock_cancel(punching->sock, peer, now.mono);
}

/* ---- Triggers -------------------------------------------------------------------------------- */

static void add_target(pln_punch_plan *to, const pln_outside *outside, const pollen_addr *addr,
                       pln_target_kind kind) {
    for (size_t i = 0; i < to->target_count; i++) {
        if (pollen_addr_equal(&to->targets[i].addr, addr)) {
            return;
        }
    }
    /* Our own address in another network of the same numbers, or ourselves. */
    if (to->target_count < PLN_PUNCH_TARGETS_MAX && !pln_outside_is_local(outside, addr)) {
        to->targets[to->target_count++] = (pln_punch_target){.addr = *addr, .kind = kind};
    }
}

/* What the coordinator sees, what others see, and what the peer tells of its interfaces. */
static void fill_targets(const pln_punching *punching, const pln_punch_trigger *msg,
                         pln_punch_plan *to) {
    const pln_outside *outside = &punching->outside;
    const pln_whereabouts *told = &msg->whereabouts;
    add_target(to, outside, &msg->peer_addr, PLN_TARGET_OBSERVED);
    for (size_t i = 0; i < told->addr_count; i++) {
        add_target(to, outside, &told->addrs[i], PLN_TARGET_LAN);
    }
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    size_t count = 0;
    if (punching->state != NULL) {
        count = pln_state_addrs(punching->state, &msg->peer, addrs, POLLEN_PEER_ADDRS_MAX);
    }
    for (size_t i = 0; i < count && i < POLLEN_PEER_ADDRS_MAX; i++) {
        add_target(to, outside, &addrs[i],
                   pln_addr_is_private(&addrs[i]) ? PLN_TARGET_LAN : PLN_TARGET_MAPPED);
    }
}

/* Where a trigger may aim us: at another machine, one at a time. */
static bool is_fit(const pollen_addr *addr) {
    return pln_addr_is_sendable(addr) && !pln_addr_is_loopback(addr) &&
           !pln_addr_is_link_local(addr);
}

/* Somebody we asked, or else a neighbour that does not ask too often.  Whom it names need not be
 * known: news of a member that has just come travels slower than its wish to meet us. */
static bool may_trigger(pln_punching *punching, const pln_errand *errand, const pollen_key *from,
                        const pollen_key *peer, pln_ts now) {
    if (errand != NULL && was_asked(errand, from)) {
        return true;
    }
    pln_neighbour *neighbour = pln_neighbours_find(&punching->neighbours, from);
    const bool revoked = punching->state != NULL && pln_state_is_revoked(punching->state, peer);
    return neighbour != NULL && !revoked &&
           pln_bucket_take(&neighbour->triggers, PLN_TRIGGERS_PER_S, PLN_TRIGGERS_BURST, now) &&
           pln_bucket_take(&punching->triggers, PLN_TRIGGERS_ALL_PER_S, PLN_TRIGGERS_ALL_BURST,
                           now);
}

static bool is_same_nat(const pln_nat_brief *a, const pln_nat_brief *b) {
    return a->mapping == b->mapping && a->allocation == b->allocation;
}

static bool is_hard_pair(const pln_punch_plan *to) {
    return to->ours.mapping == POLLEN_NAT_MAPPING_HARD &&
           to->theirs.mapping == POLLEN_NAT_MAPPING_HARD;
}

/* Planned for other NATs than those that are known now, it would most likely fail.  A birthday is
 * what either kind of NAT needs while nothing is known, and costs too much to begin it again. */
static bool is_outdated(const pln_punching *punching, const pln_errand *errand,
                        const pln_punch_plan *to) {
    pln_punch_stats stats;
    const bool birthday =
        pln_sock_get_stats(punching->sock, &to->peer, &stats) && stats.method == PLN_PUNCH_BIRTHDAY;
    const bool same = is_same_nat(&errand->ours, &to->ours) &&
                      is_same_nat(&errand->theirs, &to->theirs) && errand->one_shot == to->one_shot;
    return errand->punching && !same && (!birthday || is_hard_pair(to));
}

/* One that is under way goes on and is told of new addresses, or begins anew. */
static pollen_err start_or_join(pln_punching *punching, const pln_errand *errand,
                                const pln_punch_plan *to, pln_now now) {
    const bool outdated = is_outdated(punching, errand, to);
    if (outdated) {
        pln_sock_cancel(punching->sock, &to->peer, now.mono);
    }
    const pollen_err err = pln_sock_start(punching->sock, to, now.mono);
    if (err != POLLEN_EAGAIN) {
        return err;
    }
    (void)pln_sock_add_targets(punching->sock, &to->peer, to->targets, to->target_count, now.mono);
    return POLLEN_OK;
}

/* A coordinator that the peer met a moment ago knows less of it than another one. */
static pln_nat_brief theirs_of(const pln_errand *errand, const pln_punch_trigger *msg) {
    const pln_nat_brief told = pln_outside_brief_of_peer(&msg->whereabouts);
    return told.mapping == POLLEN_NAT_MAPPING_UNKNOWN && errand->punching ? errand->theirs : told;
}

/* Without a NAT of our own there is nothing to open, and the peer gets through to us.  Should its
 * trigger be lost, then what we send would only spoil its NAT. */
static bool leaves_the_first_step(const pln_punch_plan *to) {
    return to->ours.mapping == POLLEN_NAT_MAPPING_NONE &&
           to->theirs.mapping != POLLEN_NAT_MAPPING_NONE;
}

static void start_punch(pln_punching *punching, pln_errand *errand, const pln_punch_trigger *msg,
                        pln_now now) {
    errand->speaks_2 = errand->speaks_2 || msg->has_whereabouts;
    pln_punch_plan to = {.peer = msg->peer,
                         .attempt = errand->attempt,
                         .ours = pln_nat_brief_of(&punching->outside.verdict),
                         .theirs = theirs_of(errand, msg),
                         .one_shot = !errand->speaks_2,
                         .deadline = pln_ts_add(now.mono, UNASKED_PUNCH_TIME)};
    to.at = leaves_the_first_step(&to) ? pln_ts_add(now.mono, FIRST_STEP) : now.mono;
    errand->deadline = errand->deadline > to.deadline ? errand->deadline : to.deadline;
    fill_targets(punching, msg, &to);
    if (start_or_join(punching, errand, &to, now) == POLLEN_OK) {
        errand->punching = true;
        errand->one_shot = to.one_shot;
        errand->ours = to.ours;
        errand->theirs = to.theirs;
        plan(punching, errand,
             is_vague(errand) ? pln_ts_add(now.mono, ask_again[errand->asks]) : errand->deadline);
    } else if (errand->asks == 0) {
        destroy_errand(punching, errand); /* It was for this trigger alone. */
    }
}

static void tell_trigger(const pln_punching *punching, const pollen_key *from,
                         const pln_punch_trigger *msg) {
    char names[2][PLN_KEY_SHORT_BYTES];
    const pln_nat_brief theirs = pln_outside_brief_of_peer(&msg->whereabouts);
    pln_logf(punching->log, PLN_LOG_DEBUG, "node",
             "punch %s: %s says so; our NAT is %s, %s, the other one %s, %s",
             pln_key_short(&msg->peer, names[0]), pln_key_short(from, names[1]),
             pollen_nat_mapping_name(punching->outside.verdict.mapping),
             pollen_nat_allocation_name(punching->outside.verdict.allocation),
             pollen_nat_mapping_name(theirs.mapping),
             pollen_nat_allocation_name(theirs.allocation));
}

static void handle_trigger(pln_punching *punching, const pollen_key *from, const uint8_t *body,
                           size_t size, pln_now now) {
    pln_punch_trigger msg;
    if (pln_punch_trigger_decode(body, size, &msg) != POLLEN_OK ||
        pln_key_equal(&msg.peer, &punching->self) || !is_fit(&msg.peer_addr) ||
        has_session(punching, &msg.peer)) {
        return;
    }
    pln_errand *errand = find_errand(punching, &msg.peer);
    if (!may_trigger(punching, errand, from, &msg.peer, now.mono)) {
        return;
    }
    if (errand == NULL) {
        errand = add_errand(punching, &msg.peer);
    }
    if (errand == NULL) {
        return;
    }
    tell_trigger(punching, from, &msg);
    if (!was_asked(errand, from)) {
        tell_one(punching, pln_neighbours_find(&punching->neighbours, from), now);
    }
    start_punch(punching, errand, &msg, now);
}

/* ---- Neighbours ------------------------------------------------------------------------------ */

/* Tells everybody what is new of us. */
static void tell_all(pln_punching *punching, pln_now now) {
    pln_whereabouts msg;
    pln_outside_whereabouts(&punching->outside, &msg);
    pln_bytes envelope = {0};
    if (pln_whereabouts_encode(&msg, &envelope) != POLLEN_OK) {
        return;
    }
    if (pln_bytes_equal(&envelope, &punching->told)) {
        pln_bytes_fini(&envelope);
        return;
    }
    pln_bytes_fini(&punching->told);
    punching->told = envelope;
    pln_neighbour *neighbour, *next;
    HASH_ITER(hh, punching->neighbours.map, neighbour, next) {
        tell_one(punching, neighbour, now);
    }
}

static void handle_whereabouts(pln_punching *punching, const pollen_key *from, const uint8_t *body,
                               size_t size) {
    pln_neighbour *neighbour = pln_neighbours_find(&punching->neighbours, from);
    pln_whereabouts msg;
    if (neighbour != NULL && neighbour->speaks_2 &&
        pln_whereabouts_decode(body, size, &msg) == POLLEN_OK) {
        neighbour->whereabouts = msg;
        neighbour->has_whereabouts = true;
    }
}

bool pln_punching_handle_packet(pln_punching *punching, const pollen_key *peer,
                                pollen_envelope_kind kind, const uint8_t *body, size_t size,
                                pln_now now) {
    if (kind == POLLEN_ENVELOPE_PUNCH_REQUEST) {
        pln_coordinator_handle_request(&punching->coordinator, peer, body, size, now);
    } else if (kind == POLLEN_ENVELOPE_PUNCH_TRIGGER) {
        handle_trigger(punching, peer, body, size, now);
    } else if (kind == POLLEN_ENVELOPE_WHEREABOUTS) {
        handle_whereabouts(punching, peer, body, size);
    } else {
        return false;
    }
    return true;
}

/* ---- Sessions -------------------------------------------------------------------------------- */

static bool is_hole(const pln_punching *punching, const pollen_key *peer, const pln_path *path) {
    const pln_hole *hole;
    DL_FOREACH(punching->holes, hole) {
        if (pln_key_equal(&hole->peer, peer) && pln_path_equal(&hole->path, path)) {
            return true;
        }
    }
    return false;
}

static void set_path(pln_punching *punching, pln_neighbour *neighbour, const pln_path *path,
                     pln_now now) {
    const uint32_t before = neighbour->via;
    neighbour->punched = path->via != PLN_VIA_MAIN || is_hole(punching, &neighbour->key, path);
    neighbour->via =
        pln_sock_won(punching->sock, &neighbour->key, path, now.mono) ? path->via : PLN_VIA_MAIN;
    if (before != PLN_VIA_MAIN && before != neighbour->via) {
        pln_sock_release(punching->sock, before);
    }
}

/* Dials that are under way end with the mesh's own race; those to come are not needed. */
static void drop_holes(pln_punching *punching, const pollen_key *peer) {
    pln_hole *hole, *next;
    DL_FOREACH_SAFE(punching->holes, hole, next) {
        if (hole->op == 0 && pln_key_equal(&hole->peer, peer)) {
            destroy_hole(punching, hole);
        }
    }
}

void pln_punching_connected(pln_punching *punching, const pollen_key *peer, pln_now now) {
    pln_session_info info;
    if (pln_mesh_session_info(punching->mesh, peer, &info) != POLLEN_OK) {
        return; /* Ended again already. */
    }
    pln_neighbour *neighbour = pln_neighbours_obtain(&punching->neighbours, peer);
    if (neighbour == NULL) {
        return; /* The session works all the same. */
    }
    neighbour->speaks_2 = info.speaks_2;
    set_path(punching, neighbour, &info.conn.path, now);
    drop_holes(punching, peer);
    tell_one(punching, neighbour, now);
    pln_errand *errand, *next;
    HASH_ITER(hh, punching->errands, errand, next) {
        if (pln_key_equal(&errand->peer, peer)) {
            destroy_errand(punching, errand);
        } else if (errand->asked_count == 0) {
            plan(punching, errand, now.mono); /* Here is somebody who can be asked. */
        }
    }
}

void pln_punching_moved(pln_punching *punching, const pollen_key *peer, pln_now now) {
    pln_session_info info;
    pln_neighbour *neighbour = pln_neighbours_find(&punching->neighbours, peer);
    if (neighbour != NULL && pln_mesh_session_info(punching->mesh, peer, &info) == POLLEN_OK) {
        set_path(punching, neighbour, &info.conn.path, now);
    }
}

void pln_punching_disconnected(pln_punching *punching, const pollen_key *peer) {
    pln_neighbour *neighbour = pln_neighbours_find(&punching->neighbours, peer);
    if (neighbour == NULL || has_session(punching, peer)) {
        return; /* Another session took its place. */
    }
    if (neighbour->via != PLN_VIA_MAIN) {
        pln_sock_release(punching->sock, neighbour->via);
    }
    pln_neighbours_remove(&punching->neighbours, neighbour);
}

/* ---- Outside --------------------------------------------------------------------------------- */

/* What is under way was planned for another NAT; coordinators bring both sides to plan anew. */
static void ask_anew(pln_punching *punching, pln_now now) {
    pln_errand *errand, *next;
    HASH_ITER(hh, punching->errands, errand, next) {
        errand->asks = 0;
        plan(punching, errand, now.mono);
    }
}

bool pln_punching_observed(pln_punching *punching, const pollen_key *peer, const pollen_addr *seen,
                           pln_now now) {
    pln_session_info info;
    if (pln_mesh_session_info(punching->mesh, peer, &info) != POLLEN_OK) {
        return false;
    }
    const pln_nat_observation observation = {.observer = *peer,
                                             .observer_addr = info.conn.path.remote,
                                             .seen = *seen,
                                             .via = info.conn.path.via,
                                             .local_port = punching->outside.port,
                                             .at = now.mono};
    const bool changed = pln_outside_observe(&punching->outside, &observation, now.mono);
    tell_all(punching, now);
    if (changed) {
        ask_anew(punching, now);
    }
    return changed;
}

bool pln_punching_set_locals(pln_punching *punching, const pollen_addr *addrs, size_t count,
                             uint16_t port, pln_now now) {
    const bool changed = pln_outside_set_locals(&punching->outside, addrs, count, port, now.mono);
    if (changed) {
        pln_sock_network_changed(punching->sock);
    }
    tell_all(punching, now);
    return changed;
}

/* ---- Holes ----------------------------------------------------------------------------------- */

static void dial(pln_punching *punching, pln_hole *hole, pln_now now) {
    hole->op = PLN_OP_NODE | PLN_OP_HOLE | ++punching->last_op;
    pln_mesh_connect(punching->mesh, hole->op, &hole->peer, &hole->path, 1,
                     pln_ts_add(now.mono, HOLE_DIAL_TIME), now);
}

static void handle_hole(pln_punching *punching, const pln_sock_event *event, pln_now now) {
    if (punching->hole_count >= PLN_HOLES_MAX || has_session(punching, &event->peer)) {
        return;
    }
    pln_hole *hole = pln_calloc(1, sizeof *hole);
    if (hole == NULL) {
        return;
    }
    hole->peer = event->peer;
    hole->path = event->path;
    pln_timer_init(&hole->timer);
    DL_APPEND(punching->holes, hole);
    punching->hole_count++;
    const bool yields = pln_key_compare(&punching->self, &event->peer) > 0;
    if (!yields ||
        !pln_heap_set(&punching->dials, &hole->timer, pln_ts_add(now.mono, HOLE_YIELD))) {
        dial(punching, hole, now);
    }
}

void pln_punching_dialled(pln_punching *punching, const pln_mesh_event *event, pln_now now) {
    pln_hole *hole, *next;
    DL_FOREACH_SAFE(punching->holes, hole, next) {
        if (hole->op == event->op) {
            if (event->err != POLLEN_OK) {
                pln_sock_hole_failed(punching->sock, &hole->peer, &hole->path, now.mono);
            }
            destroy_hole(punching, hole);
            return;
        }
    }
}

/* ---- The engine's events --------------------------------------------------------------------- */

static void tell_end(const pln_punching *punching, const pln_sock_event *event) {
    char peer[PLN_KEY_SHORT_BYTES];
    pln_logf(punching->log, PLN_LOG_INFO, "node",
             "punch %s: %s by %s, hole after %llu ms, %zu probes, %zu ways, %zu sockets",
             pln_key_short(&event->peer, peer), pln_punch_end_name(event->end),
             pln_punch_method_name(event->stats.method),
             (unsigned long long)(event->stats.first_hole_after / PLN_NS_PER_MS),
             event->stats.probes_sent, event->stats.ways_used, event->stats.sockets_opened);
}

static void handle_over(pln_punching *punching, const pln_sock_event *event) {
    tell_end(punching, event);
    pln_errand *errand = find_errand(punching, &event->peer);
    if (errand != NULL && errand->punching && event->end != PLN_PUNCH_WON &&
        event->end != PLN_PUNCH_CANCELLED) {
        fail_errand(punching, errand);
    }
}

bool pln_punching_poll_socket(pln_punching *punching, pln_socket_wish *ret, pln_now now) {
    pln_sock_event event;
    while (pln_sock_poll_event(punching->sock, &event)) {
        switch (event.kind) {
        case PLN_SOCK_OPEN_SOCKET:
        case PLN_SOCK_CLOSE_SOCKET:
            *ret = (pln_socket_wish){.via = event.via, .open = event.kind == PLN_SOCK_OPEN_SOCKET};
            return true;
        case PLN_SOCK_HOLE:
            handle_hole(punching, &event, now);
            break;
        case PLN_SOCK_OVER:
            handle_over(punching, &event);
            break;
        }
    }
    return false;
}

/* ---- Time ------------------------------------------------------------------------------------ */

void pln_punching_handle_timeout(pln_punching *punching, pln_now now) {
    pln_sock_handle_timeout(punching->sock, now.mono);
    pln_coordinator_handle_timeout(&punching->coordinator, now);
    pln_timer *timer;
    while ((timer = pln_heap_pop(&punching->asks, now.mono)) != NULL) {
        run_errand(punching, PLN_TIMER_OWNER(timer, pln_errand, timer), now);
    }
    while ((timer = pln_heap_pop(&punching->dials, now.mono)) != NULL) {
        dial(punching, PLN_TIMER_OWNER(timer, pln_hole, timer), now);
    }
}

pln_ts pln_punching_next_expiry(const pln_punching *punching) {
    const pln_ts own = pln_ts_min(pln_heap_next(&punching->asks), pln_heap_next(&punching->dials));
    const pln_ts others = pln_ts_min(pln_sock_next_expiry(punching->sock),
                                     pln_coordinator_next_expiry(&punching->coordinator));
    return pln_ts_min(own, others);
}
