/* SPDX-License-Identifier: Apache-2.0 */
#include "run/udp_linux.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

/* A GRO run is at most 64 KiB.  The stride is no multiple of 4096,
 * where copies alias and slow down. */
enum { SLOT_BYTES = 65536 + 192 };
enum { CONTROL_BYTES = 192 };
enum { SOCKET_BUFFER_BYTES = 4 * 1024 * 1024 };

/* What nearly all packets carry, ECT(0), is the socket's own setting,
 * so that only others cost a control message. */
enum { ECN_DEFAULT = 2 };

struct pln_udp_slots {
    struct mmsghdr msgs[PLN_UDP_SLOTS];
    struct iovec iov[PLN_UDP_SLOTS];
    struct sockaddr_in6 names[PLN_UDP_SLOTS];
    _Alignas(struct cmsghdr) uint8_t control[PLN_UDP_SLOTS][CONTROL_BYTES];
    uint8_t data[PLN_UDP_SLOTS][SLOT_BYTES];
};

/* ---- Opening --------------------------------------------------------------------------------- */

static void set_int(int fd, int level, int name, int value) {
    /* All of these make things better where the kernel knows them, and are missed nowhere. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_options(int fd, bool ipv4_only) {
    set_int(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER_BYTES);
    set_int(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER_BYTES);
    /* Beyond the system's limit, for the privileged. */
    set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES);
    set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES);
    set_int(fd, SOL_UDP, UDP_GRO, 1);
    /* A dual-stack socket has both sets of options: IPv4-mapped traffic obeys those of IPv4. */
    set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
    set_int(fd, IPPROTO_IP, IP_TOS, ECN_DEFAULT);
    if (ipv4_only) {
        set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
        return;
    }
    set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, ECN_DEFAULT);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

static int bind_any(int fd, bool ipv4_only, uint16_t port) {
    if (ipv4_only) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
        return bind(fd, (const struct sockaddr *)&any, sizeof(any));
    }
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    return bind(fd, (const struct sockaddr *)&any, sizeof(any));
}

/* A bound socket, or -1 and errno. */
static int open_family(bool ipv4_only, uint16_t port) {
    int family = ipv4_only ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
    if (fd < 0) {
        return -1;
    }
    int off = 0;
    if ((!ipv4_only && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) ||
        bind_any(fd, ipv4_only, port) != 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    set_options(fd, ipv4_only);
    return fd;
}

static pollen_err error_of(int number) {
    switch (number) {
    case EADDRINUSE:
        return POLLEN_EADDRINUSE;
    case EACCES:
    case EPERM:
        return POLLEN_EPERM;
    case ENOMEM:
        return POLLEN_ENOMEM;
    default:
        return POLLEN_ESYS;
    }
}

pollen_err pln_udp_open(pln_udp *udp, uint16_t port) {
    *udp = (pln_udp){.fd = open_family(false, port), .gso = true, .send = sendmsg};
    if (udp->fd < 0 && errno != EADDRINUSE && errno != EACCES) {
        udp->ipv4_only = true;
        udp->fd = open_family(true, port);
    }
    if (udp->fd < 0) {
        return error_of(errno);
    }
    udp->slots = pln_calloc(1, sizeof(*udp->slots));
    udp->owns_slots = true;
    if (udp->slots == NULL) {
        pln_udp_close(udp);
        return POLLEN_ENOMEM;
    }
    return POLLEN_OK;
}

pollen_err pln_udp_open_beside(pln_udp *udp, const pln_udp *main_socket, uint32_t via) {
    *udp = (pln_udp){.fd = open_family(main_socket->ipv4_only, 0),
                     .via = via,
                     .ipv4_only = main_socket->ipv4_only,
                     .gso = main_socket->gso,
                     .slots = main_socket->slots,
                     .send = main_socket->send};
    return udp->fd < 0 ? error_of(errno) : POLLEN_OK;
}

void pln_udp_close(pln_udp *udp) {
    if (udp->fd >= 0) {
        (void)close(udp->fd);
    }
    udp->fd = -1;
    if (udp->owns_slots) {
        pln_free(udp->slots);
    }
    udp->slots = NULL;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static pollen_addr addr_of_name(const struct sockaddr_in6 *name) {
    if (name->sin6_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, name, sizeof(v4));
        uint8_t ip[4];
        memcpy(ip, &v4.sin_addr, sizeof(ip));
        return pln_addr_ipv4(ip, ntohs(v4.sin_port));
    }
    pollen_addr addr = {.port = ntohs(name->sin6_port)};
    memcpy(addr.ip, &name->sin6_addr, sizeof(addr.ip));
    /* The kernel gives a zone for link-local addresses alone. */
    addr.zone = name->sin6_scope_id;
    return addr;
}

/* Fills name and returns its length, 0 when this socket cannot reach such an address. */
static socklen_t name_of_addr(const pln_udp *udp, const pollen_addr *addr,
                              struct sockaddr_in6 *name) {
    *name = (struct sockaddr_in6){0};
    if (!udp->ipv4_only) {
        name->sin6_family = AF_INET6;
        name->sin6_port = htons(addr->port);
        name->sin6_scope_id = addr->zone;
        memcpy(&name->sin6_addr, addr->ip, sizeof(addr->ip));
        return sizeof(*name);
    }
    if (!pollen_addr_is_ipv4(addr)) {
        return 0;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&v4.sin_addr, addr->ip + 12, 4);
    memcpy(name, &v4, sizeof(v4));
    return sizeof(v4);
}

uint16_t pln_udp_port(const pln_udp *udp) {
    struct sockaddr_in6 name = {0};
    socklen_t size = sizeof(name);
    PLN_ASSERT(getsockname(udp->fd, (struct sockaddr *)&name, &size) == 0);
    return addr_of_name(&name).port;
}

/* ---- Receiving ------------------------------------------------------------------------------- */

/* What comes beside a message. */
typedef struct message_info {
    pollen_addr local;
    uint8_t ecn;
    size_t segment; /* Of a GRO run; 0: a single datagram. */
} message_info;

static void read_pktinfo(const struct cmsghdr *cmsg, pollen_addr *local) {
    if (cmsg->cmsg_level == IPPROTO_IPV6) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
        memcpy(local->ip, &info.ipi6_addr, sizeof(local->ip));
        local->zone = pln_addr_is_link_local(local) ? (uint32_t)info.ipi6_ifindex : 0;
        return;
    }
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
    uint8_t ip[4];
    memcpy(ip, &info.ipi_spec_dst, sizeof(ip));
    *local = pln_addr_ipv4(ip, 0);
}

static message_info read_control(struct msghdr *msg) {
    message_info info = {0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            info.ecn = *(const uint8_t *)CMSG_DATA(c) & 3;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            int tclass;
            memcpy(&tclass, CMSG_DATA(c), sizeof(tclass));
            info.ecn = (uint8_t)(tclass & 3);
        } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int segment;
            memcpy(&segment, CMSG_DATA(c), sizeof(segment));
            info.segment = segment > 0 ? (size_t)segment : 0;
        } else if ((c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) ||
                   (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)) {
            read_pktinfo(c, &info.local);
        }
    }
    return info;
}

static void deliver(const pln_udp *udp, struct msghdr *msg, size_t size, pln_udp_sink sink,
                    void *ctx) {
    message_info info = read_control(msg);
    pln_datagram datagram = {
        .path = {.via = udp->via, .remote = addr_of_name(msg->msg_name)},
        .local = info.local,
        .ecn = info.ecn,
    };
    const uint8_t *data = msg->msg_iov->iov_base;
    size_t segment = info.segment > 0 ? info.segment : size;
    PLN_ASSERT(segment > 0);
    for (size_t at = 0; at < size; at += segment) {
        datagram.data = data + at;
        datagram.size = size - at < segment ? size - at : segment;
        sink(ctx, &datagram);
    }
}

size_t pln_udp_recv(pln_udp *udp, pln_udp_sink sink, void *ctx) {
    pln_udp_slots *slots = udp->slots;
    PLN_ASSERT(slots != NULL);
    for (size_t i = 0; i < PLN_UDP_SLOTS; i++) {
        slots->iov[i] = (struct iovec){.iov_base = slots->data[i], .iov_len = SLOT_BYTES};
        slots->msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &slots->names[i],
            .msg_namelen = sizeof(slots->names[i]),
            .msg_iov = &slots->iov[i],
            .msg_iovlen = 1,
            .msg_control = slots->control[i],
            .msg_controllen = CONTROL_BYTES,
        };
    }
    int count = recvmmsg(udp->fd, slots->msgs, PLN_UDP_SLOTS, MSG_DONTWAIT, NULL);
    if (count < 0) {
        /* Nothing there, or an error that some earlier datagram met; reading cleared it. */
        return 0;
    }
    for (size_t i = 0; i < (size_t)count; i++) {
        struct mmsghdr *msg = &slots->msgs[i];
        if (msg->msg_len == 0 || (msg->msg_hdr.msg_flags & MSG_TRUNC) != 0) {
            udp->garbage_in++;
            continue;
        }
        deliver(udp, &msg->msg_hdr, msg->msg_len, sink, ctx);
    }
    return (size_t)count;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void put_cmsg(struct msghdr *msg, int level, int type, const void *value, size_t size) {
    struct cmsghdr *cmsg = (struct cmsghdr *)((uint8_t *)msg->msg_control + msg->msg_controllen);
    PLN_ASSERT(msg->msg_controllen + CMSG_SPACE(size) <= CONTROL_BYTES);
    cmsg->cmsg_level = level;
    cmsg->cmsg_type = type;
    cmsg->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(cmsg), value, size);
    msg->msg_controllen += CMSG_SPACE(size);
}

static bool has_source(const pln_udp *udp, const pln_transmit *run) {
    return !pln_addr_is_unspecified(&run->local) &&
           pollen_addr_is_ipv4(&run->local) == pollen_addr_is_ipv4(&run->path.remote) &&
           (!udp->ipv4_only || pollen_addr_is_ipv4(&run->local));
}

static void put_source(struct msghdr *msg, const pln_transmit *run) {
    if (pollen_addr_is_ipv4(&run->local)) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, run->local.ip + 12, 4);
        put_cmsg(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = run->local.zone};
        memcpy(&info.ipi6_addr, run->local.ip, sizeof(run->local.ip));
        put_cmsg(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
}

static void put_ecn(struct msghdr *msg, const pln_transmit *run) {
    int value = run->ecn;
    if (value == ECN_DEFAULT) {
        return;
    }
    if (pollen_addr_is_ipv4(&run->path.remote)) {
        put_cmsg(msg, IPPROTO_IP, IP_TOS, &value, sizeof(value));
    } else {
        put_cmsg(msg, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof(value));
    }
}

static void put_ttl(struct msghdr *msg, const pln_transmit *run) {
    int value = run->ttl;
    if (value == 0) {
        return;
    }
    if (pollen_addr_is_ipv4(&run->path.remote)) {
        put_cmsg(msg, IPPROTO_IP, IP_TTL, &value, sizeof(value));
    } else {
        put_cmsg(msg, IPPROTO_IPV6, IPV6_HOPLIMIT, &value, sizeof(value));
    }
}

/* One sendmsg(), as one datagram or as a run of segments; 0 or errno. */
static int send_message(pln_udp *udp, const pln_transmit *run, const uint8_t *bytes, size_t size,
                        bool with_source) {
    struct sockaddr_in6 name;
    socklen_t name_size = name_of_addr(udp, &run->path.remote, &name);
    if (name_size == 0) {
        return EAFNOSUPPORT;
    }
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES] = {0};
    struct msghdr msg = {
        .msg_name = &name,
        .msg_namelen = name_size,
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
    };
    put_ecn(&msg, run);
    put_ttl(&msg, run);
    if (with_source) {
        put_source(&msg, run);
    }
    if (size > run->segment) {
        uint16_t segment = (uint16_t)run->segment;
        put_cmsg(&msg, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
    }
    if (msg.msg_controllen == 0) {
        msg.msg_control = NULL;
    }
    ssize_t sent;
    do {
        sent = udp->send(udp->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

/* The source is a hint: an address that went away must not keep answers from leaving by another. */
static int send_from_anywhere(pln_udp *udp, const pln_transmit *run, const uint8_t *bytes,
                              size_t size) {
    bool with_source = has_source(udp, run);
    int error = send_message(udp, run, bytes, size, with_source);
    if (with_source && (error == EINVAL || error == EADDRNOTAVAIL || error == ENETUNREACH ||
                        error == EHOSTUNREACH)) {
        error = send_message(udp, run, bytes, size, false);
    }
    return error;
}

static bool is_full(int error) {
    return error == EAGAIN || error == EWOULDBLOCK;
}

/* One datagram at a time; false when the socket is full. */
static bool send_singly(pln_udp *udp, const pln_transmit *run, const uint8_t *bytes,
                        size_t *offset) {
    while (*offset < run->size) {
        size_t rest = run->size - *offset;
        size_t size = rest < run->segment ? rest : run->segment;
        int error = send_from_anywhere(udp, run, bytes + *offset, size);
        if (is_full(error)) {
            return false;
        }
        udp->lost_sends += error != 0;
        *offset += size;
    }
    return true;
}

bool pln_udp_send(pln_udp *udp, const pln_transmit *run, const uint8_t *bytes, size_t *offset) {
    PLN_ASSERT(run->segment > 0);
    PLN_ASSERT(*offset <= run->size);

    size_t rest = run->size - *offset;
    bool refused = false;
    if (udp->gso && rest > run->segment) {
        int error = send_from_anywhere(udp, run, bytes + *offset, rest);
        if (is_full(error)) {
            return false;
        }
        /* Interfaces and tunnels without segmentation say one of these, some of them late. */
        refused = error == EIO || error == EINVAL || error == EMSGSIZE;
        if (!refused) {
            udp->lost_sends += error != 0;
            *offset = run->size;
            return true;
        }
    }
    uint64_t lost_before = udp->lost_sends;
    bool done = send_singly(udp, run, bytes, offset);
    if (refused && done && udp->lost_sends == lost_before) {
        udp->gso = false; /* The packets were fine, so it was the segmentation. */
    }
    return done;
}
