/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe between two `pln pipe` commands: standard input of one is standard output of the other,
 * both ways, and both learn whether all of it arrived.
 *
 * Over a reliable stream each side sends frames: a type (1 byte), a size (3 bytes, big-endian), the
 * bytes.
 *
 *   HELLO  first, once: the version of this protocol, 1 byte
 *   DATA   1 to PLN_PIPE_DATA_MAX bytes
 *   END    no more DATA; the other direction goes on
 *   DONE   all that you sent has been written
 *
 * The acceptor sends DONE once it has END and has written everything.  The opener sends it once it
 * has END and DONE, and so knows that nothing is left to happen; the acceptor then closes, which
 * the opener waits for.  A stream that ends in any other order was cut off: END in the stream, and
 * not its end, is what says "complete", because the end of a killed process looks like an orderly
 * one to whoever relays it.
 */
#ifndef PLN_CMD_PIPE_H
#define PLN_CMD_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pollen/stream.h>

enum { PLN_PIPE_VERSION = 1, PLN_PIPE_DATA_MAX = 64 * 1024, PLN_PIPE_FRAME_HEAD = 4 };
enum { PLN_PIPE_PORT = 1 };    /* Of the stream of a pipe without a daemon. */
enum { PLN_PIPE_BUSY = 0x70 }; /* Reset code: the listener has its one connection already. */

/* What carries the frames; each function may be called while another thread is in another one. */
typedef struct pln_channel {
    /* Waits for at least one byte; *ret_size is 0 at the end. */
    pollen_err (*read)(void *ctx, void *bytes, size_t size, size_t *ret_size);
    pollen_err (*write)(void *ctx, const void *bytes, size_t size);
    void (*close_write)(void *ctx);
    /* Gives up; a read or write that waits ends. */
    void (*reset)(void *ctx);
    void *ctx;
} pln_channel;

typedef struct pln_pipe_options {
    int in_fd; /* -1: nothing to send. */
    int out_fd;
    bool is_opener;
    int stop_fd; /* Readable: give up at once. */
} pln_pipe_options;

/* Where it failed, when it did. */
typedef enum pln_pipe_end {
    PLN_PIPE_COMPLETE,
    PLN_PIPE_CUT,    /* The other side, or the way to it, went away in the middle. */
    PLN_PIPE_INPUT,  /* Reading the input failed; errno is in os_errno. */
    PLN_PIPE_OUTPUT, /* Writing the output failed; errno is in os_errno. */
    PLN_PIPE_PROTO,  /* The other side does not speak this. */
    PLN_PIPE_VERSION_OTHER,
    PLN_PIPE_STOPPED, /* By stop_fd. */
    PLN_PIPE_MEMORY,
} pln_pipe_end;

typedef struct pln_pipe_result {
    pln_pipe_end end;
    int os_errno;
    pollen_err err; /* CUT: what the channel said. */
    uint64_t bytes_sent, bytes_received;
} pln_pipe_result;

/* Copies until both directions are complete or one failed; the channel is reset then.  Blocks. */
pln_pipe_result pln_pipe_run(const pln_channel *channel, const pln_pipe_options *options);

#endif
