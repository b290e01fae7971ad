/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes, and their bodies by kind. */
#include "base/mem.h"
#include "fuzz.h"
#include "wire/digest.h"
#include "wire/envelope.h"
#include "wire/state.h"

#define RECODE(name, type)                                                                         \
    static bool recode_##name(const uint8_t *body, size_t size, pln_bytes *ret) {                  \
        type msg;                                                                                  \
        if (pln_##name##_decode(body, size, &msg) != POLLEN_OK) {                                  \
            return false;                                                                          \
        }                                                                                          \
        FUZZ_CHECK(pln_##name##_encode(&msg, ret) == POLLEN_OK);                                   \
        return true;                                                                               \
    }

#define RECODE_OWNING(name, type)                                                                  \
    static bool recode_##name(const uint8_t *body, size_t size, pln_bytes *ret) {                  \
        type msg;                                                                                  \
        if (pln_##name##_decode(body, size, &msg) != POLLEN_OK) {                                  \
            return false;                                                                          \
        }                                                                                          \
        FUZZ_CHECK(pln_##name##_encode(&msg, ret) == POLLEN_OK);                                   \
        pln_##name##_fini(&msg);                                                                   \
        return true;                                                                               \
    }

RECODE(punch_request, pln_punch_request)
RECODE(punch_trigger, pln_punch_trigger)
RECODE(observed_address, pollen_addr)
RECODE(echo, pln_echo)
RECODE(digest, pln_digest)
RECODE(whereabouts, pln_whereabouts)
RECODE_OWNING(redeem_request, pln_redeem_request)
RECODE_OWNING(redeem_response, pln_redeem_response)
RECODE_OWNING(renewal_request, pln_renewal_request)
RECODE_OWNING(renewal_response, pln_renewal_response)
RECODE_OWNING(gossip_clock, pln_gossip_clock)
RECODE_OWNING(gossip_batch, pln_gossip_batch)

static bool wrap(pollen_envelope_kind kind, const uint8_t *body, size_t size, pln_bytes *ret) {
    size_t whole = pln_envelope_overhead(kind, size) + size;
    uint8_t *bytes = pln_malloc(whole > 0 ? whole : 1);
    FUZZ_CHECK(bytes != NULL);
    FUZZ_CHECK(pln_envelope_encode(kind, body, size, bytes) == whole);
    *ret = (pln_bytes){.data = bytes, .size = whole};
    return true;
}

/* State messages are encoded without an envelope around them. */
static bool wrap_state(pollen_envelope_kind kind, fuzz_recode recode, const uint8_t *body,
                       size_t size, pln_bytes *ret) {
    pln_bytes inner = {0};
    bool read = recode(body, size, &inner) && wrap(kind, inner.data, inner.size, ret);
    pln_bytes_fini(&inner);
    return read;
}

static bool recode_body(pollen_envelope_kind kind, const uint8_t *body, size_t size,
                        pln_bytes *ret) {
    switch (kind) {
    case POLLEN_ENVELOPE_DIGEST:
        return recode_digest(body, size, ret);
    case POLLEN_ENVELOPE_WHEREABOUTS:
        return recode_whereabouts(body, size, ret);
    case POLLEN_ENVELOPE_NONE:
    case POLLEN_ENVELOPE_PAYLOAD:
        return wrap(kind, body, size, ret);
    case POLLEN_ENVELOPE_CLOCK:
        return wrap_state(kind, recode_gossip_clock, body, size, ret);
    case POLLEN_ENVELOPE_EVENTS:
        return wrap_state(kind, recode_gossip_batch, body, size, ret);
    case POLLEN_ENVELOPE_PUNCH_REQUEST:
        return recode_punch_request(body, size, ret);
    case POLLEN_ENVELOPE_PUNCH_TRIGGER:
        return recode_punch_trigger(body, size, ret);
    case POLLEN_ENVELOPE_REDEEM_REQUEST:
        return recode_redeem_request(body, size, ret);
    case POLLEN_ENVELOPE_REDEEM_RESPONSE:
        return recode_redeem_response(body, size, ret);
    case POLLEN_ENVELOPE_OBSERVED_ADDRESS:
        return recode_observed_address(body, size, ret);
    case POLLEN_ENVELOPE_RENEWAL_REQUEST:
        return recode_renewal_request(body, size, ret);
    case POLLEN_ENVELOPE_RENEWAL_RESPONSE:
        return recode_renewal_response(body, size, ret);
    case POLLEN_ENVELOPE_ECHO:
        return recode_echo(body, size, ret);
    }
    FUZZ_CHECK(false); /* A kind beyond the enumeration. */
    return false;
}

static bool recode_envelope(const uint8_t *data, size_t size, pln_bytes *ret) {
    pln_bytes scratch = {0};
    pollen_envelope_kind kind;
    const uint8_t *body;
    size_t body_size;
    bool read = pln_envelope_decode(data, size, &scratch, &kind, &body, &body_size) == POLLEN_OK &&
                recode_body(kind, body, body_size, ret);
    pln_bytes_fini(&scratch);
    return read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_check_stable(recode_envelope, data, size);
    return 0;
}
