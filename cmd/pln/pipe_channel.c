/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/pipe_channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "pln/home.h"
#include "pln/stopper.h"
#include "run/clock.h"

#define CLOSE_TIMEOUT_MS 5000 /* For the other's close, once all has arrived. */

/* ---- Over a stream --------------------------------------------------------------------------- */

static pollen_err stream_read(void *ctx, void *bytes, size_t size, size_t *ret_size) {
    pln_pipe_channel *channel = ctx;
    return pollen_stream_read(channel->stream, bytes, size, atomic_load(&channel->timeout_ms),
                              pln_stopper_cancel(), ret_size);
}

static pollen_err stream_write(void *ctx, const void *bytes, size_t size) {
    pln_pipe_channel *channel = ctx;
    return pollen_stream_write(channel->stream, bytes, size, -1, pln_stopper_cancel(), NULL);
}

static void stream_close_write(void *ctx) {
    pln_pipe_channel *channel = ctx;
    atomic_store(&channel->timeout_ms, CLOSE_TIMEOUT_MS);
    if (pollen_stream_close_write(channel->stream) != POLLEN_OK) {
        return; /* The other side went first, knowing that all has arrived. */
    }
}

static void stream_reset(void *ctx) {
    pln_pipe_channel *channel = ctx;
    pollen_stream_reset(channel->stream, POLLEN_STREAM_CLOSED);
}

/* ---- Over the control connection ------------------------------------------------------------- */

static pollen_err client_read(void *ctx, void *bytes, size_t size, size_t *ret_size) {
    pln_pipe_channel *channel = ctx;
    *ret_size = pln_client_take_rest(channel->client, bytes, size);
    ssize_t got = (ssize_t)*ret_size;
    while (got == 0) {
        got = recv(pln_client_fd(channel->client), bytes, size, 0);
        if (got < 0 && errno == EINTR) {
            got = 0;
            continue;
        }
        break;
    }
    *ret_size = got > 0 ? (size_t)got : 0;
    return got >= 0 ? POLLEN_OK : POLLEN_ENOTCONN;
}

static pollen_err client_write(void *ctx, const void *bytes, size_t size) {
    pln_pipe_channel *channel = ctx;
    const char *at = bytes;
    while (size > 0) {
        const ssize_t sent = send(pln_client_fd(channel->client), at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return POLLEN_ENOTCONN;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return POLLEN_OK;
}

static void client_close_write(void *ctx) {
    pln_pipe_channel *channel = ctx;
    const struct timeval limit = {.tv_sec = CLOSE_TIMEOUT_MS / 1000};
    const int fd = pln_client_fd(channel->client);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)shutdown(fd, SHUT_WR);
}

static void client_reset(void *ctx) {
    pln_pipe_channel *channel = ctx;
    (void)shutdown(pln_client_fd(channel->client), SHUT_RDWR);
}

pln_channel pln_pipe_channel_ops(pln_pipe_channel *channel) {
    if (channel->stream != NULL) {
        return (pln_channel){stream_read, stream_write, stream_close_write, stream_reset, channel};
    }
    return (pln_channel){client_read, client_write, client_close_write, client_reset, channel};
}

const char *pln_pipe_channel_detail(const pln_pipe_channel *channel) {
    if (channel->stream == NULL) {
        return NULL;
    }
    return pollen_stream_reset_code(channel->stream) == PLN_PIPE_BUSY
               ? "the listener serves somebody else"
               : NULL;
}

void pln_pipe_channel_close(pln_pipe_channel *channel) {
    if (channel->refuser_cancel != NULL) {
        pollen_cancel_fire(channel->refuser_cancel);
        pthread_join(channel->refuser, NULL);
        pollen_cancel_destroy(channel->refuser_cancel);
    }
    pollen_stream_close(channel->stream);
    pln_client_close(channel->client);
}

/* ---- A node in memory ------------------------------------------------------------------------ */

static pollen_err create_mesh(const pollen_seed *root, uint16_t port, pollen_mesh **ret) {
    pollen_seed seed;
    pollen_credentials *credentials = NULL;
    pollen_mesh_config config;
    pollen_err err = pollen_seed_generate(&seed);
    if (err == POLLEN_OK) {
        err = pollen_credentials_create(&seed, &credentials);
    }
    pollen_seed_wipe(&seed);
    if (err == POLLEN_OK) {
        err = pollen_credentials_create_cluster(credentials, root);
    }
    if (err == POLLEN_OK) {
        pollen_mesh_config_init(&config);
        config.credentials = credentials;
        config.port = port;
        err = pollen_mesh_create(&config, ret);
    }
    pollen_credentials_destroy(credentials);
    return err;
}

void pln_pipe_node_close(pln_pipe_node *node) {
    pollen_mesh_destroy(node->mesh);
    pln_ticket_wipe(&node->ticket);
}

static void add_loopback(pln_ticket *ticket) {
    static const uint8_t ip[4] = {127, 0, 0, 1};
    ticket->addrs[ticket->addr_count++] = pln_addr_ipv4(ip, 1);
}

static void fill_addrs(const pln_pipe_terms *terms, uint16_t port, pln_ticket *ticket) {
    const size_t cap = PLN_TICKET_ADDRS_MAX - (terms->loopback ? 1 : 0);
    if (terms->ip_count > 0) {
        ticket->addr_count = terms->ip_count < cap ? terms->ip_count : cap;
        memcpy(ticket->addrs, terms->ips, ticket->addr_count * sizeof ticket->addrs[0]);
    } else {
        const size_t count = pollen_advertisable_addrs(ticket->addrs, cap);
        ticket->addr_count = count < cap ? count : cap;
    }
    if (terms->loopback || ticket->addr_count == 0) {
        add_loopback(ticket);
    }
    for (size_t i = 0; i < ticket->addr_count; i++) {
        ticket->addrs[i].port = port;
    }
}

pln_exit pln_pipe_node_listen(pln_cli *cli, const pln_pipe_terms *terms, pln_pipe_node *ret,
                              char *ticket) {
    pln_pipe_node node = {0};
    pollen_err err = pollen_seed_generate(&node.ticket.root);
    if (err == POLLEN_OK) {
        err = create_mesh(&node.ticket.root, (uint16_t)terms->udp_port, &node.mesh);
    }
    if (err != POLLEN_OK) {
        pln_ticket_wipe(&node.ticket);
        return pln_fail_err(cli, err, NULL, "pipe listen");
    }
    node.ticket.listener = pollen_mesh_key(node.mesh);
    fill_addrs(terms, pollen_mesh_listen_port(node.mesh), &node.ticket);
    pln_ticket_format(&node.ticket, ticket);
    *ret = node;
    return PLN_EXIT_OK;
}

/* Tells everybody else at once, rather than letting them wait. */
static void *refuse_others(void *arg) {
    pln_pipe_channel *channel = arg;
    pollen_stream *stream;
    while (pollen_mesh_accept_stream(channel->mesh, -1, channel->refuser_cancel, &stream) ==
           POLLEN_OK) {
        pollen_stream_reset(stream, PLN_PIPE_BUSY);
        pollen_stream_close(stream);
    }
    return NULL;
}

static void start_refuser(pln_pipe_channel *channel, pollen_mesh *mesh) {
    channel->mesh = mesh;
    if (pollen_cancel_create(&channel->refuser_cancel) != POLLEN_OK) {
        channel->refuser_cancel = NULL; /* Others wait then, and time out. */
    } else if (pthread_create(&channel->refuser, NULL, refuse_others, channel) != 0) {
        pollen_cancel_destroy(channel->refuser_cancel);
        channel->refuser_cancel = NULL;
    }
}

pln_exit pln_pipe_node_accept(pln_cli *cli, pln_pipe_node *node, const pln_pipe_terms *terms,
                              pln_pipe_channel *ret) {
    const pln_ts deadline = pln_clock_deadline((int)terms->timeout_ms);
    memset(ret, 0, sizeof *ret);
    for (;;) {
        pollen_stream *stream;
        const pollen_err err =
            pollen_mesh_accept_stream(node->mesh, pln_clock_ms_until(deadline, pln_clock_mono()),
                                      pln_stopper_cancel(), &stream);
        if (pln_stopper_fired()) {
            return PLN_EXIT_INT;
        }
        if (err == POLLEN_ETIMEDOUT) {
            return pln_fail(cli, PLN_EXIT_TIMEOUT, NULL, "pipe listen: nobody came");
        }
        if (err != POLLEN_OK) {
            return pln_fail_err(cli, err, NULL, "pipe listen: waiting for the other side");
        }
        if (pollen_stream_port(stream) == PLN_PIPE_PORT) {
            ret->stream = stream;
            atomic_store(&ret->timeout_ms, -1);
            start_refuser(ret, node->mesh);
            return PLN_EXIT_OK;
        }
        pollen_stream_reset(stream, POLLEN_STREAM_REFUSED);
        pollen_stream_close(stream);
    }
}

static pln_exit fail_ticket(const pln_cli *cli, pollen_err err) {
    if (err == POLLEN_EVERSION) {
        return pln_fail(cli, PLN_EXIT_PROTO, "use the same version of pln on both sides",
                        "pipe connect: the ticket is of a later version");
    }
    return pln_fail(cli, PLN_EXIT_USAGE, "copy the whole ticket, as `pln pipe listen` printed it",
                    "pipe connect: this is not a ticket, or not all of it");
}

static pollen_err dial(const pln_pipe_terms *terms, pln_pipe_node *node,
                       pln_pipe_channel *channel) {
    const pln_ticket *ticket = &node->ticket;
    const pln_ts deadline = pln_clock_deadline((int)terms->timeout_ms);
    pollen_err err = create_mesh(&ticket->root, 0, &node->mesh);
    if (err == POLLEN_OK) {
        err = pollen_mesh_connect(node->mesh, &ticket->listener, ticket->addrs, ticket->addr_count,
                                  (int)terms->timeout_ms, pln_stopper_cancel());
    }
    if (err == POLLEN_OK) {
        err = pollen_mesh_open_stream(node->mesh, &ticket->listener, PLN_PIPE_PORT,
                                      pln_clock_ms_until(deadline, pln_clock_mono()),
                                      pln_stopper_cancel(), &channel->stream);
    }
    return err;
}

pln_exit pln_pipe_node_connect(pln_cli *cli, const pln_pipe_terms *terms, const char *ticket,
                               pln_pipe_node *ret_node, pln_pipe_channel *ret) {
    pln_pipe_node node = {0};
    memset(ret, 0, sizeof *ret);
    pollen_err err = pln_ticket_parse(ticket, &node.ticket);
    if (err != POLLEN_OK) {
        return fail_ticket(cli, err);
    }
    atomic_store(&ret->timeout_ms, -1);
    err = dial(terms, &node, ret);
    if (err == POLLEN_OK) {
        *ret_node = node;
        return PLN_EXIT_OK;
    }
    pln_pipe_node_close(&node);
    return pln_stopper_fired()
               ? PLN_EXIT_INT
               : pln_fail_err(cli, err, "does `pln pipe listen` still wait on the other side?",
                              "pipe connect: reaching the listener");
}

/* ---- Through the daemon ---------------------------------------------------------------------- */

pln_exit pln_pipe_daemon_open(pln_cli *cli, const pln_request *request, pln_pipe_channel *ret) {
    json_t *object = NULL;
    memset(ret, 0, sizeof *ret);
    pln_exit code = pln_client_open(cli, request, &ret->client);
    if (code == PLN_EXIT_OK) {
        code = pln_client_next(cli, ret->client, &object);
    }
    if (code == PLN_EXIT_OK && object == NULL) {
        code = pln_fail(cli, PLN_EXIT_FAIL, NULL, "%s: the daemon hung up", cli->verb->name);
    }
    json_decref(object);
    if (code != PLN_EXIT_OK) {
        pln_client_close(ret->client);
        ret->client = NULL;
    }
    return code;
}
