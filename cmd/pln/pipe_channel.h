/* SPDX-License-Identifier: Apache-2.0 */
/* What a pipe runs over: a stream of a node in memory, or one through the daemon. */
#ifndef PLN_CMD_PIPE_CHANNEL_H
#define PLN_CMD_PIPE_CHANNEL_H

#include <pthread.h>
#include <stdatomic.h>

#include <pollen/pollen.h>

#include "pln/cli.h"
#include "pln/client.h"
#include "pln/pipe.h"
#include "pln/ticket.h"

typedef struct pln_pipe_terms {
    int64_t port;       /* Of the stream, through the daemon; 0: a node in memory. */
    int64_t udp_port;   /* Of a node in memory. */
    int64_t timeout_ms; /* Negative: for ever. */
    pollen_addr ips[PLN_TICKET_ADDRS_MAX];
    size_t ip_count;
    bool keep;
    bool loopback;
} pln_pipe_terms;

/* A node in memory. */
typedef struct pln_pipe_node {
    pollen_mesh *mesh;
    pln_ticket ticket;
} pln_pipe_node;

typedef struct pln_pipe_channel {
    pollen_stream *stream; /* NULL: through the daemon. */
    pln_client *client;
    pthread_t refuser; /* Turns others away while this one runs. */
    pollen_cancel *refuser_cancel;
    pollen_mesh *mesh;
    atomic_int timeout_ms; /* Of a read: bounded once we only wait for the other's close. */
} pln_pipe_channel;

/* Each reports its own error. */
POLLEN_MUST_USE pln_exit pln_pipe_node_listen(pln_cli *cli, const pln_pipe_terms *terms,
                                              pln_pipe_node *ret, char *ticket);
POLLEN_MUST_USE pln_exit pln_pipe_node_accept(pln_cli *cli, pln_pipe_node *node,
                                              const pln_pipe_terms *terms, pln_pipe_channel *ret);
POLLEN_MUST_USE pln_exit pln_pipe_node_connect(pln_cli *cli, const pln_pipe_terms *terms,
                                               const char *ticket, pln_pipe_node *ret_node,
                                               pln_pipe_channel *ret);
POLLEN_MUST_USE pln_exit pln_pipe_daemon_open(pln_cli *cli, const pln_request *request,
                                              pln_pipe_channel *ret);
void pln_pipe_node_close(pln_pipe_node *node);

/* Owner: borrows the channel. */
pln_channel pln_pipe_channel_ops(pln_pipe_channel *channel);

/* Why the other side gave up, where it said so, or NULL. */
const char *pln_pipe_channel_detail(const pln_pipe_channel *channel);
void pln_pipe_channel_close(pln_pipe_channel *channel);

#endif
