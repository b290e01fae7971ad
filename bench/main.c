/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pollen-bench: every figure is a ratio against something measured in the same run.
 *
 *   pollen-bench [--json] [--runs N] [--seconds S] [--sessions N] [ROW ...]
 */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "rows.h"

/* clang-format off */
const bench_row bench_rows[] = {
    {.name = "stream", .title = "one stream", .unit = "Gbit/s",
     .against = "raw UDP, GSO/GRO, 1,444 bytes",
     .floor = 0.06, .prototype = 0.11, .higher_is_better = true, .is_share = true,
     .measure = bench_row_stream},
    {.name = "datagrams", .title = "datagrams of 1,000 bytes", .unit = "k/s",
     .against = "raw UDP, GSO/GRO, 1,000 bytes",
     .floor = 0.06, .prototype = 0.11, .higher_is_better = true, .is_share = true,
     .measure = bench_row_datagrams},
    {.name = "round-trip", .title = "datagram round trip, p50", .unit = "us",
     .against = "raw UDP, spinning", .floor = 3, .prototype = 2, .measure = bench_row_round_trip},
    {.name = "handshake", .title = "server CPU of a handshake", .unit = "us",
     .against = "its public-key operations", .floor = 3.5, .prototype = 2.1,
     .measure = bench_row_handshake},
    {.name = "memory", .title = "memory of an idle session", .unit = "KiB", .floor = 60,
     .prototype = 27.5, .measure = bench_row_memory},
    {.name = "send", .title = "Send to a stopped peer, p99", .unit = "us",
     .against = "Send to a healthy one", .floor = 2, .measure = bench_row_send},
    {.name = "forward", .title = "forwarded TCP throughput", .unit = "Gbit/s",
     .against = "plain TCP", .floor = 0.08, .higher_is_better = true, .is_share = true,
     .measure = bench_row_forward},
    {.name = "connect", .title = "connect by a forward, p50", .unit = "us",
     .against = "plain TCP", .floor = 25, .measure = bench_row_connect},
};
/* clang-format on */
const size_t bench_row_count = sizeof bench_rows / sizeof bench_rows[0];

typedef struct outcome {
    const bench_row *row;
    int runs; /* 0: could not be measured here. */
    double ours, against;
    double median, least, most; /* Of the ratio, or of the value when absolute. */
} outcome;

static double figure(const bench_row *row, const bench_sample *sample) {
    return row->against == NULL ? sample->ours : sample->ours / sample->against;
}

static outcome measure(const bench_row *row, const bench_options *options) {
    outcome out = {.row = row};
    double figures[BENCH_RUNS_MAX], ours[BENCH_RUNS_MAX], against[BENCH_RUNS_MAX];
    for (int i = 0; i < options->runs; i++) {
        fprintf(stderr, "\r%-28s run %d of %d ", row->title, i + 1, options->runs);
        bench_sample sample = {0};
        if (!row->measure(options, &sample)) {
            break;
        }
        figures[out.runs] = figure(row, &sample);
        ours[out.runs] = sample.ours;
        against[out.runs] = sample.against;
        out.runs++;
    }
    fprintf(stderr, "\r%60s\r", "");
    const size_t count = (size_t)out.runs;
    out.median = bench_percentile(figures, count, 50);
    out.least = bench_percentile(figures, count, 0);
    out.most = bench_percentile(figures, count, 100);
    out.ours = bench_percentile(ours, count, 50);
    out.against = bench_percentile(against, count, 50);
    return out;
}

static bool holds(const outcome *out) {
    return out->runs > 0 && (out->row->higher_is_better ? out->median >= out->row->floor
                                                        : out->median <= out->row->floor);
}

static const char *show(const bench_row *row, double value, char *text, size_t size) {
    if (row->is_share) {
        (void)snprintf(text, size, "%.1f %%", value * 100);
    } else if (row->against != NULL) {
        (void)snprintf(text, size, "%.2f x", value);
    } else {
        (void)snprintf(text, size, "%.1f %s", value, row->unit);
    }
    return text;
}

static void print_outcome(const outcome *out) {
    char median[32], least[32], most[32], floor_text[32], prototype[32];
    if (out->runs == 0) {
        printf("%-26s could not be measured on this machine\n", out->row->title);
        return;
    }
    printf("%-26s %9s  (%s to %s)  floor %s, prototype %s  %s\n", out->row->title,
           show(out->row, out->median, median, sizeof median),
           show(out->row, out->least, least, sizeof least),
           show(out->row, out->most, most, sizeof most),
           show(out->row, out->row->floor, floor_text, sizeof floor_text),
           out->row->prototype > 0
               ? show(out->row, out->row->prototype, prototype, sizeof prototype)
               : "-",
           holds(out) ? "ok" : "BELOW THE FLOOR");
    if (out->row->against != NULL) {
        printf("%-26s %.2f %s against %.2f %s (%s)\n", "", out->ours, out->row->unit, out->against,
               out->row->unit, out->row->against);
    }
}

static json_t *to_json(const outcome *out) {
    const bench_row *row = out->row;
    json_t *object = json_pack("{s:s, s:s, s:s?, s:i, s:f, s:b}", "name", row->name, "unit",
                               row->unit, "against", row->against, "runs", out->runs, "floor",
                               row->floor, "holds", holds(out));
    if (object == NULL || out->runs == 0) {
        return object;
    }
    (void)json_object_set_new(object, "value", json_real(out->ours));
    if (row->against != NULL) {
        (void)json_object_set_new(object, "against_value", json_real(out->against));
    }
    (void)json_object_set_new(object, row->against == NULL ? "median" : "ratio",
                              json_real(out->median));
    (void)json_object_set_new(object, "least", json_real(out->least));
    (void)json_object_set_new(object, "most", json_real(out->most));
    return object;
}

static void print_json(const outcome *outs, size_t count) {
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(rows, to_json(&outs[i]));
    }
    json_t *top = json_pack("{s:s, s:o}", "schema", "pollen.bench/1", "rows", rows);
    (void)json_dumpf(top, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(top);
}

static bool wanted(const bench_row *row, char **names, int count) {
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], row->name) == 0) {
            return true;
        }
    }
    return count == 0;
}

static int usage(void) {
    fprintf(stderr,
            "usage: pollen-bench [--json] [--runs N] [--seconds S] [--sessions N] [ROW ...]\n"
            "rows:");
    for (size_t i = 0; i < bench_row_count; i++) {
        fprintf(stderr, " %s", bench_rows[i].name);
    }
    fprintf(stderr, "\n");
    return 2;
}

static bool parse(int argc, char **argv, bench_options *options, bool *ret_json) {
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'},          {"runs", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'}, {"sessions", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    int choice;
    while ((choice = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (choice) {
        case 'j':
            *ret_json = true;
            break;
        case 'r':
            options->runs = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            options->seconds = strtod(optarg, NULL);
            break;
        case 'n':
            options->sessions = (int)strtol(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return options->runs > 0 && options->runs <= BENCH_RUNS_MAX && options->seconds > 0 &&
           isfinite(options->seconds) && options->sessions > 0;
}

int main(int argc, char **argv) {
    bench_options options = {.seconds = 2, .runs = 5, .sessions = 1000};
    bool json = false;
    if (!parse(argc, argv, &options, &json)) {
        return usage();
    }
    (void)signal(SIGPIPE, SIG_IGN);
    outcome outs[sizeof bench_rows / sizeof bench_rows[0]];
    size_t count = 0;
    bool all = true;
    for (size_t i = 0; i < bench_row_count; i++) {
        if (!wanted(&bench_rows[i], argv + optind, argc - optind)) {
            continue;
        }
        outs[count] = measure(&bench_rows[i], &options);
        all = all && holds(&outs[count]);
        if (!json) {
            print_outcome(&outs[count]);
        }
        count++;
    }
    if (json) {
        print_json(outs, count);
    }
    return count == 0 ? usage() : !all;
}
