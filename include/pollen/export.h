/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every public declaration is marked with.
 *
 * POLLEN_API       exported from the shared library; everything else is hidden.
 * POLLEN_MUST_USE  the result says whether the call did anything: look at it.
 */
#ifndef POLLEN_EXPORT_H
#define POLLEN_EXPORT_H

#if defined(__GNUC__) || defined(__clang__)
#define POLLEN_API __attribute__((visibility("default")))
#define POLLEN_MUST_USE __attribute__((warn_unused_result))
#else
#define POLLEN_API
#define POLLEN_MUST_USE
#endif

#endif
