/* SPDX-License-Identifier: Apache-2.0 */
#include "node/punch.h"

#include "base/assert.h"
#include "node/plan.h"
#include "node/send.h"
#include "wire/envelope.h"

/* What comes again within this time is the copy of a trigger; coordinators send each twice. */
#define SAME_TRIGGER PLN_MS(100)

/* ---- Life ------------------------------------------------------------------------------------ */

pollen_err pln_punching_init(pln_punching *punching, pln_mesh *mesh, const pln_state *state,
                             const pln_node_config *config) {
    *punching = (pln_punching){
        .mesh = mesh, .state = state, .log = config->mesh.log, .self = config->mesh.creds->key};
    pln_neighbours_init(&punching->neighbours, mesh, &config->mesh.rng);
    pln_coordinator_init(&punching->coordinator, mesh, state, &punching->neighbours, punching->log);
    pln_errands_init(&punching->errands, mesh, state, &punching->neighbours);
    pln_inquiry_init(&punching->inquiry);
    const pln_sock_config sock = {.rng = config->mesh.rng, .log = config->mesh.log};
    const pollen_err err = pln_sock_create(&sock, &punching->sock);
    pln_holes_init(&punching->holes, mesh, punching->sock, &punching->self);
    return err;
}

void pln_punching_fini(pln_punching *punching) {
    pln_errands_fini(&punching->errands);
    pln_holes_fini(&punching->holes);
    if (punching->mesh != NULL) {
        pln_coordinator_fini(&punching->coordinator);
    }
    pln_neighbours_fini(&punching->neighbours);
    pln_sock_destroy(punching->sock);
    punching->sock = NULL;
}

void pln_punching_forget(pln_punching *punching, const pollen_key *peer, pln_now now) {
    pln_errand *errand = pln_errands_find(&punching->errands, peer);
    if (errand != NULL) {
        pln_errands_remove(&punching->errands, errand);
    }
    pln_sock_cancel(punching->sock, peer, now.mono);
}

/* ---- Triggers -------------------------------------------------------------------------------- */

/* Somebody we asked, or else a neighbour that does not ask too often.  Whom it names need not be
 * known: news of a member that has just come travels slower than its wish to meet us. */
static bool may_trigger(pln_punching *punching, pln_errand *errand, const pollen_key *from,
                        const pollen_key *peer, pln_ts now) {
    if (errand != NULL && pln_errand_take_answer(errand, from)) {
        return true;
    }
    pln_neighbour *neighbour = pln_neighbours_find(&punching->neighbours, from);
    const bool revoked = punching->state != NULL && pln_state_is_revoked(punching->state, peer);
    return neighbour != NULL && !revoked &&
           pln_bucket_take(&neighbour->triggers, PLN_TRIGGERS_PER_S, PLN_TRIGGERS_BURST, now) &&
           pln_bucket_take(&punching->triggers, PLN_TRIGGERS_ALL_PER_S, PLN_TRIGGERS_ALL_BURST,
                           now);
}

/* The coordinator's own view of the peer. */
static void note_sighting(pln_punching *punching, pln_errand *errand, const pollen_key *from,
                          const pln_punch_trigger *msg, pln_ts now) {
    pln_session_info info;
    if (pln_mesh_session_info(punching->mesh, from, &info) == POLLEN_OK) {
        pln_sightings_add(&errand->sightings,
                          &(pln_nat_observation){.observer = *from,
                                                 .observer_addr = info.conn.path.remote,
                                                 .seen = msg->peer_addr,
                                                 .via = PLN_VIA_MAIN,
                                                 .at = now});
    }
}

static bool is_unasked(const pln_punching *punching, const pollen_key *peer) {
    const pln_errand *errand = pln_errands_find(&punching->errands, peer);
    return errand == NULL || !errand->wanted;
}

/* To a peer without NAT nothing has to be opened first; by IPv6 there may be a firewall. */
static bool is_wide_open(const pln_punch_plan *to) {
    return to->target_count > 0 && to->theirs.mapping == POLLEN_NAT_MAPPING_NONE &&
           pollen_addr_is_ipv4(&to->targets[0].addr) && !pln_addr_is_private(&to->targets[0].addr);
}

static void dial_outright(pln_punching *punching, const pln_punch_plan *to, pln_now now) {
    const pln_path path = {.via = PLN_VIA_MAIN, .remote = to->targets[0].addr};
    if (is_wide_open(to) && !pln_holes_has(&punching->holes, &to->peer, &path) &&
        pln_sock_may_try(punching->sock, &to->peer, &path.remote, now.mono)) {
        pln_holes_add(&punching->holes, &to->peer, &path,
                      (pln_hole_kind){.shared = to->ours.mapping == POLLEN_NAT_MAPPING_NONE,
                                      .unasked = is_unasked(punching, &to->peer)},
                      now);
    }
}

static void start_punch(pln_punching *punching, pln_errand *errand, const pollen_key *from,
                        const pln_punch_trigger *msg, pln_now now) {
    PLN_ASSERT(!pln_key_equal(&msg->peer, &punching->self));
    const pln_planner planner = {.outside = &punching->outside, .state = punching->state};
    errand->speaks_2 = errand->speaks_2 || msg->has_whereabouts;
    note_sighting(punching, errand, from, msg, now.mono);
    pln_punch_plan to;
    pln_plan_punch(&planner, errand, from, msg, now.mono, &to);
    errand->deadline = errand->deadline > to.deadline ? errand->deadline : to.deadline;
    if (pln_sock_replan(punching->sock, &to, now.mono) == POLLEN_OK) {
        dial_outright(punching, &to, now);
        pln_errands_started(&punching->errands, errand, &to, now);
    } else if (!errand->wanted) {
        pln_errands_remove(&punching->errands, errand); /* It was for this trigger alone. */
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
        pln_key_equal(&msg.peer, &punching->self) || !pln_plan_may_aim_at(&msg.peer_addr) ||
        pln_mesh_has_session(punching->mesh, &msg.peer)) {
        return;
    }
    pln_errand *errand = pln_errands_find(&punching->errands, &msg.peer);
    const uint64_t hash = pln_hash64(&punching->neighbours.hash_key, body, size) ^
                          pln_hash64(&punching->neighbours.hash_key, from, sizeof *from);
    if (errand != NULL && errand->last_trigger == hash &&
        pln_ts_since(errand->last_trigger_at, now.mono) < SAME_TRIGGER) {
        return;
    }
    if (!may_trigger(punching, errand, from, &msg.peer, now.mono)) {
        return;
    }
    errand = pln_errands_obtain(&punching->errands, &msg.peer);
    if (errand == NULL) {
        return;
    }
    errand->last_trigger = hash;
    errand->last_trigger_at = now.mono;
    tell_trigger(punching, from, &msg);
    if (!pln_errand_was_asked(errand, from)) {
        pln_neighbours_tell(&punching->neighbours, pln_neighbours_find(&punching->neighbours, from),
                            now);
    }
    start_punch(punching, errand, from, &msg, now);
}

/* ---- Sessions -------------------------------------------------------------------------------- */

/* Who does not know its NAT may not have got our word on where we see it. */
static void help_to_know(const pln_punching *punching, const pln_neighbour *neighbour,
                         pln_now now) {
    pln_session_info info;
    if (neighbour->whereabouts.mapping == POLLEN_NAT_MAPPING_UNKNOWN &&
        pln_mesh_session_info(punching->mesh, &neighbour->key, &info) == POLLEN_OK &&
        !pln_addr_is_loopback(&info.conn.path.remote)) {
        pln_node_tell_observed(punching->mesh, &neighbour->key, &info.conn.path.remote, now);
    }
}

static void handle_whereabouts(pln_punching *punching, const pollen_key *from, const uint8_t *body,
                               size_t size, pln_now now) {
    pln_neighbour *neighbour = pln_neighbours_find(&punching->neighbours, from);
    pln_whereabouts msg;
    if (neighbour == NULL || !neighbour->speaks_2 ||
        pln_whereabouts_decode(body, size, &msg) != POLLEN_OK) {
        return;
    }
    const bool known = neighbour->has_whereabouts;
    if (!known || !pln_whereabouts_equal(&neighbour->whereabouts, &msg)) {
        neighbour->whereabouts = msg;
        neighbour->has_whereabouts = true;
        pln_coordinator_whereabouts_changed(&punching->coordinator, neighbour, now);
    }
    help_to_know(punching, neighbour, now);
}

bool pln_punching_handle_packet(pln_punching *punching, const pollen_key *peer,
                                pollen_envelope_kind kind, const uint8_t *body, size_t size,
                                pln_now now) {
    if (kind == POLLEN_ENVELOPE_PUNCH_REQUEST) {
        pln_coordinator_handle_request(&punching->coordinator, peer, body, size, now);
    } else if (kind == POLLEN_ENVELOPE_PUNCH_TRIGGER) {
        handle_trigger(punching, peer, body, size, now);
    } else if (kind == POLLEN_ENVELOPE_WHEREABOUTS) {
        handle_whereabouts(punching, peer, body, size, now);
    } else {
        return false;
    }
    return true;
}

static void set_path(pln_punching *punching, pln_neighbour *neighbour, const pln_path *path,
                     pln_now now) {
    const uint32_t before = neighbour->via;
    neighbour->punched =
        path->via != PLN_VIA_MAIN || pln_holes_has(&punching->holes, &neighbour->key, path);
    neighbour->via =
        pln_sock_won(punching->sock, &neighbour->key, path, now.mono) ? path->via : PLN_VIA_MAIN;
    if (before != PLN_VIA_MAIN && before != neighbour->via) {
        pln_sock_release(punching->sock, before);
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
    pln_holes_drop(&punching->holes, peer);
    pln_neighbours_tell(&punching->neighbours, neighbour, now);
    if (info.conn.inbound) {
        pln_coordinator_introduce(&punching->coordinator, neighbour, now);
    }
    pln_errands_connected(&punching->errands, peer, now);
    pln_inquiry_begin(&punching->inquiry, now.mono);
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
    if (neighbour == NULL || pln_mesh_has_session(punching->mesh, peer)) {
        return; /* Another session took its place. */
    }
    if (neighbour->via != PLN_VIA_MAIN) {
        pln_sock_release(punching->sock, neighbour->via);
    }
    pln_neighbours_remove(&punching->neighbours, neighbour);
}

/* ---- Outside --------------------------------------------------------------------------------- */

static void note_flows(pln_punching *punching) {
    pln_sock_counters counters;
    pln_sock_get_counters(punching->sock, &counters);
    pln_outside_note_flows(&punching->outside, counters.ways_used);
}

static void tell_all(pln_punching *punching, pln_now now) {
    pln_whereabouts ours;
    note_flows(punching);
    pln_outside_whereabouts(&punching->outside, &ours);
    pln_neighbours_tell_all(&punching->neighbours, &ours, now);
}

bool pln_punching_want(pln_punching *punching, const pollen_key *peer, uint64_t attempt,
                       pln_dur delay, pln_ts deadline, pln_now now) {
    pln_sock_want(punching->sock, peer);
    return pln_errands_want(&punching->errands, peer, attempt, delay, deadline, now);
}

/* Each may be another one, which all neighbours are told of and every errand begins anew for. */
static bool may_observe(pln_punching *punching, const pollen_key *peer, pln_ts now) {
    pln_neighbour *neighbour = pln_neighbours_find(&punching->neighbours, peer);
    return neighbour != NULL &&
           pln_bucket_take(&neighbour->observed, PLN_OBSERVED_PER_S, PLN_OBSERVED_BURST, now);
}

bool pln_punching_observed(pln_punching *punching, const pollen_key *peer, const pollen_addr *seen,
                           pln_now now) {
    pln_session_info info;
    if (pln_mesh_session_info(punching->mesh, peer, &info) != POLLEN_OK ||
        !may_observe(punching, peer, now.mono)) {
        return false;
    }
    const pln_nat_observation observation = {.observer = *peer,
                                             .observer_addr = info.conn.path.remote,
                                             .seen = *seen,
                                             .via = info.conn.path.via,
                                             .local_port = punching->outside.port,
                                             .at = now.mono};
    note_flows(punching);
    const bool changed = pln_outside_observe(&punching->outside, &observation, now);
    tell_all(punching, now);
    if (changed) {
        pln_errands_ask_anew(&punching->errands, now);
    }
    return changed;
}

bool pln_punching_set_locals(pln_punching *punching, const pollen_addr *addrs, size_t count,
                             uint16_t port, pln_now now) {
    const bool changed = pln_outside_set_locals(&punching->outside, addrs, count, port, now);
    if (changed) {
        pln_sock_network_changed(punching->sock);
        pln_inquiry_begin(&punching->inquiry, now.mono); /* Of those who have no reason to speak. */
    }
    tell_all(punching, now);
    return changed;
}

bool pln_punching_set_mapped(pln_punching *punching, const pollen_addr *addr, pln_now now) {
    const bool changed = pln_outside_set_mapped(&punching->outside, addr);
    if (changed) {
        tell_all(punching, now);
    }
    return changed;
}

/* ---- The engine's events --------------------------------------------------------------------- */

static void tell_end(const pln_punching *punching, const pln_sock_event *event) {
    char peer[PLN_KEY_SHORT_BYTES];
    pln_logf(
        punching->log, PLN_LOG_INFO, "node",
        "punch %s: %s by %s, hole after %llu ms, %zu probes, %zu ways, %zu sockets, %zu refused",
        pln_key_short(&event->peer, peer), pln_punch_end_name(event->end),
        pln_punch_method_name(event->stats.method),
        (unsigned long long)(event->stats.first_hole_after / PLN_NS_PER_MS),
        event->stats.probes_sent, event->stats.ways_used, event->stats.sockets_opened,
        event->stats.sockets_failed);
}

static void dial_along(pln_punching *punching, const pln_sock_event *event, pln_now now) {
    const pln_hole_kind kind = {.shared = true,
                                .sure = event->kind == PLN_SOCK_HOLE || event->heard,
                                .unasked = is_unasked(punching, &event->peer)};
    pln_holes_add(&punching->holes, &event->peer, &event->path, kind, now);
}

static void handle_over(pln_punching *punching, const pln_sock_event *event, pln_now now) {
    tell_end(punching, event);
    if (pln_bucket_take(&punching->retellings, PLN_RETELLINGS_PER_S, PLN_RETELLINGS_BURST,
                        now.mono)) {
        tell_all(punching, now); /* A NAT that counts is elsewhere now. */
    }
    pln_errand *errand = pln_errands_find(&punching->errands, &event->peer);
    if (errand != NULL && errand->punching && event->end != PLN_PUNCH_WON &&
        event->end != PLN_PUNCH_CANCELLED) {
        pln_errands_fail(&punching->errands, errand);
    }
}

bool pln_punching_poll_socket(pln_punching *punching, pln_socket_wish *ret, pln_now now) {
    pln_sock_event event;
    while (pln_sock_poll_event(punching->sock, &event)) {
        switch (event.kind) {
        case PLN_SOCK_OPEN_SOCKET:
        case PLN_SOCK_CLOSE_SOCKET:
            PLN_ASSERT(event.via != PLN_VIA_MAIN);
            *ret = (pln_socket_wish){.via = event.via, .open = event.kind == PLN_SOCK_OPEN_SOCKET};
            return true;
        case PLN_SOCK_TRY:
            /* Nothing has answered, and a handshake is seventy times a probe.  In the same network
             * the answer comes at once. */
            if (!pln_addr_is_private(&event.path.remote)) {
                dial_along(punching, &event, now);
            }
            break;
        case PLN_SOCK_HOLE:
            dial_along(punching, &event, now);
            break;
        case PLN_SOCK_OVER:
            handle_over(punching, &event, now);
            break;
        }
    }
    return false;
}

/* ---- Time ------------------------------------------------------------------------------------ */

void pln_punching_handle_timeout(pln_punching *punching, pln_now now) {
    pln_sock_handle_timeout(punching->sock, now.mono);
    pln_coordinator_handle_timeout(&punching->coordinator, now);
    pln_errands_handle_timeout(&punching->errands, now);
    pln_holes_handle_timeout(&punching->holes, now);
    pln_inquiry_handle_timeout(&punching->inquiry, &punching->outside, &punching->neighbours, now);
}

pln_ts pln_punching_next_expiry(const pln_punching *punching) {
    const pln_ts own = pln_ts_min(pln_errands_next_expiry(&punching->errands),
                                  pln_holes_next_expiry(&punching->holes));
    const pln_ts others = pln_ts_min(pln_sock_next_expiry(punching->sock),
                                     pln_coordinator_next_expiry(&punching->coordinator));
    return pln_ts_min(punching->inquiry.at, pln_ts_min(own, others));
}
