/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of this machine that a peer might reach. */
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pollen/mesh.h>

#include "base/addr.h"

/* A bridge that joins containers, or a port of one:
 * what has an address there is on no network of ours. */
static bool is_container_side(const char *name) {
    if (strcmp(name, "docker0") == 0 || strncmp(name, "br-", 3) == 0) {
        return true;
    }
    char path[64 + IF_NAMESIZE];
    (void)snprintf(path, sizeof(path), "/sys/class/net/%s/master", name);
    return strncmp(name, "veth", 4) == 0 && access(path, F_OK) == 0;
}

static bool read_addr(const struct sockaddr *sa, pollen_addr *ret) {
    *ret = (pollen_addr){.port = 0};
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        *ret = pln_addr_ipv4((const uint8_t *)&in->sin_addr, 0);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        memcpy(ret->ip, &in6->sin6_addr, sizeof(ret->ip));
        return true;
    }
    return false;
}

static bool is_advertisable(const struct ifaddrs *at, pollen_addr *ret) {
    return at->ifa_addr != NULL && (at->ifa_flags & IFF_UP) != 0 &&
           (at->ifa_flags & IFF_LOOPBACK) == 0 && !is_container_side(at->ifa_name) &&
           read_addr(at->ifa_addr, ret) && !pln_addr_is_loopback(ret) &&
           !pln_addr_is_link_local(ret) && !pln_addr_is_multicast(ret) &&
           !pln_addr_is_unspecified(ret);
}

size_t pollen_advertisable_addrs(pollen_addr *addrs, size_t cap) {
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0) {
        return 0;
    }
    size_t count = 0;
    for (const struct ifaddrs *at = list; at != NULL; at = at->ifa_next) {
        pollen_addr addr;
        if (!is_advertisable(at, &addr)) {
            continue;
        }
        if (count < cap) {
            addrs[count] = addr;
        }
        count++;
    }
    freeifaddrs(list);
    return count;
}
