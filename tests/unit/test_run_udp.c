/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP socket, against another one of its kind and against plain ones, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "run/udp_linux.h"

enum { WAIT_MS = 10000, HEARD_MAX = 256, DATAGRAM_MAX = 65507 };

typedef struct heard {
    size_t count;
    size_t sizes[HEARD_MAX];
    uint8_t first[HEARD_MAX]; /* Bytes. */
    pollen_addr local, remote;
    uint8_t ecn;
    bool even; /* All bytes of each datagram were the same. */
} heard;

typedef struct fixture {
    pln_udp from, to;
    uint8_t bytes[DATAGRAM_MAX];
    heard heard;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(pln_udp_open(&f->from, 0), POLLEN_OK);
    assert_int_equal(pln_udp_open(&f->to, 0), POLLEN_OK);
    f->heard.even = true;
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    pln_udp_close(&f->from);
    pln_udp_close(&f->to);
    pln_udp_close(&f->to); /* Twice is fine. */
    free(f);
    return 0;
}

static pollen_addr loopback4(uint16_t port) {
    static const uint8_t ip[4] = {127, 0, 0, 1};
    return pln_addr_ipv4(ip, port);
}

static pollen_addr loopback6(uint16_t port) {
    return (pollen_addr){.ip = {[15] = 1}, .port = port};
}

static pln_transmit run_to(const pollen_addr *to, size_t size, size_t segment) {
    return (pln_transmit){
        .path = {.via = PLN_VIA_MAIN, .remote = *to}, .ecn = 2, .size = size, .segment = segment};
}

static void hear(void *ctx, const pln_datagram *datagram) {
    heard *h = ctx;
    assert_true(h->count < HEARD_MAX);
    assert_true(datagram->size > 0);
    h->sizes[h->count] = datagram->size;
    h->first[h->count] = datagram->data[0];
    for (size_t i = 1; i < datagram->size; i++) {
        h->even = h->even && datagram->data[i] == datagram->data[0];
    }
    h->count++;
    h->local = datagram->local;
    h->remote = datagram->path.remote;
    h->ecn = datagram->ecn;
}

/* Until so many have arrived. */
static void hear_all(fixture *f, size_t count) {
    while (f->heard.count < count) {
        struct pollfd pfd = {.fd = f->to.fd, .events = POLLIN};
        assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
        (void)pln_udp_recv(&f->to, hear, &f->heard);
    }
    assert_int_equal(pln_udp_recv(&f->to, hear, &f->heard), 0);
    assert_int_equal(f->heard.count, count);
}

/* The i-th segment consists of bytes i. */
static void fill_segments(fixture *f, size_t size, size_t segment) {
    for (size_t i = 0; i < size; i++) {
        f->bytes[i] = (uint8_t)(i / segment);
    }
}

static void send_all(fixture *f, const pln_transmit *run) {
    size_t offset = 0;
    assert_true(pln_udp_send(&f->from, run, f->bytes, &offset));
    assert_int_equal(offset, run->size);
}

static void assert_segments(const fixture *f, size_t size, size_t segment) {
    const size_t count = (size + segment - 1) / segment;
    assert_int_equal(f->heard.count, count);
    assert_true(f->heard.even);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(f->heard.first[i], i);
        assert_int_equal(f->heard.sizes[i], i + 1 < count ? segment : size - i * segment);
    }
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static size_t sends;

static ssize_t count_sends(int fd, const struct msghdr *msg, int flags) {
    sends++;
    return sendmsg(fd, msg, flags);
}

static void check_run(fixture *f, const pollen_addr *to, size_t size, size_t segment) {
    const pln_transmit run = run_to(to, size, segment);
    fill_segments(f, size, segment);
    f->heard.count = 0;
    send_all(f, &run);
    hear_all(f, (size + segment - 1) / segment);
    assert_segments(f, size, segment);
}

static void a_run_arrives_as_the_packets_it_was_made_of(void **state) {
    fixture *f = *state;
    const pollen_addr to4 = loopback4(pln_udp_port(&f->to));
    check_run(f, &to4, 1200, 1200);
    check_run(f, &to4, 10 * 1200, 1200);
    check_run(f, &to4, 9 * 1200 + 1, 1200);
    check_run(f, &to4, 64 * 1000, 1000); /* As many as a run may have. */
    check_run(f, &to4, 44 * 1472 + 700, 1472);
    if (!f->to.ipv4_only) {
        const pollen_addr to6 = loopback6(pln_udp_port(&f->to));
        check_run(f, &to6, 9 * 1200 + 1, 1200);
    }
    assert_int_equal(f->from.lost_sends, 0);
    assert_int_equal(f->to.garbage_in, 0);
}

static void a_run_is_one_system_call_where_there_is_segmentation(void **state) {
    fixture *f = *state;
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    f->from.send = count_sends;
    sends = 0;
    check_run(f, &to, 10 * 1200, 1200);
    if (!f->from.gso) {
        skip(); /* This kernel has none. */
    }
    assert_int_equal(sends, 1);
}

static bool has_segment(const struct msghdr *msg) {
    struct msghdr copy = *msg;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c != NULL; c = CMSG_NXTHDR(&copy, c)) {
        if (c->cmsg_level == IPPROTO_UDP) {
            return true;
        }
    }
    return false;
}

static ssize_t refuse_segmentation(int fd, const struct msghdr *msg, int flags) {
    sends++;
    if (has_segment(msg)) {
        errno = EIO;
        return -1;
    }
    return sendmsg(fd, msg, flags);
}

static void without_segmentation_packets_go_one_by_one_from_then_on(void **state) {
    fixture *f = *state;
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    f->from.send = refuse_segmentation;
    sends = 0;
    check_run(f, &to, 9 * 1200 + 1, 1200);
    assert_int_equal(sends, 11);
    assert_false(f->from.gso);
    check_run(f, &to, 10 * 1200, 1200);
    assert_int_equal(sends, 21);
    assert_int_equal(f->from.lost_sends, 0);
}

/* A packet larger than the interface takes, as path discovery sends them. */
static ssize_t refuse_large(int fd, const struct msghdr *msg, int flags) {
    if (has_segment(msg) || msg->msg_iov->iov_len > 1400) {
        errno = EMSGSIZE;
        return -1;
    }
    return sendmsg(fd, msg, flags);
}

static void packets_that_are_too_large_do_not_end_segmentation(void **state) {
    fixture *f = *state;
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    const pln_transmit run = run_to(&to, 3 * 1450, 1450);
    f->from.send = refuse_large;
    send_all(f, &run);
    assert_true(f->from.gso);
    assert_int_equal(f->from.lost_sends, 3);
    hear_all(f, 0);
}

static size_t room;

static ssize_t fill_up(int fd, const struct msghdr *msg, int flags) {
    if (has_segment(msg)) {
        errno = EINVAL;
        return -1;
    }
    if (room == 0) {
        errno = EAGAIN;
        return -1;
    }
    room--;
    return sendmsg(fd, msg, flags);
}

static void what_a_full_socket_did_not_take_is_sent_later_and_once(void **state) {
    fixture *f = *state;
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    const size_t size = 9 * 1200 + 1;
    const pln_transmit run = run_to(&to, size, 1200);
    size_t offset = 0;
    fill_segments(f, size, 1200);
    f->from.send = fill_up;
    room = 0;
    assert_false(pln_udp_send(&f->from, &run, f->bytes, &offset));
    assert_int_equal(offset, 0);
    room = 4;
    assert_false(pln_udp_send(&f->from, &run, f->bytes, &offset));
    assert_int_equal(offset, 4 * 1200);
    room = 100;
    assert_true(pln_udp_send(&f->from, &run, f->bytes, &offset));
    assert_int_equal(offset, size);
    hear_all(f, 10);
    assert_segments(f, size, 1200);
}

static ssize_t interrupt_once(int fd, const struct msghdr *msg, int flags) {
    if (sends++ == 0) {
        errno = EINTR;
        return -1;
    }
    return sendmsg(fd, msg, flags);
}

static void an_interrupted_send_is_repeated(void **state) {
    fixture *f = *state;
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    f->from.send = interrupt_once;
    sends = 0;
    check_run(f, &to, 100, 1200);
    assert_int_equal(f->from.lost_sends, 0);
}

static ssize_t refuse_all(int fd, const struct msghdr *msg, int flags) {
    (void)fd;
    (void)msg;
    (void)flags;
    errno = ENETUNREACH;
    return -1;
}

static void a_send_that_the_system_refuses_is_a_lost_packet(void **state) {
    fixture *f = *state;
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    const pln_transmit run = run_to(&to, 3 * 1200, 1200);
    f->from.send = refuse_all;
    send_all(f, &run);
    assert_true(f->from.lost_sends > 0);
    assert_true(f->from.gso);
}

/* ---- Single datagrams ------------------------------------------------------------------------ */

/* A plain socket that sends to the one that is tested. */
static int open_plain(const fixture *f) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(pln_udp_port(&f->to)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void an_empty_datagram_is_counted_and_passed_over(void **state) {
    fixture *f = *state;
    const int fd = open_plain(f);
    assert_int_equal(send(fd, "", 0, 0), 0);
    assert_int_equal(send(fd, "a", 1, 0), 1);
    assert_int_equal(send(fd, "", 0, 0), 0);
    assert_int_equal(send(fd, "b", 1, 0), 1);
    hear_all(f, 2);
    assert_int_equal(f->heard.first[0], 'a');
    assert_int_equal(f->heard.first[1], 'b');
    assert_int_equal(f->to.garbage_in, 2);
    close(fd);
}

static void the_largest_datagram_arrives_whole(void **state) {
    fixture *f = *state;
    const int fd = open_plain(f);
    memset(f->bytes, 7, sizeof(f->bytes));
    assert_int_equal(send(fd, f->bytes, DATAGRAM_MAX, 0), DATAGRAM_MAX);
    assert_int_equal(send(fd, "b", 1, 0), 1);
    hear_all(f, 2);
    assert_int_equal(f->heard.sizes[0], DATAGRAM_MAX);
    assert_int_equal(f->heard.first[0], 7);
    assert_true(f->heard.even);
    assert_int_equal(f->heard.sizes[1], 1);
    close(fd);
}

static void one_call_takes_no_more_than_its_slots(void **state) {
    fixture *f = *state;
    const int fd = open_plain(f);
    for (size_t i = 0; i < 2 * PLN_UDP_SLOTS; i++) {
        assert_int_equal(send(fd, "", 0, 0), 0);
    }
    assert_int_equal(pln_udp_recv(&f->to, hear, &f->heard), PLN_UDP_SLOTS);
    assert_int_equal(pln_udp_recv(&f->to, hear, &f->heard), PLN_UDP_SLOTS);
    assert_int_equal(pln_udp_recv(&f->to, hear, &f->heard), 0);
    assert_int_equal(f->heard.count, 0);
    close(fd);
}

static void a_closed_port_at_the_other_end_ends_nothing(void **state) {
    fixture *f = *state;
    pln_udp gone;
    assert_int_equal(pln_udp_open(&gone, 0), POLLEN_OK);
    const pollen_addr nobody = loopback4(pln_udp_port(&gone));
    pln_udp_close(&gone);
    const pln_transmit run = run_to(&nobody, 100, 100);
    send_all(f, &run);
    send_all(f, &run); /* After the answer "port unreachable". */
    (void)pln_udp_recv(&f->from, hear, &f->heard);
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    check_run(f, &to, 100, 100);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void both_addresses_of_a_datagram_are_told(void **state) {
    fixture *f = *state;
    pollen_addr to = loopback4(pln_udp_port(&f->to));
    const pollen_addr from = loopback4(pln_udp_port(&f->from));
    check_run(f, &to, 100, 100);
    assert_true(pollen_addr_equal(&f->heard.remote, &from));
    assert_memory_equal(f->heard.local.ip, to.ip, sizeof(to.ip));
    to.ip[15] = 77; /* 127.0.0.77 */
    check_run(f, &to, 100, 100);
    assert_memory_equal(f->heard.local.ip, to.ip, sizeof(to.ip));
    if (!f->to.ipv4_only) {
        const pollen_addr to6 = loopback6(to.port);
        const pollen_addr from6 = loopback6(from.port);
        check_run(f, &to6, 100, 100);
        assert_true(pollen_addr_equal(&f->heard.remote, &from6));
        assert_memory_equal(f->heard.local.ip, to6.ip, sizeof(to6.ip));
        assert_int_equal(f->heard.local.zone, 0);
    }
}

static void an_answer_leaves_from_the_address_that_was_asked(void **state) {
    fixture *f = *state;
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    pln_transmit run = run_to(&to, 100, 100);
    run.local = to;
    run.local.ip[15] = 77;
    send_all(f, &run);
    hear_all(f, 1);
    assert_memory_equal(f->heard.remote.ip, run.local.ip, sizeof(run.local.ip));
}

static void a_source_address_that_went_away_is_only_a_hint(void **state) {
    fixture *f = *state;
    static const uint8_t gone[4] = {192, 0, 2, 1};
    const pollen_addr to = loopback4(pln_udp_port(&f->to));
    pln_transmit run = run_to(&to, 3 * 100, 100);
    run.local = pln_addr_ipv4(gone, 0);
    send_all(f, &run);
    hear_all(f, 3);
    run.local = loopback6(0); /* Of the other family. */
    send_all(f, &run);
    hear_all(f, 6);
    assert_int_equal(f->from.lost_sends, 0);
}

static void congestion_marks_travel(void **state) {
    fixture *f = *state;
    const pollen_addr to4 = loopback4(pln_udp_port(&f->to));
    const pollen_addr to6 = loopback6(to4.port);
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        pln_transmit run = run_to(&to4, 100, 100);
        run.ecn = ecn;
        f->heard.count = 0;
        send_all(f, &run);
        hear_all(f, 1);
        assert_int_equal(f->heard.ecn, ecn);
        if (!f->to.ipv4_only) {
            run.path.remote = to6;
            f->heard.count = 0;
            send_all(f, &run);
            hear_all(f, 1);
            assert_int_equal(f->heard.ecn, ecn);
        }
    }
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void a_port_that_is_taken_is_told_apart(void **state) {
    fixture *f = *state;
    pln_udp second;
    assert_int_equal(pln_udp_open(&second, pln_udp_port(&f->to)), POLLEN_EADDRINUSE);
    assert_int_equal(second.fd, -1);
    pln_udp_close(&second);

    /* Also when it is taken for IPv4 alone. */
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t size = sizeof(any);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &size), 0);
    assert_int_equal(pln_udp_open(&second, ntohs(any.sin_port)), POLLEN_EADDRINUSE);
    pln_udp_close(&second);
    close(fd);
}

static void a_port_that_was_given_back_can_be_had_again(void **state) {
    (void)state;
    pln_udp udp;
    assert_int_equal(pln_udp_open(&udp, 0), POLLEN_OK);
    const uint16_t port = pln_udp_port(&udp);
    assert_true(port > 0);
    pln_udp_close(&udp);
    assert_int_equal(pln_udp_open(&udp, port), POLLEN_OK);
    assert_int_equal(pln_udp_port(&udp), port);
    pln_udp_close(&udp);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_run_arrives_as_the_packets_it_was_made_of),
        TEST(a_run_is_one_system_call_where_there_is_segmentation),
        TEST(without_segmentation_packets_go_one_by_one_from_then_on),
        TEST(packets_that_are_too_large_do_not_end_segmentation),
        TEST(what_a_full_socket_did_not_take_is_sent_later_and_once),
        TEST(an_interrupted_send_is_repeated),
        TEST(a_send_that_the_system_refuses_is_a_lost_packet),
        TEST(an_empty_datagram_is_counted_and_passed_over),
        TEST(the_largest_datagram_arrives_whole),
        TEST(one_call_takes_no_more_than_its_slots),
        TEST(a_closed_port_at_the_other_end_ends_nothing),
        TEST(both_addresses_of_a_datagram_are_told),
        TEST(an_answer_leaves_from_the_address_that_was_asked),
        TEST(a_source_address_that_went_away_is_only_a_hint),
        TEST(congestion_marks_travel),
        TEST(a_port_that_is_taken_is_told_apart),
        cmocka_unit_test(a_port_that_was_given_back_can_be_had_again),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
