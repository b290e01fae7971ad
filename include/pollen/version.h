/* SPDX-License-Identifier: Apache-2.0 */
/* The library's version (semantic versioning). */
#ifndef POLLEN_VERSION_H
#define POLLEN_VERSION_H

#include <pollen/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POLLEN_VERSION_MAJOR 0
#define POLLEN_VERSION_MINOR 1
#define POLLEN_VERSION_PATCH 0
#define POLLEN_VERSION "0.1.0"

/* The version of the library that runs, which may be newer than these headers. */
POLLEN_API const char *pollen_version(void);

#ifdef __cplusplus
}
#endif

#endif
