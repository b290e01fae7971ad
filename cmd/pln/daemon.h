/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: a mesh over a state directory, driven through the control socket.
 *
 * Threads.  The mesh has its own loop.  Beside it run: the watcher (events to log and board), the
 * keeper (bootstrap peers), the renewer (our certificate), the acceptor (streams to whoever waits
 * for their port, or to what is served), the forwarder (TCP connections that are carried to peers)
 * and one thread for each control client.  All of them reach the mesh between pln_daemon_enter()
 * and pln_daemon_leave(), because joining another cluster replaces it; tunnels are waited for
 * before their mesh goes.
 */
#ifndef PLN_CMD_DAEMON_H
#define PLN_CMD_DAEMON_H

#include <pthread.h>
#include <stdatomic.h>

#include <pollen/pollen.h>

#include "pln/bench_server.h"
#include "pln/board.h"
#include "pln/cli.h"
#include "pln/forwarder.h"
#include "pln/logfile.h"
#include "pln/provider.h"
#include "pln/streams.h"
#include "run/control.h"

enum { PLN_DAEMON_ADDRS_MAX = 32 };

/* Whether the router is asked to forward our port. */
typedef enum pln_daemon_mapping {
    PLN_DAEMON_MAPPING_AS_CONFIGURED,
    PLN_DAEMON_MAPPING_ON,
    PLN_DAEMON_MAPPING_OFF,
} pln_daemon_mapping;

typedef struct pln_daemon_options {
    uint16_t port;                         /* 0: any. */
    pollen_addr ips[PLN_DAEMON_ADDRS_MAX]; /* Instead of those of the interfaces; port 0. */
    size_t ip_count;
    pln_daemon_mapping mapping;
    pln_log_level log_level;
    bool log_to_stderr;
} pln_daemon_options;

typedef struct pln_daemon {
    pln_daemon_options options;
    char dir[PLN_CLI_PATH_BYTES];
    char socket[PLN_CLI_PATH_BYTES];
    pln_logfile log;
    pln_board board;
    pln_streams streams;
    pln_tunnels tunnels;
    pln_provider provider;
    pln_forwarder forwarder;
    pln_bench_server benches;
    int lock_fd;
    int stop_fd; /* Readable once the daemon is to end. */
    atomic_bool stopping;
    int64_t started_at;                        /* Unix seconds. */
    atomic_ullong ends[POLLEN_END_DENIED + 1]; /* Sessions that ended, by reason. */

    pthread_rwlock_t mesh_lock; /* After reload_lock, before every other. */
    pollen_mesh *mesh;          /* guarded by mesh_lock; NULL while there is none */
    atomic_bool mesh_closing;   /* Whoever stays long inside is to leave. */

    pthread_mutex_t reload_lock; /* One reload at a time, and none beside the end. */
    pthread_mutex_t keeper_lock;
    pthread_cond_t keeper_wake; /* On the monotonic clock. */
    bool keeper_reload;         /* guarded by keeper_lock */

    pln_control *control;
    pthread_t threads[5]; /* Watcher, keeper, renewer, acceptor, forwarder. */
    int thread_count;     /* How many of them run. */
} pln_daemon;

/*
 * Starts everything; when it returns the node listens and the control socket answers.  Errors are
 * reported through cli, and nothing is left running then.
 */
POLLEN_MUST_USE pln_exit pln_daemon_start(pln_daemon *daemon, pln_cli *cli,
                                          const pln_daemon_options *options);

/* Closes every session with a reason the peers see, and undoes the start. */
void pln_daemon_stop(pln_daemon *daemon);

/* Makes stop_fd readable. */
void pln_daemon_request_stop(pln_daemon *daemon);

/* NULL while there is no mesh; pln_daemon_leave() is due in either case. */
pollen_mesh *pln_daemon_enter(pln_daemon *daemon);
void pln_daemon_leave(pln_daemon *daemon);

/* Reads credentials and configuration from disk again.  *ret_why, when it fails, says why.
 * Errors: those of pollen_credentials_load(), pollen_mesh_update_cert(), pollen_mesh_create() */
enum { PLN_DAEMON_WHY_BYTES = 512 };
POLLEN_MUST_USE pollen_err pln_daemon_reload(pln_daemon *daemon, char *why);

/* Where peers may find us: --ips or the interfaces, with our port.  Returns how many. */
size_t pln_daemon_addrs(const pln_daemon *daemon, pollen_mesh *mesh, pollen_addr *addrs,
                        size_t cap);

/* Runs on the threads of the control clients. */
void pln_daemon_handle(void *daemon, pln_control_client *client, const char *line);

/* The threads' functions; they take the pln_daemon. */
void *pln_watcher_run(void *daemon);
void *pln_keeper_run(void *daemon);
void *pln_renewer_run(void *daemon);
void *pln_acceptor_run(void *daemon);

#endif
