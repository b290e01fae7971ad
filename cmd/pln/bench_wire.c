/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/bench_wire.h"

#include <stdlib.h>
#include <string.h>

#include "run/clock.h"

static const uint8_t magic[8] = {'p', 'l', 'n', 'b', 'e', 'n', 'c', 'h'};

static void put(uint64_t value, uint8_t *bytes, size_t size) {
    for (size_t i = size; i > 0; i--) {
        bytes[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

static uint64_t get(const uint8_t *bytes, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

void pln_bench_request_encode(const pln_bench_request *request, uint8_t *bytes) {
    memset(bytes, 0, PLN_BENCH_REQUEST_BYTES);
    memcpy(bytes, magic, sizeof magic);
    bytes[8] = PLN_BENCH_VERSION;
    bytes[9] = (uint8_t)request->direction;
    put(request->seconds, bytes + 12, 4);
}

bool pln_bench_request_decode(const uint8_t *bytes, pln_bench_request *ret) {
    const uint64_t seconds = get(bytes + 12, 4);
    if (memcmp(bytes, magic, sizeof magic) != 0 || bytes[8] != PLN_BENCH_VERSION ||
        (bytes[9] != PLN_BENCH_UP && bytes[9] != PLN_BENCH_DOWN) || bytes[10] != 0 ||
        bytes[11] != 0 || seconds < 1 || seconds > PLN_BENCH_SECONDS_MAX) {
        return false;
    }
    *ret = (pln_bench_request){(pln_bench_direction)bytes[9], (uint32_t)seconds};
    return true;
}

void pln_bench_count_encode(const pln_bench_count *count, uint8_t *bytes) {
    put(count->bytes, bytes, 8);
    put(count->us, bytes + 8, 8);
}

pln_bench_count pln_bench_count_decode(const uint8_t *bytes) {
    return (pln_bench_count){get(bytes, 8), get(bytes + 8, 8)};
}

/* ---- The two halves of a transfer ------------------------------------------------------------ */

/* What a receiver does not take is not waited for: the time bounds the bytes as well. */
static pollen_err send_until(pollen_stream *stream, const uint8_t *chunk, pln_ts end,
                             pollen_cancel *cancel) {
    for (;;) {
        const int left_ms = pln_clock_ms_until(end, pln_clock_mono());
        if (left_ms <= 0) {
            return POLLEN_OK;
        }
        const pollen_err err =
            pollen_stream_write(stream, chunk, PLN_BENCH_CHUNK_BYTES, left_ms, cancel, NULL);
        if (err != POLLEN_OK) {
            return err == POLLEN_ETIMEDOUT ? POLLEN_OK : err;
        }
    }
}

pollen_err pln_bench_send(pollen_stream *stream, uint32_t seconds, pollen_cancel *cancel) {
    uint8_t *chunk = calloc(1, PLN_BENCH_CHUNK_BYTES);
    if (chunk == NULL) {
        return POLLEN_ENOMEM;
    }
    pollen_err err = send_until(stream, chunk, pln_clock_deadline((int)seconds * 1000), cancel);
    if (err == POLLEN_OK) {
        err = pollen_stream_close_write(stream);
    }
    free(chunk);
    return err;
}

static pollen_err receive_until(pollen_stream *stream, uint8_t *chunk, pln_ts end,
                                pollen_cancel *cancel, pln_bench_count *count) {
    pln_ts first = 0;
    for (;;) {
        size_t got;
        const int left_ms = pln_clock_ms_until(end, pln_clock_mono());
        const pollen_err err =
            left_ms <= 0
                ? POLLEN_ETIMEDOUT
                : pollen_stream_read(stream, chunk, PLN_BENCH_CHUNK_BYTES, left_ms, cancel, &got);
        if (err != POLLEN_OK || got == 0) {
            return err;
        }
        const pln_ts now = pln_clock_mono();
        first = count->bytes == 0 ? now : first;
        count->bytes += got;
        count->us = (now - first) / 1000;
    }
}

pollen_err pln_bench_receive(pollen_stream *stream, uint32_t seconds, pollen_cancel *cancel,
                             pln_bench_count *ret) {
    uint8_t *chunk = malloc(PLN_BENCH_CHUNK_BYTES);
    *ret = (pln_bench_count){0};
    if (chunk == NULL) {
        return POLLEN_ENOMEM;
    }
    const pln_ts end = pln_clock_deadline((int)seconds * 1000 + PLN_BENCH_SLACK_MS);
    const pollen_err err = receive_until(stream, chunk, end, cancel, ret);
    free(chunk);
    return err;
}

pollen_err pln_bench_read(pollen_stream *stream, uint8_t *bytes, size_t size, int timeout_ms,
                          pollen_cancel *cancel) {
    const pln_ts deadline = pln_clock_deadline(timeout_ms);
    while (size > 0) {
        size_t got;
        const int left_ms = pln_clock_ms_until(deadline, pln_clock_mono());
        const pollen_err err = pollen_stream_read(stream, bytes, size, left_ms, cancel, &got);
        if (err != POLLEN_OK) {
            return err;
        }
        if (got == 0) {
            return POLLEN_EPROTO;
        }
        bytes += got;
        size -= got;
    }
    return POLLEN_OK;
}
