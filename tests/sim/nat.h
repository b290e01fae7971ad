/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models of NATs: which outside port an inside endpoint gets, and what may come back through it.
 * The kinds are those that real Linux NATs show, the usual ones and those that rules can make of
 * them: a flow is kept with the ports at both of its ends, as conntrack does.
 *
 * Times are the caller's; an entry that ran out counts no more.
 */
#ifndef SIM_NAT_H
#define SIM_NAT_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/rng.h"
#include "base/time.h"

typedef enum sim_nat_kind {
    SIM_NAT_PLAIN,         /* Keeps the port where it can; what nobody asked for is dropped. */
    SIM_NAT_PLAIN_OPEN,    /* The same, but takes new packets for itself: they occupy the port. */
    SIM_NAT_PLAIN_REJECT,  /* The same, but refuses new packets: as plain. */
    SIM_NAT_APDF,          /* One port an endpoint; only whom it sent to may answer. */
    SIM_NAT_ADF,           /* One port an endpoint; whoever has an address that it sent to. */
    SIM_NAT_EIF,           /* One port an endpoint; anybody (full cone). */
    SIM_NAT_EDM_RANDOM,    /* A new random port for each destination. */
    SIM_NAT_EDM_SEQ,       /* The next port for each destination. */
    SIM_NAT_EDM_STRIDE256, /* The next but 255 for each destination. */
    SIM_NAT_DROP,          /* Not a NAT: a firewall that lets no UDP pass. */
    SIM_NAT_KINDS,
} sim_nat_kind;

const char *sim_nat_kind_name(sim_nat_kind kind);

typedef struct sim_nat_config {
    sim_nat_kind kind;
    pollen_addr outside; /* Its address; the port counts for nothing. */
    bool hairpin;        /* Inside hosts reach each other by their outside ports. */
    pln_dur unreplied;   /* Life of an entry that saw one direction only; 0: 30 s. */
    pln_dur replied;     /* Life of one that saw both; 0: 120 s. */
    size_t entries_max;  /* Then new flows are dropped; 0: 65536. */
} sim_nat_config;

typedef struct sim_nat sim_nat;

sim_nat *sim_nat_create(const sim_nat_config *config, pln_rng rng);
void sim_nat_destroy(sim_nat *nat);
const sim_nat_config *sim_nat_get_config(const sim_nat *nat);

/* A packet goes out.  False: dropped.  *ret_from is what the outside sees. */
bool sim_nat_out(sim_nat *nat, const pollen_addr *from, const pollen_addr *to, pln_ts now,
                 pollen_addr *ret_from);

/* A packet comes in for the outside port.  False: dropped.  *ret_to is whom it is for. */
bool sim_nat_in(sim_nat *nat, const pollen_addr *from, uint16_t port, pln_ts now,
                pollen_addr *ret_to);

/* Forgets everything, as a router that was switched off and on. */
void sim_nat_reset(sim_nat *nat);

typedef struct sim_nat_counts {
    size_t entries;      /* Now. */
    size_t entries_peak; /* At once, ever. */
    uint64_t created;
    uint64_t out, in;
    uint64_t dropped_out, dropped_in;
} sim_nat_counts;
sim_nat_counts sim_nat_count(sim_nat *nat, pln_ts now);

#endif
