/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions that only look something up. */
#include <pollen/event.h>
#include <pollen/packet.h>
#include <pollen/version.h>

#include "base/chunk.h"

const char *pollen_version(void) {
    return POLLEN_VERSION;
}

const char *pollen_event_kind_name(pollen_event_kind kind) {
    switch (kind) {
    case POLLEN_EVENT_CONNECTED:
        return "connected";
    case POLLEN_EVENT_DISCONNECTED:
        return "disconnected";
    case POLLEN_EVENT_PATH:
        return "path";
    }
    return "unknown";
}

void pollen_packet_fini(pollen_packet *packet) {
    pln_chunk_destroy(packet->owner);
    *packet = (pollen_packet){0};
}
