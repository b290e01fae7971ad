/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads tests/vectors/<name>.json: objects with an "id" and bytes as hex.
 *
 * Use:  pollen_test(<name> LIBRARIES pollen_vectors) in CMake.
 *
 * Whatever is missing or malformed fails the running test, so callers need not check.
 */
#ifndef TESTS_SUPPORT_VECTORS_H
#define TESTS_SUPPORT_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/bytes.h"

/* Owner: the caller (json_decref). */
json_t *vectors_load(const char *name);

/* For a group of tests whose state was loaded so. */
int vectors_unload(void **state);

/* Borrowed from the object. */
const char *vectors_text(const json_t *row, const char *key);

/* Owner: the caller (pln_bytes_fini); exactly as large as the hex says, so that a sanitizer sees a
 * read past the end. */
pln_bytes vectors_bytes(const json_t *row, const char *key);

/* Exactly size bytes. */
void vectors_fixed(const json_t *row, const char *key, uint8_t *ret, size_t size);

#endif
