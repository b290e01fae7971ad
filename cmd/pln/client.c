/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pln/home.h"
#include "pln/out.h"
#include "pln/stopper.h"
#include "run/clock.h"
#include "run/control.h"

/* A status of ten thousand peers is some 5 MB. */
enum { ANSWER_BYTES_MAX = 64 * 1024 * 1024 };
enum { ANSWER_BYTES_FIRST = 4096 };
enum { ASK_TIMEOUT_MS = 10000 }; /* For what a daemon answers at once. */

struct pln_client {
    int fd;
    pln_ts deadline; /* Of the next line. */
    char *bytes;
    size_t used;
    size_t cap;
};

static bool send_line(int fd, const char *line) {
    for (size_t left = strlen(line); left > 0;) {
        const ssize_t sent = send(fd, line, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        line += sent;
        left -= (size_t)sent;
    }
    return true;
}

static bool send_request(int fd, const pln_request *request) {
    json_t *object = pln_request_encode(request);
    char *line = object == NULL ? NULL : pln_json_line(object);
    json_decref(object);
    const bool ok = line != NULL && send_line(fd, line) && send_line(fd, "\n");
    free(line);
    return ok;
}

pln_exit pln_client_open(pln_cli *cli, const pln_request *request, pln_client **ret_client) {
    pln_exit code = pln_cli_socket(cli);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    int fd;
    const pollen_err err = pln_control_connect(cli->socket, &fd);
    if (err == POLLEN_EUNREACHABLE) {
        return pln_fail(cli, PLN_EXIT_UNREACHABLE, pln_home_start_hint(cli),
                        "%s: no daemon is running (%s)", cli->verb->name, cli->socket);
    }
    if (err != POLLEN_OK) {
        return pln_fail_err(cli, err, NULL, "%s: connecting to the daemon", cli->verb->name);
    }
    pln_client *client = calloc(1, sizeof *client);
    char *bytes = malloc(ANSWER_BYTES_FIRST);
    if (client == NULL || bytes == NULL || !send_request(fd, request)) {
        free(client);
        free(bytes);
        close(fd);
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "%s: the daemon hung up", cli->verb->name);
    }
    *client =
        (pln_client){.fd = fd, .bytes = bytes, .cap = ANSWER_BYTES_FIRST, .deadline = PLN_TS_NEVER};
    *ret_client = client;
    return PLN_EXIT_OK;
}

static bool grow(pln_client *client) {
    if (client->used < client->cap) {
        return true;
    }
    char *bytes = client->cap >= ANSWER_BYTES_MAX ? NULL : realloc(client->bytes, client->cap * 2);
    if (bytes == NULL) {
        return false;
    }
    client->bytes = bytes;
    client->cap *= 2;
    return true;
}

/* The size of the next line with its newline, 0 at the end, or one of these. */
enum { LINE_TOO_LONG = -1, LINE_STOPPED = -2, LINE_LATE = -3 };

static ssize_t next_line(pln_client *client) {
    size_t seen = 0;
    for (;;) {
        const char *end = memchr(client->bytes + seen, '\n', client->used - seen);
        if (end != NULL) {
            return end + 1 - client->bytes;
        }
        seen = client->used;
        if (!grow(client)) {
            return LINE_TOO_LONG;
        }
        struct pollfd fds[] = {{.fd = client->fd, .events = POLLIN},
                               {.fd = pln_stopper_fd(), .events = POLLIN}};
        const int left_ms = pln_clock_ms_until(client->deadline, pln_clock_mono());
        if (poll(fds, 2, left_ms) == 0) {
            return LINE_LATE;
        }
        if (pln_stopper_fired()) {
            return LINE_STOPPED;
        }
        const ssize_t got = recv(client->fd, client->bytes + client->used,
                                 client->cap - client->used, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (got <= 0) {
            return 0;
        }
        client->used += (size_t)got;
    }
}

/* An error of the daemon's becomes one of this command's. */
static pln_exit take_error(const pln_cli *cli, json_t *object) {
    const pln_exit code = pln_exit_parse(pln_json_text(object, "code", "FAIL"));
    const char *hint = json_string_value(json_object_get(object, "hint"));
    pln_fail(cli, code, hint, "%s", pln_json_text(object, "message", "the daemon gave no reason"));
    json_decref(object);
    return code;
}

pln_exit pln_client_next(pln_cli *cli, pln_client *client, json_t **ret_object) {
    *ret_object = NULL;
    const ssize_t size = next_line(client);
    if (size == LINE_STOPPED) {
        return PLN_EXIT_INT;
    }
    if (size == LINE_LATE) {
        return pln_fail(cli, PLN_EXIT_TIMEOUT, "pln logs", "%s: the daemon does not answer",
                        cli->verb->name);
    }
    if (size == 0) {
        return PLN_EXIT_OK;
    }
    json_t *object = size < 0 ? NULL : json_loadb(client->bytes, (size_t)size, 0, NULL);
    if (object == NULL) {
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "%s: the daemon's answer is not understood",
                        cli->verb->name);
    }
    client->used -= (size_t)size;
    memmove(client->bytes, client->bytes + size, client->used);
    if (strcmp(pln_json_text(object, "schema", ""), "pollen.error/1") == 0) {
        return take_error(cli, object);
    }
    *ret_object = object;
    return PLN_EXIT_OK;
}

void pln_client_limit(pln_client *client, int timeout_ms) {
    client->deadline = pln_clock_deadline(timeout_ms);
}

pln_exit pln_client_ask(pln_cli *cli, const pln_request *request, json_t **ret_object) {
    return pln_client_ask_within(cli, request, ASK_TIMEOUT_MS, ret_object);
}

pln_exit pln_client_ask_within(pln_cli *cli, const pln_request *request, int timeout_ms,
                               json_t **ret_object) {
    pln_client *client = NULL;
    pln_exit code = pln_client_open(cli, request, &client);
    if (code != PLN_EXIT_OK || client == NULL) {
        return code;
    }
    pln_client_limit(client, timeout_ms);
    code = pln_client_next(cli, client, ret_object);
    pln_client_close(client);
    if (code == PLN_EXIT_OK && *ret_object == NULL) {
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "%s: the daemon hung up", cli->verb->name);
    }
    return code;
}

pln_exit pln_client_show(pln_cli *cli, const pln_request *request, pln_client_print print) {
    json_t *object = NULL;
    const pln_exit code = pln_client_ask(cli, request, &object);
    if (code == PLN_EXIT_OK && cli->json) {
        pln_out_json(json_incref(object));
    } else if (code == PLN_EXIT_OK) {
        print(cli, request, object);
    }
    json_decref(object);
    return code;
}

bool pln_client_is_up(pln_cli *cli) {
    int fd;
    if (pln_cli_socket(cli) != PLN_EXIT_OK || pln_control_connect(cli->socket, &fd) != POLLEN_OK) {
        return false;
    }
    close(fd);
    return true;
}

int pln_client_fd(const pln_client *client) {
    return client->fd;
}

size_t pln_client_take_rest(pln_client *client, void *bytes, size_t cap) {
    const size_t size = client->used < cap ? client->used : cap;
    memcpy(bytes, client->bytes, size);
    client->used -= size;
    memmove(client->bytes, client->bytes + size, client->used);
    return size;
}

void pln_client_close(pln_client *client) {
    if (client != NULL) {
        close(client->fd);
        free(client->bytes);
        free(client);
    }
}
