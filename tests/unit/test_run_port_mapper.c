/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that asks the router, where there is none: each test runs in a network of its own
 * without any way out, so that nobody is asked.  What a router makes of it, tests/net shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pollen/pollen.h>

#include "run/clock.h"
#include "run/gateway.h"

enum { SKIPPED = 77, FAILED = 1 };

/* Ends the child, with the line that did not hold. */
#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #expr);                       \
            exit(FAILED);                                                                          \
        }                                                                                          \
    } while (0)

/* In a process of its own, because leaving the network cannot be undone. */
static void alone(void (*test)(void)) {
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
            _exit(SKIPPED);
        }
        test();
        exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static pollen_mesh *make_mesh(bool external_loop) {
    pollen_mesh_config config;
    pollen_mesh *mesh = NULL;
    pollen_seed seed;
    pollen_credentials *credentials = NULL;
    CHECK(pollen_seed_generate(&seed) == POLLEN_OK);
    CHECK(pollen_credentials_create(&seed, &credentials) == POLLEN_OK);
    pollen_mesh_config_init(&config);
    config.credentials = credentials;
    config.external_loop = external_loop;
    CHECK(pollen_mesh_create(&config, &mesh) == POLLEN_OK);
    pollen_credentials_destroy(credentials);
    return mesh;
}

static pollen_port_mapping_state state_of(pollen_mesh *mesh) {
    pollen_port_mapping mapping;
    CHECK(pollen_mesh_port_mapping(mesh, &mapping) == POLLEN_OK);
    CHECK(mapping.external.port == 0);
    CHECK(mapping.pcp == POLLEN_PORT_MAPPING_UNTRIED);
    return mapping.state;
}

static void wait_for(pollen_mesh *mesh, pollen_port_mapping_state state) {
    const pln_ts end = pln_ts_add(pln_clock_mono(), PLN_S(60));
    while (state_of(mesh) != state) {
        CHECK(pln_clock_mono() < end);
        (void)poll(NULL, 0, 5);
    }
}

static void find_no_gateway(void) {
    pollen_addr gateway;
    CHECK(!pln_gateway_find(&gateway));
}

static void ask_and_let_be(void) {
    pollen_mesh *mesh = make_mesh(false);
    CHECK(state_of(mesh) == POLLEN_PORT_MAPPING_OFF);
    CHECK(pollen_mesh_map_port(mesh, false) == POLLEN_OK);
    for (int i = 0; i < 20; i++) {
        CHECK(pollen_mesh_map_port(mesh, true) == POLLEN_OK);
        CHECK(pollen_mesh_map_port(mesh, true) == POLLEN_OK);
        if (i % 2 == 0) {
            wait_for(mesh, POLLEN_PORT_MAPPING_NO_ROUTER);
        }
        CHECK(pollen_mesh_map_port(mesh, false) == POLLEN_OK);
        CHECK(state_of(mesh) == POLLEN_PORT_MAPPING_OFF);
    }
    pollen_mesh_destroy(mesh);
}

static void close_meanwhile(void) {
    pollen_mesh *mesh = make_mesh(false);
    CHECK(pollen_mesh_map_port(mesh, true) == POLLEN_OK);
    pollen_mesh_close(mesh);
    CHECK(state_of(mesh) == POLLEN_PORT_MAPPING_OFF);
    CHECK(pollen_mesh_map_port(mesh, true) == POLLEN_ECLOSED);
    pollen_mesh_destroy(mesh);
}

/* Nobody dispatches while it stops. */
static void drive_by_hand(void) {
    pollen_mesh *mesh = make_mesh(true);
    CHECK(pollen_mesh_map_port(mesh, true) == POLLEN_OK);
    wait_for(mesh, POLLEN_PORT_MAPPING_NO_ROUTER);
    CHECK(pollen_mesh_dispatch(mesh) == POLLEN_OK);
    CHECK(pollen_mesh_map_port(mesh, false) == POLLEN_OK);
    CHECK(pollen_mesh_map_port(mesh, true) == POLLEN_OK);
    pollen_mesh_destroy(mesh);
}

static void without_a_way_out_there_is_no_gateway(void **state) {
    (void)state;
    alone(find_no_gateway);
}

static void asking_begins_and_ends_as_often_as_one_likes(void **state) {
    (void)state;
    alone(ask_and_let_be);
}

static void closing_the_mesh_ends_it(void **state) {
    (void)state;
    alone(close_meanwhile);
}

static void it_ends_whoever_drives_the_mesh(void **state) {
    (void)state;
    alone(drive_by_hand);
}

static void nothing_is_asked_of_no_mesh(void **state) {
    (void)state;
    pollen_port_mapping mapping;
    assert_int_equal(pollen_mesh_map_port(NULL, true), POLLEN_EINVAL);
    assert_int_equal(pollen_mesh_port_mapping(NULL, &mapping), POLLEN_EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_way_out_there_is_no_gateway),
        cmocka_unit_test(asking_begins_and_ends_as_often_as_one_likes),
        cmocka_unit_test(closing_the_mesh_ends_it),
        cmocka_unit_test(it_ends_whoever_drives_the_mesh),
        cmocka_unit_test(nothing_is_asked_of_no_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
