/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions, which stay on in release builds: a state that our own code must never reach ends the
 * process before it can be acted on.  Nothing that a remote party, a file or a user can cause is
 * asserted on; those get an error.
 */
#ifndef PLN_BASE_ASSERT_H
#define PLN_BASE_ASSERT_H

_Noreturn void pln_assert_failed(const char *expr, const char *file, int line);

#define PLN_ASSERT(expr) ((expr) ? (void)0 : pln_assert_failed(#expr, __FILE__, __LINE__))

#endif
