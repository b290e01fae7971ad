/* SPDX-License-Identifier: Apache-2.0 */
/* The small texts of the command: durations, times, tickets, requests, what a log line may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "pln/exit.h"
#include "pln/logfile.h"
#include "pln/out.h"
#include "pln/request.h"
#include "pln/ticket.h"
#include "pln/timespan.h"
#include "run/resolve.h"

static void a_timespan_reads_as_people_write_it(void **state) {
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0", 0},       {"1ms", 1},         {"500ms", 500},   {"2s", 2000},        {"1.5s", 1500},
        {"5m", 300000}, {"1h30m", 5400000}, {"1d", 86400000}, {"1h0m0s", 3600000}, {"1500us", 2}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;
        assert_int_equal(pln_timespan_parse(rows[i].text, &ms), POLLEN_OK);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void a_timespan_without_unit_or_sense_is_refused(void **state) {
    static const char *const rows[] = {"",    "5",   "m",  "5x",  "-5s",          "5s ",
                                       " 5s", "5mm", ".s", "1h5", "99999999999h", "nan s"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms;
        assert_int_equal(pln_timespan_parse(rows[i], &ms), POLLEN_EINVAL);
    }
}

static void a_timespan_prints_its_two_largest_units(void **state) {
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{-1, "0s"},           {0, "0ms"},        {999, "999ms"},      {1000, "1s"},
                {59999, "59s"},       {60000, "1m0s"},   {3599999, "59m59s"}, {3600000, "1h0m"},
                {86399999, "23h59m"}, {86400000, "1d0h"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[PLN_TIMESPAN_TEXT_BYTES];
        assert_string_equal(pln_timespan_format(rows[i].ms, text), rows[i].text);
    }
}

static void a_time_survives_the_round_trip(void **state) {
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{0, "1970-01-01T00:00:00Z"},
                {1700000000000, "2023-11-14T22:13:20Z"},
                {1700000000007, "2023-11-14T22:13:20.007Z"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = -1;
        json_t *time = pln_json_time_ms(rows[i].ms);
        assert_string_equal(json_string_value(time), rows[i].text);
        assert_true(pln_time_parse(rows[i].text, &ms));
        assert_int_equal(ms, rows[i].ms);
        json_decref(time);
    }
}

static void a_time_that_cannot_be_written_is_null(void **state) {
    (void)state;
    assert_true(json_is_null(pln_json_time_ms(-1)));
    assert_true(json_is_null(pln_json_time_ms(INT64_MAX)));
}

static void exit_codes_and_their_names_are_one_to_one(void **state) {
    (void)state;
    assert_int_equal(pln_exit_parse("AMBIGUOUS"), 5);
    assert_int_equal(pln_exit_parse("of a newer version"), PLN_EXIT_FAIL);
    assert_string_equal(pln_exit_name(PLN_EXIT_NOTDIRECT), "NOTDIRECT");
    assert_int_equal(pln_exit_of(POLLEN_ECONSUMED), 9);
    assert_int_equal(pln_exit_of(POLLEN_ECLUSTER), 4);
    assert_int_equal(pln_exit_of(POLLEN_ENOSPC), 1);
}

/* ---- Tickets --------------------------------------------------------------------------------- */

static pln_ticket some_ticket(void) {
    pln_ticket ticket = {.addr_count = 2};
    for (int i = 0; i < POLLEN_KEY_BYTES; i++) {
        ticket.root.bytes[i] = (uint8_t)i;
        ticket.listener.bytes[i] = (uint8_t)(0xff - i);
    }
    assert_int_equal(pollen_addr_parse("192.0.2.7:4711", &ticket.addrs[0]), POLLEN_OK);
    assert_int_equal(pollen_addr_parse("[2001:db8::1]:4711", &ticket.addrs[1]), POLLEN_OK);
    return ticket;
}

static void a_ticket_survives_the_round_trip(void **state) {
    char text[PLN_TICKET_TEXT_BYTES];
    const pln_ticket ticket = some_ticket();
    pln_ticket back;
    (void)state;
    pln_ticket_format(&ticket, text);
    assert_int_equal(strncmp(text, "pln1", 4), 0);
    assert_null(strpbrk(text, "+/= \n"));
    assert_true(strlen(text) < 140);
    assert_int_equal(pln_ticket_parse(text, &back), POLLEN_OK);
    assert_memory_equal(back.root.bytes, ticket.root.bytes, POLLEN_KEY_BYTES);
    assert_memory_equal(back.listener.bytes, ticket.listener.bytes, POLLEN_KEY_BYTES);
    assert_int_equal(back.addr_count, 2);
    assert_true(pollen_addr_equal(&back.addrs[0], &ticket.addrs[0]));
    assert_true(pollen_addr_equal(&back.addrs[1], &ticket.addrs[1]));
}

static void a_full_ticket_fits_its_buffer(void **state) {
    char text[PLN_TICKET_TEXT_BYTES];
    pln_ticket ticket = some_ticket();
    pln_ticket back;
    (void)state;
    ticket.addr_count = PLN_TICKET_ADDRS_MAX;
    for (size_t i = 0; i < PLN_TICKET_ADDRS_MAX; i++) {
        ticket.addrs[i] = ticket.addrs[1];
    }
    pln_ticket_format(&ticket, text);
    assert_int_equal(pln_ticket_parse(text, &back), POLLEN_OK);
    assert_int_equal(back.addr_count, PLN_TICKET_ADDRS_MAX);
}

static void a_ticket_with_one_letter_changed_is_refused(void **state) {
    char text[PLN_TICKET_TEXT_BYTES];
    const pln_ticket ticket = some_ticket();
    (void)state;
    pln_ticket_format(&ticket, text);
    for (size_t i = 0; i + 1 < strlen(text); i++) {
        pln_ticket back;
        const char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_not_equal(pln_ticket_parse(text, &back), POLLEN_OK);
        text[i] = was;
    }
}

static void a_ticket_cut_short_or_grown_is_refused(void **state) {
    char text[PLN_TICKET_TEXT_BYTES + 8];
    const pln_ticket ticket = some_ticket();
    pln_ticket back;
    (void)state;
    pln_ticket_format(&ticket, text);
    for (size_t length = strlen(text); length > 0; length--) {
        text[length - 1] = '\0';
        assert_int_equal(pln_ticket_parse(text, &back), POLLEN_ETOKEN);
    }
    pln_ticket_format(&ticket, text);
    strncat(text, "AAAA", 5);
    assert_int_equal(pln_ticket_parse(text, &back), POLLEN_ETOKEN);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static pollen_err parse(const char *line, pln_request *request) {
    char why[PLN_REQUEST_WHY_BYTES] = "";
    const pollen_err err = pln_request_parse(line, strlen(line), request, why);
    assert_true(err == POLLEN_OK || why[0] != '\0');
    return err;
}

static void a_request_survives_the_round_trip(void **state) {
    const pln_request request = {.verb = PLN_REQUEST_PING,
                                 .peer = "ab12",
                                 .count = 3,
                                 .interval_ms = 10,
                                 .timeout_ms = 20,
                                 .size = 30,
                                 .until_direct = true};
    pln_request back;
    (void)state;
    json_t *object = pln_request_encode(&request);
    char *line = pln_json_line(object);
    assert_int_equal(parse(line, &back), POLLEN_OK);
    assert_int_equal(back.verb, PLN_REQUEST_PING);
    assert_string_equal(back.peer, "ab12");
    assert_int_equal(back.count, 3);
    assert_int_equal(back.interval_ms, 10);
    assert_int_equal(back.timeout_ms, 20);
    assert_int_equal(back.size, 30);
    assert_true(back.until_direct);
    free(line);
    json_decref(object);
}

static void a_request_that_is_not_exactly_right_is_refused(void **state) {
    static const char *const rows[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"schema\":\"pollen.control/1\"}",
        "{\"schema\":\"pollen.control/2\",\"verb\":\"status\"}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"fly\"}",
        "{\"schema\":\"pollen.control/1\",\"verb\":7}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"status\",\"x\":1}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"status\",\"verb\":\"status\"}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"status\"} {}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"ping\"}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"stream_listen\",\"port\":0,\"timeout_ms\":1}",
        "{\"schema\":\"pollen.control/"
        "1\",\"verb\":\"stream_listen\",\"port\":65536,\"timeout_ms\":1}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"stream_listen\",\"port\":-1,\"timeout_ms\":1}",
        "{\"schema\":\"pollen.control/"
        "1\",\"verb\":\"stream_listen\",\"port\":1.0,\"timeout_ms\":1}",
        "{\"schema\":\"pollen.control/"
        "1\",\"verb\":\"stream_listen\",\"port\":\"1\",\"timeout_ms\":1}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"stream_connect\",\"peer\":null,\"port\":1,"
        "\"timeout_ms\":1}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"stream_connect\",\"peer\":\"\",\"port\":1,"
        "\"timeout_ms\":1}",
        "{\"schema\":\"pollen.control/1\",\"verb\":\"stream_connect\",\"peer\":\"a b\",\"port\":1,"
        "\"timeout_ms\":1}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pln_request request;
        assert_int_equal(parse(rows[i], &request), POLLEN_EINVAL);
    }
}

/* ---- The log --------------------------------------------------------------------------------- */

static void what_looks_like_a_token_is_not_logged(void **state) {
    char line[256] = "joining by ";
    (void)state;
    memset(line + 11, 'A', 100);
    strncat(line, " now", 5);
    pln_log_scrub(line);
    assert_null(strchr(line, 'A'));
    assert_non_null(strstr(line, "joining by ...."));
    assert_non_null(strstr(line, " now"));
}

static void an_id_is_logged(void **state) {
    char line[] = "peer 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff connected";
    char before[sizeof line];
    (void)state;
    memcpy(before, line, sizeof line);
    pln_log_scrub(line);
    assert_string_equal(line, before);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void an_address_gets_its_canonical_form(void **state) {
    static const struct {
        const char *from, *to;
    } rows[] = {{"192.0.2.1", "192.0.2.1:60611"},
                {"192.0.2.1:7", "192.0.2.1:7"},
                {"2001:db8::1", "[2001:db8::1]:60611"},
                {"relay.example", "relay.example:60611"},
                {"relay.example:9", "relay.example:9"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        assert_true(pln_resolve_normalise(rows[i].from, 60611, text, sizeof text));
        assert_string_equal(text, rows[i].to);
    }
}

static void an_address_that_is_none_is_refused(void **state) {
    static const char *const rows[] = {"",           ":1",     "a b:1",     "host:0",
                                       "host:65536", "host:x", "-option:1", "host:1:2"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        assert_false(pln_resolve_normalise(rows[i], 60611, text, sizeof text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timespan_reads_as_people_write_it),
        cmocka_unit_test(a_timespan_without_unit_or_sense_is_refused),
        cmocka_unit_test(a_timespan_prints_its_two_largest_units),
        cmocka_unit_test(a_time_survives_the_round_trip),
        cmocka_unit_test(a_time_that_cannot_be_written_is_null),
        cmocka_unit_test(exit_codes_and_their_names_are_one_to_one),
        cmocka_unit_test(a_ticket_survives_the_round_trip),
        cmocka_unit_test(a_full_ticket_fits_its_buffer),
        cmocka_unit_test(a_ticket_with_one_letter_changed_is_refused),
        cmocka_unit_test(a_ticket_cut_short_or_grown_is_refused),
        cmocka_unit_test(a_request_survives_the_round_trip),
        cmocka_unit_test(a_request_that_is_not_exactly_right_is_refused),
        cmocka_unit_test(what_looks_like_a_token_is_not_logged),
        cmocka_unit_test(an_id_is_logged),
        cmocka_unit_test(an_address_gets_its_canonical_form),
        cmocka_unit_test(an_address_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
