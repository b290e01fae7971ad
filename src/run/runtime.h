/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mesh object.  Its fields are grouped by who may touch them; whatever is shared sits behind
 * the lock of its own part.  Locks are leaves, taken last and one at a time, but for two that are
 * taken before them: `turn` (of the loop, and of the port mapper), and a pollen_cancel's (wait.h).
 */
#ifndef PLN_RUN_RUNTIME_H
#define PLN_RUN_RUNTIME_H

#include <stdatomic.h>

#include "base/log.h"
#include "node/node.h"
#include "run/call.h"
#include "run/directory.h"
#include "run/eventq.h"
#include "run/inbox.h"
#include "run/ledger_writer.h"
#include "run/loop_epoll.h"
#include "run/nat_file.h"
#include "run/port_mapper.h"
#include "run/saver.h"
#include "run/sockets.h"
#include "run/stream.h"
#include "run/udp_linux.h"
#include "run/writer.h"

typedef enum pln_life { PLN_LIFE_OPEN, PLN_LIFE_CLOSING, PLN_LIFE_CLOSED } pln_life;

struct pollen_mesh {
    /* ---- Fixed after creation */
    pollen_key key;
    uint16_t port;
    bool external;
    bool may_spin; /* There is more than one CPU. */
    pln_log log;
    void (*log_line)(void *context, int level, const char *line);
    void *log_context;
    pln_hash_key hash_key;
    pthread_t thread;

    /* ---- The loop thread's alone (with an external loop: of whoever holds turn) */
    pln_now now; /* Sampled once a turn. */
    pln_node *node;
    pln_udp udp;
    pln_sockets sockets;
    pln_poller poller;
    pln_ledger_writer ledger;
    pln_nat_file nat_file;
    pln_saver saver;
    pln_cmd *backlog; /* Taken from the queue, not run yet. */
    pln_op last_op;
    pln_call *calls;
    pollen_stream *streams;
    atomic_size_t left_bytes; /* Kept for readers of ended streams, beyond the usual. */
    pln_link *blocked;        /* Links that the core had no room for. */
    pln_ts refreshed_at;
    pln_transmit held_run; /* Built and not yet taken by the socket. */
    size_t held_offset;
    bool holds_run;
    bool busy;         /* Work is left that nothing will wake us for. */
    unsigned activity; /* Datagrams of this turn, in and out. */
    unsigned spin_credit;
    bool stop;
    uint8_t run_bytes[PLN_TRANSMIT_BYTES];

    /* ---- Shared */
    pln_cmdq cmdq;
    pln_directory directory;
    pln_inbox inbox;
    pln_acceptq accepts;
    pln_eventq events;
    pln_writer writer;
    pln_port_mapper port_mapper;
    pthread_mutex_t turn;     /* External loop: held while a turn runs; taken before all others. */
    atomic_uintptr_t driver;  /* External loop: the thread that dispatched last. */
    atomic_uintptr_t owner;   /* The thread that is in a turn, for PLN_ASSERT_LOOP(). */
    _Atomic(pln_ts) deadline; /* When the core wants to be called next. */
    pln_cmd stop_cmd;
    pln_monitor life_monitor; /* Guards life and inside. */
    pln_life life;
    size_t inside; /* Waiting calls that have not returned. */
};

#if PLN_CHECK_THREADS
#include "base/assert.h"
#define PLN_ASSERT_LOOP(mesh) PLN_ASSERT(atomic_load(&(mesh)->owner) == (uintptr_t)pthread_self())
#else
#define PLN_ASSERT_LOOP(mesh) ((void)(mesh))
#endif

#endif
