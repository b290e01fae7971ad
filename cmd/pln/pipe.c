/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads: the sender copies the input into frames, the receiver (the caller's) takes frames
 * apart.  The first failure is kept, resets the channel and wakes the sender, so that both come to
 * an end.
 */
#include "pln/pipe.h"
#include "run/wake.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef enum frame_type { FRAME_HELLO = 1, FRAME_DATA, FRAME_END, FRAME_DONE } frame_type;

typedef struct pipe_state {
    const pln_channel *channel;
    const pln_pipe_options *options;
    pthread_mutex_t write_lock;  /* One frame at a time; held while the channel writes. */
    pthread_mutex_t result_lock; /* Leaf lock. */
    pln_pipe_result result;      /* guarded by result_lock */
    bool over;                   /* guarded by result_lock: complete or failed */
    atomic_bool sent_end;        /* END is on its way: only then can the other side say DONE. */
    int wake_fd;                 /* Readable once it is over. */
    uint8_t *out;                /* The sender's: a whole frame. */
    uint8_t *in;                 /* The receiver's. */
} pipe_state;

static void finish(pipe_state *p, pln_pipe_end end, pollen_err err, int os_errno) {
    pthread_mutex_lock(&p->result_lock);
    const bool first = !p->over;
    if (first) {
        p->over = true;
        p->result.end = end;
        p->result.err = err;
        p->result.os_errno = os_errno;
    }
    pthread_mutex_unlock(&p->result_lock);
    if (first && end != PLN_PIPE_COMPLETE) {
        p->channel->reset(p->channel->ctx);
    }
    pln_wake(p->wake_fd);
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* The frame's bytes follow the head in place: bytes[PLN_PIPE_FRAME_HEAD + size]. */
static bool send_frame(pipe_state *p, frame_type type, uint8_t *bytes, size_t size) {
    bytes[0] = (uint8_t)type;
    bytes[1] = (uint8_t)(size >> 16);
    bytes[2] = (uint8_t)(size >> 8 & 0xff);
    bytes[3] = (uint8_t)(size & 0xff);
    pthread_mutex_lock(&p->write_lock);
    const pollen_err err = p->channel->write(p->channel->ctx, bytes, PLN_PIPE_FRAME_HEAD + size);
    pthread_mutex_unlock(&p->write_lock);
    if (err != POLLEN_OK) {
        finish(p, PLN_PIPE_CUT, err, 0);
    }
    return err == POLLEN_OK;
}

static bool send_empty(pipe_state *p, frame_type type) {
    uint8_t frame[PLN_PIPE_FRAME_HEAD];
    return send_frame(p, type, frame, 0);
}

static bool send_hello(pipe_state *p) {
    uint8_t frame[PLN_PIPE_FRAME_HEAD + 1];
    frame[PLN_PIPE_FRAME_HEAD] = PLN_PIPE_VERSION;
    return send_frame(p, FRAME_HELLO, frame, 1);
}

/* Reads some input; 0 at its end, -1 when it failed or there is no use any more. */
static ssize_t read_input(pipe_state *p, uint8_t *bytes) {
    if (p->options->in_fd < 0) {
        return 0;
    }
    for (;;) {
        struct pollfd fds[] = {{.fd = p->options->in_fd, .events = POLLIN},
                               {.fd = p->wake_fd, .events = POLLIN},
                               {.fd = p->options->stop_fd, .events = POLLIN}};
        if (poll(fds, 3, -1) < 0) {
            continue;
        }
        if (fds[2].revents != 0) {
            finish(p, PLN_PIPE_STOPPED, POLLEN_ECANCELED, 0);
        }
        if (fds[1].revents != 0 || fds[2].revents != 0) {
            return -1;
        }
        const ssize_t got = read(p->options->in_fd, bytes, PLN_PIPE_DATA_MAX);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (got < 0) {
            finish(p, PLN_PIPE_INPUT, POLLEN_EIO, errno);
        }
        return got;
    }
}

static void *sender(void *arg) {
    pipe_state *p = arg;
    bool ok = true;
    while (ok) {
        const ssize_t got = read_input(p, p->out + PLN_PIPE_FRAME_HEAD);
        if (got < 0) {
            return NULL;
        }
        if (got == 0) {
            atomic_store(&p->sent_end, true);
            (void)send_empty(p, FRAME_END);
            return NULL;
        }
        ok = send_frame(p, FRAME_DATA, p->out, (size_t)got);
        p->result.bytes_sent += (uint64_t)got; /* The receiver looks only after the join. */
    }
    return NULL;
}

/* ---- Receiving ------------------------------------------------------------------------------- */

typedef enum got { GOT_ALL, GOT_END, GOT_FAILURE } got;

/* Exactly size bytes; the end counts only where a frame may end, before the first of them. */
static got read_exactly(pipe_state *p, uint8_t *bytes, size_t size) {
    size_t used = 0;
    while (used < size) {
        size_t some = 0;
        const pollen_err err = p->channel->read(p->channel->ctx, bytes + used, size - used, &some);
        if (err != POLLEN_OK || (some == 0 && used > 0)) {
            finish(p, PLN_PIPE_CUT, err, 0);
            return GOT_FAILURE;
        }
        if (some == 0) {
            return GOT_END;
        }
        used += some;
    }
    return GOT_ALL;
}

static bool write_output(pipe_state *p, const uint8_t *bytes, size_t size) {
    for (size_t left = size; left > 0;) {
        const ssize_t put = write(p->options->out_fd, bytes, left);
        if (put < 0 && errno == EAGAIN) {
            struct pollfd pfd = {.fd = p->options->out_fd, .events = POLLOUT};
            (void)poll(&pfd, 1, -1);
            continue;
        }
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            finish(p, PLN_PIPE_OUTPUT, POLLEN_EIO, errno);
            return false;
        }
        bytes += put;
        left -= (size_t)put;
    }
    p->result.bytes_received += size;
    return true;
}

/* What has come so far; a frame out of order is refused. */
typedef struct progress {
    bool hello, end, done;
    bool said_done;
} progress;

static bool is_in_order(pipe_state *p, const progress *seen, frame_type type, size_t size) {
    switch (type) {
    case FRAME_HELLO:
        return !seen->hello && size == 1;
    case FRAME_DATA:
        return seen->hello && !seen->end && size > 0 && size <= PLN_PIPE_DATA_MAX;
    case FRAME_END:
        return seen->hello && !seen->end && size == 0;
    case FRAME_DONE:
        return seen->hello && !seen->done && size == 0 && atomic_load(&p->sent_end);
    }
    return false;
}

/* After each frame: is it our turn to say DONE? */
static bool answer(pipe_state *p, progress *seen) {
    if (seen->said_done || !seen->end || (p->options->is_opener && !seen->done)) {
        return true;
    }
    seen->said_done = true;
    return send_empty(p, FRAME_DONE);
}

static bool take_frame(pipe_state *p, progress *seen, frame_type type, size_t size) {
    switch (type) {
    case FRAME_HELLO:
        seen->hello = true;
        if (p->in[0] != PLN_PIPE_VERSION) {
            finish(p, PLN_PIPE_VERSION_OTHER, POLLEN_EVERSION, 0);
            return false;
        }
        return true;
    case FRAME_DATA:
        return write_output(p, p->in, size);
    case FRAME_END:
        seen->end = true;
        return answer(p, seen);
    case FRAME_DONE:
        seen->done = true;
        return answer(p, seen);
    }
    return false;
}

/* Takes one frame; false when it is over. */
static bool receive(pipe_state *p, progress *seen) {
    uint8_t head[PLN_PIPE_FRAME_HEAD];
    const got g = read_exactly(p, head, sizeof head);
    if (g == GOT_END) {
        finish(p, PLN_PIPE_CUT, POLLEN_OK, 0);
    }
    if (g != GOT_ALL) {
        return false;
    }
    const size_t size = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (!is_in_order(p, seen, (frame_type)head[0], size)) {
        finish(p, PLN_PIPE_PROTO, POLLEN_EPROTO, 0);
        return false;
    }
    if (size > 0 && read_exactly(p, p->in, size) != GOT_ALL) {
        finish(p, PLN_PIPE_CUT, POLLEN_OK, 0);
        return false;
    }
    return take_frame(p, seen, (frame_type)head[0], size);
}

static void receive_all(pipe_state *p) {
    progress seen = {0};
    while (!(seen.end && seen.done)) {
        if (!receive(p, &seen)) {
            return;
        }
    }
    /* Complete from here on, whatever becomes of the connection.  The opener hears the acceptor
     * close, which says that it knows too; should that be lost, the channel's own limit ends the
     * wait. */
    finish(p, PLN_PIPE_COMPLETE, POLLEN_OK, 0);
    p->channel->close_write(p->channel->ctx);
    if (p->options->is_opener) {
        uint8_t byte;
        size_t some;
        (void)p->channel->read(p->channel->ctx, &byte, 1, &some);
    }
}

/* ---- Both ------------------------------------------------------------------------------------ */

static void run_both(pipe_state *p) {
    pthread_t thread;
    /* Before there are two threads: the receiver's DONE must not overtake it. */
    if (!send_hello(p)) {
        return;
    }
    if (pthread_create(&thread, NULL, sender, p) != 0) {
        finish(p, PLN_PIPE_MEMORY, POLLEN_ENOMEM, 0);
        return;
    }
    receive_all(p);
    pthread_join(thread, NULL);
}

pln_pipe_result pln_pipe_run(const pln_channel *channel, const pln_pipe_options *options) {
    pipe_state p = {.channel = channel, .options = options};
    p.out = malloc(PLN_PIPE_FRAME_HEAD + PLN_PIPE_DATA_MAX);
    p.in = malloc(PLN_PIPE_DATA_MAX);
    p.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&p.write_lock, NULL);
    pthread_mutex_init(&p.result_lock, NULL);
    if (p.out == NULL || p.in == NULL || p.wake_fd < 0) {
        p.result.end = PLN_PIPE_MEMORY;
        channel->reset(channel->ctx);
    } else {
        run_both(&p);
    }
    pthread_mutex_destroy(&p.result_lock);
    pthread_mutex_destroy(&p.write_lock);
    if (p.wake_fd >= 0) {
        close(p.wake_fd);
    }
    free(p.in);
    free(p.out);
    return p.result;
}
