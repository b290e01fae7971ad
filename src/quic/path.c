/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ngtcp2 knows paths as pairs of socket addresses, which it only compares and copies.  The remote
 * end is our address, always as IPv6; the local end is a made-up address that holds the way out and
 * the zone, so that two remotes that differ in nothing else are two paths.
 */
#include <string.h>

#include "quic/internal.h"

static void put_u32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static uint32_t get_u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void pln_quic_path_encode(const pln_path *path, quic_sockpath *ret) {
    memset(ret, 0, sizeof(*ret));
    ret->remote.sin6_family = AF_INET6;
    ret->remote.sin6_port = htons(path->remote.port);
    memcpy(ret->remote.sin6_addr.s6_addr, path->remote.ip, 16);
    ret->local.sin6_family = AF_INET6;
    put_u32(ret->local.sin6_addr.s6_addr, path->via);
    put_u32(ret->local.sin6_addr.s6_addr + 4, path->remote.zone);
    ngtcp2_addr_init(&ret->path.local, (struct sockaddr *)&ret->local, sizeof(ret->local));
    ngtcp2_addr_init(&ret->path.remote, (struct sockaddr *)&ret->remote, sizeof(ret->remote));
}

pln_path pln_quic_path_decode(const ngtcp2_path *path) {
    struct sockaddr_in6 local;
    struct sockaddr_in6 remote;
    pln_path decoded = {.via = PLN_VIA_MAIN};
    if (path->local.addrlen != sizeof(local) || path->remote.addrlen != sizeof(remote)) {
        return decoded;
    }
    memcpy(&local, path->local.addr, sizeof(local));
    memcpy(&remote, path->remote.addr, sizeof(remote));
    decoded.via = get_u32(local.sin6_addr.s6_addr);
    decoded.remote.zone = get_u32(local.sin6_addr.s6_addr + 4);
    decoded.remote.port = ntohs(remote.sin6_port);
    memcpy(decoded.remote.ip, remote.sin6_addr.s6_addr, 16);
    return decoded;
}
