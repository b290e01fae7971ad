/* SPDX-License-Identifier: Apache-2.0 */
#include "run/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/files.h"
#include "run/last_error.h"

enum { CONFIG_BYTES_MAX = 1024 * 1024 };

#define SYSTEM_DIR "/var/lib/pln"
#define HOME_DIR ".pln"

/* ---- Places ---------------------------------------------------------------------------------- */

pollen_err pln_statedir_path(const char *dir, const char *name, char *path) {
    if ((size_t)snprintf(path, PLN_PATH_BYTES, "%s/%s", dir, name) >= PLN_PATH_BYTES) {
        pln_last_error_set("%.64s...: path too long", dir);
        return POLLEN_EINVAL;
    }
    return POLLEN_OK;
}

pollen_err pln_statedir_dup_path(const char *dir, const char *name, char **ret) {
    *ret = NULL;
    if (dir == NULL) {
        return POLLEN_OK;
    }
    char path[PLN_PATH_BYTES];
    const pollen_err err = pln_statedir_path(dir, name, path);
    if (err != POLLEN_OK) {
        return err;
    }
    *ret = pln_strdup(path);
    return *ret == NULL ? POLLEN_ENOMEM : POLLEN_OK;
}

pollen_err pln_statedir_default(char *path) {
    if (access(SYSTEM_DIR, W_OK | X_OK) == 0) {
        (void)snprintf(path, PLN_PATH_BYTES, "%s", SYSTEM_DIR);
        return POLLEN_OK;
    }
    const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe): nobody changes it. */
    if (home == NULL || home[0] != '/') {
        pln_last_error_set("no state directory: HOME is not set");
        return POLLEN_ENOENT;
    }
    return pln_statedir_path(home, HOME_DIR, path);
}

/* ---- config.yaml ----------------------------------------------------------------------------- */

pollen_err pln_statedir_load_config(const char *dir, pln_config *ret) {
    char path[PLN_PATH_BYTES], why[128] = "";
    pln_bytes text = {0};
    pollen_err err = pln_statedir_path(dir, PLN_FILE_CONFIG, path);
    if (err == POLLEN_OK) {
        err = pln_file_read(path, PLN_MODE_PUBLIC, CONFIG_BYTES_MAX, &text);
    }
    if (err == POLLEN_ENOENT) {
        pln_last_error_clear();
        *ret = (pln_config){0};
        return POLLEN_OK;
    }
    if (err == POLLEN_OK) {
        err = pln_config_decode((const char *)text.data, text.size, ret, why);
        if (err != POLLEN_OK) {
            pln_last_error_set("%s: %s", path, why[0] != '\0' ? why : pollen_strerror(err));
        }
    }
    pln_bytes_fini(&text);
    return err;
}

pollen_err pln_statedir_save_config(const char *dir, const pln_config *config) {
    char path[PLN_PATH_BYTES];
    pln_bytes text = {0};
    pollen_err err = pln_statedir_path(dir, PLN_FILE_CONFIG, path);
    if (err == POLLEN_OK) {
        err = pln_config_encode(config, &text);
        if (err != POLLEN_OK) {
            pln_last_error_set("%s: %s", path, pollen_strerror(err));
        }
    }
    if (err == POLLEN_OK) {
        err = pln_dir_ensure(dir, PLN_MODE_DIR);
    }
    if (err == POLLEN_OK) {
        err = pln_file_write(path, PLN_MODE_SECRET, text.data, text.size);
    }
    pln_bytes_fini(&text);
    return err;
}

/* ---- Clearing up ----------------------------------------------------------------------------- */

/* The file itself, or one that is named after it. */
static bool is_named(const char *file, const char *name, size_t size) {
    const size_t own = strlen(file);
    return size >= own && memcmp(file, name, own) == 0 && (size == own || name[own] == '.');
}

static bool is_state_file(const char *name, size_t size) {
    return is_named(PLN_FILE_CONFIG, name, size) || is_named(PLN_FILE_STATE, name, size) ||
           is_named(PLN_FILE_LEDGER, name, size) || is_named(PLN_FILE_NAT, name, size);
}

static bool is_key_file(const char *name, size_t size) {
    static const char *const names[] = {
        "ed25519.key",      "ed25519.pub",        "admin_ed25519.key", "admin_ed25519.pub",
        "cluster.trust.pb", "membership.cert.pb", "admin.cert.pb"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (is_named(names[i], name, size)) {
            return true;
        }
    }
    return false;
}

void pln_statedir_sweep(const char *dir, const struct timespec *before) {
    char keys[PLN_PATH_BYTES];
    (void)pln_dir_sweep(dir, before, is_state_file);
    if (pln_statedir_path(dir, "keys", keys) == POLLEN_OK) {
        (void)pln_dir_sweep(keys, before, is_key_file);
    }
}

/* What is older than the moment in which the lock was taken; the file system tells that moment,
 * which has the times of the others from the same clock. */
static void sweep_after_lock(const char *dir, int fd) {
    struct stat st;
    if (futimens(fd, NULL) == 0 && fstat(fd, &st) == 0) {
        pln_statedir_sweep(dir, &st.st_mtim);
    }
}

/* ---- The lock -------------------------------------------------------------------------------- */

pollen_err pln_statedir_lock(const char *dir, int *ret_fd) {
    char path[PLN_PATH_BYTES];
    pollen_err err = pln_statedir_path(dir, PLN_FILE_LOCK, path);
    if (err == POLLEN_OK) {
        err = pln_dir_ensure(dir, PLN_MODE_DIR);
    }
    if (err != POLLEN_OK) {
        return err;
    }
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        const int error = errno;
        pln_last_error_set("%s: %s", path, error == ELOOP ? "is a link" : pln_errno_text(error));
        return error == ELOOP                      ? POLLEN_EMODE
               : error == EACCES || error == EROFS ? POLLEN_EPERM
                                                   : POLLEN_EIO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const bool held = errno == EWOULDBLOCK;
        pln_last_error_set("%s: %s", path,
                           held ? pollen_strerror(POLLEN_EBUSY) : pln_errno_text(errno));
        (void)close(fd);
        return held ? POLLEN_EBUSY : POLLEN_EIO;
    }
    sweep_after_lock(dir, fd);
    *ret_fd = fd;
    return POLLEN_OK;
}

void pln_statedir_unlock(int fd) {
    (void)close(fd);
}
