/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: whole-file reads with a limit, and writes that leave the old or the new content, never a
 * torn one: a random temporary name (O_EXCL, O_NOFOLLOW) beside the target, fsync, rename, fsync of
 * the directory.
 */
#ifndef PLN_RUN_FILES_H
#define PLN_RUN_FILES_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include <pollen/err.h>

#include "base/bytes.h"

/* Modes that a file of the state directory may have at most:
 * anything wider is refused (POLLEN_EMODE). */
#define PLN_MODE_DIR 0750
#define PLN_MODE_SECRET 0600
#define PLN_MODE_PUBLIC 0640

/*
 * Errors: POLLEN_ENOENT, POLLEN_EMODE (a link, not a regular file, another owner than us or root,
 *         or bits beyond max_mode), POLLEN_ELIMIT (longer than max_size), POLLEN_EPERM, POLLEN_EIO,
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_file_read(const char *path, mode_t max_mode, size_t max_size,
                                         pln_bytes *ret);

/* What is written takes the place of a link and leaves alone what that points to.
 * Errors: POLLEN_ENOENT (no such directory), POLLEN_ENOSPC, POLLEN_EPERM, POLLEN_EIO; the old
 * content stands then */
POLLEN_MUST_USE pollen_err pln_file_write(const char *path, mode_t mode, const void *bytes,
                                          size_t size);

/*
 * Removes what killed writes left in the directory: temporary files that are ours, that nobody is
 * writing, and that were last written before that time.  is_ours() is asked for the names of the
 * files that they were meant for, which end after size bytes.  Returns how many there were.
 */
size_t pln_dir_sweep(const char *path, const struct timespec *before,
                     bool (*is_ours)(const char *name, size_t size));

/* Makes the directory and its parents where missing.
 * Errors: as above, POLLEN_EMODE when it exists and is writable by others */
POLLEN_MUST_USE pollen_err pln_dir_ensure(const char *path, mode_t mode);

POLLEN_MUST_USE pollen_err pln_file_remove(const char *path); /* Missing is fine. */

#endif
