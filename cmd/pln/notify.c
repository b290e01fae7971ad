/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pln/out.h"

void pln_notify(const char *state) {
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const char *path = pln_env("NOTIFY_SOCKET");
    const size_t length = path == NULL ? 0 : strlen(path);
    if (length < 2 || length >= sizeof addr.sun_path) {
        return;
    }
    memcpy(addr.sun_path, path, length);
    if (path[0] == '@') {
        addr.sun_path[0] = '\0'; /* The abstract namespace. */
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    /* Nobody to tell when it fails: systemd will say that it heard nothing. */
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&addr,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
}

int64_t pln_notify_watchdog_ms(void) {
    const char *usec = pln_env("WATCHDOG_USEC");
    const char *pid = pln_env("WATCHDOG_PID");
    char *end;
    if (usec == NULL || (pid != NULL && strtoll(pid, NULL, 10) != getpid())) {
        return -1;
    }
    const long long value = strtoll(usec, &end, 10);
    return *end != '\0' || value < 2000 ? -1 : value / 2000;
}
