/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Design notes.  One thread accepts; each client has a detached thread that runs its handler calls.
 * A client is reachable from outside only through the list, and leaves it, under the lock, before
 * its descriptor is closed: so stop() may shut down what it finds there.  stop() has no claim on
 * the threads themselves but waits until the list is empty, after which none touches the server any
 * more.
 */
#include "run/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/last_error.h"
#include "run/wake.h"

enum { BACKLOG = 16 };
enum { SEND_TIMEOUT_S = 10 }; /* A client that does not read is given up then. */
enum { ACCEPT_PAUSE_MS = 100 };
enum { REQUEST_TIMEOUT_MS = 30000 }; /* A client that asks nothing makes room for others. */

struct pln_control_client {
    pln_control *control;
    int fd;
    char *line; /* PLN_CONTROL_LINE_MAX + 1 bytes. */
    size_t used;
    pln_control_client *next;  /* guarded by control->lock */
    pln_control_client **link; /* guarded by control->lock: what points here */
};

struct pln_control {
    struct sockaddr_un addr;
    dev_t dev; /* Of the socket file that is ours to remove. */
    ino_t ino;
    int fd;
    int stop_fd;
    pln_control_handler handler;
    void *ctx;
    pthread_t acceptor;
    atomic_bool stopping;
    pthread_mutex_t lock;        /* Leaf lock. */
    pthread_cond_t changed;      /* The list shrank. */
    pln_control_client *clients; /* guarded by lock */
    size_t client_count;         /* guarded by lock */
};

/* ---- Replies --------------------------------------------------------------------------------- */

bool pln_send_all(int fd, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    while (size > 0) {
        const ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

pollen_err pln_control_reply(pln_control_client *client, const char *line, size_t size) {
    return pln_send_all(client->fd, line, size) && pln_send_all(client->fd, "\n", 1)
               ? POLLEN_OK
               : POLLEN_ECLOSED;
}

bool pln_control_client_gone(const pln_control_client *client) {
    struct pollfd pfd = {.fd = client->fd, .events = POLLRDHUP};
    return atomic_load(&client->control->stopping) ||
           (poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
}

int pln_control_client_fd(const pln_control_client *client) {
    const struct timeval no_limit = {0};
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &no_limit, sizeof no_limit);
    return client->fd;
}

/* ---- Clients --------------------------------------------------------------------------------- */

static bool is_welcome(int fd) {
    struct ucred cred;
    socklen_t size = sizeof cred;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0 && size == sizeof cred &&
           (cred.uid == 0 || cred.uid == geteuid());
}

/* Reads until there is a whole line; false at the end, on an over-long line, and when nothing
 * comes. */
static bool read_line(pln_control_client *client, size_t *ret_size) {
    for (;;) {
        const char *end = memchr(client->line, '\n', client->used);
        if (end != NULL) {
            *ret_size = (size_t)(end - client->line);
            return true;
        }
        struct pollfd pfd = {.fd = client->fd, .events = POLLIN};
        if (client->used == PLN_CONTROL_LINE_MAX || poll(&pfd, 1, REQUEST_TIMEOUT_MS) == 0) {
            return false;
        }
        const ssize_t got =
            recv(client->fd, client->line + client->used, PLN_CONTROL_LINE_MAX - client->used, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        client->used += (size_t)got;
    }
}

static void remove_client(pln_control_client *client) {
    pln_control *control = client->control;
    pthread_mutex_lock(&control->lock);
    *client->link = client->next;
    if (client->next != NULL) {
        client->next->link = client->link;
    }
    control->client_count--;
    close(client->fd);
    /* Under the lock: after it is released, stop() may free the server. */
    pthread_cond_broadcast(&control->changed);
    pthread_mutex_unlock(&control->lock);
    pln_free(client->line);
    pln_free(client);
}

static void *client_thread(void *arg) {
    pln_control_client *client = arg;
    size_t size;
    while (!atomic_load(&client->control->stopping) && read_line(client, &size)) {
        client->line[size] = '\0';
        client->control->handler(client->control->ctx, client, client->line);
        client->used -= size + 1;
        memmove(client->line, client->line + size + 1, client->used);
    }
    remove_client(client);
    return NULL;
}

static bool start_thread(pln_control_client *client) {
    pthread_t thread;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    const bool ok = pthread_create(&thread, &attr, client_thread, client) == 0;
    pthread_attr_destroy(&attr);
    return ok;
}

/* False when the client cannot be served; fd is then still the caller's. */
static bool add_client(pln_control *control, int fd) {
    pln_control_client *client = pln_calloc(1, sizeof *client);
    char *line = pln_malloc(PLN_CONTROL_LINE_MAX + 1);
    if (client == NULL || line == NULL) {
        pln_free(client);
        pln_free(line);
        return false;
    }
    *client = (pln_control_client){.control = control, .fd = fd, .line = line};
    pthread_mutex_lock(&control->lock);
    const bool ok = control->client_count < PLN_CONTROL_CLIENTS_MAX && start_thread(client);
    if (ok) {
        client->next = control->clients;
        client->link = &control->clients;
        if (client->next != NULL) {
            client->next->link = &client->next;
        }
        control->clients = client;
        control->client_count++;
    }
    pthread_mutex_unlock(&control->lock);
    if (!ok) {
        pln_free(line);
        pln_free(client);
    }
    return ok;
}

static void accept_one(pln_control *control) {
    const int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        /* Out of descriptors, the client stays pending and poll() would report it at once. */
        struct pollfd pfd = {.fd = control->stop_fd, .events = POLLIN};
        (void)poll(&pfd, 1, errno == EAGAIN ? 0 : ACCEPT_PAUSE_MS);
        return;
    }
    const struct timeval limit = {.tv_sec = SEND_TIMEOUT_S};
    if (!is_welcome(fd) || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        !add_client(control, fd)) {
        close(fd);
    }
}

static void *acceptor_thread(void *arg) {
    pln_control *control = arg;
    while (!atomic_load(&control->stopping)) {
        struct pollfd fds[] = {{.fd = control->fd, .events = POLLIN},
                               {.fd = control->stop_fd, .events = POLLIN}};
        if (poll(fds, 2, -1) > 0 && (fds[0].revents & POLLIN) != 0) {
            accept_one(control);
        }
    }
    return NULL;
}

/* ---- Start and stop -------------------------------------------------------------------------- */

static pollen_err fill_addr(const char *path, struct sockaddr_un *ret) {
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof ret->sun_path) {
        pln_last_error_set("%s: a socket's path has at most %zu bytes", path,
                           sizeof ret->sun_path - 1);
        return POLLEN_EINVAL;
    }
    memcpy(ret->sun_path, path, length);
    return POLLEN_OK;
}

static pollen_err fail_sys(const char *path, int error) {
    pln_last_error_set("%s: %s", path, pln_errno_text(error));
    return error == EACCES || error == EPERM || error == EROFS ? POLLEN_EPERM : POLLEN_ESYS;
}

/* Removes a socket on which nobody answers, and nothing else. */
static pollen_err clear_stale(const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? POLLEN_OK : fail_sys(path, errno);
    }
    if (!S_ISSOCK(st.st_mode)) {
        pln_last_error_set("%s: exists and is not a socket", path);
        return POLLEN_ESYS;
    }
    int fd;
    const pollen_err err = pln_control_connect(path, &fd);
    if (err == POLLEN_OK) {
        close(fd);
        pln_last_error_set("%s: another daemon answers", path);
        return POLLEN_EBUSY;
    }
    if (err != POLLEN_EUNREACHABLE) {
        return err;
    }
    return unlink(path) == 0 || errno == ENOENT ? POLLEN_OK : fail_sys(path, errno);
}

static pollen_err listen_at(pln_control *control, const char *path) {
    pollen_err err = clear_stale(path);
    if (err != POLLEN_OK) {
        return err;
    }
    struct stat st;
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Before bind(), which gives the file the mode of the socket: there is no moment of a wider
     * one. */
    if (control->fd < 0 || fchmod(control->fd, 0600) != 0 ||
        bind(control->fd, (const struct sockaddr *)&control->addr, sizeof control->addr) != 0 ||
        listen(control->fd, BACKLOG) != 0 || lstat(path, &st) != 0) {
        return fail_sys(path, errno);
    }
    control->dev = st.st_dev;
    control->ino = st.st_ino;
    return POLLEN_OK;
}

static void destroy(pln_control *control) {
    if (control->fd >= 0) {
        close(control->fd);
    }
    if (control->stop_fd >= 0) {
        close(control->stop_fd);
    }
    pthread_cond_destroy(&control->changed);
    pthread_mutex_destroy(&control->lock);
    pln_free(control);
}

pollen_err pln_control_start(const char *path, pln_control_handler handler, void *ctx,
                             pln_control **ret) {
    struct sockaddr_un addr;
    pollen_err err = fill_addr(path, &addr);
    if (err != POLLEN_OK) {
        return err;
    }
    pln_control *control = pln_calloc(1, sizeof *control);
    if (control == NULL) {
        return POLLEN_ENOMEM;
    }
    control->addr = addr;
    control->handler = handler;
    control->ctx = ctx;
    control->fd = -1;
    pthread_mutex_init(&control->lock, NULL);
    pthread_cond_init(&control->changed, NULL);
    control->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (control->stop_fd < 0) {
        err = fail_sys("eventfd", errno);
        goto err_control;
    }
    err = listen_at(control, path);
    if (err != POLLEN_OK) {
        goto err_control;
    }
    const int error = pthread_create(&control->acceptor, NULL, acceptor_thread, control);
    if (error != 0) {
        err = fail_sys("thread", error);
        unlink(path);
        goto err_control;
    }
    *ret = control;
    return POLLEN_OK;

err_control:
    destroy(control);
    return err;
}

static void remove_socket(const pln_control *control) {
    struct stat st;
    if (lstat(control->addr.sun_path, &st) == 0 && st.st_dev == control->dev &&
        st.st_ino == control->ino) {
        unlink(control->addr.sun_path);
    }
}

void pln_control_stop(pln_control *control) {
    if (control == NULL) {
        return;
    }
    atomic_store(&control->stopping, true);
    pln_wake(control->stop_fd);
    pthread_join(control->acceptor, NULL);
    remove_socket(control);
    pthread_mutex_lock(&control->lock);
    for (pln_control_client *client = control->clients; client != NULL; client = client->next) {
        shutdown(client->fd, SHUT_RDWR);
    }
    while (control->clients != NULL) {
        pthread_cond_wait(&control->changed, &control->lock);
    }
    pthread_mutex_unlock(&control->lock);
    destroy(control);
}

/* ---- The other side -------------------------------------------------------------------------- */

pollen_err pln_control_connect(const char *path, int *ret_fd) {
    struct sockaddr_un addr;
    const pollen_err err = fill_addr(path, &addr);
    if (err != POLLEN_OK) {
        return err;
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_sys(path, errno);
    }
    int result;
    do {
        result = connect(fd, (const struct sockaddr *)&addr, sizeof addr);
    } while (result != 0 && errno == EINTR);
    if (result == 0) {
        *ret_fd = fd;
        return POLLEN_OK;
    }
    const int error = errno;
    close(fd);
    if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) {
        pln_last_error_set("%s: %s", path,
                           error == ECONNREFUSED ? "nobody listens" : pln_errno_text(error));
        return POLLEN_EUNREACHABLE;
    }
    return fail_sys(path, error);
}
