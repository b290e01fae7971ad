/* SPDX-License-Identifier: Apache-2.0 */
/* Telling systemd how we are (sd_notify(3)): one datagram to $NOTIFY_SOCKET, and silence without
 * it. */
#ifndef PLN_CMD_NOTIFY_H
#define PLN_CMD_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1"; lines are separated by newlines. */
void pln_notify(const char *state);

/* How often WATCHDOG=1 is to be sent, half of what systemd waits; -1: it does not watch us. */
int64_t pln_notify_watchdog_ms(void);

#endif
