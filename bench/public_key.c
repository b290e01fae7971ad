/* SPDX-License-Identifier: Apache-2.0 */
/* The public-key operations of one side of a mutual handshake,
 * by the library that GnuTLS itself uses. */
#include <nettle/curve25519.h>
#include <nettle/eddsa.h>

#include "public_key.h"

/* Keys need not be secret here, only valid: any 32 bytes are. */
static const uint8_t secret[32] = {7, 1, 2, 3};
static const uint8_t message[130] = {
    9}; /* As long as what CertificateVerify signs (RFC 8446, 4.4.3). */

double bench_public_key_cpu_ns(double seconds) {
    uint8_t ed_public[32], x_public[32], shared[32], signature[64];
    ed25519_sha512_public_key(ed_public, secret);
    uint64_t rounds = 0;
    const uint64_t from = bench_cpu_ns();
    uint64_t spent;
    do {
        curve25519_mul_g(x_public, secret);
        curve25519_mul(shared, secret, x_public);
        ed25519_sha512_sign(ed_public, secret, sizeof message, message, signature);
        if (!ed25519_sha512_verify(ed_public, sizeof message, message, signature)) {
            bench_die("Ed25519 does not verify its own signature");
        }
        rounds++;
        spent = bench_cpu_ns() - from;
    } while ((double)spent < seconds * 1e9);
    return (double)spent / (double)rounds;
}
