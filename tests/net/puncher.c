/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One side of a punch without a node around it: the engine of src/sock on real sockets, told by
 * lines on its standard input what a coordinator would tell it, so that the laboratory can measure
 * punches by themselves, by the hundred.
 *
 *   net-puncher PORT SEED
 *
 *   local ADDR                      an address of our interface
 *   look ADDR                       sends something there from the main socket, to be observed
 *   seen OBSERVER ADDR              an observer sees us at ADDR
 *   judge                           answers: nat MAPPING ALLOCATION STEP EXTERNAL PORT...
 *   theirs MAPPING ALLOCATION STEP PORT...    the peer's verdict, in the same numbers
 *   target KIND ADDR                where to aim
 *   punch WAIT_MS BUDGET_MS RTT_MS  starts, so long from now, for so long; to a peer so far away
 *   fresh PEER                      begins anew, with the peer of this number: what was told is
 *                                   forgotten, the punch ends, its sockets are closed; says: fresh
 *
 * It answers with `try MS METHOD` and `hole MS METHOD`, once with `won MS METHOD`, and with
 * `over END METHOD PROBES ANSWERS WAYS SOCKETS MS`.  In place of the handshake both sides ask along
 * each way that may be tried and each hole, and the answer to that is what wins.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sock/probe.h"
#include "sock/sock.h"
#include "sock/verdict.h"

enum { ASK = 'a', ANSWER = 'b', LOOK = 'c', DIALS_MAX = 64, LINE_MAX_BYTES = 512 };
static const pln_dur DIAL_AGAIN = PLN_MS(50);

/* A hole that is dialled. */
typedef struct dial {
    pln_path path;
    pln_punch_method method;
    pln_ts next_at;
} dial;

typedef struct puncher {
    pln_sock *sock;
    pln_rng_seeded seeded;
    pln_nat_observations observations;
    pln_punch_plan plan;
    uint16_t main_port;
    pln_ts started_at;
    bool won;
    pln_path won_path;

    struct pollfd fds[PLN_SOCKETS_MAX + 2]; /* Standard input, the main socket, others. */
    uint32_t vias[PLN_SOCKETS_MAX + 2];
    size_t fd_count;

    dial dials[DIALS_MAX];
    size_t dial_count;

    char input[LINE_MAX_BYTES];
    size_t input_size;
} puncher;

static pln_ts now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (pln_ts)t.tv_sec * PLN_NS_PER_S + (pln_ts)t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "net-puncher: %s\n", what);
    exit(1);
}

/* Zero before the start: a peer that begins earlier may get through a NAT that lets all in. */
static double since_start(const puncher *p) {
    return p->started_at == 0 ? 0 : (double)pln_ts_since(p->started_at, now()) / 1e6;
}

/* ---- Sockets --------------------------------------------------------------------------------- */

static int open_socket(uint16_t port, uint16_t *ret_port) {
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int off = 0;
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    socklen_t size = sizeof name;
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
        bind(fd, (struct sockaddr *)&name, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &size) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *ret_port = ntohs(name.sin6_port);
    return fd;
}

static size_t add_fd(puncher *p, int fd, uint32_t via) {
    p->fds[p->fd_count] = (struct pollfd){.fd = fd, .events = POLLIN};
    p->vias[p->fd_count] = via;
    return p->fd_count++;
}

static size_t find_via(const puncher *p, uint32_t via) {
    for (size_t i = 1; i < p->fd_count; i++) {
        if (p->vias[i] == via) {
            return i;
        }
    }
    return 0;
}

static void send_along(const puncher *p, const pln_path *path, const void *bytes, size_t size,
                       int ttl) {
    size_t at = find_via(p, path->via);
    if (at == 0) {
        return;
    }
    int fd = p->fds[at].fd, usual = 64;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(path->remote.port)};
    memcpy(&to.sin6_addr, path->remote.ip, 16);
    if (ttl != 0) {
        setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
        setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl);
    }
    (void)!sendto(fd, bytes, size, 0, (struct sockaddr *)&to, sizeof to);
    if (ttl != 0) {
        setsockopt(fd, IPPROTO_IP, IP_TTL, &usual, sizeof usual);
        setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &usual, sizeof usual);
    }
}

static void open_via(puncher *p, uint32_t via) {
    uint16_t port = 0;
    int fd = p->fd_count < PLN_SOCKETS_MAX + 2 ? open_socket(0, &port) : -1;
    if (fd < 0) {
        pln_sock_socket_failed(p->sock, via, now());
        return;
    }
    add_fd(p, fd, via);
    pln_sock_socket_opened(p->sock, via, port, now());
}

static void close_via(puncher *p, uint32_t via) {
    size_t at = find_via(p, via);
    if (at == 0) {
        fail("asked to close a socket that is not open");
    }
    close(p->fds[at].fd);
    p->fd_count--;
    p->fds[at] = p->fds[p->fd_count];
    p->vias[at] = p->vias[p->fd_count];
}

/* ---- The handshake's stand-in ---------------------------------------------------------------- */

static void win(puncher *p, const pln_path *path) {
    if (p->won) {
        return;
    }
    pln_punch_stats stats;
    pln_punch_method method = PLN_PUNCH_OPEN;
    if (pln_sock_get_stats(p->sock, &p->plan.peer, &stats)) {
        method = stats.method;
    }
    for (size_t i = 0; i < p->dial_count; i++) {
        if (pln_path_equal(&p->dials[i].path, path)) {
            method = p->dials[i].method;
        }
    }
    if (pln_sock_won(p->sock, &p->plan.peer, path, now())) {
        p->won = true;
        p->won_path = *path;
        printf("won %.3f %s\n", since_start(p), pln_punch_method_name(method));
    }
}

static void dial_all(puncher *p, pln_ts at) {
    for (size_t i = 0; !p->won && i < p->dial_count; i++) {
        if (p->dials[i].next_at <= at) {
            uint8_t ask[] = {ASK, p->plan.peer.bytes[0]};
            send_along(p, &p->dials[i].path, ask, sizeof ask, 0);
            p->dials[i].next_at = at + DIAL_AGAIN;
        }
    }
}

static void take_datagram(puncher *p, const pln_datagram *datagram) {
    uint8_t first = datagram->data[0];
    if ((first & 0xc0) == 0) {
        pln_sock_handle_probe(p->sock, datagram, now());
        return;
    }
    /* What belongs to the punch before this one counts for nothing. */
    if (datagram->size != 2 || datagram->data[1] != p->plan.peer.bytes[0]) {
        return;
    }
    if (first == ASK) {
        uint8_t answer[] = {ANSWER, p->plan.peer.bytes[0]};
        send_along(p, &datagram->path, answer, sizeof answer, 0);
    }
    if (first == ASK || first == ANSWER) {
        win(p, &datagram->path);
    }
}

static void receive(puncher *p, size_t at) {
    uint8_t bytes[64];
    struct sockaddr_in6 from;
    for (int i = 0; i < 64; i++) {
        socklen_t size = sizeof from;
        ssize_t got =
            recvfrom(p->fds[at].fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
        if (got <= 0) {
            return;
        }
        pln_datagram datagram = {.path = {.via = p->vias[at]}, .data = bytes, .size = (size_t)got};
        memcpy(datagram.path.remote.ip, &from.sin6_addr, 16);
        datagram.path.remote.port = ntohs(from.sin6_port);
        take_datagram(p, &datagram);
    }
}

/* ---- The engine's outputs -------------------------------------------------------------------- */

static void add_dial(puncher *p, const pln_sock_event *event) {
    for (size_t i = 0; i < p->dial_count; i++) {
        if (pln_path_equal(&p->dials[i].path, &event->path)) {
            return; /* Tried, and a hole meanwhile. */
        }
    }
    if (p->dial_count < DIALS_MAX) {
        p->dials[p->dial_count++] = (dial){.path = event->path, .method = event->method};
    }
}

static void take_event(puncher *p, const pln_sock_event *event) {
    switch (event->kind) {
    case PLN_SOCK_OPEN_SOCKET:
        open_via(p, event->via);
        return;
    case PLN_SOCK_CLOSE_SOCKET:
        close_via(p, event->via);
        return;
    case PLN_SOCK_TRY:
    case PLN_SOCK_HOLE:
        printf("%s %.3f %s\n", event->kind == PLN_SOCK_TRY ? "try" : "hole", since_start(p),
               pln_punch_method_name(event->method));
        add_dial(p, event);
        return;
    case PLN_SOCK_OVER:
        printf("over %s %s %zu %zu %zu %zu %.3f\n", pln_punch_end_name(event->end),
               pln_punch_method_name(event->stats.method), event->stats.probes_sent,
               event->stats.answers_sent, event->stats.ways_used, event->stats.sockets_opened,
               since_start(p));
        return;
    }
}

static void pull(puncher *p) {
    uint8_t bytes[PLN_PROBE_BYTES];
    pln_transmit transmit;
    pln_sock_event event;
    bool more = true;
    while (more) {
        more = false;
        while (pln_sock_poll_transmit(p->sock, bytes, &transmit, now())) {
            send_along(p, &transmit.path, bytes, transmit.size, transmit.ttl);
        }
        while (pln_sock_poll_event(p->sock, &event)) {
            take_event(p, &event);
            more = true;
        }
    }
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static pollen_addr address(const char *text) {
    pollen_addr addr = {0};
    if (text == NULL || pollen_addr_parse(text, &addr) != POLLEN_OK) {
        fail("no address");
    }
    return addr;
}

static unsigned number(const char *text) {
    if (text == NULL) {
        fail("no number");
    }
    char *rest;
    unsigned long value = strtoul(text, &rest, 10);
    if (*text == '\0' || *rest != '\0' || value > 1000000) {
        fail("no number");
    }
    return (unsigned)value;
}

static void take_seen(puncher *p, const pollen_addr *observer, const pollen_addr *seen) {
    pln_nat_observation observation = {
        .observer_addr = *observer, .seen = *seen, .local_port = p->main_port, .at = now()};
    memcpy(observation.observer.bytes, observer->ip, sizeof observer->ip);
    pln_nat_observe(&p->observations, &observation);
}

static void judge(puncher *p) {
    pln_nat_verdict verdict;
    char text[POLLEN_ADDR_TEXT_BYTES];
    pln_nat_judge(&p->observations, now(), &verdict);
    p->plan.ours = pln_nat_brief_of(&verdict);
    printf("nat %d %d %u %s", verdict.mapping, verdict.allocation, p->plan.ours.step,
           pollen_addr_format(&verdict.external, text));
    for (size_t i = 0; i < p->plan.ours.port_count; i++) {
        printf(" %u", p->plan.ours.ports[i]);
    }
    printf("\n");
}

static void take_theirs(puncher *p, char **words, size_t count) {
    pln_nat_brief *brief = &p->plan.theirs;
    *brief = (pln_nat_brief){.mapping = (pollen_nat_mapping)number(words[1]),
                             .allocation = (pollen_nat_allocation)number(words[2]),
                             .step = (uint16_t)number(words[3])};
    for (size_t i = 4; i < count && brief->port_count < PLN_NAT_PORTS_MAX; i++) {
        brief->ports[brief->port_count++] = (uint16_t)number(words[i]);
    }
}

static void punch(puncher *p, unsigned wait_ms, unsigned budget_ms, unsigned rtt_ms) {
    pln_ts at = now();
    if (p->won) {
        return;
    }
    p->started_at = at + PLN_MS(wait_ms);
    p->plan.attempt = 1;
    p->plan.at = p->started_at;
    p->plan.rtt = PLN_MS(rtt_ms);
    p->plan.deadline = p->started_at + PLN_MS(budget_ms);
    if (pln_sock_start(p->sock, &p->plan, at) != POLLEN_OK) {
        fail("the engine refuses to punch");
    }
}

static void begin_anew(puncher *p, unsigned peer) {
    pln_sock_cancel(p->sock, &p->plan.peer, now());
    if (p->won) {
        pln_sock_release(p->sock, p->won_path.via);
    }
    pull(p); /* What is still to be told is of the old one. */
    p->won = false;
    p->started_at = 0;
    p->dial_count = 0;
    p->plan = (pln_punch_plan){.peer.bytes[0] = (uint8_t)peer};
    /* Budgets are those of one place; this is another one. */
    pln_nat_forget(&p->observations);
    pln_sock_network_changed(p->sock);
    printf("fresh\n");
}

static void take_line(puncher *p, char *line) {
    char *words[16] = {NULL}, *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " ", &rest); word != NULL && count < 15;
         word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    if (count == 0) {
        fail("an empty line");
    }
    const char *verb = words[0];
    if (strcmp(verb, "local") == 0) {
        pollen_addr addr = address(words[1]);
        pln_nat_set_locals(&p->observations, &addr, 1);
    } else if (strcmp(verb, "look") == 0) {
        pln_path path = {.remote = address(words[1])};
        uint8_t look = LOOK;
        send_along(p, &path, &look, 1, 0);
    } else if (strcmp(verb, "seen") == 0) {
        pollen_addr observer = address(words[1]), seen = address(words[2]);
        take_seen(p, &observer, &seen);
    } else if (strcmp(verb, "judge") == 0) {
        judge(p);
    } else if (strcmp(verb, "theirs") == 0) {
        take_theirs(p, words, count);
    } else if (strcmp(verb, "target") == 0 && p->plan.target_count < PLN_PUNCH_TARGETS_MAX) {
        p->plan.targets[p->plan.target_count++] = (pln_punch_target){
            .kind = (pln_target_kind)number(words[1]), .addr = address(words[2])};
    } else if (strcmp(verb, "punch") == 0) {
        punch(p, number(words[1]), number(words[2]), number(words[3]));
    } else if (strcmp(verb, "fresh") == 0) {
        begin_anew(p, number(words[1]));
    } else {
        fail("an unknown line");
    }
}

/* False at the end of the input. */
static bool read_lines(puncher *p) {
    ssize_t got = read(0, p->input + p->input_size, sizeof p->input - 1 - p->input_size);
    if (got <= 0) {
        return false;
    }
    p->input_size += (size_t)got;
    char *end;
    while ((end = memchr(p->input, '\n', p->input_size)) != NULL) {
        *end = '\0';
        size_t line = (size_t)(end - p->input) + 1;
        take_line(p, p->input);
        memmove(p->input, p->input + line, p->input_size - line);
        p->input_size -= line;
    }
    return p->input_size < sizeof p->input - 1;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static int wait_ms(const puncher *p) {
    pln_ts next = pln_sock_next_expiry(p->sock), at = now();
    for (size_t i = 0; !p->won && i < p->dial_count; i++) {
        next = pln_ts_min(next, p->dials[i].next_at);
    }
    if (next == PLN_TS_NEVER) {
        return -1;
    }
    return next <= at ? 0 : (int)pln_ts_min((next - at + PLN_NS_PER_MS - 1) / PLN_NS_PER_MS, 60000);
}

static void serve(puncher *p) {
    for (;;) {
        pull(p);
        dial_all(p, now());
        fflush(stdout);
        if (poll(p->fds, (nfds_t)p->fd_count, wait_ms(p)) < 0 && errno != EINTR) {
            fail("poll");
        }
        if (p->fds[0].revents != 0 && !read_lines(p)) {
            return;
        }
        for (size_t i = 1; i < p->fd_count; i++) {
            if (p->fds[i].revents != 0) {
                receive(p, i);
            }
        }
        pln_sock_handle_timeout(p->sock, now());
    }
}

int main(int argc, char **argv) {
    static puncher p;
    if (argc != 3) {
        fail("usage: net-puncher PORT SEED");
    }
    pln_sock_config config = {.rng = pln_rng_from_seed(&p.seeded, number(argv[2]))};
    int fd = open_socket((uint16_t)number(argv[1]), &p.main_port);
    if (fd < 0 || pln_sock_create(&config, &p.sock) != POLLEN_OK) {
        fail("no socket, or no memory");
    }
    p.plan.peer.bytes[0] = 1;
    add_fd(&p, 0, UINT32_MAX);
    add_fd(&p, fd, PLN_VIA_MAIN);
    serve(&p);
    pln_sock_destroy(p.sock);
    while (p.fd_count > 1) {
        close(p.fds[--p.fd_count].fd);
    }
    return 0;
}
