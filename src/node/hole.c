/* SPDX-License-Identifier: Apache-2.0 */
#include "node/hole.h"

#include <utlist.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/key.h"
#include "base/mem.h"
#include "node/node.h"

/* The larger key leaves the first dial to the smaller one for so long. */
#define YIELD PLN_MS(250)

/* And each way to one before it, while that is being dialled (RFC 8305, 5: 100 ms to 2 s). */
#define STAGGER PLN_MS(250)

/* One that is sure waits less for one at another address that is not: often both are good. */
#define STAGGER_SURE PLN_MS(50)

#define WAIT_MAX PLN_S(1) /* All in all: a punch has five. */

#define DIAL_TIME PLN_S(3)

struct pln_hole {
    pln_hole *prev, *next;
    pollen_key peer;
    pln_path path;
    pln_hole_kind kind;
    pln_op op;       /* 0: not dialled yet. */
    pln_timer timer; /* Dials. */
};

void pln_holes_init(pln_holes *holes, pln_mesh *mesh, pln_sock *sock, const pollen_key *self) {
    *holes = (pln_holes){.mesh = mesh, .sock = sock, .self = *self};
    pln_heap_init(&holes->timers);
}

static void destroy(pln_holes *holes, pln_hole *hole) {
    PLN_ASSERT(holes->count > 0);
    holes->count--;
    holes->unasked -= hole->kind.unasked;
    pln_heap_cancel(&holes->timers, &hole->timer);
    DL_DELETE(holes->list, hole);
    pln_free(hole);
}

void pln_holes_fini(pln_holes *holes) {
    while (holes->list != NULL) {
        destroy(holes, holes->list);
    }
    PLN_ASSERT(holes->count == 0);
    pln_heap_fini(&holes->timers);
}

static pln_hole *find(const pln_holes *holes, const pollen_key *peer, const pln_path *path) {
    pln_hole *hole;
    DL_FOREACH(holes->list, hole) {
        if (pln_key_equal(&hole->peer, peer) && pln_path_equal(&hole->path, path)) {
            return hole;
        }
    }
    return NULL;
}

bool pln_holes_has(const pln_holes *holes, const pollen_key *peer, const pln_path *path) {
    return find(holes, peer, path) != NULL;
}

static void dial(pln_holes *holes, pln_hole *hole, pln_now now) {
    PLN_ASSERT(hole->op == 0);
    hole->op = PLN_OP_NODE | PLN_OP_HOLE | ++holes->last_op;
    pln_mesh_connect(holes->mesh, hole->op, &hole->peer, &hole->path, 1,
                     pln_ts_add(now.mono, DIAL_TIME), now);
}

static bool has_room(const pln_holes *holes, pln_hole_kind kind) {
    return holes->count < PLN_HOLES_MAX &&
           (!kind.unasked || holes->unasked < PLN_HOLES_UNASKED_MAX);
}

/* Several handshakes at once would end with several sessions, of which all but one end again.  At
 * the same address with another port, the one that is not sure was a wrong guess. */
static pln_dur wait_for(const pln_hole *hole, const pln_hole *other) {
    if (other->kind.sure || !hole->kind.sure) {
        return STAGGER;
    }
    return pln_addr_same_ip(&hole->path.remote, &other->path.remote) ? 0 : STAGGER_SURE;
}

static pln_dur wait_of(const pln_holes *holes, const pln_hole *hole) {
    const bool yields = hole->kind.shared && pln_key_compare(&holes->self, &hole->peer) > 0;
    pln_dur wait = yields ? YIELD : 0;
    const pln_hole *other;
    DL_FOREACH(holes->list, other) {
        if (other != hole && pln_key_equal(&other->peer, &hole->peer)) {
            wait += wait_for(hole, other);
        }
    }
    return wait < WAIT_MAX ? wait : WAIT_MAX;
}

static void plan(pln_holes *holes, pln_hole *hole, pln_now now) {
    const pln_dur wait = wait_of(holes, hole);
    if (wait == 0 || !pln_heap_set(&holes->timers, &hole->timer, pln_ts_add(now.mono, wait))) {
        pln_heap_cancel(&holes->timers, &hole->timer);
        dial(holes, hole, now);
    }
}

/* There is less to wait for than there was. */
static void hurry(pln_holes *holes, pln_hole *hole, pln_now now) {
    if (hole->op == 0 && pln_ts_add(now.mono, wait_of(holes, hole)) < hole->timer.at) {
        plan(holes, hole, now);
    }
}

/* What waited for other ways has turned out to be open. */
static void make_sure(pln_holes *holes, pln_hole *hole, pln_now now) {
    hole->kind.sure = true;
    hurry(holes, hole, now);
}

void pln_holes_add(pln_holes *holes, const pollen_key *peer, const pln_path *path,
                   pln_hole_kind kind, pln_now now) {
    pln_hole *hole = find(holes, peer, path);
    if (hole != NULL && kind.sure) {
        make_sure(holes, hole, now);
    }
    if (hole != NULL || !has_room(holes, kind) || pln_mesh_has_session(holes->mesh, peer)) {
        return;
    }
    hole = pln_calloc(1, sizeof *hole);
    if (hole == NULL) {
        return;
    }
    hole->peer = *peer;
    hole->path = *path;
    hole->kind = kind;
    pln_timer_init(&hole->timer);
    DL_APPEND(holes->list, hole);
    holes->count++;
    holes->unasked += kind.unasked;
    plan(holes, hole, now);
}

void pln_holes_drop(pln_holes *holes, const pollen_key *peer) {
    pln_hole *hole, *next;
    DL_FOREACH_SAFE(holes->list, hole, next) {
        if (hole->op == 0 && pln_key_equal(&hole->peer, peer)) {
            destroy(holes, hole);
        }
    }
}

/* Others of the peer that waited for it go sooner. */
static void fail(pln_holes *holes, pln_hole *failed, pln_now now) {
    const pollen_key peer = failed->peer;
    pln_sock_hole_failed(holes->sock, &peer, &failed->path, now.mono);
    destroy(holes, failed);
    pln_hole *hole;
    DL_FOREACH(holes->list, hole) {
        if (pln_key_equal(&hole->peer, &peer)) {
            hurry(holes, hole, now);
        }
    }
}

void pln_holes_dialled(pln_holes *holes, const pln_mesh_event *event, pln_now now) {
    pln_hole *hole;
    DL_FOREACH(holes->list, hole) {
        if (hole->op == event->op) {
            break;
        }
    }
    if (hole != NULL && event->err != POLLEN_OK) {
        fail(holes, hole, now);
    } else if (hole != NULL) {
        destroy(holes, hole);
    }
}

void pln_holes_handle_timeout(pln_holes *holes, pln_now now) {
    pln_timer *timer;
    while ((timer = pln_heap_pop(&holes->timers, now.mono)) != NULL) {
        dial(holes, PLN_TIMER_OWNER(timer, pln_hole, timer), now);
    }
}

pln_ts pln_holes_next_expiry(const pln_holes *holes) {
    return pln_heap_next(&holes->timers);
}
