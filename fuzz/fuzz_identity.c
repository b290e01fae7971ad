/* SPDX-License-Identifier: Apache-2.0 */
/* A peer's certificate: whatever is read lies inside the input, and reading it again says the
 * same. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "quic/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pln_x509_peer peer;
    pln_x509_peer again;
    memset(&peer, 0, sizeof(peer));
    memset(&again, 0, sizeof(again));
    pollen_err err = pln_x509_parse(data, size, &peer);
    FUZZ_CHECK(err == POLLEN_OK || err == POLLEN_ECERT || err == POLLEN_EKEY);
    FUZZ_CHECK(pln_x509_parse(data, size, &again) == err);
    if (err != POLLEN_OK) {
        return 0;
    }
    FUZZ_CHECK(pln_key_equal(&peer.key, &again.key));
    FUZZ_CHECK(peer.member_cert == again.member_cert);
    if (peer.member_cert != NULL) {
        FUZZ_CHECK(peer.has_extension);
        FUZZ_CHECK(peer.member_cert >= data && peer.member_cert_size <= size);
        FUZZ_CHECK(peer.member_cert + peer.member_cert_size <= data + size);
    }
    return 0;
}
