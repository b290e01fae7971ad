/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwards packets from a TUN device back into it, late, or not at all: what a network emulator in
 * the kernel would do where there is none.
 *
 *   net-forwarder DEVICE [--seed N] [[--from PREFIX/BITS] [--delay MS] [--jitter MS]
 *                        [--loss PERCENT] [--reorder PERCENT]]...
 *
 * The four figures hold for packets whose source lies in the last --from, or for all others when
 * there was none before them; so each direction can have its own.  A delay is one way.  Jitter adds
 * up to so much, evenly drawn, and so reorders; a packet that is reordered is held 5 ms longer.
 *
 * Each direction draws from a generator of its own, and so the fate of the n-th packet of one does
 * not depend on the others.  Prints "ready", and counts when it is told to end.
 *
 * The extra hop is hidden: it gives the packet its TTL back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_MAX = 2048, QUEUE_MAX = 1 << 15, WAYS_MAX = 16 };
static const uint64_t MS = 1000000;
static const uint64_t HELD = 5 * 1000000ull;

/* One direction. */
typedef struct way {
    int family; /* AF_UNSPEC: every source. */
    uint8_t prefix[16];
    unsigned bits;
    uint64_t delay, jitter;
    double loss, reorder;
    uint64_t random;
} way;

typedef struct waiting {
    uint64_t due;
    uint64_t order; /* Packets of one moment keep their order. */
    size_t size;
    uint8_t *bytes;
} waiting;

typedef struct forwarder {
    int fd;
    way ways[WAYS_MAX]; /* The first is everything else. */
    size_t way_count;
    waiting queue[QUEUE_MAX]; /* A heap. */
    size_t queued;
    uint64_t order;
    uint64_t passed, lost, held, overflowed;
} forwarder;

static volatile sig_atomic_t ended;

static void end(int signal_number) {
    (void)signal_number;
    ended = 1;
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* SplitMix64, as a number in [0, 1). */
static double draw(way *w) {
    uint64_t z = (w->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* ---- The queue ------------------------------------------------------------------------------ */

static bool before(const waiting *a, const waiting *b) {
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void push(forwarder *f, waiting item) {
    size_t at = f->queued++;
    while (at > 0 && before(&item, &f->queue[(at - 1) / 2])) {
        f->queue[at] = f->queue[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    f->queue[at] = item;
}

static waiting pop(forwarder *f) {
    waiting first = f->queue[0];
    waiting last = f->queue[--f->queued];
    size_t at = 0;
    for (size_t child = 1; child < f->queued; child = 2 * at + 1) {
        if (child + 1 < f->queued && before(&f->queue[child + 1], &f->queue[child])) {
            child++;
        }
        if (!before(&f->queue[child], &last)) {
            break;
        }
        f->queue[at] = f->queue[child];
        at = child;
    }
    f->queue[at] = last;
    return first;
}

/* ---- A packet ------------------------------------------------------------------------------- */

static bool matches(const way *w, int family, const uint8_t *source) {
    if (w->family != family) {
        return false;
    }
    for (unsigned bit = 0; bit < w->bits; bit++) {
        if (((source[bit / 8] ^ w->prefix[bit / 8]) >> (7 - bit % 8)) & 1) {
            return false;
        }
    }
    return true;
}

static way *way_of(forwarder *f, const uint8_t *packet, size_t size) {
    bool v4 = size >= 20 && packet[0] >> 4 == 4;
    bool v6 = size >= 40 && packet[0] >> 4 == 6;
    for (size_t i = f->way_count; (v4 || v6) && i-- > 1;) {
        if (matches(&f->ways[i], v4 ? AF_INET : AF_INET6, packet + (v4 ? 12 : 8))) {
            return &f->ways[i];
        }
    }
    return &f->ways[0];
}

/* The core forwards the packet twice, once into the device and once out of it. */
static void give_back_ttl(uint8_t *packet, size_t size) {
    if (size >= 40 && packet[0] >> 4 == 6) {
        packet[7] = (uint8_t)(packet[7] + (packet[7] < 255));
    } else if (size >= 20 && packet[0] >> 4 == 4 && packet[8] < 255) {
        packet[8]++;
        /* RFC 1624: the header's sum grew by 0x100, so its complement shrinks by it. */
        uint32_t sum = (uint32_t)(packet[10] << 8 | packet[11]);
        sum += 0xffffu - 0x100u;
        sum = (sum & 0xffffu) + (sum >> 16);
        packet[10] = (uint8_t)(sum >> 8);
        packet[11] = (uint8_t)sum;
    }
}

static void take(forwarder *f, const uint8_t *packet, size_t size, uint64_t at) {
    way *w = way_of(f, packet, size);
    /* Always as many draws, so that one figure does not change what another one does. */
    double loss = draw(w), jitter = draw(w), reorder = draw(w);
    if (loss < w->loss) {
        f->lost++;
        return;
    }
    waiting item = {.due = at + w->delay + (uint64_t)(jitter * (double)w->jitter),
                    .order = f->order++,
                    .size = size,
                    .bytes = f->queued < QUEUE_MAX ? malloc(size) : NULL};
    if (item.bytes == NULL) {
        f->overflowed++;
        return;
    }
    if (reorder < w->reorder) {
        f->held++;
        item.due += HELD;
    }
    memcpy(item.bytes, packet, size);
    give_back_ttl(item.bytes, size);
    push(f, item);
}

static void give(forwarder *f, uint64_t at) {
    while (f->queued > 0 && f->queue[0].due <= at) {
        waiting item = pop(f);
        if (write(f->fd, item.bytes, item.size) == (ssize_t)item.size) {
            f->passed++;
        } else {
            f->overflowed++;
        }
        free(item.bytes);
    }
}

/* Signals come in only while it waits, so that none is missed between a look and the wait. */
static void forward(forwarder *f, const sigset_t *waiting_mask) {
    uint8_t packet[PACKET_MAX];
    while (!ended) {
        uint64_t at = now();
        give(f, at);
        struct timespec wait = {0};
        if (f->queued > 0 && f->queue[0].due > at) {
            wait.tv_sec = (time_t)((f->queue[0].due - at) / 1000000000u);
            wait.tv_nsec = (long)((f->queue[0].due - at) % 1000000000u);
        }
        struct pollfd readable = {.fd = f->fd, .events = POLLIN};
        if (ppoll(&readable, 1, f->queued > 0 ? &wait : NULL, waiting_mask) <= 0) {
            continue;
        }
        /* A bounded number in a row, so that what is due does not wait for a flood to end. */
        at = now();
        for (int i = 0; i < 64; i++) {
            ssize_t size = read(f->fd, packet, sizeof packet);
            if (size <= 0) {
                break;
            }
            take(f, packet, (size_t)size, at);
        }
    }
}

/* ---- Start ---------------------------------------------------------------------------------- */

static void usage(const char *why) {
    fprintf(stderr, "net-forwarder: %s\n", why);
    exit(2);
}

static double number(const char *text, double max) {
    char *rest;
    errno = 0;
    double value = strtod(text, &rest);
    if (errno != 0 || rest == text || *rest != '\0' || !(value >= 0 && value <= max)) {
        usage("not a number, or out of range");
    }
    return value;
}

static way *add_way(forwarder *f, const char *text) {
    char address[64];
    const char *slash = strchr(text, '/');
    if (f->way_count == WAYS_MAX || slash == NULL || (size_t)(slash - text) >= sizeof address) {
        usage("--from wants a PREFIX/BITS, at most 15 times");
    }
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    way *w = &f->ways[f->way_count++];
    w->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    w->bits = (unsigned)number(slash + 1, w->family == AF_INET ? 32 : 128);
    if (inet_pton(w->family, address, w->prefix) != 1) {
        usage("--from wants a PREFIX/BITS");
    }
    return w;
}

static void parse(forwarder *f, int argc, char **argv) {
    uint64_t seed = 1;
    way *w = &f->ways[0];
    f->way_count = 1;
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--seed") == 0) {
            seed = (uint64_t)number(value, 9e15);
        } else if (strcmp(name, "--from") == 0) {
            w = add_way(f, value);
        } else if (strcmp(name, "--delay") == 0) {
            w->delay = (uint64_t)(number(value, 60000) * (double)MS);
        } else if (strcmp(name, "--jitter") == 0) {
            w->jitter = (uint64_t)(number(value, 60000) * (double)MS);
        } else if (strcmp(name, "--loss") == 0) {
            w->loss = number(value, 100) / 100;
        } else if (strcmp(name, "--reorder") == 0) {
            w->reorder = number(value, 100) / 100;
        } else {
            usage("unknown option");
        }
    }
    if (argc < 2 || argc % 2 != 0) {
        usage("wants a DEVICE, and a value for each option");
    }
    for (size_t i = 0; i < f->way_count; i++) {
        f->ways[i].random = seed * 1000003u + i;
    }
}

static int attach(const char *device) {
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        perror("net-forwarder: /dev/net/tun");
        exit(1);
    }
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        perror("net-forwarder: TUNSETIFF");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    forwarder *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return 1;
    }
    parse(f, argc, argv);
    f->fd = attach(argv[1]);
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigset_t both, before_it;
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    sigprocmask(SIG_BLOCK, &both, &before_it);
    puts("ready");
    fflush(stdout);
    forward(f, &before_it);
    printf("%llu passed, %llu lost, %llu held, %llu overflowed\n", (unsigned long long)f->passed,
           (unsigned long long)f->lost, (unsigned long long)f->held,
           (unsigned long long)f->overflowed);
    while (f->queued > 0) {
        free(pop(f).bytes);
    }
    close(f->fd);
    free(f);
    return 0;
}
