/* SPDX-License-Identifier: Apache-2.0 */
/* One function a row; false when the machine cannot measure it. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "bench.h"

bool bench_row_stream(const bench_options *options, bench_sample *ret);
bool bench_row_datagrams(const bench_options *options, bench_sample *ret);
bool bench_row_round_trip(const bench_options *options, bench_sample *ret);
bool bench_row_handshake(const bench_options *options, bench_sample *ret);
bool bench_row_memory(const bench_options *options, bench_sample *ret);
bool bench_row_send(const bench_options *options, bench_sample *ret);
bool bench_row_forward(const bench_options *options, bench_sample *ret);
bool bench_row_connect(const bench_options *options, bench_sample *ret);

#endif
