/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's process.  With --detach it splits before any thread exists: the child becomes the
 * daemon, says itself what it has to say while it starts, and hands its exit code to the parent
 * through a pipe; so the command says and returns the same as if it had stayed in the foreground.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pln/daemon.h"
#include "pln/notify.h"
#include "pln/verbs.h"
#include "run/files.h"
#include "run/last_error.h"

static const pln_opt opts[] = {
    {"port", 0, "N", "UDP port to listen on; 0 takes any (default: 60611)"},
    {"ips", 0, "A,B", "advertise these addresses instead of the interfaces'"},
    {"port-mapping", 0, "HOW", "ask the router to forward the port: pcp (NAT-PMP too) or off"},
    {"detach", 'd', NULL, "return once the node listens; the log is in DIR/pln.log"},
    {"log-level", 0, "LEVEL", "error, warn, info or debug (default: info)"},
    {0},
};

/* ---- Options ------------------------------------------------------------------------------------
 * */

static pln_exit parse_mapping(pln_cli *cli, pln_daemon_mapping *ret) {
    const char *how = pln_cli_text(cli, "port-mapping");
    if (how == NULL) {
        return PLN_EXIT_OK;
    }
    *ret = strcmp(how, "pcp") == 0 ? PLN_DAEMON_MAPPING_ON : PLN_DAEMON_MAPPING_OFF;
    return *ret == PLN_DAEMON_MAPPING_ON || strcmp(how, "off") == 0
               ? PLN_EXIT_OK
               : pln_fail(cli, PLN_EXIT_USAGE, NULL, "--port-mapping '%s': expected pcp or off",
                          how);
}

static pln_exit parse_options(pln_cli *cli, pln_daemon_options *ret) {
    pln_daemon_options options = {.log_level = PLN_LOG_INFO, .log_to_stderr = true};
    int64_t port = POLLEN_PORT_DEFAULT;
    const char *level = pln_cli_text(cli, "log-level");
    pln_exit code = pln_cli_number(cli, "port", 0, UINT16_MAX, &port);
    if (code == PLN_EXIT_OK) {
        code = pln_cli_ips(cli, options.ips, PLN_DAEMON_ADDRS_MAX, &options.ip_count);
    }
    if (code == PLN_EXIT_OK && level != NULL && !pln_log_level_parse(level, &options.log_level)) {
        code = pln_fail(cli, PLN_EXIT_USAGE, NULL,
                        "--log-level '%s': expected error, warn, info or debug", level);
    }
    if (code == PLN_EXIT_OK) {
        code = parse_mapping(cli, &options.mapping);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_socket(cli);
    }
    if (code == PLN_EXIT_OK) {
        code = pln_cli_dir(cli);
    }
    options.port = (uint16_t)port;
    *ret = options;
    return code;
}

/* ---- Detaching ----------------------------------------------------------------------------------
 * */

/* One byte, the exit code, once the child is up or has failed; it writes its messages itself. */
static pln_exit wait_for_child(const pln_cli *cli, int fd) {
    unsigned char code = PLN_EXIT_FAIL;
    ssize_t got;
    do {
        got = read(fd, &code, 1);
    } while (got < 0 && errno == EINTR);
    close(fd);
    return got == 1 ? (pln_exit)code
                    : pln_fail(cli, PLN_EXIT_FAIL, NULL, "up: the daemon died while it started");
}

/* Returns 0 in the child, with *ret_fd to report to; the child's id in the parent; -1 on failure.
 * */
static pid_t split(int *ret_fd) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return -1;
    }
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return -1;
    }
    close(fds[pid == 0 ? 0 : 1]);
    *ret_fd = fds[pid == 0 ? 1 : 0];
    if (pid == 0) {
        (void)setsid();
    }
    return pid;
}

/* In the child: lets go of the terminal, whose reader may wait for the end of our output. */
static void report_to_parent(int fd, pln_exit code) {
    const unsigned char byte = (unsigned char)code;
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    fflush(NULL);
    for (int to = STDIN_FILENO; null >= 0 && to <= STDERR_FILENO; to++) {
        (void)dup2(null, to);
    }
    if (null > STDERR_FILENO) {
        close(null);
    }
    while (write(fd, &byte, 1) < 0 && errno == EINTR) {
    }
    close(fd);
}

/* ---- Running ------------------------------------------------------------------------------------
 * */

/* Before the first thread, so that all of them inherit it. */
static int take_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A mesh that no longer answers must not look alive. */
static void feed_watchdog(pln_daemon *daemon) {
    pollen_mesh *mesh = pln_daemon_enter(daemon);
    if (mesh != NULL) {
        (void)pollen_mesh_connected_peers(mesh, NULL, 0);
    }
    pln_daemon_leave(daemon);
    pln_notify("WATCHDOG=1");
}

/* True when the signal asks to stop.  SIGHUP asks to read the configuration again, unless it comes
 * from a terminal that was closed. */
static bool handle_signal(pln_daemon *daemon, int fd) {
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return false;
    }
    if (info.ssi_signo != SIGHUP || isatty(STDERR_FILENO) == 1) {
        return true;
    }
    char why[PLN_DAEMON_WHY_BYTES];
    if (pln_daemon_reload(daemon, why) != POLLEN_OK) {
        pln_logfile_printf(&daemon->log, PLN_LOG_ERROR, "reload: %s", why);
    }
    return false;
}

static void run_until_stopped(pln_daemon *daemon, int signal_fd) {
    const int64_t watchdog_ms = pln_notify_watchdog_ms();
    bool stop = false;
    while (!stop) {
        struct pollfd fds[] = {{.fd = daemon->stop_fd, .events = POLLIN},
                               {.fd = signal_fd, .events = POLLIN}};
        const int ready = poll(fds, 2, (int)watchdog_ms);
        if (watchdog_ms > 0) {
            feed_watchdog(daemon);
        }
        stop = ready > 0 && fds[0].revents != 0;
        if (ready > 0 && fds[1].revents != 0 && handle_signal(daemon, signal_fd)) {
            stop = true;
        }
    }
}

static void announce(pln_daemon *daemon) {
    char id[POLLEN_KEY_HEX_BYTES];
    pollen_mesh *mesh = pln_daemon_enter(daemon);
    const pollen_key key = pollen_mesh_key(mesh);
    pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "node %s listens on UDP port %u",
                       pollen_key_hex(&key, id), (unsigned)pollen_mesh_listen_port(mesh));
    pln_daemon_leave(daemon);
}

static pln_exit serve(pln_cli *cli, const pln_daemon_options *options, int parent_fd) {
    static pln_daemon daemon; /* Large, and one a process. */
    const int signal_fd = take_signals();
    const pln_exit code = pln_daemon_start(&daemon, cli, options);
    if (code == PLN_EXIT_OK) {
        announce(&daemon);
    }
    if (parent_fd >= 0) {
        report_to_parent(parent_fd, code);
    }
    if (code == PLN_EXIT_OK) {
        pln_notify("READY=1");
        run_until_stopped(&daemon, signal_fd);
        pln_notify("STOPPING=1");
        pln_daemon_stop(&daemon);
    }
    close(signal_fd);
    return code;
}

static pln_exit run(pln_cli *cli) {
    pln_daemon_options options;
    const pln_exit code = parse_options(cli, &options);
    if (code != PLN_EXIT_OK) {
        return code;
    }
    const pollen_err err = pln_dir_ensure(cli->dir, 0700);
    if (err != POLLEN_OK) {
        return pln_fail_err(cli, err, NULL, "creating %s", cli->dir);
    }
    (void)umask(077);
    if (!pln_cli_has(cli, "detach")) {
        return serve(cli, &options, -1);
    }
    int fd;
    const pid_t pid = split(&fd);
    if (pid < 0) {
        return pln_fail(cli, PLN_EXIT_FAIL, NULL, "up: %s", pln_errno_text(errno));
    }
    if (pid > 0) {
        return wait_for_child(cli, fd);
    }
    options.log_to_stderr = false;
    return serve(cli, &options, fd);
}

const pln_verb pln_verb_up = {
    .name = "up",
    .run = run,
    .summary = "run the node",
    .opts = opts,
    .help = "Stays in the foreground, unless told to detach.  SIGTERM and SIGINT close every\n"
            "session and end it, SIGHUP makes it read its files again.  Where nothing is set up\n"
            "yet, it makes a new cluster with this node as its root.\n",
};
