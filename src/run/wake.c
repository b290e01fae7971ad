/* SPDX-License-Identifier: Apache-2.0 */
#include "run/wake.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

void pln_wake(int fd) {
    const uint64_t one = 1;
    /* Fails otherwise only when the counter is at its end, and then the fd is readable anyhow. */
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void pln_wake_reset(int fd) {
    uint64_t count;
    const ssize_t got = read(fd, &count, sizeof count);
    (void)got; /* EAGAIN: it was reset already. */
}
