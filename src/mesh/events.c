/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of what the owner is to be told, and where its nodes come from. */
#include "mesh/core.h"

#include "base/assert.h"

enum {
    SPARE_RESERVE = 16, /* Kept for pln_events_node_reserved(). */
    SPARE_MAX = 256,    /* Freed nodes kept, because packets need one each. */
};

static void keep_spare(pln_events *events, pln_event_node *node) {
    PLN_ASSERT(node != NULL);
    PLN_ASSERT(events->spare_count < SPARE_MAX);
    node->link = (pln_event_link){.next = events->spare == NULL ? NULL : &events->spare->link};
    events->spare = node;
    events->spare_count++;
}

static pln_event_node *take_spare(pln_events *events) {
    PLN_ASSERT(events->spare_count > 0);
    pln_event_node *node = events->spare;
    PLN_ASSERT(node != NULL);
    events->spare = (pln_event_node *)(void *)node->link.next;
    events->spare_count--;
    *node = (pln_event_node){.op = NULL};
    return node;
}

bool pln_events_init(pln_events *events) {
    *events = (pln_events){.head = NULL};
    for (int i = 0; i < SPARE_RESERVE; i++) {
        pln_event_node *node = pln_malloc(sizeof(*node));
        if (node == NULL) {
            pln_events_fini(events);
            return false;
        }
        keep_spare(events, node);
    }
    return true;
}

static void drop_content(pln_event_node *node) {
    pln_chunk_destroy(node->event.body);
    pln_bytes_fini(&node->event.text);
    if (node->event.join_token != NULL) {
        pln_join_token_fini(node->event.join_token);
        pln_free(node->event.join_token);
    }
}

void pln_events_fini(pln_events *events) {
    while (events->head != NULL) {
        pln_event_link *link = events->head;
        events->head = link->next;
        if (link->stream == NULL) {
            pln_event_node *node = (pln_event_node *)(void *)link;
            drop_content(node);
            pln_free(node);
        }
    }
    while (events->spare != NULL) {
        pln_free(take_spare(events));
    }
    *events = (pln_events){.head = NULL};
}

pln_event_node *pln_events_node(pln_events *events) {
    if (events->spare_count > SPARE_RESERVE) {
        return take_spare(events);
    }
    return pln_calloc(1, sizeof(pln_event_node));
}

pln_event_node *pln_events_node_reserved(pln_events *events) {
    return events->spare_count > 0 ? take_spare(events) : NULL;
}

void pln_events_wanted(pln_mesh *mesh, const pollen_key *peer) {
    pln_event_node *node = pln_events_node(&mesh->events);
    if (node != NULL) {
        node->event = (pln_mesh_event){.kind = PLN_MESH_WANTED, .peer = *peer};
        pln_events_push(&mesh->events, node);
    }
}

void pln_events_release(pln_events *events, pln_event_node *node) {
    if (node == NULL) {
        return;
    }
    if (node->dead) {
        drop_content(node);
    }
    if (events->spare_count < SPARE_MAX) {
        keep_spare(events, node);
    } else {
        pln_free(node);
    }
}

static void push_link(pln_events *events, pln_event_link *link) {
    PLN_ASSERT((events->head == NULL) == (events->tail == NULL));
    link->next = NULL;
    if (events->tail == NULL) {
        events->head = link;
    } else {
        events->tail->next = link;
    }
    events->tail = link;
}

void pln_events_push(pln_events *events, pln_event_node *node) {
    PLN_ASSERT(node->op == NULL || node->event.kind == PLN_MESH_OP_DONE);
    node->link.stream = NULL;
    if (node->event.kind == PLN_MESH_PACKET) {
        events->packets++;
    }
    push_link(events, &node->link);
}

void pln_events_push_stream(pln_events *events, pln_event_link *link) {
    PLN_ASSERT(link->stream != NULL);
    push_link(events, link);
}

static pln_event_link *pop_link(pln_events *events) {
    PLN_ASSERT((events->head == NULL) == (events->tail == NULL));
    pln_event_link *link = events->head;
    if (link != NULL) {
        events->head = link->next;
        if (events->head == NULL) {
            events->tail = NULL;
        }
    }
    return link;
}

/* Fills ret unless the event was canceled. */
static bool deliver_node(pln_mesh *mesh, pln_event_node *node, pln_mesh_event *ret) {
    PLN_ASSERT(node->op == NULL || node->event.kind == PLN_MESH_OP_DONE);
    pln_events *events = &mesh->events;
    if (node->event.kind == PLN_MESH_PACKET) {
        PLN_ASSERT(events->packets > 0);
        events->packets--;
    }
    if (node->op != NULL) {
        pln_ops_free(mesh, node->op);
    }
    bool alive = !node->dead;
    if (alive) {
        *ret = node->event;
    }
    pln_events_release(events, node);
    return alive;
}

bool pln_mesh_poll_event(pln_mesh *mesh, pln_mesh_event *ret) {
    pln_streams_end_farewell(mesh);
    for (;;) {
        pln_event_link *link = pop_link(&mesh->events);
        if (link == NULL) {
            return false;
        }
        /* A stream that has more to tell queues up again. */
        bool any = link->stream != NULL ? pln_streams_poll(mesh, link->stream, ret)
                                        : deliver_node(mesh, (pln_event_node *)(void *)link, ret);
        if (any) {
            return true;
        }
    }
}
