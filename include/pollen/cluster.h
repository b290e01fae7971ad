/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster: what the members tell each other of themselves, and what this node tells.  For
 * meshes with `gossip`; without it nothing is known, and what would be told is refused with
 * POLLEN_ENOTSUP.
 *
 * With a `state_dir` what is known is kept in its state.yaml: soon after a change, and a revocation
 * before its effect can be seen, unless the disk fails or takes more than a second.  A file that
 * can only be read in part is kept aside under another name.
 *
 * What lists things returns how many there are, of which up to cap are filled, and 0 when the mesh
 * is closed; cap 0 only counts.
 *
 * Thread: every function is safe from any thread.
 */
#ifndef POLLEN_CLUSTER_H
#define POLLEN_CLUSTER_H

#include <pollen/mesh.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Members --------------------------------------------------------------------------------- */

/* As the member tells it, not judged, but for `revoked`, `last_addr` and `has_session`. */
typedef struct pollen_member {
    pollen_key key;
    bool revoked;
    bool has_session;      /* With this node. */
    bool is_public;        /* Reachable from anywhere, it says. */
    pollen_addr last_addr; /* Where this node reached it last; port 0: never. */
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    size_t addr_count;
    uint16_t external_port; /* 0: not known. */
    int64_t cert_expiry;    /* Unix seconds; 0: not known. */
    int64_t heard_ms;       /* Milliseconds ago; -1: only read from the file. */
} pollen_member;

/* In the order of their keys, this node included. */
POLLEN_API size_t pollen_mesh_members(pollen_mesh *mesh, pollen_member *members, size_t cap);

/* ---- Revocation ------------------------------------------------------------------------------ */

/*
 * Revokes a member for good: it is signed with the root key, saved, told to everybody, and its
 * sessions are closed here and wherever it becomes known.  Returns when it is saved.  Revoking once
 * more is fine.
 *
 * Errors: POLLEN_EPERM    only the node that has the root key can revoke
 *         POLLEN_EINVAL   our own key, or the root key, without which nobody is a member
 *         POLLEN_ELIMIT   too many revocations
 *         POLLEN_EIO, POLLEN_ENOSPC  it could not be saved; it holds until this node stops
 *         POLLEN_ENOTSUP, POLLEN_ENOTENROLLED, POLLEN_ENOMEM, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_revoke(pollen_mesh *mesh, const pollen_key *peer);

/* ---- Services -------------------------------------------------------------------------------- */

#define POLLEN_SERVICE_NAME_BYTES 65 /* With the NUL. */

/* A port that a member offers: streams that are opened to it with this port. */
typedef struct pollen_service {
    char name[POLLEN_SERVICE_NAME_BYTES];
    pollen_key provider;
    uint16_t port;
} pollen_service;

/*
 * Tells members of a service of this node; the name of one that is told already gives it the new
 * port.  Accepting its streams is the caller's (pollen_mesh_accept_stream).
 *
 * Errors: POLLEN_EINVAL  port 0, a name that is empty, too long or not UTF-8
 *         POLLEN_ELIMIT, POLLEN_ENOTSUP, POLLEN_ENOMEM, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_set_service(pollen_mesh *mesh, const char *name,
                                                              uint16_t port);

/* A name that is not told is fine.  Errors: POLLEN_ENOTSUP, POLLEN_ENOMEM, POLLEN_ECLOSED */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_remove_service(pollen_mesh *mesh,
                                                                 const char *name);

/* By provider, then name, ours included, without those of revoked members. */
POLLEN_API size_t pollen_mesh_services(pollen_mesh *mesh, pollen_service *services, size_t cap);

/* ---- Forwards -------------------------------------------------------------------------------- */

#define POLLEN_FORWARD_BIND_BYTES 46 /* With the NUL. */

/* A forward that this node's owner wants: kept in state.yaml, so that it can be made again after a
 * restart.  The library keeps it in mind, forwarding is the caller's. */
typedef struct pollen_forward {
    pollen_key provider;
    uint16_t remote_port;
    uint16_t local_port;                  /* 0, as the reference may have left it: any. */
    char bind[POLLEN_FORWARD_BIND_BYTES]; /* The IP address to listen at; "": loopback. */
} pollen_forward;

/*
 * A forward is what it is by its provider and ports; setting it again gives it another `bind`.
 *
 * Errors: POLLEN_EINVAL  a port of 0, but for a local one that is removed
 *         POLLEN_ELIMIT, POLLEN_ENOTSUP, POLLEN_ENOMEM, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_set_forward(pollen_mesh *mesh,
                                                              const pollen_forward *forward,
                                                              bool on);

/* In no order. */
POLLEN_API size_t pollen_mesh_forwards(pollen_mesh *mesh, pollen_forward *forwards, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
