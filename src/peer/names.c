/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the public enums, as the command's machine output shows them. */
#include <stddef.h>

#include <pollen/peer.h>

#define NAME_OF(names, value) name_of(names, sizeof(names) / sizeof((names)[0]), (size_t)(value))

static const char *name_of(const char *const *names, size_t count, size_t value) {
    return value < count ? names[value] : "unknown";
}

const char *pollen_peer_state_name(pollen_peer_state state) {
    static const char *const names[] = {
        [POLLEN_PEER_ABSENT] = "absent",           [POLLEN_PEER_DISCOVERED] = "discovered",
        [POLLEN_PEER_CONNECTING] = "connecting",   [POLLEN_PEER_CONNECTED] = "connected",
        [POLLEN_PEER_UNREACHABLE] = "unreachable",
    };
    return NAME_OF(names, state);
}

const char *pollen_connect_stage_name(pollen_connect_stage stage) {
    static const char *const names[] = {
        [POLLEN_STAGE_NONE] = "none",
        [POLLEN_STAGE_EAGER_RETRY] = "eager_retry",
        [POLLEN_STAGE_DIRECT] = "direct",
        [POLLEN_STAGE_PUNCH] = "punch",
    };
    return NAME_OF(names, stage);
}

const char *pollen_peer_input_name(pollen_peer_input_kind kind) {
    static const char *const names[] = {
        [POLLEN_PEER_INPUT_DISCOVER] = "discover",
        [POLLEN_PEER_INPUT_TICK] = "tick",
        [POLLEN_PEER_INPUT_CONNECT] = "connect",
        [POLLEN_PEER_INPUT_CONNECT_FAILED] = "connect_failed",
        [POLLEN_PEER_INPUT_DISCONNECTED] = "disconnected",
        [POLLEN_PEER_INPUT_RETRY] = "retry",
        [POLLEN_PEER_INPUT_FORGET] = "forget",
        [POLLEN_PEER_INPUT_MOVED] = "moved",
    };
    return NAME_OF(names, kind);
}

const char *pollen_peer_output_name(pollen_peer_output_kind kind) {
    static const char *const names[] = {
        [POLLEN_PEER_OUTPUT_CONNECTED] = "connected",
        [POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT] = "attempt_connect",
        [POLLEN_PEER_OUTPUT_ATTEMPT_EAGER_CONNECT] = "attempt_eager_connect",
        [POLLEN_PEER_OUTPUT_REQUEST_PUNCH_COORDINATION] = "request_punch_coordination",
        [POLLEN_PEER_OUTPUT_PROBE] = "probe",
    };
    return NAME_OF(names, kind);
}
