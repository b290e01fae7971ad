/* SPDX-License-Identifier: Apache-2.0 */
/* The sentence behind pollen_last_error(): one per thread. */
#ifndef PLN_RUN_LAST_ERROR_H
#define PLN_RUN_LAST_ERROR_H

__attribute__((format(printf, 1, 2))) void pln_last_error_set(const char *format, ...);
void pln_last_error_clear(void);

#endif
