/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel is asked for the route to one address of the wide world, which minds metrics, tables
 * and rules as a packet would, instead of reading the table and guessing.  The address is the one
 * that RFC 7723 gives to PCP servers; nothing is sent there.
 */
#include "run/gateway.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"

static const uint8_t way_out[4] = {192, 0, 0, 9};

typedef struct query {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr attr;
    uint8_t to[4];
} query;

static bool ask(int fd) {
    query q = {
        .header = {.nlmsg_len = sizeof q, .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST},
        .route = {.rtm_family = AF_INET, .rtm_dst_len = 32},
        .attr = {.rta_len = RTA_LENGTH(sizeof q.to), .rta_type = RTA_DST},
    };
    memcpy(q.to, way_out, sizeof q.to);
    return send(fd, &q, sizeof q, 0) == (ssize_t)sizeof q;
}

/* The gateway of a route. */
static bool read_route(const struct nlmsghdr *header, pollen_addr *ret) {
    const struct rtmsg *route = NLMSG_DATA(header);
    if (header->nlmsg_type != RTM_NEWROUTE || header->nlmsg_len < NLMSG_LENGTH(sizeof *route) ||
        route->rtm_family != AF_INET || route->rtm_type != RTN_UNICAST) {
        return false;
    }
    const struct rtattr *attr = RTM_RTA(route);
    size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof *route);
    while (left >= sizeof *attr && attr->rta_len >= sizeof *attr && attr->rta_len <= left) {
        if (attr->rta_type == RTA_GATEWAY && attr->rta_len == RTA_LENGTH(4)) {
            *ret = pln_addr_ipv4(RTA_DATA(attr), 0);
            return true;
        }
        const size_t step = RTA_ALIGN(attr->rta_len);
        left = left > step ? left - step : 0;
        attr = (const struct rtattr *)(const void *)((const uint8_t *)attr + step);
    }
    return false;
}

/* The answer lies there by the time that the question has been sent. */
static bool read_answer(int fd, pollen_addr *ret) {
    _Alignas(struct nlmsghdr) uint8_t bytes[4096];
    const ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)bytes;
    return size >= (ssize_t)sizeof *header && header->nlmsg_len <= (size_t)size &&
           read_route(header, ret);
}

bool pln_gateway_find(pollen_addr *ret) {
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        return false;
    }
    const bool found = ask(fd) && read_answer(fd, ret);
    (void)close(fd);
    return found && !pln_addr_is_unspecified(ret);
}
