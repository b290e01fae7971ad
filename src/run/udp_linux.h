/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A UDP socket: dual-stack on the wildcard address, IPv4 alone where there is no IPv6.  Runs of
 * equal packets leave and arrive in one system call each (UDP_SEGMENT, UDP_GRO), which is most of
 * what bulk transfer costs.
 *
 * A datagram that the system refuses is a lost datagram, which QUIC repairs; no error of the
 * network is an error here.  Path MTU discovery is left to QUIC (IP_PMTUDISC_PROBE), because the
 * kernel's own believes forged ICMP messages.
 *
 * Thread: the loop's alone.
 */
#ifndef PLN_RUN_UDP_LINUX_H
#define PLN_RUN_UDP_LINUX_H

#include <sys/socket.h>

#include "quic/quic.h"

typedef struct pln_udp_slots pln_udp_slots;

typedef struct pln_udp {
    int fd;
    uint32_t via; /* The name of the paths that lead through it. */
    bool ipv4_only;
    bool gso; /* Off for good once a run was refused whose packets were taken one by one. */
    bool owns_slots;
    pln_udp_slots *slots; /* Where datagrams arrive; those of one loop share it. */
    ssize_t (*send)(int fd, const struct msghdr *msg, int flags); /* sendmsg(); tests replace it. */
    uint64_t lost_sends, garbage_in;
} pln_udp;

/* Port 0 is any.  Errors: POLLEN_EADDRINUSE, POLLEN_EPERM, POLLEN_ENOMEM, POLLEN_ESYS */
POLLEN_MUST_USE pollen_err pln_udp_open(pln_udp *udp, uint16_t port);

/* Another socket of the same loop, of the same family, on any port; main_socket is closed last.
 * Errors: POLLEN_ESYS, POLLEN_ENOMEM, POLLEN_EPERM */
POLLEN_MUST_USE pollen_err pln_udp_open_beside(pln_udp *udp, const pln_udp *main_socket,
                                               uint32_t via);
void pln_udp_close(pln_udp *udp);
uint16_t pln_udp_port(const pln_udp *udp);

typedef void (*pln_udp_sink)(void *ctx, const pln_datagram *datagram);

/* One system call's worth of datagrams, each given to sink (its bytes are borrowed for that call).
 * Returns how many messages were taken from the socket, empty and broken ones included, so that a
 * flood of those uses up the caller's budget too; less than PLN_UDP_SLOTS: the socket is empty. */
enum { PLN_UDP_SLOTS = 8 };
size_t pln_udp_recv(pln_udp *udp, pln_udp_sink sink, void *ctx);

/*
 * Sends the run from *offset on and advances it.  False when the socket is full: call again with
 * the same arguments once it is writable, because for QUIC these packets are under way already.
 */
bool pln_udp_send(pln_udp *udp, const pln_transmit *run, const uint8_t *bytes, size_t *offset);

#endif
