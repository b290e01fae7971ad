/* SPDX-License-Identifier: Apache-2.0 */
#include "support/peer_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/time.h"

void rig_init(peer_rig *rig) {
    *rig = (peer_rig){.store = NULL};
    pollen_peer_store_config_init(&rig->config);
    rig->config.jitter_percent = 0;
    rig->config.dials_max = 0;
    rig->config.dials_per_second = 0;
    /* Probes stand beside the machine that these tests are about; who tests them turns them on. */
    rig->config.probe_interval_ns = 0;
}

void rig_open(peer_rig *rig) {
    assert_int_equal(pollen_peer_store_create(&rig->config, &rig->store), POLLEN_OK);
}

void rig_close(peer_rig *rig) {
    pollen_peer_store_destroy(rig->store);
    rig->store = NULL;
}

pollen_key rig_key(uint32_t number) {
    pollen_key key = {.bytes = {0xa0}};
    for (int i = 0; i < 4; i++) {
        key.bytes[1 + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    return key;
}

pollen_addr rig_addr(const char *text) {
    pollen_addr addr = {.port = 0};
    if (text != NULL) {
        assert_int_equal(pollen_addr_parse(text, &addr), POLLEN_OK);
    }
    return addr;
}

int64_t rig_ms(uint64_t ns) {
    return ns == POLLEN_PEER_NEVER ? RIG_NEVER : (int64_t)(ns / PLN_NS_PER_MS);
}

pollen_err rig_step(peer_rig *rig, int64_t ms, const pollen_peer_input *input) {
    pollen_err err = pollen_peer_store_step(rig->store, PLN_MS(ms), input);
    pollen_peer_output output;
    rig->output_count = 0;
    while (pollen_peer_store_poll_output(rig->store, &output)) {
        if (rig->output_count < RIG_OUTPUTS_MAX) {
            rig->outputs[rig->output_count++] = output;
        }
    }
    return err;
}

static void step_ok(peer_rig *rig, int64_t ms, const pollen_peer_input *input) {
    assert_int_equal(rig_step(rig, ms, input), POLLEN_OK);
}

static void discover(peer_rig *rig, int64_t ms, pollen_peer_input input, const char *addr) {
    pollen_addr parsed = rig_addr(addr);
    input.kind = POLLEN_PEER_INPUT_DISCOVER;
    input.addrs = &parsed;
    input.addr_count = addr != NULL ? 1 : 0;
    step_ok(rig, ms, &input);
}

void rig_discover(peer_rig *rig, int64_t ms, uint32_t peer, const char *addr, const char *last) {
    discover(rig, ms, (pollen_peer_input){.peer = rig_key(peer), .addr = rig_addr(last)}, addr);
}

void rig_discover_permanent(peer_rig *rig, int64_t ms, uint32_t peer, const char *addr) {
    discover(rig, ms, (pollen_peer_input){.peer = rig_key(peer), .permanent = true}, addr);
}

size_t rig_tick(peer_rig *rig, int64_t ms) {
    step_ok(rig, ms, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_TICK});
    return rig->output_count;
}

void rig_connect(peer_rig *rig, int64_t ms, uint32_t peer, const char *addr, uint64_t generation) {
    step_ok(rig, ms,
            &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT,
                                 .peer = rig_key(peer),
                                 .addr = rig_addr(addr),
                                 .generation = generation});
}

void rig_lost(peer_rig *rig, int64_t ms, uint32_t peer, uint64_t generation,
              pollen_end_reason reason) {
    step_ok(rig, ms,
            &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_DISCONNECTED,
                                 .peer = rig_key(peer),
                                 .generation = generation,
                                 .reason = reason});
}

void rig_retry(peer_rig *rig, int64_t ms, uint32_t peer) {
    step_ok(rig, ms, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_RETRY, .peer = rig_key(peer)});
}

void rig_forget(peer_rig *rig, int64_t ms, uint32_t peer) {
    step_ok(rig, ms, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_FORGET, .peer = rig_key(peer)});
}

void rig_fail(peer_rig *rig, int64_t ms, uint32_t peer, pollen_end_reason reason) {
    uint64_t attempt = rig_peer(rig, peer).attempt;
    assert_true(attempt != 0);
    step_ok(rig, ms,
            &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT_FAILED,
                                 .peer = rig_key(peer),
                                 .attempt = attempt,
                                 .reason = reason});
}

pollen_peer rig_peer(const peer_rig *rig, uint32_t peer) {
    pollen_key key = rig_key(peer);
    pollen_peer found;
    assert_int_equal(pollen_peer_store_find(rig->store, &key, &found), POLLEN_OK);
    return found;
}

void rig_expect_at(const peer_rig *rig, uint32_t peer, pollen_peer_state state,
                   pollen_connect_stage stage, unsigned attempts, int64_t next_ms, const char *file,
                   int line) {
    pollen_peer found = rig_peer(rig, peer);
    if (found.state == state && found.stage == stage && found.stage_attempts == attempts &&
        rig_ms(found.next_action_ns) == next_ms) {
        return;
    }
    print_error("peer %u: %s, %s, %u failed, next at %lld ms\n", (unsigned)peer,
                pollen_peer_state_name(found.state), pollen_connect_stage_name(found.stage),
                found.stage_attempts, (long long)rig_ms(found.next_action_ns));
    print_error("expected: %s, %s, %u failed, next at %lld ms\n", pollen_peer_state_name(state),
                pollen_connect_stage_name(stage), attempts, (long long)next_ms);
    _fail(file, line);
}

void rig_expect_dial_at_(peer_rig *rig, int64_t ms, uint32_t peer, pollen_peer_output_kind kind,
                         const char *file, int line) {
    pollen_key key = rig_key(peer);
    size_t early = rig_tick(rig, ms - 1);
    size_t due = rig_tick(rig, ms);
    if (early != 0 || due != 1 || rig->outputs[0].kind != kind) {
        print_error("%zu outputs at %lld ms, %zu at %lld ms, the first one %s\n", early,
                    (long long)ms - 1, due, (long long)ms,
                    due > 0 ? pollen_peer_output_name(rig->outputs[0].kind) : "none");
        _fail(file, line);
    }
    assert_memory_equal(&rig->outputs[0].peer, &key, sizeof(key));
}

int64_t rig_exhaust(peer_rig *rig, uint32_t peer) {
    for (;;) {
        pollen_peer found = rig_peer(rig, peer);
        int64_t ms = rig_ms(found.next_action_ns + 999999); /* The first whole one then. */
        rig_tick(rig, ms);
        rig_fail(rig, ms, peer, POLLEN_END_UNKNOWN);
        if (rig_peer(rig, peer).state == POLLEN_PEER_UNREACHABLE) {
            return ms;
        }
    }
}

int64_t rig_exhaust_new(peer_rig *rig, int64_t ms, uint32_t peer, const char *addr) {
    rig_discover(rig, ms, peer, addr, NULL);
    return rig_exhaust(rig, peer);
}
