/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that are gone without a word: what the others get to know, and when. */
#include "support/api_child.h"

/* With a session from node 0 to the child. */
static void connect_to(rig *r, const child *c) {
    r->addr[2] = child_start(c, 0);
    rig_connect(r, 0, 2);
    rig_wait_event(r->mesh[0], POLLEN_EVENT_CONNECTED, &r->key[2], NULL);
}

static void silence_is_an_idle_timeout_after_thirty_seconds(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    const child silent = child_fork(r.creds[2]);
    rig_start(&r, 0);
    connect_to(&r, &silent);
    child_stop(&silent);
    const int64_t start = rig_now_ms();
    pollen_event event;
    pollen_err err;
    do {
        err = pollen_mesh_next_event(r.mesh[0], 30 * 1000 + SOON_MS, NULL, &event);
        assert_int_equal(err, POLLEN_OK);
    } while (event.kind != POLLEN_EVENT_DISCONNECTED);
    assert_int_equal(event.reason, POLLEN_END_IDLE_TIMEOUT);
    /* Counted from the last packet, which may have come a keep-alive before. */
    assert_true(rig_now_ms() - start >= 15 * 1000);
    child_end(&silent);
    rig_fini(&r);
}

static void one_that_crashed_and_is_back_is_a_reset(void **state) {
    (void)state;
    rig r;
    rig_init(&r, 0);
    const child first = child_fork(r.creds[2]), second = child_fork(r.creds[2]);
    rig_start(&r, 0);
    connect_to(&r, &first);
    child_end(&first);
    (void)child_start(&second, r.addr[2].port);
    assert_ok(rig_send(r.mesh[0], &r.key[2], "anybody there?", 14));
    pollen_event event;
    rig_wait_event(r.mesh[0], POLLEN_EVENT_DISCONNECTED, &r.key[2], &event);
    assert_int_equal(event.reason, POLLEN_END_RESET);
    child_end(&second);
    rig_fini(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_crashed_and_is_back_is_a_reset),
        cmocka_unit_test(silence_is_an_idle_timeout_after_thirty_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
