/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the ends of sessions.  Some are also what is said on the wire (mesh/reasons.c). */
#include <pollen/event.h>

const char *pollen_end_reason_name(pollen_end_reason reason) {
    switch (reason) {
    case POLLEN_END_NONE:
        return "none";
    case POLLEN_END_IDLE_TIMEOUT:
        return "idle_timeout";
    case POLLEN_END_RESET:
        return "reset";
    case POLLEN_END_GRACEFUL:
        return "graceful";
    case POLLEN_END_UNKNOWN:
        return "unknown";
    case POLLEN_END_CERT_ROTATION:
        return "cert_rotation";
    case POLLEN_END_CERT_EXPIRED:
        return "cert_expired";
    case POLLEN_END_REVOKED:
        return "revoked";
    case POLLEN_END_DENIED:
        return "denied";
    }
    return "unknown";
}
