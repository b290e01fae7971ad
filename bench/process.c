/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

void bench_die(const char *what) {
    fprintf(stderr, "pollen-bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void bench_pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set); /* One core only: both sides share it. */
}

bench_child bench_fork(void (*body)(int control, const void *arg), const void *arg) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        bench_die("socketpair");
    }
    fflush(NULL);
    const pid_t pid = fork();
    if (pid < 0) {
        bench_die("fork");
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* No process outlives the benchmark. */
        close(ends[0]);
        bench_pin(BENCH_CPU_CHILD);
        body(ends[1], arg);
        _exit(0);
    }
    close(ends[1]);
    bench_pin(BENCH_CPU_PARENT);
    return (bench_child){.pid = pid, .control = ends[0]};
}

void bench_reap(bench_child *child) {
    close(child->control);
    int status = 0;
    if (waitpid(child->pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "pollen-bench: the other side failed\n");
        exit(1);
    }
}

void bench_tell(int control, const void *bytes, size_t size) {
    if (send(control, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) {
        bench_die("the other side is gone");
    }
}

void bench_hear(int control, void *bytes, size_t size) {
    if (recv(control, bytes, size, 0) != (ssize_t)size) {
        bench_die("the other side is gone");
    }
}

bool bench_is_told(int control) {
    struct pollfd fd = {.fd = control, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

void bench_stop(int control) {
    const uint8_t word = 0;
    bench_tell(control, &word, sizeof word);
}

bool bench_stopped(int control) {
    uint8_t word;
    if (!bench_is_told(control)) {
        return false;
    }
    bench_hear(control, &word, sizeof word);
    return true;
}

static uint64_t read_clock(clockid_t id) {
    struct timespec ts;
    if (clock_gettime(id, &ts) != 0) {
        bench_die("clock");
    }
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t bench_now_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void) {
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_private_bytes(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    if (file == NULL) {
        bench_die("/proc/self/smaps_rollup");
    }
    char line[256];
    unsigned long kib = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Private_Dirty: %lu kB", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return (uint64_t)kib * 1024;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_percentile(double *values, size_t count, double percent) {
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof *values, compare);
    const double at = percent / 100 * (double)(count - 1);
    return values[(size_t)(at + 0.5)];
}
