/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/fsm.h"

#include "base/assert.h"

#define ABSENT POLLEN_PEER_ABSENT
#define DISCOVERED POLLEN_PEER_DISCOVERED
#define CONNECTING POLLEN_PEER_CONNECTING
#define CONNECTED POLLEN_PEER_CONNECTED
#define UNREACHABLE POLLEN_PEER_UNREACHABLE
#define ACT(name) PLN_PEER_ACT_##name
#define EV(name) PLN_PEER_EV_##name

/* clang-format off */
static const pln_peer_row table[PLN_PEER_STATE_COUNT][PLN_PEER_EV_COUNT] = {
    [ABSENT] = {
        [EV(DISCOVER)]       = {ACT(LEARN_WAKE), DISCOVERED},
        [EV(DISCOVER_NEW)]   = {ACT(LEARN_WAKE), DISCOVERED},
        [EV(DUE)]            = {ACT(BUG), ABSENT},    /* It has no timer. */
        [EV(CONNECT)]        = {ACT(CONNECTED), CONNECTED},
        [EV(FAILED)]         = {ACT(BUG), ABSENT},    /* No attempt: such a result is LATE. */
        [EV(FAILED_HURRIED)] = {ACT(BUG), ABSENT},
        [EV(EXHAUSTED)]      = {ACT(BUG), ABSENT},
        [EV(REFUSED)]        = {ACT(BUG), ABSENT},
        [EV(LOST)]           = {ACT(IGNORE), ABSENT}, /* Forgotten while its session was closing. */
        [EV(RETRY)]          = {ACT(WAKE), DISCOVERED},
        [EV(FORGET)]         = {ACT(IGNORE), ABSENT},
        [EV(MOVED)]          = {ACT(IGNORE), ABSENT},
        [EV(LATE)]           = {ACT(IGNORE), ABSENT},
    },
    [DISCOVERED] = {
        [EV(DISCOVER)]       = {ACT(LEARN), DISCOVERED},
        [EV(DISCOVER_NEW)]   = {ACT(LEARN), DISCOVERED}, /* It is dialled soon enough. */
        [EV(DUE)]            = {ACT(ATTEMPT), CONNECTING},
        [EV(CONNECT)]        = {ACT(CONNECTED), CONNECTED},
        [EV(FAILED)]         = {ACT(BUG), DISCOVERED},
        [EV(FAILED_HURRIED)] = {ACT(BUG), DISCOVERED},
        [EV(EXHAUSTED)]      = {ACT(BUG), DISCOVERED},
        [EV(REFUSED)]        = {ACT(REFUSED), UNREACHABLE}, /* A probe was. */
        [EV(LOST)]           = {ACT(NOTE_END), DISCOVERED}, /* It overtook its CONNECT. */
        [EV(RETRY)]          = {ACT(WAKE), DISCOVERED},
        [EV(FORGET)]         = {ACT(REMOVE), ABSENT},
        [EV(MOVED)]          = {ACT(IGNORE), DISCOVERED},
        [EV(LATE)]           = {ACT(IGNORE), DISCOVERED},
    },
    [CONNECTING] = {
        [EV(DISCOVER)]       = {ACT(LEARN), CONNECTING},
        [EV(DISCOVER_NEW)]   = {ACT(LEARN), CONNECTING}, /* For the next attempt. */
        [EV(DUE)]            = {ACT(BUG), CONNECTING},   /* Its timer is the attempt's deadline. */
        [EV(CONNECT)]        = {ACT(CONNECTED), CONNECTED},
        [EV(FAILED)]         = {ACT(ESCALATE), DISCOVERED},
        [EV(FAILED_HURRIED)] = {ACT(ESCALATE_NOW), DISCOVERED},
        [EV(EXHAUSTED)]      = {ACT(GIVE_UP), UNREACHABLE},
        [EV(REFUSED)]        = {ACT(REFUSED), UNREACHABLE},
        [EV(LOST)]           = {ACT(LOST), DISCOVERED},
        /* Restarting would let a caller that asks every second starve every attempt; and none needs
         * rescuing, since each has a deadline. */
        [EV(RETRY)]          = {ACT(HURRY), CONNECTING},
        [EV(FORGET)]         = {ACT(REMOVE), ABSENT},
        [EV(MOVED)]          = {ACT(IGNORE), CONNECTING},
        [EV(LATE)]           = {ACT(IGNORE), CONNECTING},
    },
    [CONNECTED] = {
        [EV(DISCOVER)]       = {ACT(LEARN), CONNECTED},
        [EV(DISCOVER_NEW)]   = {ACT(LEARN), CONNECTED},
        [EV(DUE)]            = {ACT(BUG), CONNECTED},
        [EV(CONNECT)]        = {ACT(CONNECTED), CONNECTED}, /* A newer session. */
        [EV(FAILED)]         = {ACT(BUG), CONNECTED},
        [EV(FAILED_HURRIED)] = {ACT(BUG), CONNECTED},
        [EV(EXHAUSTED)]      = {ACT(BUG), CONNECTED},
        [EV(REFUSED)]        = {ACT(BUG), CONNECTED},
        [EV(LOST)]           = {ACT(LOST), DISCOVERED},
        [EV(RETRY)]          = {ACT(IGNORE), CONNECTED}, /* There is what it asks for. */
        [EV(FORGET)]         = {ACT(REMOVE), ABSENT},
        [EV(MOVED)]          = {ACT(MOVED), CONNECTED},
        [EV(LATE)]           = {ACT(IGNORE), CONNECTED},
    },
    [UNREACHABLE] = {
        [EV(DISCOVER)]       = {ACT(LEARN), UNREACHABLE},
        [EV(DISCOVER_NEW)]   = {ACT(LEARN_WAKE), DISCOVERED},
        [EV(DUE)]            = {ACT(ATTEMPT_FIRST), CONNECTING},
        [EV(CONNECT)]        = {ACT(CONNECTED), CONNECTED},
        [EV(FAILED)]         = {ACT(BUG), UNREACHABLE},
        [EV(FAILED_HURRIED)] = {ACT(BUG), UNREACHABLE},
        [EV(EXHAUSTED)]      = {ACT(BUG), UNREACHABLE},
        [EV(REFUSED)]        = {ACT(REFUSED), UNREACHABLE}, /* A probe was. */
        [EV(LOST)]           = {ACT(NOTE_END), UNREACHABLE},
        [EV(RETRY)]          = {ACT(WAKE), DISCOVERED},
        [EV(FORGET)]         = {ACT(REMOVE), ABSENT},
        [EV(MOVED)]          = {ACT(IGNORE), UNREACHABLE},
        [EV(LATE)]           = {ACT(IGNORE), UNREACHABLE},
    },
};
/* clang-format on */

pln_peer_row pln_peer_table_at(pollen_peer_state state, pln_peer_event event) {
    PLN_ASSERT((unsigned)state < PLN_PEER_STATE_COUNT);
    PLN_ASSERT((unsigned)event < PLN_PEER_EV_COUNT);
    return table[state][event];
}

pln_peer_action pln_peer_fsm_step(pollen_peer_state *state, pln_peer_event event) {
    const pln_peer_row row = pln_peer_table_at(*state, event);
    PLN_ASSERT(row.action != PLN_PEER_ACT_UNSET);
    PLN_ASSERT(row.action != PLN_PEER_ACT_BUG);
    *state = row.next;
    return row.action;
}

pln_peer_stage pln_peer_stage_first(bool has_last_addr) {
    return (pln_peer_stage){
        .stage = has_last_addr ? POLLEN_STAGE_EAGER_RETRY : POLLEN_STAGE_DIRECT,
    };
}

bool pln_peer_stage_escalate(pln_peer_stage *stage) {
    static const unsigned attempts_max[] = {
        [POLLEN_STAGE_EAGER_RETRY] = 1,
        [POLLEN_STAGE_DIRECT] = 2,
        [POLLEN_STAGE_PUNCH] = 2,
    };
    PLN_ASSERT(stage->stage != POLLEN_STAGE_NONE);
    PLN_ASSERT(stage->attempts < attempts_max[stage->stage]);
    if (stage->attempts + 1 < attempts_max[stage->stage]) {
        stage->attempts++;
        return true;
    }
    if (stage->stage == POLLEN_STAGE_PUNCH) {
        return false;
    }
    bool was_eager = stage->stage == POLLEN_STAGE_EAGER_RETRY;
    *stage = (pln_peer_stage){.stage = was_eager ? POLLEN_STAGE_DIRECT : POLLEN_STAGE_PUNCH};
    return true;
}

const char *pln_peer_event_name(pln_peer_event event) {
    static const char *const names[PLN_PEER_EV_COUNT] = {
        [EV(DISCOVER)] = "discover",
        [EV(DISCOVER_NEW)] = "discover_new",
        [EV(DUE)] = "due",
        [EV(CONNECT)] = "connect",
        [EV(FAILED)] = "failed",
        [EV(FAILED_HURRIED)] = "failed_hurried",
        [EV(EXHAUSTED)] = "exhausted",
        [EV(REFUSED)] = "refused",
        [EV(LOST)] = "lost",
        [EV(RETRY)] = "retry",
        [EV(FORGET)] = "forget",
        [EV(MOVED)] = "moved",
        [EV(LATE)] = "late",
    };
    return (unsigned)event < PLN_PEER_EV_COUNT ? names[event] : "unknown";
}

const char *pln_peer_action_name(pln_peer_action action) {
    static const char *const names[] = {
        [ACT(UNSET)] = "unset",
        [ACT(BUG)] = "bug",
        [ACT(IGNORE)] = "ignore",
        [ACT(LEARN)] = "learn",
        [ACT(LEARN_WAKE)] = "learn_wake",
        [ACT(WAKE)] = "wake",
        [ACT(HURRY)] = "hurry",
        [ACT(ATTEMPT)] = "attempt",
        [ACT(ATTEMPT_FIRST)] = "attempt_first",
        [ACT(CONNECTED)] = "connected",
        [ACT(ESCALATE)] = "escalate",
        [ACT(ESCALATE_NOW)] = "escalate_now",
        [ACT(GIVE_UP)] = "give_up",
        [ACT(REFUSED)] = "refused",
        [ACT(LOST)] = "lost",
        [ACT(NOTE_END)] = "note_end",
        [ACT(MOVED)] = "moved",
        [ACT(REMOVE)] = "remove",
    };
    return (unsigned)action < sizeof(names) / sizeof(names[0]) ? names[action] : "unknown";
}
