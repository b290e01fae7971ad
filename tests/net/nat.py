# SPDX-License-Identifier: Apache-2.0
"""NAT models, as nftables rules for a router with the links `wan` and `lan` (or `lan1`, `lan2`).

Words (RFC 4787): a mapping is endpoint-independent (EIM) when a socket keeps one public port whomever it
talks to, else endpoint-dependent (EDM).  Filtering is endpoint-independent (EIF: anybody may send in),
address-dependent (ADF: whose address was sent to) or address-and-port-dependent (APDF).

model          mapping                     filtering   what Linux does
plain          EIM, port kept              APDF        masquerade; the router itself takes nothing
plainopen      EIM until somebody is       APDF        the router's own input accepts: a packet that comes in
               early                                   too early leaves a flow, and ours is moved to another port
plainreject    EIM, port kept              APDF        as plain, but answers with an ICMP error
apdf adf eif   EIM, port kept              by name     a table of mappings beside the connection tracker
edm_random     EDM, any port of 64512      APDF        masquerade fully-random
edm_seq        EDM, +1 a flow              APDF        masquerade to a counter
edm_stride256  EDM, +256 a flow            APDF        the same counter in the other byte order
noudp          none: UDP does not pass     -           drop
firewall       no translation (IPv6)       APDF        forward established only
"""

EASY = ("plain", "plainopen", "plainreject", "apdf", "adf", "eif")
HARD = ("edm_random", "edm_seq", "edm_stride256")
MODELS = (*EASY, *HARD, "noudp", "firewall")

SEQUENTIAL_FIRST = 30000
SEQUENTIAL_PORTS = 4096


def _table(*chains, family="ip", sets=""):
    return f"table {family} nat {{\n{sets}" + "\n".join(chains) + "\n}\n"


def _chain(name, kind, hook, priority, *rules, policy="accept"):
    body = "\n".join(f"    {rule}" for rule in rules)
    return f"  chain {name} {{\n    type {kind} hook {hook} priority {priority}; policy {policy};\n{body}\n  }}"


def _entering(*rules):
    """What may pass through the router: all that leaves, and of what comes in what the rules say."""
    return _chain("passing", "filter", "forward", "filter", "ct state established,related accept",
                  'iifname "lan*" oifname "wan" accept', *rules, policy="drop")


def _own(*rules, policy="drop"):
    """What the router takes for itself."""
    return _chain("own", "filter", "input", "filter", "ct state established,related accept", 'iifname "lan*" accept',
                  'iifname "lo" accept', *rules, policy=policy)


def _leaving(*rules):
    return _chain("leaving", "nat", "postrouting", "srcnat", *(f'oifname "wan" {rule}' for rule in rules))


def _plain(own, rule="masquerade"):
    return _table(_entering(), own, _leaving(rule))


_MAPPINGS = """  map mappings { type inet_service : ipv4_addr . inet_service; size 65536; flags dynamic; }
  set contacts { type ipv4_addr . inet_service . ipv4_addr; size 65536; flags dynamic; }
"""
# Once: an entry is not to move to another host, and `update` on an element that is there changes nothing.
_REMEMBER = ("update @mappings { udp sport : ip saddr . udp sport }",
             "update @contacts { ip saddr . udp sport . ip daddr }")
_FILTERS = {
    "apdf": (),
    "adf": ("ip daddr . udp dport . ip saddr @contacts accept",),
    "eif": ("ct status dnat accept",),
}


def _mapped(filtering, hairpin_address):
    """EIM by a table: noted on the way out before the source is translated, looked up on the way in."""
    remember = _chain("remember", "filter", "postrouting", "srcnat - 1",
                      *(f'oifname "wan" meta l4proto udp {rule}' for rule in _REMEMBER))
    arriving = ['iifname "wan" meta l4proto udp dnat ip to udp dport map @mappings']
    leaving = ["masquerade"]
    passing = list(_FILTERS[filtering])
    chains = []
    if hairpin_address:
        # Back in from the lan, to our public address: by the same table, and from our public address.
        arriving.append(f'iifname "lan*" ip daddr {hairpin_address} meta l4proto udp '
                        "dnat ip to udp dport map @mappings")
        chains.append(_chain("hairpin", "nat", "postrouting", "srcnat + 1",
                             f'iifname "lan*" oifname "lan*" ct status dnat snat to {hairpin_address}'))
        remember = remember.replace("\n  }", "\n" + "\n".join(
            f'    iifname "lan*" oifname "lan*" ct status dnat {rule}' for rule in _REMEMBER) + "\n  }")
        passing.append('iifname "lan*" oifname "lan*" ct status dnat accept')
    chains += [_chain("arriving", "nat", "prerouting", "dstnat", *arriving), remember, _leaving(*leaving)]
    return _table(_entering(*passing), _own(), *chains, sets=_MAPPINGS)


def _counter(ports):
    """By a table: nft of Debian 13 takes no bare number for a port."""
    table = ", ".join(f"{i} : {port}" for i, port in enumerate(ports))
    return _plain(_own(), f"meta l4proto udp masquerade to :numgen inc mod {SEQUENTIAL_PORTS} map {{ {table} }}")


def rules(model, hairpin_address=None):
    """The rules of a model.  hairpin_address: the public address, when hosts of the lan may use it too."""
    if model in _FILTERS:
        return _mapped(model, hairpin_address)
    if model == "plain":
        return _plain(_own())
    if model == "plainopen":
        return _plain(_own(policy="accept"))
    if model == "plainreject":
        return _plain(_own("reject"))
    if model == "edm_random":
        return _plain(_own(), "masquerade fully-random")
    if model == "edm_seq":
        return _counter(range(SEQUENTIAL_FIRST, SEQUENTIAL_FIRST + SEQUENTIAL_PORTS))
    if model == "edm_stride256":
        # As of a NAT that counts in the other order of bytes.
        return _counter(port % 256 * 256 + port // 256
                        for port in range(SEQUENTIAL_FIRST, SEQUENTIAL_FIRST + SEQUENTIAL_PORTS))
    if model == "noudp":
        return _table(_chain("passing", "filter", "forward", "filter", "meta l4proto udp drop"), _leaving("masquerade"))
    if model == "firewall":
        # ICMPv6, by its number: the name is in /etc/protocols, which a small system does not have.
        return _table(_entering("meta l4proto 58 accept"), family="ip6")
    raise ValueError(f"no such NAT model: {model}")


def reset(model):
    """What makes the router forget the mappings that its rules keep; the flows are not in it."""
    return "flush map ip nat mappings\nflush set ip nat contacts\n" if model in _FILTERS else ""


def one_more_hop(links):
    """Rules for the core: what comes from these links has passed one router more than it did, if it is to end soon."""
    names = ", ".join(f'"{link}"' for link in links)
    return _table(_chain("hop", "filter", "prerouting", "raw", f"iifname {{ {names} }} ip ttl <= 2 drop",
                         f"iifname {{ {names} }} ip6 hoplimit <= 2 drop"), family="inet")
