/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.yaml, what a node knew when it last wrote: peers, services, desired connections,
 * revocations.
 */
#ifndef PLN_WIRE_STATE_YAML_H
#define PLN_WIRE_STATE_YAML_H

#include "wire/admission.h"

typedef struct pln_saved_peer {
    pollen_key key;
    char *last_addr; /* NULL when unknown. */
    char **addrs;    /* IP addresses without port, in the author's order. */
    size_t addr_count;
    uint32_t port;
    uint32_t external_port;
} pln_saved_peer;

typedef struct pln_saved_service {
    char *name;
    pollen_key provider;
    uint32_t port;
} pln_saved_service;

enum { PLN_SAVED_BIND_BYTES = 46 }; /* The longest IPv6 address, with the NUL. */

typedef struct pln_saved_connection {
    pollen_key peer;
    uint32_t remote_port;
    uint32_t local_port;
    /* An IP address to listen at, "" for loopback.  The reference knows no such key and skips
     * it. */
    char bind[PLN_SAVED_BIND_BYTES];
} pln_saved_connection;

typedef struct pln_saved_state {
    bool has_local;
    pollen_key local;
    pln_saved_peer *peers;
    size_t peer_count;
    pln_saved_service *services;
    size_t service_count;
    pln_saved_connection *connections;
    size_t connection_count;
    /* Decoded, not verified.  Each revokes the subject that was signed, whatever stands beside
     * it. */
    pln_revocation *revocations;
    size_t revocation_count;
    size_t bad_revocations;        /* Skipped, because malformed. */
    size_t mismatched_revocations; /* Taken, though the file names another subject beside them. */
} pln_saved_state;

/*
 * Entries with a malformed key are skipped; of several entries for one peer the last one counts.
 * Peers come sorted by key, the other lists in the order of the file.
 *
 * Owner:  ret is filled only on success (pln_saved_state_fini).
 * Errors: POLLEN_ESTATE  malformed (why, if not NULL, has 128 bytes for the reason)
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_saved_state_decode(const char *text, size_t size,
                                                  pln_saved_state *ret, char *why);

/*
 * What can still be had of a malformed text: the entries before the place where it was torn, and
 * every line that holds a revocation, wherever it stands; those are signed, so that nothing false
 * comes in.  Nothing at all is possible.
 *
 * Owner:  ret is filled only on success (pln_saved_state_fini).
 * Errors: POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_saved_state_salvage(const char *text, size_t size,
                                                   pln_saved_state *ret);

/* Appends the revocation that data, in base64, is.  Errors: POLLEN_EPROTO (it is none),
 * POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_saved_state_add_revocation(pln_saved_state *state, const char *data);

/*
 * Owner:  ret_text is the caller's (pln_bytes_fini).
 * Errors: POLLEN_EINVAL  a revocation without its wire
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_saved_state_encode(const pln_saved_state *state,
                                                  pln_bytes *ret_text);
void pln_saved_state_fini(pln_saved_state *state);

/* Drops what others will tell again: peers that this node never had a session with, services of
 * others.  For a state that is too large to be read back. */
void pln_saved_state_shrink(pln_saved_state *state);

#endif
