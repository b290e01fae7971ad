/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer store on a virtual clock, in milliseconds.  Delays are exact and dials unlimited unless
 * the test changes the configuration before it opens the rig.
 *
 * Use:  pollen_test(<name> LIBRARIES pollen_peer_rig) in CMake.
 */
#ifndef TESTS_SUPPORT_PEER_RIG_H
#define TESTS_SUPPORT_PEER_RIG_H

#include <pollen/peer.h>

#define RIG_NEVER INT64_MAX

enum { RIG_OUTPUTS_MAX = 256 };

typedef struct peer_rig {
    pollen_peer_store_config config;
    pollen_peer_store *store;
    pollen_peer_output outputs[RIG_OUTPUTS_MAX]; /* Of the newest step; the rest is dropped. */
    size_t output_count;
} peer_rig;

/* The configuration for exact delays; then rig_open() after the test's own changes. */
void rig_init(peer_rig *rig);
void rig_open(peer_rig *rig);
void rig_close(peer_rig *rig);

pollen_key rig_key(uint32_t number); /* Ordered as the numbers are. */
pollen_addr rig_addr(const char *text);
int64_t rig_ms(uint64_t ns); /* RIG_NEVER for POLLEN_PEER_NEVER. */

/* Feeds any input and pulls the outputs. */
pollen_err rig_step(peer_rig *rig, int64_t ms, const pollen_peer_input *input);

/* The common ones, which must succeed.  Addresses are texts, NULL for none; peers are numbers. */
void rig_discover(peer_rig *rig, int64_t ms, uint32_t peer, const char *addr, const char *last);
void rig_discover_permanent(peer_rig *rig, int64_t ms, uint32_t peer, const char *addr);
size_t rig_tick(peer_rig *rig, int64_t ms); /* How many outputs. */
void rig_connect(peer_rig *rig, int64_t ms, uint32_t peer, const char *addr, uint64_t generation);
void rig_lost(peer_rig *rig, int64_t ms, uint32_t peer, uint64_t generation,
              pollen_end_reason reason);
void rig_retry(peer_rig *rig, int64_t ms, uint32_t peer);
void rig_forget(peer_rig *rig, int64_t ms, uint32_t peer);

/* Ends the attempt that is running now. */
void rig_fail(peer_rig *rig, int64_t ms, uint32_t peer, pollen_end_reason reason);

pollen_peer rig_peer(const peer_rig *rig, uint32_t peer); /* Must be known. */

/* Claims on a peer: what would be a page of comparisons otherwise. */
#define rig_expect(rig, peer, state, stage, attempts, next_ms)                                     \
    rig_expect_at(rig, peer, state, stage, attempts, next_ms, __FILE__, __LINE__)
void rig_expect_at(const peer_rig *rig, uint32_t peer, pollen_peer_state state,
                   pollen_connect_stage stage, unsigned attempts, int64_t next_ms, const char *file,
                   int line);

/* Ticks at the deadline before it is due (nothing), and at it (one attempt of this kind, for the
 * peer). */
#define rig_expect_dial_at(rig, ms, peer, kind)                                                    \
    rig_expect_dial_at_(rig, ms, peer, kind, __FILE__, __LINE__)
void rig_expect_dial_at_(peer_rig *rig, int64_t ms, uint32_t peer, pollen_peer_output_kind kind,
                         const char *file, int line);

/* Discovers at ms (with no last address) and fails every attempt until the peer is Unreachable;
 * returns the time, 2500 ms later. */
int64_t rig_exhaust_new(peer_rig *rig, int64_t ms, uint32_t peer, const char *addr);

/* Fails one attempt after the other, each when it is due and at once, until the peer is
 * Unreachable; returns the time. */
int64_t rig_exhaust(peer_rig *rig, uint32_t peer);

#endif
