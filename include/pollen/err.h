/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors.  Every fallible function returns a pollen_err: POLLEN_OK is 0, everything else is
 * negative. The list is append-only, so that a number keeps its meaning across versions.
 *
 * Thread: all functions here may be called from any thread; they return string literals.
 */
#ifndef POLLEN_ERR_H
#define POLLEN_ERR_H

#include <pollen/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
#define POLLEN_ERR_MAP(X)                                                                          \
    X(OK,            0, "success")                                                                 \
    X(EINVAL,       -1, "invalid argument")                                                        \
    X(ENOMEM,       -2, "out of memory")                                                           \
    X(ECLOSED,      -3, "closed")                                                                  \
    X(ETIMEDOUT,    -4, "deadline passed")                                                         \
    X(ECANCELED,    -5, "canceled")                                                                \
    X(ENOENT,       -6, "no such object, or no longer")                                            \
    X(ENOTCONN,     -7, "no session with this peer")                                               \
    X(EAGAIN,       -8, "queue full, try again later")                                             \
    X(EMSGSIZE,     -9, "message too large for the path")                                          \
    X(EADDRINUSE,  -10, "port already in use")                                                     \
    X(EADDR,       -11, "malformed or unusable address")                                           \
    X(EIO,         -12, "input/output failed")                                                     \
    X(ENOSPC,      -13, "no space left")                                                           \
    X(EPERM,       -14, "not permitted")                                                           \
    X(EPROTO,      -15, "malformed or unexpected message")                                         \
    X(EVERSION,    -16, "the peer speaks an incompatible version")                                 \
    X(EIDENTITY,   -17, "the peer's key is not the expected one")                                  \
    X(EDENIED,     -18, "the peer refused us")                                                     \
    X(EREVOKED,    -19, "revoked")                                                                 \
    X(EEXPIRED,    -20, "expired, or not yet valid")                                               \
    X(ESIGNATURE,  -21, "signature does not hold")                                                 \
    X(ECLUSTER,    -22, "belongs to another cluster")                                              \
    X(ECONSUMED,   -23, "invite already used by another key")                                      \
    X(ESUBJECT,    -24, "issued for another key")                                                  \
    X(EKEY,        -25, "unusable key")                                                            \
    X(ECERT,       -26, "malformed or unusable certificate")                                       \
    X(ETOKEN,      -27, "malformed token")                                                         \
    X(ECONFIG,     -28, "malformed configuration")                                                 \
    X(ESTATE,      -29, "malformed state file")                                                    \
    X(EEXIST,      -30, "already exists")                                                          \
    X(EBUSY,       -31, "in use by another process")                                               \
    X(EUNREACHABLE,-32, "no address answered")                                                     \
    X(ERESET,      -33, "reset by the peer")                                                       \
    X(ELIMIT,      -34, "limit reached")                                                           \
    X(ENOTSUP,     -35, "not supported by the peer")                                               \
    X(ENOTADMIN,   -36, "this node is not an admin")                                               \
    X(ESYS,        -37, "operating system error")                                                  \
    X(ENOTENROLLED,-38, "not a member of any cluster")                                             \
    X(EMODE,       -39, "file mode or owner is unsafe")
/* clang-format on */

typedef enum pollen_err {
#define POLLEN_ERR_ENUM(name, value, text) POLLEN_##name = (value),
    POLLEN_ERR_MAP(POLLEN_ERR_ENUM)
#undef POLLEN_ERR_ENUM
} pollen_err;

/* A short English text, lower case, without a full stop; "unknown error" for a foreign number. */
POLLEN_API const char *pollen_strerror(pollen_err err);

/* The symbol's name without its prefix, such as "ETIMEDOUT"; "UNKNOWN" for a foreign number. */
POLLEN_API const char *pollen_err_name(pollen_err err);

#ifdef __cplusplus
}
#endif

#endif
