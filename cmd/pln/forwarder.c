/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/forwarder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/key.h"
#include "pln/out.h"
#include "run/clock.h"
#include "run/files.h"
#include "run/wake.h"

#define LOOPBACK "127.0.0.1"
#define RETRY PLN_S(5)          /* For a port that was taken. */
enum { PAUSE_MS = 100 };        /* Without descriptors, until some are free. */
enum { ACCEPTS_IN_A_ROW = 32 }; /* Then the other listeners have their turn. */

/* ---- Listening ------------------------------------------------------------------------------- */

typedef union bind_addr {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
} bind_addr;

/* Returns its size; 0: not an address. */
static socklen_t parse_bind(const char *text, uint16_t port, bind_addr *ret) {
    *ret = (bind_addr){0};
    if (inet_pton(AF_INET, text, &ret->four.sin_addr) == 1) {
        ret->four.sin_family = AF_INET;
        ret->four.sin_port = htons(port);
        return (socklen_t)sizeof ret->four;
    }
    if (inet_pton(AF_INET6, text, &ret->six.sin6_addr) == 1) {
        ret->six.sin6_family = AF_INET6;
        ret->six.sin6_port = htons(port);
        return (socklen_t)sizeof ret->six;
    }
    return 0;
}

bool pln_forward_is_bind(const char *text) {
    bind_addr addr;
    return parse_bind(text, 0, &addr) != 0;
}

static const char *bind_text(const pln_forward *forward) {
    return forward->bind[0] == '\0' ? LOOPBACK : forward->bind;
}

const char *pln_forward_addr(const pln_forward *forward, char ret_text[PLN_FORWARD_ADDR_BYTES]) {
    const char *ip = bind_text(forward);
    snprintf(ret_text, PLN_FORWARD_ADDR_BYTES, strchr(ip, ':') != NULL ? "[%s]:%u" : "%s:%u", ip,
             (unsigned)forward->local_port);
    return ret_text;
}

static pollen_err listen_error(int error) {
    switch (error) {
    case EADDRINUSE:
        return POLLEN_EADDRINUSE;
    case EADDRNOTAVAIL:
        return POLLEN_EADDR;
    case EACCES:
        return POLLEN_EPERM;
    default:
        return POLLEN_ESYS;
    }
}

static uint16_t local_port(int fd) {
    bind_addr addr = {0};
    socklen_t size = sizeof addr;
    if (getsockname(fd, &addr.any, &size) != 0) {
        return 0;
    }
    return ntohs(addr.any.sa_family == AF_INET ? addr.four.sin_port : addr.six.sin6_port);
}

/* On an address of IPv6 IPv4 clients are not listened to: it would be more than was asked for. */
static pollen_err listen_on(const pln_forward *forward, uint16_t port, int *ret_fd) {
    const int on = 1;
    bind_addr addr;
    const socklen_t size = parse_bind(bind_text(forward), port, &addr);
    const int fd =
        size == 0 ? -1 : socket(addr.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return size == 0 ? POLLEN_EADDR : POLLEN_ESYS;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (addr.any.sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, &addr.any, size) != 0 || listen(fd, SOMAXCONN) != 0) {
        const pollen_err err = listen_error(errno);
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return POLLEN_OK;
}

/* The number that was asked for; else the provider's or, should that not be had, any. */
static pollen_err listen_as_wanted(const pln_forward *wanted, pln_forward *ret, int *ret_fd) {
    *ret = *wanted;
    const uint16_t first = wanted->local_port != 0 ? wanted->local_port : wanted->port;
    pollen_err err = listen_on(wanted, first, ret_fd);
    if (wanted->local_port == 0 && (err == POLLEN_EADDRINUSE || err == POLLEN_EPERM)) {
        err = listen_on(wanted, 0, ret_fd);
    }
    if (err == POLLEN_OK) {
        ret->local_port = local_port(*ret_fd);
    }
    return err;
}

/* ---- The table ------------------------------------------------------------------------------- */

pollen_err pln_forwarder_init(pln_forwarder *forwarder, pln_tunnels *tunnels, pln_logfile *log) {
    *forwarder = (pln_forwarder){.tunnels = tunnels, .log = log};
    forwarder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&forwarder->lock, NULL);
    return forwarder->wake_fd >= 0 ? POLLEN_OK : POLLEN_ENOMEM;
}

static void close_slot(pln_forward_slot *slot) {
    if (slot->fd >= 0) {
        (void)shutdown(slot->fd, SHUT_RDWR); /* The thread in poll() would keep it listening. */
        close(slot->fd);
        slot->fd = -1;
    }
}

static void clear_locked(pln_forwarder *forwarder) {
    for (size_t i = 0; i < forwarder->count; i++) {
        close_slot(&forwarder->slots[i]);
    }
    forwarder->count = 0;
}

void pln_forwarder_fini(pln_forwarder *forwarder) {
    clear_locked(forwarder);
    if (forwarder->wake_fd >= 0) {
        close(forwarder->wake_fd);
    }
    pthread_mutex_destroy(&forwarder->lock);
}

static void wake(pln_forwarder *forwarder) {
    pln_wake(forwarder->wake_fd);
}

static pln_forward_slot *find_locked(pln_forwarder *forwarder, const pollen_key *provider,
                                     uint16_t port) {
    for (size_t i = 0; i < forwarder->count; i++) {
        const pln_forward *at = &forwarder->slots[i].forward;
        if (at->port == port && pln_key_equal(&at->provider, provider)) {
            return &forwarder->slots[i];
        }
    }
    return NULL;
}

/* Listens for a slot that does not yet; a port that is taken is tried again. */
static void open_slot(pln_forwarder *forwarder, pln_forward_slot *slot, bool first) {
    char text[PLN_FORWARD_ADDR_BYTES];
    const pollen_err err = listen_on(&slot->forward, slot->forward.local_port, &slot->fd);
    if (err == POLLEN_OK && !first) {
        pln_logfile_printf(forwarder->log, PLN_LOG_INFO, "forward at %s: listening now",
                           pln_forward_addr(&slot->forward, text));
    }
    if (err != POLLEN_OK && first) {
        pln_logfile_printf(forwarder->log, PLN_LOG_WARN, "forward at %s: %s; tried again",
                           pln_forward_addr(&slot->forward, text), pollen_strerror(err));
    }
    slot->retry_at = pln_ts_add(pln_clock_mono(), RETRY);
}

static pollen_err keep(pollen_mesh *mesh, const pln_forward *forward, bool on) {
    pollen_forward kept = {.provider = forward->provider,
                           .remote_port = forward->port,
                           .local_port = forward->local_port};
    memcpy(kept.bind, forward->bind, sizeof kept.bind);
    return pollen_mesh_set_forward(mesh, &kept, on);
}

/* The reference keeps 0 for "any": from now on it is the one that was found. */
static bool settle_port(pollen_mesh *mesh, pln_forward_slot *slot) {
    pln_forward found;
    if (listen_as_wanted(&slot->forward, &found, &slot->fd) == POLLEN_OK &&
        keep(mesh, &found, true) == POLLEN_OK && keep(mesh, &slot->forward, false) == POLLEN_OK) {
        slot->forward = found;
        return true;
    }
    close_slot(slot);
    return false;
}

static void load_locked(pln_forwarder *forwarder, pollen_mesh *mesh, const pollen_forward *kept) {
    if (forwarder->count == PLN_FORWARDS_MAX ||
        find_locked(forwarder, &kept->provider, kept->remote_port) != NULL) {
        return;
    }
    pln_forward_slot *slot = &forwarder->slots[forwarder->count++];
    *slot = (pln_forward_slot){.fd = -1,
                               .forward = {.provider = kept->provider,
                                           .port = kept->remote_port,
                                           .local_port = kept->local_port}};
    if (pln_forward_is_bind(kept->bind)) {
        memcpy(slot->forward.bind, kept->bind, sizeof slot->forward.bind);
    }
    if (slot->forward.local_port != 0) {
        open_slot(forwarder, slot, true);
    } else if (!settle_port(mesh, slot)) {
        forwarder->count--; /* Until the next start. */
    }
}

void pln_forwarder_load(pln_forwarder *forwarder, pollen_mesh *mesh) {
    const size_t cap = pollen_mesh_forwards(mesh, NULL, 0);
    pollen_forward *kept = cap == 0 ? NULL : calloc(cap, sizeof *kept);
    const size_t found = kept == NULL ? 0 : pollen_mesh_forwards(mesh, kept, cap);
    pthread_mutex_lock(&forwarder->lock);
    clear_locked(forwarder);
    for (size_t i = 0; i < found && i < cap; i++) {
        load_locked(forwarder, mesh, &kept[i]);
    }
    pthread_mutex_unlock(&forwarder->lock);
    free(kept);
    wake(forwarder);
}

static bool is_same(const pln_forward *forward, const pln_forward *wanted) {
    return (wanted->local_port == 0 || wanted->local_port == forward->local_port) &&
           strcmp(bind_text(wanted), bind_text(forward)) == 0;
}

static pollen_err add_locked(pln_forwarder *forwarder, pollen_mesh *mesh, const pln_forward *wanted,
                             pln_forward *ret) {
    const pln_forward_slot *slot = find_locked(forwarder, &wanted->provider, wanted->port);
    if (slot != NULL) {
        *ret = slot->forward;
        return is_same(&slot->forward, wanted) ? POLLEN_OK : POLLEN_EBUSY;
    }
    if (forwarder->count == PLN_FORWARDS_MAX) {
        return POLLEN_ELIMIT;
    }
    int fd = -1;
    pollen_err err = listen_as_wanted(wanted, ret, &fd);
    if (err != POLLEN_OK) {
        return err;
    }
    err = keep(mesh, ret, true);
    if (err != POLLEN_OK) {
        close(fd);
        return err;
    }
    forwarder->slots[forwarder->count++] = (pln_forward_slot){.forward = *ret, .fd = fd};
    return POLLEN_OK;
}

pollen_err pln_forwarder_add(pln_forwarder *forwarder, pollen_mesh *mesh, const pln_forward *wanted,
                             pln_forward *ret) {
    pthread_mutex_lock(&forwarder->lock);
    const pollen_err err = add_locked(forwarder, mesh, wanted, ret);
    pthread_mutex_unlock(&forwarder->lock);
    wake(forwarder);
    return err;
}

pollen_err pln_forwarder_remove(pln_forwarder *forwarder, pollen_mesh *mesh,
                                const pollen_key *provider, uint16_t port) {
    pthread_mutex_lock(&forwarder->lock);
    pln_forward_slot *slot = find_locked(forwarder, provider, port);
    const pollen_err err = slot == NULL ? POLLEN_ENOENT : keep(mesh, &slot->forward, false);
    if (err == POLLEN_OK) {
        close_slot(slot);
        *slot = forwarder->slots[--forwarder->count];
    }
    pthread_mutex_unlock(&forwarder->lock);
    wake(forwarder);
    return err;
}

size_t pln_forwarder_list(pln_forwarder *forwarder, pln_forward *forwards, size_t cap) {
    pthread_mutex_lock(&forwarder->lock);
    const size_t count = forwarder->count;
    for (size_t i = 0; i < count && i < cap; i++) {
        forwards[i] = forwarder->slots[i].forward;
    }
    pthread_mutex_unlock(&forwarder->lock);
    return count;
}

/* ---- The thread ------------------------------------------------------------------------------ */

typedef struct waiting {
    struct pollfd fds[PLN_FORWARDS_MAX + 1]; /* The first one wakes. */
    size_t count;
    int timeout_ms;
} waiting;

static void retry_locked(pln_forwarder *forwarder, pln_ts now) {
    for (size_t i = 0; i < forwarder->count; i++) {
        pln_forward_slot *slot = &forwarder->slots[i];
        if (slot->fd < 0 && pln_ts_reached(slot->retry_at, now)) {
            open_slot(forwarder, slot, false);
        }
    }
}

/* False: it is over. */
static bool prepare(pln_forwarder *forwarder, waiting *w) {
    const pln_ts now = pln_clock_mono();
    pln_ts until = PLN_TS_NEVER;
    w->fds[0] = (struct pollfd){.fd = forwarder->wake_fd, .events = POLLIN};
    w->count = 1;
    pthread_mutex_lock(&forwarder->lock);
    const bool closed = forwarder->closed;
    retry_locked(forwarder, now);
    for (size_t i = 0; i < forwarder->count; i++) {
        const pln_forward_slot *slot = &forwarder->slots[i];
        if (slot->fd >= 0) {
            w->fds[w->count++] = (struct pollfd){.fd = slot->fd, .events = POLLIN};
        } else {
            until = pln_ts_min(until, slot->retry_at);
        }
    }
    pthread_mutex_unlock(&forwarder->lock);
    w->timeout_ms = pln_clock_ms_until(until, now);
    return !closed;
}

/* The next connection of this listener; -1: none.  Looked up anew each time, as the forward may be
 * gone since we waited for it, and its number be another's. */
static int accept_one(pln_forwarder *forwarder, int listener, pln_forward *ret, bool *ret_full) {
    int fd = -1;
    pthread_mutex_lock(&forwarder->lock);
    for (size_t i = 0; i < forwarder->count; i++) {
        if (forwarder->slots[i].fd == listener) {
            *ret = forwarder->slots[i].forward;
            fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            *ret_full = fd < 0 &&
                        (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
        }
    }
    pthread_mutex_unlock(&forwarder->lock);
    return fd;
}

static void start(pln_forwarder *forwarder, const pln_forwarder_owner *owner,
                  const pln_forward *forward, int fd) {
    const pln_tunnel_job job = {.peer = forward->provider, .port = forward->port, .fd = fd};
    pollen_mesh *mesh = owner->enter(owner->ctx);
    if (mesh != NULL) {
        pln_tunnels_start(forwarder->tunnels, mesh, &job);
    } else {
        close(fd);
    }
    owner->leave(owner->ctx);
}

/* False: there are no descriptors left. */
static bool accept_some(pln_forwarder *forwarder, const pln_forwarder_owner *owner, int listener) {
    bool full = false;
    for (int i = 0; i < ACCEPTS_IN_A_ROW && !full; i++) {
        pln_forward forward;
        const int fd = accept_one(forwarder, listener, &forward, &full);
        if (fd < 0) {
            break;
        }
        start(forwarder, owner, &forward, fd);
    }
    return !full;
}

void pln_forwarder_run(pln_forwarder *forwarder, const pln_forwarder_owner *owner) {
    waiting w;
    while (prepare(forwarder, &w)) {
        bool ok = true;
        if (poll(w.fds, (nfds_t)w.count, w.timeout_ms) <= 0) {
            continue;
        }
        if (w.fds[0].revents != 0) {
            pln_wake_reset(forwarder->wake_fd);
        }
        for (size_t i = 1; i < w.count; i++) {
            ok = (w.fds[i].revents == 0 || accept_some(forwarder, owner, w.fds[i].fd)) && ok;
        }
        if (!ok) {
            (void)poll(NULL, 0, PAUSE_MS);
        }
    }
}

void pln_forwarder_close(pln_forwarder *forwarder) {
    pthread_mutex_lock(&forwarder->lock);
    forwarder->closed = true;
    pthread_mutex_unlock(&forwarder->lock);
    wake(forwarder);
}
