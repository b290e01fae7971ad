/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PUBLIC_KEY_H
#define BENCH_PUBLIC_KEY_H

#include "bench.h"

/* CPU nanoseconds of X25519 key generation and agreement,
 * Ed25519 signing and verifying, together. */
double bench_public_key_cpu_ns(double seconds);

#endif
