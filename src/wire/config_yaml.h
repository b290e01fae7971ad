/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.yaml, the reference's settings file: bootstrap peers, lifetimes of certificates, whether
 * the node is publicly reachable; and, which is ours, whether the router is asked for a port.
 *
 * The canonical form has peers sorted by key, addresses normalised, without duplicates and sorted,
 * defaults omitted; saving what was loaded gives equal bytes from the second save on.
 */
#ifndef PLN_WIRE_CONFIG_YAML_H
#define PLN_WIRE_CONFIG_YAML_H

#include "wire/admission.h"

/* Seconds; 0 stands for the default. */
typedef struct pln_config {
    pln_bootstraps bootstrap;
    int64_t membership_ttl;
    int64_t admin_ttl;
    int64_t tls_identity_ttl;
    bool is_public;
    bool maps_port; /* By PCP or NAT-PMP. */
} pln_config;

#define PLN_MEMBERSHIP_TTL_DEFAULT (365ll * 86400)
#define PLN_ADMIN_TTL_DEFAULT (5 * 365ll * 86400)
#define PLN_TLS_IDENTITY_TTL_DEFAULT (10 * 365ll * 86400)

/*
 * Owner:  text is borrowed; ret is filled only on success (pln_config_fini).  why (may be NULL,
 *         else 128 bytes) receives a short reason with its line.
 * Errors: POLLEN_ECONFIG  malformed, negative durations, numbers where durations belong, over its
 *                         limits
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_config_decode(const char *text, size_t size, pln_config *ret,
                                             char *why);

/*
 * Owner:  ret_text is the caller's (pln_bytes_fini).
 * Errors: POLLEN_EINVAL  over the limits, or an address that could not be read back
 *         POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_config_encode(const pln_config *config, pln_bytes *ret_text);

void pln_config_fini(pln_config *config);

#endif
