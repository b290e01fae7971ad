/* SPDX-License-Identifier: Apache-2.0 */
#include "run/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/ed25519ctx.h"
#include "base/mem.h"
#include "run/last_error.h"
#include "run/random.h"

enum { TEMP_TRIES = 16, TEMP_DIGITS = 16 };

#define TEMP_END ".tmp"

static pollen_err from_errno(int error) {
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return POLLEN_ENOENT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return POLLEN_ENOSPC;
    case EACCES:
    case EPERM:
    case EROFS:
        return POLLEN_EPERM;
    case ELOOP:
        return POLLEN_EMODE; /* A link, where O_NOFOLLOW wants none. */
    case ENOMEM:
        return POLLEN_ENOMEM;
    default:
        return POLLEN_EIO;
    }
}

static pollen_err fail(const char *what, const char *path, int error) {
    const pollen_err err = from_errno(error);
    pln_last_error_set("%s %s: %s", what, path,
                       err == POLLEN_EMODE ? "is a link" : pln_errno_text(error));
    return err;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A file that others may only read is as good as one they may not, where it is no secret. */
static mode_t allowed_bits(mode_t max_mode) {
    return max_mode == PLN_MODE_PUBLIC ? (mode_t)(PLN_MODE_PUBLIC | S_IROTH) : max_mode;
}

static pollen_err check_file(const struct stat *st, const char *path, mode_t max_mode) {
    if (!S_ISREG(st->st_mode)) {
        pln_last_error_set("%s: not a regular file", path);
        return POLLEN_EMODE;
    }
    if (st->st_uid != geteuid() && st->st_uid != 0) {
        pln_last_error_set("%s: belongs to another user", path);
        return POLLEN_EMODE;
    }
    if ((st->st_mode & 07777 & ~allowed_bits(max_mode)) != 0) {
        pln_last_error_set("%s: mode %04o is too wide: chmod %o %s", path, st->st_mode & 07777u,
                           (unsigned)max_mode, path);
        return POLLEN_EMODE;
    }
    return POLLEN_OK;
}

static pollen_err read_whole(int fd, const char *path, size_t size, pln_bytes *ret) {
    uint8_t *data = pln_malloc(size + 1);
    if (data == NULL) {
        return POLLEN_ENOMEM;
    }
    size_t got = 0;
    while (got <= size) {
        const ssize_t part = read(fd, data + got, size + 1 - got);
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part < 0) {
            const pollen_err err = fail("read", path, errno);
            pln_secret_wipe(data, got);
            pln_free(data);
            return err;
        }
        if (part == 0) {
            break;
        }
        got += (size_t)part;
    }
    *ret = (pln_bytes){.data = data, .size = got};
    return POLLEN_OK;
}

static pollen_err read_open(int fd, const char *path, mode_t max_mode, size_t max_size,
                            pln_bytes *ret) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return fail("stat", path, errno);
    }
    pollen_err err = check_file(&st, path, max_mode);
    if (err == POLLEN_OK && (uint64_t)st.st_size > max_size) {
        pln_last_error_set("%s: larger than %zu bytes", path, max_size);
        err = POLLEN_ELIMIT;
    }
    if (err != POLLEN_OK) {
        return err;
    }
    err = read_whole(fd, path, (size_t)st.st_size, ret);
    if (err == POLLEN_OK && ret->size > (size_t)st.st_size) {
        pln_secret_wipe(ret->data, ret->size);
        pln_bytes_fini(ret);
        pln_last_error_set("%s: grows while it is read", path);
        err = POLLEN_EIO;
    }
    return err;
}

pollen_err pln_file_read(const char *path, mode_t max_mode, size_t max_size, pln_bytes *ret) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return fail("open", path, errno);
    }
    pln_bytes bytes = {0};
    const pollen_err err = read_open(fd, path, max_mode, max_size, &bytes);
    (void)close(fd);
    if (err == POLLEN_OK) {
        *ret = bytes;
    }
    return err;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Nobody can plant a file or a link at a name that he cannot guess.  The lock tells who clears up
 * that this one is still being written. */
static int open_temp(const char *path, char *temp, size_t cap) {
    for (int i = 0; i < TEMP_TRIES; i++) {
        uint64_t number;
        if (pln_os_random((uint8_t *)&number, sizeof(number)) != POLLEN_OK) {
            return -1;
        }
        if ((size_t)snprintf(temp, cap, "%s.%016llx" TEMP_END, path, (unsigned long long)number) >=
            cap) {
            errno = ENAMETOOLONG;
            return -1;
        }
        const int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0) {
            (void)flock(fd, LOCK_EX | LOCK_NB); /* Where locks do not work it is not needed. */
            return fd;
        }
        if (errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

static bool write_whole(int fd, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        const ssize_t part = write(fd, bytes, size);
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part <= 0) {
            return false;
        }
        bytes += part;
        size -= (size_t)part;
    }
    return true;
}

static bool sync_parent(const char *path) {
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof(dir), "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL) {
        (void)snprintf(dir, sizeof(dir), ".");
    } else {
        slash[slash == dir] = '\0';
    }
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const bool synced = fsync(fd) == 0;
    (void)close(fd);
    return synced;
}

pollen_err pln_file_write(const char *path, mode_t mode, const void *bytes, size_t size) {
    char temp[PATH_MAX];
    const int fd = open_temp(path, temp, sizeof(temp));
    if (fd < 0) {
        return fail("create", path, errno);
    }
    /* fchmod, because a mode given to open() is cut by the umask. */
    bool done = fchmod(fd, mode) == 0 && write_whole(fd, bytes, size) && fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 && done) {
        done = false;
        error = errno;
    }
    if (done && rename(temp, path) != 0) {
        done = false;
        error = errno;
    }
    if (!done) {
        (void)unlink(temp);
        return fail("write", path, error);
    }
    return sync_parent(path) ? POLLEN_OK : fail("sync", path, errno);
}

/* <name>.<16 hex digits>.tmp: where the name ends, 0 when it is none of ours. */
static size_t temp_name(const char *entry) {
    const size_t end = sizeof(TEMP_END) - 1 + TEMP_DIGITS + 1;
    const size_t size = strlen(entry);
    if (size <= end || entry[size - end] != '.' ||
        strcmp(entry + size - (sizeof(TEMP_END) - 1), TEMP_END) != 0 ||
        strspn(entry + size - end + 1, "0123456789abcdef") != TEMP_DIGITS) {
        return 0;
    }
    return size - end;
}

static bool is_older(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Who writes it holds its lock; a process that was killed holds none. */
static bool is_left(int fd, const struct timespec *before) {
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
           st.st_nlink == 1 && is_older(&st.st_mtim, before) && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static size_t sweep_one(int dir_fd, const char *entry, const struct timespec *before) {
    const int fd = openat(dir_fd, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    const bool gone = is_left(fd, before) && unlinkat(dir_fd, entry, 0) == 0;
    (void)close(fd);
    return gone ? 1 : 0;
}

size_t pln_dir_sweep(const char *path, const struct timespec *before,
                     bool (*is_ours)(const char *name, size_t size)) {
    size_t count = 0;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this stream. */
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const size_t size = temp_name(entry->d_name);
        if (size > 0 && is_ours(entry->d_name, size)) {
            count += sweep_one(dirfd(dir), entry->d_name, before);
        }
    }
    (void)closedir(dir);
    return count;
}

pollen_err pln_file_remove(const char *path) {
    return unlink(path) == 0 || errno == ENOENT ? POLLEN_OK : fail("remove", path, errno);
}

/* ---- Directories ----------------------------------------------------------------------------- */

/* A directory of the reference is open to its group, which may then swap files in it.  What is ours
 * is made narrower; what everybody may write, or somebody else owns, cannot be trusted any more. */
static pollen_err check_dir(const char *path, mode_t mode) {
    struct stat st;
    if (stat(path, &st) != 0) {
        return fail("stat", path, errno);
    }
    if (!S_ISDIR(st.st_mode)) {
        pln_last_error_set("%s: not a directory", path);
        return POLLEN_EMODE;
    }
    if ((st.st_mode & S_IWOTH) != 0 || (st.st_uid != geteuid() && st.st_uid != 0)) {
        pln_last_error_set("%s: others may write to it: chmod %o %s", path, (unsigned)mode, path);
        return POLLEN_EMODE;
    }
    if ((st.st_mode & S_IWGRP) != 0 && chmod(path, st.st_mode & 0777 & ~(mode_t)S_IWGRP) != 0) {
        pln_last_error_set("%s: its group may write to it: chmod %o %s", path, (unsigned)mode,
                           path);
        return POLLEN_EMODE;
    }
    return POLLEN_OK;
}

/* The name of a new directory has to last as well, or the files in it are lost with it; but one may
 * be allowed to make a directory in a place that one may not open to sync it. */
static pollen_err make_dir(const char *path, mode_t mode) {
    if (mkdir(path, mode) != 0) {
        return errno == EEXIST ? POLLEN_EEXIST : fail("create", path, errno);
    }
    (void)sync_parent(path);
    return POLLEN_OK;
}

static pollen_err make_parents(char *path, mode_t mode) {
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/') {
            continue;
        }
        *at = '\0';
        const pollen_err err = make_dir(path, mode);
        *at = '/';
        if (err != POLLEN_OK && err != POLLEN_EEXIST) {
            return err;
        }
    }
    return POLLEN_OK;
}

pollen_err pln_dir_ensure(const char *path, mode_t mode) {
    pollen_err err = make_dir(path, mode);
    if (err == POLLEN_ENOENT) {
        char copy[PATH_MAX];
        if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy)) {
            return fail("create", path, ENAMETOOLONG);
        }
        pln_last_error_clear();
        err = make_parents(copy, mode);
        if (err == POLLEN_OK) {
            err = make_dir(path, mode);
        }
    }
    return err == POLLEN_EEXIST ? check_dir(path, mode) : err;
}
