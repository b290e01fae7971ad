/* SPDX-License-Identifier: Apache-2.0 */
/* The public hole puncher, two stores on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <pollen/sock.h>

#include "base/addr.h"

enum { SOON_MS = 30000, A = 0, B = 1 };

typedef struct rig {
    pollen_sock_store *store[2];
    pollen_addr addr[2];
} rig;

static rig fixture;

static pollen_addr loopback(uint16_t port) {
    static const uint8_t ip[4] = {127, 0, 0, 1};
    return pln_addr_ipv4(ip, port);
}

static int set_up(void **state) {
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pollen_sock_store_create(0, &fixture.store[i]), POLLEN_OK);
        fixture.addr[i] = loopback(pollen_sock_store_port(fixture.store[i]));
    }
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    rig *r = *state;
    for (int i = 0; i < 2; i++) {
        pollen_sock_store_destroy(r->store[i]);
        r->store[i] = NULL;
    }
    pollen_sock_store_destroy(NULL);
    return 0;
}

/* ---- Punching from a thread of its own ------------------------------------------------------- */

typedef struct puncher {
    pthread_t thread;
    pollen_sock_store *store;
    pollen_addr to;
    int timeout_ms;
    pollen_cancel *cancel;
    pollen_err err;
    pollen_sock_conn *conn;
} puncher;

static void *punch(void *arg) {
    puncher *p = arg;
    p->err = pollen_sock_store_punch(p->store, &p->to, p->timeout_ms, p->cancel, &p->conn);
    return NULL;
}

static puncher *begin(puncher *p, pollen_sock_store *store, const pollen_addr *to) {
    p->store = store;
    p->to = *to;
    p->timeout_ms = SOON_MS;
    assert_int_equal(pthread_create(&p->thread, NULL, punch, p), 0);
    return p;
}

static pollen_sock_conn *end(puncher *p) {
    assert_int_equal(pthread_join(p->thread, NULL), 0);
    assert_int_equal(p->err, POLLEN_OK);
    assert_non_null(p->conn);
    return p->conn;
}

static void meet(rig *r, pollen_sock_conn *conns[2]) {
    puncher a = {0}, b = {0};
    begin(&a, r->store[A], &r->addr[B]);
    begin(&b, r->store[B], &r->addr[A]);
    conns[A] = end(&a);
    conns[B] = end(&b);
}

static void assert_carries(pollen_sock_conn *from, pollen_sock_conn *to) {
    char heard[16];
    size_t size = 0;
    pollen_err err = POLLEN_ETIMEDOUT;
    for (int i = 0; i < 50 && err == POLLEN_ETIMEDOUT; i++) { /* Datagrams get lost. */
        assert_int_equal(pollen_sock_conn_send(from, "hello", 5), POLLEN_OK);
        err = pollen_sock_conn_recv(to, heard, sizeof heard, 500, NULL, &size);
    }
    assert_int_equal(err, POLLEN_OK);
    assert_int_equal(size, 5);
    assert_memory_equal(heard, "hello", 5);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void two_that_punch_at_each_other_have_a_way(void **state) {
    rig *r = *state;
    pollen_sock_conn *conns[2];
    meet(r, conns);
    const pollen_addr seen = pollen_sock_conn_peer(conns[A]);
    assert_memory_equal(seen.ip, r->addr[B].ip, sizeof seen.ip);
    assert_carries(conns[A], conns[B]);
    assert_carries(conns[B], conns[A]);
    pollen_sock_conn_unref(conns[A]);
    pollen_sock_conn_unref(conns[B]);
}

static void a_second_punch_gives_the_same_way_counted_once_more(void **state) {
    rig *r = *state;
    pollen_sock_conn *conns[2], *again;
    meet(r, conns);
    assert_int_equal(pollen_sock_store_punch(r->store[A], &r->addr[B], 0, NULL, &again), POLLEN_OK);
    assert_ptr_equal(again, conns[A]);
    pollen_sock_conn_unref(conns[A]);
    assert_carries(again, conns[B]); /* The other reference lives. */
    pollen_sock_conn_ref(again);
    pollen_sock_conn_unref(again);
    pollen_sock_conn_unref(again);
    pollen_sock_conn_unref(conns[B]);
    pollen_sock_conn_unref(NULL);
}

static void a_way_outlives_its_store_without_carrying_anything(void **state) {
    rig *r = *state;
    pollen_sock_conn *conns[2];
    char heard[16];
    size_t size;
    meet(r, conns);
    pollen_sock_store_destroy(r->store[A]);
    r->store[A] = NULL;
    assert_int_equal(pollen_sock_conn_send(conns[A], "hello", 5), POLLEN_ECLOSED);
    assert_int_equal(pollen_sock_conn_recv(conns[A], heard, sizeof heard, SOON_MS, NULL, &size),
                     POLLEN_ECLOSED);
    pollen_sock_conn_unref(conns[A]);
    pollen_sock_conn_unref(conns[B]);
}

static void wait_for_sockets(pollen_sock_store *store, size_t count) {
    const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
    for (int i = 0; i < SOON_MS / 10 && pollen_sock_store_sockets(store) != count; i++) {
        nanosleep(&moment, NULL); /* tidy: allow banned: between two looks, within a bound */
    }
    assert_int_equal(pollen_sock_store_sockets(store), count);
}

/* Nobody answers: all sockets are tried, and none is left. */
static void a_punch_at_nobody_uses_all_sockets_and_leaves_none(void **state) {
    rig *r = *state;
    pollen_cancel *cancel;
    assert_int_equal(pollen_cancel_create(&cancel), POLLEN_OK);
    const pollen_addr nobody = loopback(9);
    puncher p = {.cancel = cancel};
    begin(&p, r->store[A], &nobody);
    wait_for_sockets(r->store[A], 256);
    pollen_cancel_fire(cancel);
    assert_int_equal(pthread_join(p.thread, NULL), 0);
    assert_int_equal(p.err, POLLEN_ECANCELED);
    assert_null(p.conn);
    wait_for_sockets(r->store[A], 0);
    pollen_cancel_destroy(cancel);
}

static void a_deadline_ends_a_punch(void **state) {
    rig *r = *state;
    const pollen_addr nobody = loopback(9);
    pollen_sock_conn *conn;
    assert_int_equal(pollen_sock_store_punch(r->store[A], &nobody, 300, NULL, &conn),
                     POLLEN_ETIMEDOUT);
    wait_for_sockets(r->store[A], 0);
}

static void closing_the_store_ends_a_punch(void **state) {
    rig *r = *state;
    const pollen_addr nobody = loopback(9);
    puncher p = {0};
    begin(&p, r->store[A], &nobody);
    wait_for_sockets(r->store[A], 256); /* It is under way. */
    pollen_sock_store_destroy(r->store[A]);
    r->store[A] = NULL;
    assert_int_equal(pthread_join(p.thread, NULL), 0);
    assert_int_equal(p.err, POLLEN_ECLOSED);
}

static void what_makes_no_sense_is_refused(void **state) {
    rig *r = *state;
    pollen_sock_conn *conns[2], *conn;
    const pollen_addr none = {0};
    assert_int_equal(pollen_sock_store_punch(r->store[A], &none, 0, NULL, &conn), POLLEN_EADDR);
    assert_int_equal(pollen_sock_store_punch(NULL, &none, 0, NULL, &conn), POLLEN_EINVAL);
    assert_int_equal(pollen_sock_store_create(0, NULL), POLLEN_EINVAL);
    meet(r, conns);
    const uint8_t probe[17] = {1};
    assert_int_equal(pollen_sock_conn_send(conns[A], probe, sizeof probe), POLLEN_EINVAL);
    assert_int_equal(pollen_sock_conn_send(conns[A], probe, 0), POLLEN_EMSGSIZE);
    pollen_sock_conn_unref(conns[A]);
    pollen_sock_conn_unref(conns[B]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(two_that_punch_at_each_other_have_a_way),
        TEST(a_second_punch_gives_the_same_way_counted_once_more),
        TEST(a_way_outlives_its_store_without_carrying_anything),
        TEST(a_punch_at_nobody_uses_all_sockets_and_leaves_none),
        TEST(a_deadline_ends_a_punch),
        TEST(closing_the_store_ends_a_punch),
        TEST(what_makes_no_sense_is_refused),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
