/* SPDX-License-Identifier: Apache-2.0 */
/* One peer store for each test, which may reopen it with another configuration, and short names for
 * what a store says. */
#ifndef TESTS_SUPPORT_PEER_FIXTURE_H
#define TESTS_SUPPORT_PEER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/peer_rig.h"

#define DISCOVERED POLLEN_PEER_DISCOVERED
#define CONNECTING POLLEN_PEER_CONNECTING
#define CONNECTED POLLEN_PEER_CONNECTED
#define UNREACHABLE POLLEN_PEER_UNREACHABLE
#define EAGER POLLEN_STAGE_EAGER_RETRY
#define DIRECT POLLEN_STAGE_DIRECT
#define PUNCH POLLEN_STAGE_PUNCH
#define DIAL_EAGER POLLEN_PEER_OUTPUT_ATTEMPT_EAGER_CONNECT
#define DIAL_DIRECT POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT
#define DIAL_PUNCH POLLEN_PEER_OUTPUT_REQUEST_PUNCH_COORDINATION

#define ADDR_A "192.0.2.1:60611"
#define ADDR_B "198.51.100.2:7000"

static peer_rig rig;

static inline int setup(void **state) {
    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    rig_close(&rig);
    return 0;
}

static inline void reopen(void) {
    rig_close(&rig);
    rig_open(&rig);
}

#endif
