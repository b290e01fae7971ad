# SPDX-License-Identifier: Apache-2.0
"""ICMP errors: every kind, built by hand, in answer to whatever UDP a host sends."""
import contextlib
import socket
import struct
import threading

from nodes import pause

ETH_P_ALL = 3
PACKET_HOST = 0
QUOTED = 128  # Bytes of the packet that is complained of.
STRANGE_GATEWAY = "192.168.1.77"  # Where nobody is.

REDIRECT = 5

# name: (type, code, the four bytes after the checksum)
V4 = {
    "net unreachable": (3, 0, 0),
    "host unreachable": (3, 1, 0),
    "protocol unreachable": (3, 2, 0),
    "port unreachable": (3, 3, 0),
    "fragmentation needed, 1280": (3, 4, 1280),
    "fragmentation needed, 68": (3, 4, 68),
    "fragmentation needed, 0": (3, 4, 0),
    "source route failed": (3, 5, 0),
    "network prohibited": (3, 9, 0),
    "host prohibited": (3, 10, 0),
    "communication prohibited": (3, 13, 0),
    "an unknown code": (3, 200, 0),
    "source quench": (4, 0, 0),
    "redirect": (REDIRECT, 1, int.from_bytes(socket.inet_aton(STRANGE_GATEWAY), "big")),
    "time exceeded": (11, 0, 0),
    "reassembly time exceeded": (11, 1, 0),
    "parameter problem": (12, 0, 20 << 24),
}
V6 = {
    "no route": (1, 0, 0),
    "prohibited": (1, 1, 0),
    "beyond the scope": (1, 2, 0),
    "address unreachable": (1, 3, 0),
    "port unreachable": (1, 4, 0),
    "source address failed": (1, 5, 0),
    "route rejected": (1, 6, 0),
    "packet too big, 1280": (2, 0, 1280),
    "packet too big, 68": (2, 0, 68),
    "time exceeded": (3, 0, 0),
    "reassembly time exceeded": (3, 1, 0),
    "parameter problem": (4, 1, 6),
    "an unknown error": (100, 0, 0),
}


def _sum(data):
    """The Internet checksum."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _error_v4(packet, source, kind):
    number, code, rest = kind
    body = struct.pack("!BBHI", number, code, 0, rest) + packet[:QUOTED]
    body = body[:2] + struct.pack("!H", _sum(body)) + body[4:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0xC0, 20 + len(body), 0, 0, 64, socket.IPPROTO_ICMP, 0, source,
                       packet[12:16])
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + body


def _error_v6(packet, source, kind):
    number, code, rest = kind
    body = struct.pack("!BBHI", number, code, 0, rest) + packet[:QUOTED]
    pseudo = source + packet[8:24] + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6)
    body = body[:2] + struct.pack("!H", _sum(pseudo + body)) + body[4:]
    return struct.pack("!IHBB", 0x60000000, len(body), socket.IPPROTO_ICMPV6, 64) + source + packet[8:24] + body


class Complainer:
    """Answers every UDP packet that a site's host sends with errors of these kinds, by turns.

    It stands on the link between the host and its router, and past the router's own NAT: the host gets the errors as
    they are.  They are signed by the destination, but for a redirect, which only the gateway may send.
    """

    def __init__(self, site, kinds, gateway="192.168.1.1"):
        self.site, self.kinds = site, kinds
        self.gateway = socket.inet_aton(gateway)
        self.to_main = self.to_others = 0
        router = site.routers[0][0]
        with router.entered():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.bind(("lan", ETH_P_ALL))
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def close(self):
        self.over.set()
        self.thread.join()
        self.sock.close()

    def _work(self):
        while not self.over.is_set():
            if pause(0.05, self.sock):
                frame, address = self.sock.recvfrom(1 << 16)
                if address[2] == PACKET_HOST:
                    self._answer(frame)

    def _answer(self, frame):
        packet, kind = frame[14:], self.kinds[(self.to_main + self.to_others) % len(self.kinds)]
        if packet[:1] == b"\x45" and packet[9] == socket.IPPROTO_UDP:
            error, at = _error_v4(packet, self.gateway if kind[0] == REDIRECT else packet[16:20], kind), 20
        elif packet[:1] == b"\x60" and packet[6] == socket.IPPROTO_UDP:
            error, at = _error_v6(packet, packet[24:40], kind), 40
        else:
            return
        with contextlib.suppress(OSError):  # The link's queue is full.
            self.sock.send(frame[6:12] + frame[:6] + frame[12:14] + error)
            if int.from_bytes(packet[at:at + 2], "big") == self.site.port:
                self.to_main += 1
            else:
                self.to_others += 1
