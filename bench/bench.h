/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark's own small frame: two processes, one core each, and rows that are ratios against
 * something measured in the same run, because machines differ and are noisy.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BENCH_RUNS_MAX = 64 };

typedef struct bench_options {
    double seconds; /* Of one measurement. */
    int runs;       /* Of each row; the median counts. */
    int sessions;   /* Of the memory row. */
} bench_options;

/* One measured pair of numbers. */
typedef struct bench_sample {
    double ours;
    double against;
} bench_sample;

typedef struct bench_row {
    const char *name;
    const char *title;
    const char *unit;      /* Of ours and against. */
    const char *against;   /* What it is compared with; NULL for an absolute row. */
    double floor;          /* Of the ratio, or of the value when absolute. */
    double prototype;      /* What a plain prototype on the same libraries reached; 0: none. */
    bool higher_is_better; /* Of the ratio or value. */
    bool is_share;         /* Print the ratio as a percentage. */
    bool (*measure)(const bench_options *options,
                    bench_sample *ret); /* False: could not be measured. */
} bench_row;

extern const bench_row bench_rows[];
extern const size_t bench_row_count;

/* ---- Two processes --------------------------------------------------------------------------- */

/* The other side: its process, and a socket whose ends carry small messages between the two. */
typedef struct bench_child {
    pid_t pid;
    int control;
} bench_child;

enum { BENCH_CPU_CHILD = 1, BENCH_CPU_PARENT = 0 };

/* Forks; the child runs `body` pinned to its own core and exits.
 * Ends the program when it cannot. */
bench_child bench_fork(void (*body)(int control, const void *arg), const void *arg);
void bench_reap(bench_child *child); /* Hangs up and waits. */

/* Whole small messages over the control socket; the program ends when the other side is gone. */
void bench_tell(int control, const void *bytes, size_t size);
void bench_hear(int control, void *bytes, size_t size);
bool bench_is_told(int control); /* Something can be heard, or the other side hung up. */
void bench_stop(int control);    /* Tells the other side to stop measuring ... */
bool bench_stopped(int control); /* ... which it looks for, and hears once. */

void bench_pin(int cpu); /* Best effort: a machine may have one core. */
_Noreturn void bench_die(const char *what);

/* ---- Clocks and statistics ------------------------------------------------------------------- */

uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void);        /* Of this process. */
uint64_t bench_private_bytes(void); /* Dirty private memory of this process (smaps_rollup). */
double bench_percentile(double *values, size_t count, double percent); /* Sorts them. */

/* ---- Raw UDP, the yardstick ------------------------------------------------------------------ */

/* Bytes per second received when segments of this size are sent with GSO and received with GRO. */
bool bench_udp_throughput(size_t segment, double seconds, double *ret_bytes_per_second);

/* Median round trip in nanoseconds, both sides spinning. */
bool bench_udp_round_trip(size_t size, double seconds, double *ret_ns);

#endif
