# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: entering, wiring, counting, forgetting.

Everything happens in a network, mount and process namespace of our own, which private() makes by starting
this program anew.  The names under /run/netns are ours alone, the machine's own addresses and firewall are
out of reach, and when the program ends, however it ends, the kernel removes all of it.
"""
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys

SKIPPED = 77
SCRATCH = "/run"  # a file system of our own, once private() has been called
NAMES = f"{SCRATCH}/netns"
_INSIDE = "POLLEN_NET_INSIDE"
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Something did not do what it should; the text says what."""


def program(usage):
    """The first argument, the program under test, in a place where no other one is: the entry of a file of tests."""
    private()
    if len(sys.argv) < 2:
        sys.exit(usage)
    return os.path.abspath(sys.argv.pop(1))


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(SKIPPED)


def private():
    """Continues in namespaces of our own, or says why that is impossible and ends with status 77."""
    if os.environ.pop(_INSIDE, None):
        for command in (["mount", "-t", "proc", "proc", "/proc"], ["mount", "-t", "tmpfs", "lab", SCRATCH]):
            subprocess.run(command, check=True)
        os.mkdir(NAMES)
        run("ip", "link", "set", "lo", "up")
        return
    if os.geteuid() != 0:
        skip("network namespaces need root")
    for tool, package in (("unshare", "util-linux"), ("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(tool) is None:
            skip(f"{tool} is missing: install {package}")
    own = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    trial = subprocess.run([*own, "nft", "add", "table", "ip", "trial"], capture_output=True, text=True, check=False)
    if trial.returncode != 0:
        skip(f"no network namespace with a firewall can be made here: {trial.stderr.strip()}")
    sys.stdout.flush()
    sys.exit(_in_our_stead([*own, sys.executable, *sys.argv]))


def _in_our_stead(command):
    """The exit status of the command, which ends with us, whatever ends us."""
    with subprocess.Popen(command, env=os.environ | {_INSIDE: "yes"},
                          preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)) as child:
        def end(number, _):
            child.kill()
            sys.exit(128 + number)

        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, end)
        status = child.wait()
    return status if status >= 0 else 128 - status


def run(*command, text=None):
    """Runs a short command to its end; its output."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip()}{_numbered(text)}")
    return done.stdout


def _numbered(text):
    return "".join(f"\n{number:4} {line}" for number, line in enumerate((text or "").split("\n"), 1) if line)


def _write(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


def _read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def _setns(fd):
    if _LIBC.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Space:
    """One named network namespace.  It exists once make() has been called for it."""

    def __init__(self, name):
        self.name = name

    @contextlib.contextmanager
    def entered(self):
        """This thread, and what it starts meanwhile, is in the namespace.  Sockets stay there for good."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            inside = os.open(f"{NAMES}/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(inside)
            finally:
                os.close(inside)
            try:
                yield self
            finally:
                _setns(before)
        finally:
            os.close(before)

    def run(self, *command, text=None):
        with self.entered():
            return run(*command, text=text)

    def ip(self, lines, *family):
        """Several ip commands at once; what names no address may need a family, -4 or -6."""
        run("ip", *family, "-n", self.name, "-batch", "-", text="\n".join(lines) + "\n")

    def nft(self, text):
        self.run("nft", "-f", "-", text=text)

    def set(self, **values):
        """Settings below /proc/sys/net, with dots for slashes; what this kernel lacks is passed over."""
        with self.entered():
            for key, value in values.items():
                path = "/proc/sys/net/" + key.replace("__", "/")
                if os.path.exists(path):
                    _write(path, str(value))

    def udp(self, port=0, host="0.0.0.0"):
        """A UDP socket that lives in the namespace."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with self.entered():
            sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((host, port))
        return sock

    def packets(self, link):
        """(received, sent) on a link since it was made."""
        with self.entered():
            lines = _read("/proc/thread-self/net/dev").splitlines()
        for line in lines:
            name, _, numbers = line.partition(":")
            if name.strip() == link:
                fields = numbers.split()
                return int(fields[1]), int(fields[9])
        raise Failure(f"{self.name}: no link {link}")

    def udp_sockets(self):
        """How many UDP sockets there are in it."""
        with self.entered():
            return sum(len(_read(f"/proc/thread-self/net/{table}").splitlines()) - 1 for table in ("udp", "udp6"))

    def flows(self):
        """How many flows the connection tracker holds."""
        with self.entered():
            return int(_read("/proc/sys/net/netfilter/nf_conntrack_count"))

    def live_flows(self):
        """The same without those whose time is up, which the kernel removes later."""
        return len(self.flow_table().splitlines())

    def datagrams_sent(self):
        """How many UDP datagrams the sockets in it have sent."""
        return self.counted("Udp", "OutDatagrams")

    def counted(self, protocol, name):
        """One of the kernel's counters of a protocol, IPv4 and IPv6 together."""
        with self.entered():
            names, values = (line.split() for line in _read("/proc/thread-self/net/snmp").splitlines()
                             if line.startswith(f"{protocol}:"))
            of_v6 = dict(line.split() for line in _read("/proc/thread-self/net/snmp6").splitlines())
        return int(values[names.index(name)]) + int(of_v6[f"{protocol}6{name}"])

    def flow_table(self):
        """The flows as the connection tracker prints them."""
        with self.entered():
            return _read("/proc/thread-self/net/nf_conntrack")

    def forget_flows(self):
        """Empties the connection tracker, as conntrack -F does."""
        flush = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
        with self.entered(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sock:
            sock.settimeout(5)
            sock.send(struct.pack("=IHHIIBBH", 20, flush, 5, 1, 0, 0, 0, 0))
            error = struct.unpack_from("=i", sock.recv(4096), 16)[0]
        if error != 0:
            raise Failure(f"{self.name}: cannot empty the connection tracker: {os.strerror(-error)}")


def make(spaces, cables):
    """Makes namespaces, and cables between them: (space, link, space, link)."""
    run("ip", "-batch", "-", text="".join(f"netns add {space.name}\n" for space in spaces))
    run("ip", "-batch", "-", text="".join(
        f"link add {link} netns {space.name} type veth peer name {other_link} netns {other.name}\n"
        for space, link, other, other_link in cables))


def remove(spaces):
    run("ip", "-batch", "-", text="".join(f"netns del {space.name}\n" for space in spaces))
