/* SPDX-License-Identifier: Apache-2.0 */
/* Names and ports of services, which one is meant, and how many connections there may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pln/forwarder.h"
#include "pln/request.h"
#include "pln/services.h"
#include "support/api_rig.h"

/* ---- Texts ----------------------------------------------------------------------------------- */

static void a_port_is_its_decimal_digits(void **state) {
    static const struct {
        const char *text;
        uint16_t port;
    } good[] = {{"1", 1}, {"80", 80}, {"65535", 65535}};
    static const char *const bad[] = {"",       "0",   "00",  "080",  "65536", "99999",
                                      "100000", "-1",  "+80", " 80",  "80 ",   "8o",
                                      "0x50",   "1e3", "8.0", "４２", "\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint16_t port = 0;
        assert_true(pln_service_parse_port(good[i].text, &port));
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint16_t port = 7;
        assert_false(pln_service_parse_port(bad[i], &port));
        assert_int_equal(port, 7);
    }
}

static void a_name_can_be_typed_and_shown(void **state) {
    char longest[POLLEN_SERVICE_NAME_BYTES + 1];
    (void)state;
    memset(longest, 'a', sizeof longest);
    longest[64] = '\0';
    assert_null(pln_service_name_problem(longest, 80));
    longest[64] = 'a';
    longest[65] = '\0';
    assert_string_equal(pln_service_name_problem(longest, 80), "is longer than 64 bytes");
    assert_null(pln_service_name_problem("w", 80));
    assert_null(pln_service_name_problem("ünïcode", 80));
    assert_null(pln_service_name_problem("-80", 80));
    assert_non_null(pln_service_name_problem("", 80));
    assert_non_null(pln_service_name_problem("a b", 80));
    assert_non_null(pln_service_name_problem("a\tb", 80));
    assert_non_null(pln_service_name_problem("a\x7f", 80));
}

static void a_number_names_its_own_port_alone(void **state) {
    (void)state;
    assert_null(pln_service_name_problem("80", 80));
    assert_non_null(pln_service_name_problem("81", 80));
    assert_non_null(pln_service_name_problem("080", 80));
    assert_non_null(pln_service_name_problem("65616", 80)); /* 80 in sixteen bits. */
    assert_null(pln_service_name_problem("80a", 81));
}

static void a_foreign_name_steers_no_terminal(void **state) {
    char text[POLLEN_SERVICE_NAME_BYTES];
    (void)state;
    assert_string_equal(pln_service_show_name("we\033[31mb\n", text), "we?[31mb?");
    assert_string_equal(pln_service_show_name("\xc2\x9b", text), "?\x9b");
    assert_string_equal(pln_service_show_name("ünïcode", text), "ünïcode");
}

static void requests_of_services_survive_the_round_trip(void **state) {
    const pln_request request = {.verb = PLN_REQUEST_CONNECT,
                                 .peer = "3f2a",
                                 .service = "ünïcode",
                                 .bind = "::1",
                                 .local_port = 8080};
    pln_request back;
    char why[PLN_REQUEST_WHY_BYTES];
    (void)state;
    json_t *object = pln_request_encode(&request);
    char *line = json_dumps(object, JSON_COMPACT);
    assert_int_equal(pln_request_parse(line, strlen(line), &back, why), POLLEN_OK);
    assert_int_equal(back.verb, PLN_REQUEST_CONNECT);
    assert_string_equal(back.peer, "3f2a");
    assert_string_equal(back.service, "ünïcode");
    assert_string_equal(back.bind, "::1");
    assert_int_equal(back.local_port, 8080);
    free(line);
    json_decref(object);
}

#define CONTROL "{\"schema\":\"pollen.control/1\",\"verb\":"

static void requests_of_services_are_exact(void **state) {
    static const char *const bad[] = {
        CONTROL "\"serve\",\"service\":\"web\",\"port\":0}",
        CONTROL "\"serve\",\"service\":\"web\",\"port\":65536}",
        CONTROL "\"serve\",\"service\":\"\",\"port\":1}",
        CONTROL "\"serve\",\"service\":\"a\\nb\",\"port\":1}",
        CONTROL "\"serve\",\"port\":1}",
        CONTROL "\"unserve\",\"service\":80}",
        CONTROL "\"unserve\",\"service\":\"a\\u0000b\"}",
        CONTROL "\"unserve\",\"service\":\"web\",\"port\":1}",
        CONTROL "\"disconnect\",\"service\":\"web\"}",
        CONTROL
        "\"connect\",\"service\":\"web\",\"provider\":\"\",\"bind\":\"\",\"local_port\":-1}",
        CONTROL "\"connect\",\"service\":\"web\",\"provider\":\"\",\"local_port\":0}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pln_request request;
        char why[PLN_REQUEST_WHY_BYTES];
        assert_int_equal(pln_request_parse(bad[i], strlen(bad[i]), &request, why), POLLEN_EINVAL);
    }
}

static void forwards_listen_on_addresses(void **state) {
    pln_forward forward = {.local_port = 80};
    char text[PLN_FORWARD_ADDR_BYTES];
    (void)state;
    assert_true(pln_forward_is_bind("127.0.0.1"));
    assert_true(pln_forward_is_bind("::"));
    assert_false(pln_forward_is_bind("localhost"));
    assert_false(pln_forward_is_bind("127.0.0.1:80"));
    assert_false(pln_forward_is_bind(""));
    assert_string_equal(pln_forward_addr(&forward, text), "127.0.0.1:80");
    snprintf(forward.bind, sizeof forward.bind, "::1");
    assert_string_equal(pln_forward_addr(&forward, text), "[::1]:80");
}

/* ---- Which one is meant ---------------------------------------------------------------------- */

static pollen_key key(uint8_t first) {
    return (pollen_key){.bytes = {first}};
}

static bool is_connected(void *ctx, const pollen_key *provider) {
    return strchr(ctx, provider->bytes[0]) != NULL;
}

/* Members are 'a' (61...), 'b' (62...) and so on; we are 'z'.  Gives "provider:port" of each. */
static const char *choose(const char *text, const char *provider, char *connected) {
    static const struct {
        const char *name;
        char provider;
        uint16_t port;
    } rows[] = {{"web", 'a', 80}, {"www", 'a', 80}, {"web", 'b', 8080}, {"80", 'b', 8081},
                {"db", 'a', 90},  {"db", 'z', 90},  {"own", 'z', 91}};
    static pollen_service items[8];
    static char found[64];
    const pollen_key own = key('z');
    pln_matches matches = {.items = items};
    const pln_services_query query = {.text = text,
                                      .provider = provider,
                                      .own = &own,
                                      .is_connected = is_connected,
                                      .ctx = connected};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pollen_service *item = &items[matches.count++];
        *item = (pollen_service){.provider = key((uint8_t)rows[i].provider), .port = rows[i].port};
        snprintf(item->name, sizeof item->name, "%s", rows[i].name);
    }
    pln_services_choose(&matches, &query);
    found[0] = '\0';
    for (size_t i = 0, used = 0; i < matches.count; i++) {
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%c:%u", i == 0 ? "" : " ",
                                 items[i].provider.bytes[0], (unsigned)items[i].port);
    }
    return matches.of_this_node ? "own" : found;
}

static void a_service_is_found_by_name_or_port(void **state) {
    char all[] = "ab";
    (void)state;
    assert_string_equal(choose("web", "", all), "a:80 b:8080");
    assert_string_equal(choose("www", "", all), "a:80");
    assert_string_equal(choose("8080", "", all), "b:8080");
    assert_string_equal(choose("90", "", all), "a:90");
    assert_string_equal(choose("we", "", all), "");
    assert_string_equal(choose("1", "", all), "");
}

static void a_name_goes_before_a_port(void **state) {
    char all[] = "ab";
    (void)state;
    assert_string_equal(choose("80", "", all), "b:8081");
    /* Where that provider has no such name, its port it is; and once, under two names. */
    assert_string_equal(choose("80", "61", all), "a:80");
}

static void a_provider_is_named_by_its_beginning(void **state) {
    char all[] = "ab";
    (void)state;
    assert_string_equal(choose("web", "6", all), "a:80 b:8080");
    assert_string_equal(choose("web", "62", all), "b:8080");
    assert_string_equal(choose("web", "620", all), "b:8080");
    assert_string_equal(choose("web", "63", all), "");
    assert_string_equal(choose("web", "x", all), "");
}

static void connected_providers_go_before_others(void **state) {
    char none[] = "", b[] = "b";
    (void)state;
    assert_string_equal(choose("web", "", b), "b:8080");
    assert_string_equal(choose("www", "", b), "a:80");
    assert_string_equal(choose("web", "", none), "a:80 b:8080");
}

static void our_own_is_told_apart_from_nobodys(void **state) {
    char all[] = "ab";
    (void)state;
    assert_string_equal(choose("own", "", all), "own");
    assert_string_equal(choose("91", "", all), "own");
    assert_string_equal(choose("db", "", all), "a:90");
    assert_string_equal(choose("own", "61", all), "");
}

/* ---- How many -------------------------------------------------------------------------------- */

static void start_one(pln_tunnels *tunnels, rig *r, int *ret_end, pollen_err expected) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    const pln_tunnel_job job = {.peer = r->key[1], .port = 80, .fd = fds[0]};
    assert_int_equal(pln_tunnels_start(tunnels, r->mesh[0], &job), expected);
    *ret_end = fds[1];
}

static bool is_over(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Each waits for a session that does not come. */
static void a_connection_too_many_is_told_at_once(void **state) {
    static int ends[PLN_TUNNELS_MAX + 1];
    pln_tunnels tunnels;
    rig r;
    (void)state;
    rig_init(&r, 1);
    pln_tunnels_init(&tunnels, NULL);
    tunnels.open_timeout_ms = 10 * 60 * 1000;
    for (size_t i = 0; i < PLN_TUNNELS_MAX; i++) {
        start_one(&tunnels, &r, &ends[i], POLLEN_OK);
    }
    assert_int_equal(pln_tunnels_count(&tunnels), PLN_TUNNELS_MAX);
    start_one(&tunnels, &r, &ends[PLN_TUNNELS_MAX], POLLEN_ELIMIT);
    assert_true(is_over(ends[PLN_TUNNELS_MAX]));

    pollen_mesh_close(r.mesh[0]);
    pln_tunnels_drain(&tunnels);
    assert_int_equal(pln_tunnels_count(&tunnels), 0);
    for (size_t i = 0; i < PLN_TUNNELS_MAX; i++) {
        assert_true(is_over(ends[i]));
    }
    for (size_t i = 0; i <= PLN_TUNNELS_MAX; i++) {
        close(ends[i]);
    }
    pln_tunnels_fini(&tunnels);
    rig_fini(&r);
}

/* How many more the peer gets that asks until it is refused. */
static size_t take_all(size_t *of_peer, size_t *of_all) {
    const size_t before = *of_peer;
    while (pln_tunnels_may_enter(*of_peer, *of_all)) {
        (*of_peer)++;
        (*of_all)++;
    }
    return *of_peer - before;
}

static void two_peers_leave_room_for_others(void **state) {
    size_t peers[5] = {0};
    size_t all = 0;
    (void)state;
    assert_int_equal(take_all(&peers[0], &all), PLN_TUNNELS_PEER_MAX);
    assert_in_range(take_all(&peers[1], &all), PLN_TUNNELS_FEW, PLN_TUNNELS_KEPT);
    for (size_t i = 2; i < 5; i++) {
        assert_int_equal(take_all(&peers[i], &all), PLN_TUNNELS_FEW);
    }
    assert_int_equal(take_all(&peers[0], &all), 0);
    assert_true(all <= PLN_TUNNELS_IN_MAX);
}

static void neither_of_two_that_race_takes_it_all(void **state) {
    size_t peers[2] = {0};
    size_t all = 0;
    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        const size_t who = i % 2;
        const bool enters = pln_tunnels_may_enter(peers[who], all);
        peers[who] += enters;
        all += enters;
    }
    assert_int_equal(all, PLN_TUNNELS_IN_MAX - PLN_TUNNELS_KEPT);
    assert_int_equal(peers[0], peers[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_is_its_decimal_digits),
        cmocka_unit_test(a_name_can_be_typed_and_shown),
        cmocka_unit_test(a_number_names_its_own_port_alone),
        cmocka_unit_test(a_foreign_name_steers_no_terminal),
        cmocka_unit_test(requests_of_services_survive_the_round_trip),
        cmocka_unit_test(requests_of_services_are_exact),
        cmocka_unit_test(forwards_listen_on_addresses),
        cmocka_unit_test(a_service_is_found_by_name_or_port),
        cmocka_unit_test(a_name_goes_before_a_port),
        cmocka_unit_test(a_provider_is_named_by_its_beginning),
        cmocka_unit_test(connected_providers_go_before_others),
        cmocka_unit_test(our_own_is_told_apart_from_nobodys),
        cmocka_unit_test(a_connection_too_many_is_told_at_once),
        cmocka_unit_test(two_peers_leave_room_for_others),
        cmocka_unit_test(neither_of_two_that_race_takes_it_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
