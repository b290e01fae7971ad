/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NAT a node sits behind, as far as its peers' observations tell (RFC 4787).  A guess is never
 * made: what the evidence does not settle is unknown.
 *
 * Thread: every function is safe from any thread.
 */
#ifndef POLLEN_NAT_H
#define POLLEN_NAT_H

#include <pollen/mesh.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether one socket is seen at one external port by all (RFC 4787, 4.1). */
typedef enum pollen_nat_mapping {
    POLLEN_NAT_MAPPING_UNKNOWN, /* Zero, so that whoever said nothing is unknown. */
    POLLEN_NAT_MAPPING_NONE,    /* Seen at an address of its own: there is no NAT. */
    POLLEN_NAT_MAPPING_EASY,    /* One port for all (endpoint-independent). */
    POLLEN_NAT_MAPPING_HARD,    /* Another port for each destination. */
} pollen_nat_mapping;

/* How the NAT chooses external ports (RFC 4787, 4.2). */
typedef enum pollen_nat_allocation {
    POLLEN_NAT_ALLOCATION_UNKNOWN,
    POLLEN_NAT_ALLOCATION_PRESERVING, /* The port of the socket behind it, when that is free. */
    POLLEN_NAT_ALLOCATION_SEQUENTIAL, /* In small steps. */
    POLLEN_NAT_ALLOCATION_RANDOM,
} pollen_nat_allocation;

/* "easy", "sequential", ...; "unknown" for a foreign number.  Static. */
POLLEN_API const char *pollen_nat_mapping_name(pollen_nat_mapping mapping);
POLLEN_API const char *pollen_nat_allocation_name(pollen_nat_allocation allocation);

typedef struct pollen_observed {
    pollen_key peer;
    pollen_addr addr; /* Ours, as the peer sees it. */
    int64_t age_ms;
} pollen_observed;

/* Our own address as peers that have a session told it last, newest first.  Returns how many there
 * are, of which up to cap are filled; 0 when the mesh is closed. */
POLLEN_API size_t pollen_mesh_observed_addrs(pollen_mesh *mesh, pollen_observed *observed,
                                             size_t cap);

#define POLLEN_NAT_EVIDENCE_MAX 32 /* As many observations are kept. */

/* What one peer saw of us, and whether the verdict rests on it. */
typedef struct pollen_nat_evidence {
    pollen_key peer;
    pollen_addr seen;
    int64_t age_ms;
    bool counted;
    /* "counted", or why it is not: "inside", "same_address", "other_socket", "other_family", "old"
     * or "outvoted".  Static. */
    const char *role;
} pollen_nat_evidence;

typedef struct pollen_nat_report {
    pollen_nat_mapping mapping;
    pollen_nat_allocation allocation;
    uint16_t step;        /* Of a sequential allocation, else 0. */
    pollen_addr external; /* Our address as others see it; port 0: nobody tells. */
    size_t evidence_count;
    pollen_nat_evidence evidence[POLLEN_NAT_EVIDENCE_MAX]; /* The newest first. */
    /* Why the evidence leaves it open, while it does: "nobody", "all_inside", "one", "one_address",
     * "one_socket", "odd_one" or "split"; else NULL.  Static. */
    const char *doubt;
    /* Where the evidence leaves it open but contradicts nothing, mapping, allocation and step are
     * those of an earlier time at this place: when that was, in Unix seconds; else 0. */
    int64_t remembered_at;
} pollen_nat_report;

/*
 * The verdict of now, and what it rests on.
 *
 * Owner:  ret_report is filled by value.
 * Errors: POLLEN_EINVAL, POLLEN_ENOMEM, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_nat_report(pollen_mesh *mesh,
                                                             pollen_nat_report *ret_report);

/* ---- Port mapping ---------------------------------------------------------------------------- */

/* What asking the router to forward our UDP port came to. */
typedef enum pollen_port_mapping_state {
    POLLEN_PORT_MAPPING_OFF,       /* Nobody asked for it. */
    POLLEN_PORT_MAPPING_NO_ROUTER, /* No IPv4 default route by a router. */
    POLLEN_PORT_MAPPING_ASKING,
    POLLEN_PORT_MAPPING_MAPPED,
    POLLEN_PORT_MAPPING_NESTED,  /* Mapped, at an address that is itself behind another NAT. */
    POLLEN_PORT_MAPPING_REFUSED, /* The router speaks a protocol, and said no; asked again later. */
    POLLEN_PORT_MAPPING_SILENT,  /* It speaks none; asked again later. */
} pollen_port_mapping_state;

/* "off", "no_router", ...; "unknown" for a foreign number.  Static. */
POLLEN_API const char *pollen_port_mapping_state_name(pollen_port_mapping_state state);

/* Whether the router speaks a protocol. */
typedef enum pollen_port_mapping_protocol {
    POLLEN_PORT_MAPPING_UNTRIED,
    POLLEN_PORT_MAPPING_SPOKEN,
    POLLEN_PORT_MAPPING_UNSPOKEN,
} pollen_port_mapping_protocol;

typedef struct pollen_port_mapping {
    pollen_port_mapping_state state;
    pollen_port_mapping_protocol pcp;     /* RFC 6887 */
    pollen_port_mapping_protocol nat_pmp; /* RFC 6886 */
    pollen_addr gateway;                  /* Whom we ask; port 0: nobody. */
    pollen_addr external;                 /* What it forwards to us; port 0: nothing. */
} pollen_port_mapping;

/*
 * Asks the router from now on, by PCP or NAT-PMP, to forward a UDP port to this mesh, keeps that
 * up, and tells other members of it.  Off at first, because it changes a machine that is not ours.
 * Turning it on does not wait; turning it off gives the port back, as closing the mesh does, and
 * waits for the router less than a second.
 *
 * Errors: POLLEN_EINVAL, POLLEN_ESYS, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_map_port(pollen_mesh *mesh, bool on);

/* How it stands; off when the mesh has closed.  Errors: POLLEN_EINVAL */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_mesh_port_mapping(pollen_mesh *mesh,
                                                               pollen_port_mapping *ret_mapping);

#ifdef __cplusplus
}
#endif

#endif
