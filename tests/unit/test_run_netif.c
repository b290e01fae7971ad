/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of this machine, whichever it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pollen/mesh.h>

#include "base/addr.h"

enum { MAX = 256, SKIPPED = 77 };

static void test_all_of_them_are_of_use_to_a_peer(void **state) {
    static pollen_addr addrs[MAX];
    (void)state;
    const size_t count = pollen_advertisable_addrs(addrs, MAX);
    assert_in_range(count, 0, MAX);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(addrs[i].port, 0);
        assert_false(pln_addr_is_loopback(&addrs[i]));
        assert_false(pln_addr_is_link_local(&addrs[i]));
        assert_false(pln_addr_is_multicast(&addrs[i]));
        assert_false(pln_addr_is_unspecified(&addrs[i]));
    }
}

static void test_no_more_are_written_than_there_is_room_for(void **state) {
    pollen_addr addrs[2];
    pollen_addr untouched;
    (void)state;
    memset(&untouched, 0xa5, sizeof(untouched));
    const size_t count = pollen_advertisable_addrs(NULL, 0);
    for (size_t cap = 0; cap < 2; cap++) {
        memset(addrs, 0xa5, sizeof(addrs));
        assert_int_equal(pollen_advertisable_addrs(addrs, cap), count);
        assert_memory_equal(&addrs[cap], &untouched, sizeof(untouched));
    }
}

static void test_a_machine_without_a_network_has_none(void **state) {
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(unshare(CLONE_NEWNET) != 0 ? SKIPPED : (int)pollen_advertisable_addrs(NULL, 0));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        skip(); /* Needs to leave the network. */
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_them_are_of_use_to_a_peer),
        cmocka_unit_test(test_no_more_are_written_than_there_is_room_for),
        cmocka_unit_test(test_a_machine_without_a_network_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
