/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `pln bench` and the daemon of the other side say on a stream to PLN_BENCH_PORT.
 *
 * The opener sends a request of PLN_BENCH_REQUEST_BYTES: "plnbench", a version, a direction, two
 * zero bytes, and for how many seconds (four bytes, big-endian).  Then one side sends bytes, of
 * whatever value, until the time is over, and ends its side.  Going up, the other side answers with
 * a count of PLN_BENCH_COUNT_BYTES: the bytes that arrived and the microseconds from the first to
 * the last of them, eight bytes each; going down, the opener counts for itself.
 *
 * Whoever is asked for more than it gives resets the stream.
 */
#ifndef PLN_CMD_BENCH_WIRE_H
#define PLN_CMD_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/stream.h>

enum { PLN_BENCH_PORT = 65533, PLN_BENCH_VERSION = 1 };
enum { PLN_BENCH_REQUEST_BYTES = 16, PLN_BENCH_COUNT_BYTES = 16 };
enum { PLN_BENCH_SECONDS_MAX = 60 };
enum { PLN_BENCH_CHUNK_BYTES = 64 * 1024 };
enum { PLN_BENCH_SLACK_MS = 10000 }; /* For what is still under way when the time is over. */

/* Codes of resets. */
enum {
    PLN_BENCH_BUSY = 0x75,      /* The peer measures already. */
    PLN_BENCH_MALFORMED = 0x76, /* Not a request, or not one of this version. */
    PLN_BENCH_LATE = 0x77,      /* It took too long. */
    PLN_BENCH_ENOUGH = 0x78,    /* It was measured for so long already. */
};

typedef enum pln_bench_direction { PLN_BENCH_UP = 1, PLN_BENCH_DOWN = 2 } pln_bench_direction;

typedef struct pln_bench_request {
    pln_bench_direction direction;
    uint32_t seconds; /* 1 to PLN_BENCH_SECONDS_MAX. */
} pln_bench_request;

typedef struct pln_bench_count {
    uint64_t bytes;
    uint64_t us;
} pln_bench_count;

void pln_bench_request_encode(const pln_bench_request *request, uint8_t *bytes);
bool pln_bench_request_decode(const uint8_t *bytes, pln_bench_request *ret);
void pln_bench_count_encode(const pln_bench_count *count, uint8_t *bytes);
pln_bench_count pln_bench_count_decode(const uint8_t *bytes);

/* ---- The two halves of a transfer ------------------------------------------------------------ */

/*
 * Sends for so long, and ends this side.
 *
 * Errors: those of pollen_stream_write()
 */
POLLEN_MUST_USE pollen_err pln_bench_send(pollen_stream *stream, uint32_t seconds,
                                          pollen_cancel *cancel);

/*
 * Receives until the other side ends, at most so long and a little more.
 *
 * Errors: POLLEN_ETIMEDOUT, those of pollen_stream_read()
 */
POLLEN_MUST_USE pollen_err pln_bench_receive(pollen_stream *stream, uint32_t seconds,
                                             pollen_cancel *cancel, pln_bench_count *ret);

/* Exactly so many bytes.  Errors: POLLEN_EPROTO (the end came first), those of
 * pollen_stream_read() */
POLLEN_MUST_USE pollen_err pln_bench_read(pollen_stream *stream, uint8_t *bytes, size_t size,
                                          int timeout_ms, pollen_cancel *cancel);

#endif
