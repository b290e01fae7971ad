/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node in a process of its own, so that it can be stopped or killed as a whole.  It is forked
 * before the test has a thread, and starts when it is told to.
 */
#ifndef TESTS_SUPPORT_API_CHILD_H
#define TESTS_SUPPORT_API_CHILD_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/api_rig.h"

typedef struct child {
    pid_t pid;
    int order; /* It is told its port here, */
    int ready; /* and tells here the one that it got. */
} child;

static inline void child_run(const pollen_credentials *creds, int order, int ready) {
    pollen_mesh_config config;
    pollen_mesh *mesh;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    pollen_mesh_config_init(&config);
    config.credentials = creds;
    if (read(order, &config.port, sizeof(config.port)) == (ssize_t)sizeof(config.port) &&
        pollen_mesh_create(&config, &mesh) == POLLEN_OK) {
        const uint16_t port = pollen_mesh_listen_port(mesh);
        if (write(ready, &port, sizeof(port)) == (ssize_t)sizeof(port)) {
            for (;;) {
                (void)pause();
            }
        }
    }
    _exit(1);
}

static inline child child_fork(const pollen_credentials *creds) {
    int order[2], ready[2];
    assert_int_equal(pipe(order), 0);
    assert_int_equal(pipe(ready), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(order[1]); /* Else it would not see the end of a test that was killed. */
        child_run(creds, order[0], ready[1]);
    }
    close(order[0]);
    close(ready[1]);
    return (child){.pid = pid, .order = order[1], .ready = ready[0]};
}

/* With this port, 0 for any. */
static inline pollen_addr child_start(const child *c, uint16_t port) {
    assert_int_equal(write(c->order, &port, sizeof(port)), sizeof(port));
    assert_int_equal(read(c->ready, &port, sizeof(port)), sizeof(port));
    close(c->order);
    close(c->ready);
    return rig_loopback(port);
}

static inline void child_stop(const child *c) {
    int status;
    assert_int_equal(kill(c->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(c->pid, &status, WUNTRACED), c->pid);
    assert_true(WIFSTOPPED(status));
}

static inline void child_end(const child *c) {
    assert_int_equal(kill(c->pid, SIGKILL), 0);
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
}

#endif
