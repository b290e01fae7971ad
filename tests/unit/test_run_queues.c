/* SPDX-License-Identifier: Apache-2.0 */
/* The queues between the loop and everybody else: commands, received envelopes, events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/limits.h"
#include "run/cmdq.h"
#include "run/directory.h"
#include "run/eventq.h"
#include "run/inbox.h"

static const pln_hash_key hash_key = {{1, 2, 3}};

static pollen_key key_of(uint32_t number) {
    pollen_key key = {{0}};
    memcpy(key.bytes, &number, sizeof(number));
    return key;
}

/* ---- Commands -------------------------------------------------------------------------------- */

typedef struct numbered {
    pln_cmd cmd;
    int producer, number;
} numbered;

static void never_run(pln_cmd *cmd, struct pollen_mesh *mesh, pollen_err state) {
    (void)cmd;
    (void)mesh;
    (void)state;
    fail_msg("the queue itself runs nothing");
}

static bool is_readable(int fd) {
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    return poll(&pfd, 1, 0) == 1;
}

typedef struct woken {
    int fd;
    pln_cmdq q;
} woken;

static int set_up_commands(void **state) {
    static woken w;
    w.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(w.fd >= 0);
    pln_cmdq_init(&w.q, w.fd, NULL);
    *state = &w;
    return 0;
}

static int tear_down_commands(void **state) {
    woken *w = *state;
    pln_cmdq_fini(&w->q);
    close(w->fd);
    return 0;
}

static void push(pln_cmdq *q, numbered *cmd) {
    cmd->cmd.run = never_run;
    assert_int_equal(pln_cmdq_push(q, &cmd->cmd), POLLEN_OK);
}

static void commands_come_in_the_order_they_were_pushed(void **state) {
    enum { COUNT = 100 };
    woken *w = *state;
    static numbered cmds[COUNT];
    assert_true(pln_cmdq_is_empty(&w->q));
    assert_null(pln_cmdq_take(&w->q));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            cmds[i].number = i;
            push(&w->q, &cmds[i]);
        }
        assert_false(pln_cmdq_is_empty(&w->q));
        int seen = 0;
        for (pln_cmd *cmd = pln_cmdq_take(&w->q); cmd != NULL; cmd = cmd->next) {
            assert_int_equal(((numbered *)(void *)cmd)->number, seen++);
        }
        assert_int_equal(seen, COUNT);
        assert_true(pln_cmdq_is_empty(&w->q));
    }
}

static void a_push_wakes_until_the_queue_was_looked_at(void **state) {
    woken *w = *state;
    numbered cmds[3] = {{.number = 0}};
    assert_false(is_readable(w->fd));
    push(&w->q, &cmds[0]);
    push(&w->q, &cmds[1]);
    assert_true(is_readable(w->fd));
    pln_cmdq_reset(&w->q);
    assert_false(is_readable(w->fd));
    assert_non_null(pln_cmdq_take(&w->q));
    push(&w->q, &cmds[2]);
    assert_true(is_readable(w->fd));
    pln_cmdq_reset(&w->q);
    pln_cmdq_reset(&w->q); /* In vain, and does not block. */
    assert_non_null(pln_cmdq_take(&w->q));
}

static void who_drives_is_not_woken_by_itself(void **state) {
    woken *w = *state;
    numbered cmds[2] = {{.number = 0}};
    atomic_uintptr_t driver;
    atomic_init(&driver, (uintptr_t)pthread_self());
    w->q.driver = &driver;
    push(&w->q, &cmds[0]);
    assert_false(is_readable(w->fd));
    assert_false(pln_cmdq_is_empty(&w->q));
    assert_non_null(pln_cmdq_take(&w->q));
    atomic_store(&driver, 0);
    push(&w->q, &cmds[1]);
    assert_true(is_readable(w->fd));
    assert_non_null(pln_cmdq_take(&w->q));
}

static void a_closed_queue_gives_what_is_left_and_takes_nothing(void **state) {
    woken *w = *state;
    numbered cmds[3] = {[2] = {.cmd.run = never_run}};
    push(&w->q, &cmds[0]);
    push(&w->q, &cmds[1]);
    pln_cmd *left = pln_cmdq_close(&w->q);
    assert_ptr_equal(left, &cmds[0].cmd);
    assert_ptr_equal(left->next, &cmds[1].cmd);
    assert_null(left->next->next);
    assert_int_equal(pln_cmdq_push(&w->q, &cmds[2].cmd), POLLEN_ECLOSED);
    assert_true(pln_cmdq_is_empty(&w->q));
    assert_null(pln_cmdq_close(&w->q));
}

enum { PRODUCERS = 4, EACH = 2000 };

typedef struct producer {
    pln_cmdq *q;
    numbered *cmds;
} producer;

static void *produce(void *arg) {
    producer *p = arg;
    for (int i = 0; i < EACH; i++) {
        if (pln_cmdq_push(p->q, &p->cmds[i].cmd) != POLLEN_OK) {
            return p;
        }
    }
    return NULL;
}

/* The consumer sleeps on the eventfd alone, so one lost wake-up leaves it there. */
static void no_wake_up_is_lost_between_threads(void **state) {
    woken *w = *state;
    numbered *cmds = calloc(PRODUCERS * EACH, sizeof(*cmds));
    assert_non_null(cmds);
    pthread_t threads[PRODUCERS];
    producer producers[PRODUCERS];
    int next[PRODUCERS] = {0};
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (producer){.q = &w->q, .cmds = cmds + (size_t)i * EACH};
        for (int k = 0; k < EACH; k++) {
            producers[i].cmds[k] = (numbered){.cmd.run = never_run, .producer = i, .number = k};
        }
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (int got = 0; got < PRODUCERS * EACH;) {
        struct pollfd pfd = {.fd = w->fd, .events = POLLIN};
        assert_int_equal(poll(&pfd, 1, 10000), 1);
        pln_cmdq_reset(&w->q);
        for (pln_cmd *cmd = pln_cmdq_take(&w->q); cmd != NULL; cmd = cmd->next) {
            const numbered *item = (numbered *)(void *)cmd;
            assert_int_equal(item->number, next[item->producer]++);
            got++;
        }
    }
    for (int i = 0; i < PRODUCERS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    free(cmds);
}

/* ---- Received envelopes ---------------------------------------------------------------------- */

static void receive(pln_inbox *inbox, uint32_t peer, uint32_t number) {
    const pollen_key key = key_of(peer);
    pln_chunk *body = pln_chunk_create(8 + sizeof(number));
    assert_non_null(body);
    memcpy(body->data + 8, &number, sizeof(number));
    body->begin = 8; /* What is before it is the envelope's frame. */
    body->end = 8 + sizeof(number);
    pln_inbox_push(inbox, &key, POLLEN_ENVELOPE_PAYLOAD, body);
}

static bool pop(pln_inbox *inbox, pollen_packet *ret) {
    pthread_mutex_lock(&inbox->monitor.lock);
    const bool found = pln_inbox_pop_locked(inbox, ret);
    pthread_mutex_unlock(&inbox->monitor.lock);
    return found;
}

static void assert_next(pln_inbox *inbox, uint32_t peer, uint32_t number) {
    const pollen_key key = key_of(peer);
    pollen_packet packet;
    uint32_t got;
    assert_true(pop(inbox, &packet));
    assert_memory_equal(&packet.peer, &key, sizeof(key));
    assert_int_equal(packet.envelope.kind, POLLEN_ENVELOPE_PAYLOAD);
    assert_int_equal(packet.envelope.size, sizeof(got));
    memcpy(&got, packet.envelope.body, sizeof(got));
    assert_int_equal(got, number);
    pollen_packet_fini(&packet);
}

static void assert_inbox_empty(pln_inbox *inbox) {
    pollen_packet packet;
    assert_false(pop(inbox, &packet));
    assert_int_equal(inbox->packets, 0);
}

static int set_up_inbox(void **state) {
    static pln_inbox inbox;
    pln_inbox_init(&inbox, &hash_key);
    *state = &inbox;
    return 0;
}

/* With all that is still queued. */
static int tear_down_inbox(void **state) {
    pln_inbox_fini(*state);
    return 0;
}

static void peers_are_received_from_in_turn(void **state) {
    pln_inbox *inbox = *state;
    for (uint32_t i = 0; i < 100; i++) {
        receive(inbox, 1, i);
    }
    receive(inbox, 2, 0);
    receive(inbox, 2, 1);
    receive(inbox, 3, 0);
    assert_next(inbox, 1, 0);
    assert_next(inbox, 2, 0);
    assert_next(inbox, 3, 0);
    assert_next(inbox, 1, 1);
    assert_next(inbox, 2, 1);
    for (uint32_t i = 2; i < 100; i++) {
        assert_next(inbox, 1, i);
    }
    assert_inbox_empty(inbox);
}

static void a_flood_loses_its_newest_and_counts_them(void **state) {
    pln_inbox *inbox = *state;
    const pollen_key flooder = key_of(1);
    const pollen_key other = key_of(2);
    for (uint32_t i = 0; i < PLN_DATAGRAM_RECVQ_MAX + 100; i++) {
        receive(inbox, 1, i);
    }
    receive(inbox, 2, 7);
    assert_int_equal(pln_inbox_dropped(inbox, &flooder), 100);
    assert_int_equal(pln_inbox_dropped(inbox, &other), 0);
    assert_next(inbox, 1, 0);
    assert_next(inbox, 2, 7);
    receive(inbox, 1, 1000000); /* One place was freed, so this one is taken, */
    receive(inbox, 1, 1000001); /* and this one is not. */
    assert_int_equal(pln_inbox_dropped(inbox, &flooder), 101);
    for (uint32_t i = 1; i < PLN_DATAGRAM_RECVQ_MAX; i++) {
        assert_next(inbox, 1, i);
    }
    assert_next(inbox, 1, 1000000);
    assert_inbox_empty(inbox);
}

static void many_that_flood_at_once_leave_room_for_one_more(void **state) {
    pln_inbox *inbox = *state;
    enum { FLOODERS = 64 * 1024 / PLN_DATAGRAM_RECVQ_MAX };
    const pollen_key late = key_of(1000000);
    for (uint32_t peer = 0; peer < FLOODERS + 10; peer++) {
        for (uint32_t i = 0; i < PLN_DATAGRAM_RECVQ_MAX; i++) {
            receive(inbox, peer, i);
        }
    }
    assert_in_range(inbox->packets, 64 * 1024, 64 * 1024 + 10 * 16);
    receive(inbox, 1000000, 1);
    assert_int_equal(pln_inbox_dropped(inbox, &late), 0);
}

static void what_a_peer_sent_outlives_its_session(void **state) {
    pln_inbox *inbox = *state;
    const pollen_key key = key_of(1);
    receive(inbox, 1, 1);
    receive(inbox, 1, 2);
    pln_inbox_peer_gone(inbox, &key);
    assert_next(inbox, 1, 1);
    receive(inbox, 1, 3); /* It came back. */
    assert_next(inbox, 1, 2);
    assert_next(inbox, 1, 3);
    pln_inbox_peer_gone(inbox, &key);
    assert_null(inbox->peers);
    pln_inbox_peer_gone(inbox, &key);
    assert_inbox_empty(inbox);
}

static void a_closed_inbox_drops_everything(void **state) {
    pln_inbox *inbox = *state;
    receive(inbox, 1, 1);
    receive(inbox, 2, 1);
    pln_inbox_close(inbox);
    assert_inbox_empty(inbox);
    receive(inbox, 1, 2);
    assert_inbox_empty(inbox);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void happen(pln_eventq *q, pollen_event_kind kind, uint32_t peer, uint64_t generation) {
    const pollen_event event = {.kind = kind, .peer = key_of(peer), .generation = generation};
    assert_int_equal(pln_eventq_push(q, &event), POLLEN_OK);
}

static void come(pln_eventq *q, uint32_t peer, uint64_t generation) {
    happen(q, POLLEN_EVENT_CONNECTED, peer, generation);
}

static void leave(pln_eventq *q, uint32_t peer, uint64_t generation) {
    happen(q, POLLEN_EVENT_DISCONNECTED, peer, generation);
}

static void move(pln_eventq *q, uint32_t peer, uint64_t generation, uint16_t port) {
    const pollen_event event = {.kind = POLLEN_EVENT_PATH,
                                .peer = key_of(peer),
                                .generation = generation,
                                .addr.port = port};
    assert_int_equal(pln_eventq_push(q, &event), POLLEN_OK);
}

static bool pull(pln_eventq *q, pollen_event *ret) {
    pthread_mutex_lock(&q->monitor.lock);
    const bool found = pln_eventq_pop_locked(q, ret);
    pthread_mutex_unlock(&q->monitor.lock);
    return found;
}

static pollen_event assert_event(pln_eventq *q, pollen_event_kind kind, uint32_t peer,
                                 uint64_t generation) {
    const pollen_key key = key_of(peer);
    pollen_event event;
    assert_true(pull(q, &event));
    assert_int_equal(event.kind, kind);
    assert_memory_equal(&event.peer, &key, sizeof(key));
    assert_int_equal(event.generation, generation);
    return event;
}

static void assert_quiet(pln_eventq *q) {
    pollen_event event;
    assert_false(pull(q, &event));
}

static int set_up_events(void **state) {
    pln_eventq *q = calloc(1, sizeof(*q));
    assert_non_null(q);
    pln_eventq_init(q, &hash_key);
    *state = q;
    return 0;
}

static int tear_down_events(void **state) {
    pln_eventq_fini(*state);
    free(*state);
    return 0;
}

static void a_puller_that_keeps_up_sees_every_event_once(void **state) {
    pln_eventq *q = *state;
    for (uint64_t i = 1; i <= 100; i++) {
        come(q, 1, i);
        assert_event(q, POLLEN_EVENT_CONNECTED, 1, i);
        move(q, 1, i, 5);
        assert_int_equal(assert_event(q, POLLEN_EVENT_PATH, 1, i).addr.port, 5);
        leave(q, 1, i);
        assert_event(q, POLLEN_EVENT_DISCONNECTED, 1, i);
        assert_quiet(q);
    }
    assert_int_equal(q->count, 0); /* A peer that is gone is forgotten. */
}

static void a_thousand_flaps_leave_the_newest_session(void **state) {
    pln_eventq *q = *state;
    for (uint64_t i = 1; i <= 1000; i++) {
        come(q, 1, i);
        leave(q, 1, i);
    }
    come(q, 1, 1001);
    assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1001);
    assert_quiet(q);
}

static void a_thousand_flaps_leave_the_newest_end(void **state) {
    pln_eventq *q = *state;
    for (uint64_t i = 1; i <= 1000; i++) {
        come(q, 1, i);
        leave(q, 1, i);
    }
    assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1000);
    assert_event(q, POLLEN_EVENT_DISCONNECTED, 1, 1000);
    assert_quiet(q);
    assert_int_equal(q->count, 0);
}

static void a_session_that_was_seen_is_seen_to_end_whatever_follows(void **state) {
    pln_eventq *q = *state;
    come(q, 1, 1);
    assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1);
    leave(q, 1, 1);
    for (uint64_t i = 2; i <= 1000; i++) {
        come(q, 1, i);
        leave(q, 1, i);
    }
    come(q, 1, 1001);
    assert_event(q, POLLEN_EVENT_DISCONNECTED, 1, 1);
    assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1001);
    assert_quiet(q);
}

static void sessions_that_came_and_went_unseen_leave_nothing_beside_other_news(void **state) {
    pln_eventq *q = *state;
    come(q, 1, 1);
    assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1);
    leave(q, 1, 1);
    for (uint64_t i = 2; i <= 1000; i++) {
        come(q, 1, i);
        leave(q, 1, i);
    }
    assert_event(q, POLLEN_EVENT_DISCONNECTED, 1, 1);
    assert_quiet(q);
    assert_int_equal(q->count, 0);
}

/* The old session ends after the new one began, as when a peer was dialled from both sides. */
static void a_replaced_session_ends_after_its_successor_began(void **state) {
    pln_eventq *q = *state;
    come(q, 1, 1);
    assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1);
    for (uint64_t i = 2; i <= 1000; i++) {
        come(q, 1, i);
        leave(q, 1, i - 1);
    }
    pollen_event event;
    int ends = 0;
    uint64_t newest = 0;
    while (pull(q, &event)) {
        ends += event.kind == POLLEN_EVENT_DISCONNECTED && event.generation == 1;
        newest = event.kind == POLLEN_EVENT_CONNECTED ? event.generation : newest;
    }
    assert_int_equal(ends, 1);
    assert_int_equal(newest, 1000);
    leave(q, 1, 1000);
    assert_event(q, POLLEN_EVENT_DISCONNECTED, 1, 1000);
    assert_quiet(q);
    assert_int_equal(q->count, 0);
}

static void a_new_address_is_merged_into_what_waits(void **state) {
    pln_eventq *q = *state;
    come(q, 1, 1);
    move(q, 1, 1, 5);
    move(q, 1, 1, 6);
    assert_int_equal(assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1).addr.port, 6);
    assert_quiet(q);
    for (uint16_t port = 1; port <= 1000; port++) {
        move(q, 1, 1, port);
    }
    assert_int_equal(assert_event(q, POLLEN_EVENT_PATH, 1, 1).addr.port, 1000);
    assert_quiet(q);
    move(q, 1, 1, 7);
    leave(q, 1, 1);
    assert_event(q, POLLEN_EVENT_DISCONNECTED, 1, 1);
    assert_quiet(q);
}

static void a_peer_that_flaps_keeps_back_nobody(void **state) {
    pln_eventq *q = *state;
    for (uint64_t i = 1; i <= 1000; i++) {
        come(q, 1, i);
        leave(q, 1, i);
        if (i == 500) {
            come(q, 2, 5000);
            come(q, 3, 5001);
        }
    }
    assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1000);
    assert_event(q, POLLEN_EVENT_CONNECTED, 2, 5000);
    assert_event(q, POLLEN_EVENT_CONNECTED, 3, 5001);
    assert_event(q, POLLEN_EVENT_DISCONNECTED, 1, 1000);
    assert_quiet(q);
}

static void strangers_that_come_and_go_do_not_fill_the_queue(void **state) {
    pln_eventq *q = *state;
    come(q, 1, 1); /* Stays, and nobody pulls. */
    for (uint32_t i = 2; i < 3 * PLN_CONNS_MAX; i++) {
        come(q, i, i);
        leave(q, i, i);
    }
    assert_true(q->count <= 2 * PLN_CONNS_MAX);
    pollen_event event;
    bool first_seen = false;
    while (pull(q, &event)) {
        const pollen_key first = key_of(1);
        first_seen = first_seen || memcmp(&event.peer, &first, sizeof(first)) == 0;
    }
    assert_true(first_seen);
}

static void what_was_queued_can_be_pulled_after_the_close(void **state) {
    pln_eventq *q = *state;
    come(q, 1, 1);
    leave(q, 1, 1);
    pln_eventq_close(q);
    assert_true(q->closed);
    assert_event(q, POLLEN_EVENT_CONNECTED, 1, 1);
    assert_event(q, POLLEN_EVENT_DISCONNECTED, 1, 1);
    assert_quiet(q);
}

/* ---- Links to peers -------------------------------------------------------------------------- */

static pln_link *send_to(pln_directory *directory, const pollen_key *peer, pollen_err wanted) {
    pln_link *link;
    pln_chunk *chunk = pln_chunk_create(8);
    assert_non_null(chunk);
    chunk->end = 8;
    const pollen_err err =
        pln_directory_send(directory, peer, POLLEN_ENVELOPE_PAYLOAD, chunk, &link);
    assert_int_equal(err, wanted);
    if (err != POLLEN_OK) {
        assert_null(link);
        pln_chunk_destroy(chunk);
    }
    return link;
}

static void add_link(pln_directory *directory, const pollen_key *peer, uint64_t generation) {
    const pln_session_info info = {
        .peer = *peer, .generation = generation, .envelope_max = 100, .speaks_2 = true};
    assert_int_equal(pln_directory_update(directory, &info, NULL), POLLEN_OK);
}

static void a_full_outbox_says_so_and_asks_for_one_look(void **state) {
    (void)state;
    const pollen_key peer = key_of(1);
    const pollen_key nobody = key_of(2);
    pln_directory directory;
    pln_directory_init(&directory, &hash_key);
    (void)send_to(&directory, &nobody, POLLEN_ENOTCONN);
    add_link(&directory, &peer, 1);
    pln_link *link = send_to(&directory, &peer, POLLEN_OK);
    assert_non_null(link);
    for (int i = 1; i < PLN_DATAGRAM_SENDQ_MAX; i++) {
        assert_null(send_to(&directory, &peer, POLLEN_OK));
    }
    (void)send_to(&directory, &peer, POLLEN_EAGAIN);
    assert_true(pln_directory_done(&directory, link));
    assert_int_equal(link->held.count, PLN_DATAGRAM_SENDQ_MAX);
    assert_null(pln_directory_remove(&directory, &peer, 2)); /* A newer session's link stays. */
    assert_ptr_equal(pln_directory_remove(&directory, &peer, 1), link);
    pln_directory_free(&directory, link);
    (void)send_to(&directory, &peer, POLLEN_ENOTCONN);
    pln_directory_close(&directory);
    (void)send_to(&directory, &peer, POLLEN_ECLOSED);
    pln_directory_fini(&directory);
}

/* A sender whose command was refused and the loop that closes meet in any order; who comes last
 * frees the link, and nobody touches it afterwards. */
static void a_link_is_freed_once_whoever_comes_last(void **state) {
    (void)state;
    const pollen_key peer = key_of(1);
    pln_directory directory;
    pln_directory_init(&directory, &hash_key);
    for (int unqueue_at = 0; unqueue_at < 3; unqueue_at++) {
        add_link(&directory, &peer, 1);
        pln_link *link = send_to(&directory, &peer, POLLEN_OK);
        if (unqueue_at == 0) {
            pln_directory_unqueue(&directory, link);
        }
        assert_ptr_equal(pln_directory_remove(&directory, &peer, 1), link);
        if (unqueue_at == 1) {
            pln_directory_unqueue(&directory, link);
        }
        pln_directory_free(&directory, link);
        if (unqueue_at == 2) {
            pln_directory_unqueue(&directory, link);
        }
    }
    pln_directory_fini(&directory);
}

#define TEST(of, name) cmocka_unit_test_setup_teardown(name, set_up_##of, tear_down_##of)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(commands, commands_come_in_the_order_they_were_pushed),
        TEST(commands, a_push_wakes_until_the_queue_was_looked_at),
        TEST(commands, who_drives_is_not_woken_by_itself),
        TEST(commands, a_closed_queue_gives_what_is_left_and_takes_nothing),
        TEST(commands, no_wake_up_is_lost_between_threads),
        TEST(inbox, peers_are_received_from_in_turn),
        TEST(inbox, a_flood_loses_its_newest_and_counts_them),
        TEST(inbox, many_that_flood_at_once_leave_room_for_one_more),
        TEST(inbox, what_a_peer_sent_outlives_its_session),
        TEST(inbox, a_closed_inbox_drops_everything),
        cmocka_unit_test(a_full_outbox_says_so_and_asks_for_one_look),
        cmocka_unit_test(a_link_is_freed_once_whoever_comes_last),
        TEST(events, a_puller_that_keeps_up_sees_every_event_once),
        TEST(events, a_thousand_flaps_leave_the_newest_session),
        TEST(events, a_thousand_flaps_leave_the_newest_end),
        TEST(events, a_session_that_was_seen_is_seen_to_end_whatever_follows),
        TEST(events, sessions_that_came_and_went_unseen_leave_nothing_beside_other_news),
        TEST(events, a_replaced_session_ends_after_its_successor_began),
        TEST(events, a_new_address_is_merged_into_what_waits),
        TEST(events, a_peer_that_flaps_keeps_back_nobody),
        TEST(events, strangers_that_come_and_go_do_not_fill_the_queue),
        TEST(events, what_was_queued_can_be_pulled_after_the_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
