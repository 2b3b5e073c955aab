"""How a host finds its routers and makes its addresses: RFC 4861, 6.3; RFC 4862, 5.5; RFC 8106."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import Ether

from motenet.core.clock import FOREVER, Clock
from motenet.core.rng import Stream
from motenet.stack import autoconfiguration
from motenet.stack.address import Cidr, parse_address
from motenet.stack.addressing import Addressing
from motenet.stack.autoconfiguration import Autoconfiguration, interface_identifier
from motenet.stack.detection import DUPLICATE, SETTLED, Detection
from motenet.stack.neighbor import NeighborCache
from motenet.stack.routes import DEFAULT6, Routes
from motenet.stack.wire.ndisc import INFINITY, Prefix, RouterAdvertisement, SearchList, Servers

MS, SECOND = 1_000_000, 1_000_000_000
HOUR = 3600
MAC = b"\x34\x56\x78\x9a\xbc\xde"
ROUTER, SECOND_ROUTER, ROUTER_MAC = parse_address("fe80::1"), parse_address("fe80::2"), b"\2\0\0\0\0\2"
LINK_LOCAL = parse_address("fe80::3656:78ff:fe9a:bcde")
GLOBAL = parse_address("2001:db8::3656:78ff:fe9a:bcde")
NETWORK = Cidr.parse("2001:db8::/64")


class Host:
    """A host's interface, and the time that passes."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 0
        self.addresses, self.table = Addressing(), Routes()
        self.neighbors = NeighborCache(Clock(), Stream(seed, "neighbors"))
        self.detection = Detection(Clock(), Stream(seed, "detection"))
        self.auto = Autoconfiguration(
            Clock(), Stream(seed, "auto"), self.addresses, self.table, self.neighbors, self.detection, "eth0"
        )
        self.neighbors.router_lost = self.auto.remove_router

    @property
    def parts(self) -> list[Any]:
        streams = [self.neighbors.stream, self.detection.stream, self.auto.stream]
        return [self.auto, self.neighbors, self.detection, self.addresses, self.table, *streams]

    @property
    def routes(self) -> list[tuple[str, int]]:
        return [(str(route), route.expires) for route in self.table.table]

    def until(self, end: int) -> list[int]:
        """When router solicitations go out, up to a time."""
        told = []
        while (at := self.auto.poll_at()) is not None and at <= end:
            self.now = max(self.now, at)
            if self.auto.due(self.now):
                told.append(self.now)
        self.now = end
        self.addresses.expire(end)
        return told

    def hear(self, source: bytes = ROUTER, lifetime: int = 1800, **more: Any) -> Any:
        fields = {"hop_limit": 0, "managed": False, "other": False, "reachable": 0, "retransmit": 0, **more}
        return self.auto.heard_advertisement(source, RouterAdvertisement(lifetime=lifetime, **fields), self.now)

    def hear_prefix(self, valid: int, preferred: int = 0, prefix: str = "2001:db8::", length: int = 64, **more: Any):
        flags = {"on_link": False, "autonomous": True, **more}
        self.hear(prefixes=[Prefix(parse_address(prefix), length, valid=valid, preferred=preferred, **flags)])


@pytest.fixture
def host() -> Host:
    host = Host()
    host.auto.start(MAC, 1500, 0)
    return host


def test_rfc_4861_10_host_constants() -> None:
    assert autoconfiguration.MAX_RTR_SOLICITATION_DELAY == 1 * SECOND
    assert autoconfiguration.RTR_SOLICITATION_INTERVAL == 4 * SECOND
    assert autoconfiguration.MAX_RTR_SOLICITATIONS == 3


def test_rfc_2464_4_the_interface_identifier_of_an_ethernet_address() -> None:
    """The RFC's own example."""
    assert interface_identifier(MAC) == bytes.fromhex("36 56 78 FF FE 9A BC DE")


def test_rfc_4862_5_3_the_link_local_address_is_made_and_asked_for(host: Host) -> None:
    entry = host.addresses.entries[LINK_LOCAL]
    assert (str(entry.cidr), entry.origin) == ("fe80::3656:78ff:fe9a:bcde/64", "link-local")
    assert (entry.preferred_until, entry.valid_until) == (FOREVER, FOREVER)  # "infinite preferred and valid lifetime"
    host.detection.due(SECOND)
    assert (SETTLED, LINK_LOCAL) in host.detection.due(3 * SECOND)
    host.auto.start(MAC, 1500, 10 * SECOND)
    assert len(host.addresses.entries) == 1


# --- router solicitations


@pytest.mark.parametrize("seed", range(10))
def test_rfc_4861_6_3_7_three_solicitations_four_seconds_apart(seed: int) -> None:
    host = Host(seed)
    host.auto.start(MAC, 1500, 0)
    told: list[Any] = []
    host.auto.watch = told.append
    times = host.until(3600 * SECOND)
    assert times[0] <= SECOND
    assert [b - a for a, b in pairwise(times)] == [4 * SECOND] * 2
    assert [event.detail for event in told] == ["no router answers"]


def test_rfc_4861_6_3_7_a_router_with_a_lifetime_ends_them(host: Host) -> None:
    assert len(host.until(SECOND)) == 1
    host.hear(lifetime=0)
    assert host.auto.poll_at() is not None
    host.hear(lifetime=1)
    assert host.until(3600 * SECOND) == []


def test_rfc_4861_6_3_7_one_is_sent_although_a_router_was_heard_before(host: Host) -> None:
    host.hear()
    assert len(host.until(3600 * SECOND)) == 1


def test_rfc_4861_6_3_7_they_begin_anew_when_the_interface_does(host: Host) -> None:
    host.until(100 * SECOND)
    for lifetime in (0, 9000):  # a router of another link is no answer
        host.hear(lifetime=lifetime)
        host.auto.start(MAC, 1500, host.now)
        assert len(host.until(host.now + 100 * SECOND)) == 3
    host.auto.start(MAC, 1500, host.now)
    host.auto.stop()
    assert host.auto.poll_at() is None


def test_a_router_asks_no_routers() -> None:
    host = Host()
    host.auto.accept_advertisements = False
    host.auto.start(MAC, 1500, 0)
    host.hear(hop_limit=9)
    assert (host.until(100 * SECOND), host.auto.hop_limit, host.routes) == ([], 64, [])
    assert LINK_LOCAL in host.addresses.entries


def test_who_becomes_a_router_has_no_routers_any_more(host: Host) -> None:
    host.hear()
    host.auto.accept_advertisements = False
    host.auto.start(MAC, 1500, 0)
    assert (host.until(100 * SECOND), host.routes, host.auto.routers) == ([], [], {})


def test_rfc_4429_3_2_an_optimistic_address_does_not_solicit_with_our_ethernet_address(script: Any) -> None:
    for address in ("fe80::77/64", "auto"):
        script.stack.add_address(address)
    asked = [frame for frame in script.sent() + script.pass_time(6 * SECOND) if ICMPv6ND_RS in frame]
    assert [(frame[IPv6].src, ICMPv6NDOptSrcLLAddr in frame) for frame in asked] == [
        ("fe80::77", False),
        ("fe80::77", True),
    ]


def test_before_the_start_nothing_is_obeyed() -> None:
    host = Host()
    host.auto.duplicate(parse_address("10.0.0.1"))
    host.hear_prefix(600, 600)
    assert (host.addresses.entries, host.routes, host.auto.disabled) == ({}, [], False)


# --- router advertisements


def test_rfc_4861_6_3_4_the_default_router_list(host: Host) -> None:
    told: list[Any] = []
    host.auto.watch = told.append
    host.hear(lifetime=1800)
    host.hear(SECOND_ROUTER, lifetime=60)
    assert host.routes == [("::/0 via fe80::1", 1800 * SECOND), ("::/0 via fe80::2", 60 * SECOND)]
    assert {(route.interface, route.origin) for route in host.table.table} == {("eth0", "ra")}
    host.now = 10 * SECOND
    host.hear(lifetime=100)
    assert host.routes[0] == ("::/0 via fe80::1", 110 * SECOND)  # 6.3.6: the same router is chosen on
    for router in (ROUTER, parse_address("fe80::3")):  # which has been none
        host.hear(router, lifetime=0)
    assert host.routes == [("::/0 via fe80::2", 60 * SECOND)]
    assert [event.detail for event in told] == ["fe80::1 is one", "fe80::2 is one", "fe80::1 is none any more"]


def test_rfc_4191_2_1_the_preferred_router_goes_first(host: Host) -> None:
    for number, preference in enumerate((-1, 1, 0)):
        host.hear(parse_address(f"fe80::{number + 1}"), preference=preference)
    assert [route for route, _ in host.routes] == ["::/0 via fe80::2", "::/0 via fe80::3", "::/0 via fe80::1"]


def test_rfc_4861_7_2_5_a_router_that_becomes_a_host_is_removed(host: Host) -> None:
    host.hear(source_mac=ROUTER_MAC)
    far = Cidr.parse("2001:db8:9::9/128")
    host.table.add(DEFAULT6, ROUTER)
    host.table.add(far, ROUTER, "eth0", FOREVER, "redirect")
    host.neighbors.advertised(ROUTER, ROUTER_MAC, 0, solicited=True, override=True, is_router=True)
    assert [route.origin for route in host.table.table] == ["redirect", "ra", "static"]
    host.neighbors.advertised(ROUTER, ROUTER_MAC, 0, solicited=True, override=True, is_router=False)
    assert [route.origin for route in host.table.table] == ["static"]


def test_rfc_4861_6_3_6_routers_of_whom_none_answers_are_tried_by_turns(script: Any) -> None:
    script.stack.add_address("auto")
    script.sent()
    script.pass_time(10 * SECOND)
    for number in (1, 2, 3):
        header = IPv6(src=f"fe80::{number}", dst="ff02::1", hlim=255)
        script.hear(Ether(src="02:00:00:00:00:02", dst="33:33:00:00:00:01") / header / ICMPv6ND_RA())
    asked = []
    for _ in range(7):
        script.stack.udp_socket().send_to(b"x", "2001:db8:9::9", 9)
        (target,) = {frame[ICMPv6ND_NS].tgt for frame in script.sent() + script.pass_time(4 * SECOND)}
        asked.append(int(target[-1]))
    assert asked == [1, 2, 3, 1, 2, 3, 1]


def test_rfc_4007_6_a_router_of_the_same_address_on_another_link_is_another(host: Host) -> None:
    other = Autoconfiguration(
        Clock(), Stream(1, "auto"), Addressing(), host.table, NeighborCache(Clock()), host.detection, "eth1"
    )
    other.start(MAC, 1500, 0)
    host.hear()
    other.heard_advertisement(ROUTER, RouterAdvertisement(0, False, False, 1800, 0, 0), 0)
    assert [route.interface for route in host.table.table] == ["eth0", "eth1"]
    host.hear(lifetime=0)
    assert [route.interface for route in host.table.table] == ["eth1"]


def test_rfc_4861_6_3_4_the_senders_link_layer_address_is_taken(host: Host) -> None:
    host.hear()
    assert not host.neighbors.knows(ROUTER)
    host.neighbors.hold(ROUTER, (b"packet",), 0)
    resolution = host.hear(source_mac=ROUTER_MAC)
    assert resolution.packets == [(b"packet",)]
    assert (host.neighbors.lookup(ROUTER, 0), host.neighbors.known[ROUTER].is_router) == (ROUTER_MAC, True)


def test_rfc_4861_6_3_4_what_a_router_does_not_say_stays_as_it_is(host: Host) -> None:
    host.hear(hop_limit=32, reachable=10_000, retransmit=2000, mtu=1400)
    for _ in range(2):
        assert (host.auto.hop_limit, host.auto.mtu) == (32, 1400)
        assert (host.neighbors.base_reachable, host.neighbors.retrans_timer) == (10 * SECOND, 2 * SECOND)
        assert host.detection.retrans_timer == 2 * SECOND
        host.hear()


@pytest.mark.parametrize(("mtu", "taken"), [(1279, 1500), (1280, 1280), (1500, 1500), (1501, 1500), (0, 1500)])
def test_rfc_4861_6_3_4_the_mtu_is_taken_within_its_bounds(host: Host, mtu: int, taken: int) -> None:
    host.hear(mtu=mtu)
    assert host.auto.mtu == taken
    assert host.auto.drops == ({} if mtu == taken else {"ra-mtu": 1})


def test_rfc_4861_4_2_the_flags_are_kept(host: Host) -> None:
    host.hear(managed=True, other=True)
    assert (host.auto.managed, host.auto.other) == (True, True)


def test_rfc_4861_6_3_4_on_link_prefixes(host: Host) -> None:
    for prefix, length in (("2001:db8::5", 64), ("2001:db8:1::", 48)):
        host.hear_prefix(600, prefix=prefix, length=length, on_link=True, autonomous=False)
    assert host.addresses.prefixes == {NETWORK: 600 * SECOND, Cidr.parse("2001:db8:1::/48"): 600 * SECOND}
    host.hear_prefix(INFINITY, length=48, prefix="2001:db8:1::", on_link=True, autonomous=False)
    host.hear_prefix(0, on_link=False)  # says nothing about the link
    host.until(600 * SECOND - 1)
    assert len(host.addresses.prefixes) == 2
    host.until(600 * SECOND)
    assert host.addresses.prefixes == {Cidr.parse("2001:db8:1::/48"): FOREVER}
    host.hear_prefix(0, length=48, prefix="2001:db8:1::", on_link=True, autonomous=False)
    host.until(host.now)
    assert host.addresses.prefixes == {}


@pytest.mark.parametrize("prefix", ["fe80::", "ff02::"])
def test_rfc_4862_5_5_3_b_the_link_local_prefix_is_ignored(host: Host, prefix: str) -> None:
    host.hear_prefix(600, 600, prefix, on_link=True)
    assert (host.addresses.prefixes, list(host.addresses.entries)) == ({}, [LINK_LOCAL])


# --- addresses


def test_rfc_4862_5_5_3_d_an_address_is_made_and_asked_for(host: Host) -> None:
    host.hear_prefix(600, 300)
    entry = host.addresses.entries[GLOBAL]
    assert (entry.origin, entry.preferred_until, entry.valid_until) == ("slaac", 300 * SECOND, 600 * SECOND)
    assert GLOBAL in host.detection.claims
    assert host.addresses.prefixes == {}  # RFC 5942, 4: an address alone puts nothing on the link
    assert entry.cidr.prefix == 128


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"valid": 600, "preferred": 601}, "ra-lifetimes"),  # c
        ({"valid": 600, "length": 63}, "ra-prefix-length"),  # d
        ({"valid": 600, "length": 65}, "ra-prefix-length"),
        ({"valid": 600, "prefix": "::"}, "ra-prefix-length"),
        ({"valid": 0}, None),  # d
        ({"valid": 600, "autonomous": False}, None),  # a
    ],
)
def test_rfc_4862_5_5_3_what_makes_no_address(host: Host, fields: dict[str, Any], reason: str | None) -> None:
    host.hear_prefix(**fields)
    assert list(host.addresses.entries) == [LINK_LOCAL]
    assert host.auto.drops == ({reason: 1} if reason else {})


@pytest.mark.parametrize(
    ("remaining", "received", "after"),
    [
        (1 * HOUR, 3 * HOUR, 3 * HOUR),  # 1: more than two hours
        (1 * HOUR, 1 * HOUR + 1, 1 * HOUR + 1),  # 1: more than what is left
        (1 * HOUR, 1 * HOUR - 1, 1 * HOUR),  # 2: ignored
        (2 * HOUR, 0, 2 * HOUR),  # 2
        (2 * HOUR + 1, 2 * HOUR, 2 * HOUR),  # 3
        (30 * HOUR, 0, 2 * HOUR),  # 3
        (30 * HOUR, 2 * HOUR + 1, 2 * HOUR + 1),  # 1
        (30 * HOUR, INFINITY, None),
        (INFINITY, 1, 2 * HOUR),
    ],
)
def test_rfc_4862_5_5_3_e_the_two_hour_rule(host: Host, remaining: int, received: int, after: int | None) -> None:
    host.now = 9 * SECOND
    host.hear_prefix(remaining, 0)
    host.hear_prefix(received, received)
    entry = host.addresses.entries[GLOBAL]
    assert entry.valid_until == (FOREVER if after is None else host.now + after * SECOND)
    assert entry.preferred_until == (FOREVER if received == INFINITY else host.now + received * SECOND)  # always taken


def test_rfc_4862_5_5_3_e_applies_only_to_what_was_autoconfigured(host: Host) -> None:
    host.addresses.add(Cidr(GLOBAL, 64))
    host.hear_prefix(1, 1)
    assert host.addresses.entries[GLOBAL].valid_until == FOREVER


def test_rfc_4862_5_4_5_a_duplicate_is_not_made_again(host: Host) -> None:
    host.hear_prefix(600, 600)
    host.detection.heard_advertisement(GLOBAL, ROUTER_MAC, MAC)
    assert host.detection.due(0) == [(DUPLICATE, GLOBAL)]
    host.auto.duplicate(GLOBAL)
    host.hear_prefix(600, 600)
    assert list(host.addresses.entries) == [LINK_LOCAL]
    host.auto.start(MAC, 1500, 0)
    host.hear_prefix(600, 600)
    assert list(host.addresses.entries) == [LINK_LOCAL, GLOBAL]


def test_rfc_4862_5_4_5_a_duplicate_link_local_address_ends_it_all(host: Host) -> None:
    host.auto.duplicate(LINK_LOCAL)
    assert host.auto.disabled
    host.hear_prefix(600, 600)
    assert (host.addresses.entries, host.routes, host.until(100 * SECOND)) == ({}, [], [])
    host.auto.start(MAC, 1500, host.now)
    assert (list(host.addresses.entries), host.auto.disabled) == ([LINK_LOCAL], False)


def test_a_flood_of_advertisements_stays_within_bounds(host: Host) -> None:
    for number in range(100):
        prefix = f"2001:db8:{number:x}::"
        host.hear_prefix(INFINITY, INFINITY, prefix, on_link=True)
        server = parse_address(prefix + "53")
        names = {"servers": [Servers(60 + number, [server])], "search": [SearchList(60, [(b"%d" % number,)])]}
        host.hear(parse_address(f"fe80::{number + 1:x}"), **names)
    assert len(host.auto.routers) == len(host.routes) == 16
    assert len(host.addresses.prefixes) == 16
    assert len(host.addresses.entries) == 1 + 16
    assert (len(host.auto.servers), len(host.auto.search)) == (16, 16)
    assert set(host.auto.drops) == {"ra-routers", "ra-prefixes", "ra-addresses"}
    host.now = 1800 * SECOND
    host.hear(parse_address("fe80::99"))  # in place of those whose time is over
    assert list(host.auto.routers) == [parse_address("fe80::99")]


# --- DNS


def test_rfc_8106_servers_and_domains_live_as_long_as_they_are_told(host: Host) -> None:
    one, two, name = parse_address("2001:db8::1"), parse_address("2001:db8::2"), (b"example", b"test")
    host.hear(servers=[Servers(60, [one, two])], search=[SearchList(30, [name])])
    assert (host.auto.name_servers(0), host.auto.search_domains(0)) == ([one, two], [name])
    host.hear(servers=[Servers(0, [one]), Servers(INFINITY, [two])])
    assert host.auto.name_servers(3600 * SECOND) == [two]
    assert (host.auto.search_domains(30 * SECOND), list(host.auto.servers)) == ([], [two])
    host.hear(servers=[Servers(60, [bytes(16), parse_address("ff02::1")])])
    assert host.auto.name_servers(0) == [two]


def test_rfc_8106_6_1_where_there_is_no_room_what_ends_first_goes(host: Host) -> None:
    servers = [parse_address(f"2001:db8::{number:x}") for number in range(1, 18)]
    for number, server in enumerate(servers):
        host.hear(servers=[Servers(100 - number, [server])])
    assert host.auto.name_servers(0) == [*servers[:15], servers[16]]


# --- any sequence

SECONDS = st.sampled_from([0, 1, 60, 7200, 7201, INFINITY])
PREFIXES = st.builds(
    Prefix,
    st.sampled_from([NETWORK.address, parse_address("2001:db8:1::"), LINK_LOCAL, bytes(16), b"\xff" * 16]),
    st.sampled_from([0, 48, 64, 128]), st.booleans(), st.booleans(), SECONDS, SECONDS,
)  # fmt: skip
RECORDS = st.builds(
    RouterAdvertisement,
    st.integers(0, 255), st.booleans(), st.booleans(), st.sampled_from([0, 1, 0xFFFF]),
    st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.sampled_from([b"", ROUTER_MAC]),
    st.none() | st.integers(0, 2**32 - 1), st.lists(PREFIXES, max_size=3),
    st.lists(st.builds(Servers, SECONDS, st.lists(st.binary(min_size=16, max_size=16), max_size=2)), max_size=1),
)  # fmt: skip
ROUTERS = st.sampled_from([ROUTER, SECOND_ROUTER])
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("ra"), ROUTERS, RECORDS),
        st.tuples(st.just("duplicate"), st.sampled_from([LINK_LOCAL, GLOBAL])),
        st.tuples(st.just("lost"), ROUTERS),
        st.just(("start",)),
        st.tuples(st.just("pass"), st.integers(0, 9000 * SECOND)),
    ),
    max_size=20,
)


def do(host: Host, act: tuple[Any, ...]) -> list[int]:
    if act[0] == "pass":
        return host.until(host.now + act[1])
    if act[0] == "ra":
        host.auto.heard_advertisement(act[1], act[2], host.now)
    elif act[0] == "duplicate":
        host.auto.duplicate(act[1])
    elif act[0] == "lost":
        host.auto.remove_router(act[1])
    else:
        host.auto.start(MAC, 1500, host.now)
    return []


@given(ACTS, st.integers(0, 20))
def test_any_sequence_keeps_the_bounds_and_goes_on_after_load(acts: list[Any], cut: int) -> None:
    host, twin = Host(), Host(1)
    host.auto.start(MAC, 1500, 0)
    for number, act in enumerate(acts):
        if number == cut:
            for part, other in zip(host.parts, twin.parts, strict=True):
                other.load(part.save())
            twin.now = host.now
        told = [*do(host, act), *host.until(host.now)]
        if number >= cut:
            assert [*do(twin, act), *twin.until(twin.now)] == told
            assert [part.save() for part in twin.parts] == [part.save() for part in host.parts]
        assert 1280 <= host.auto.mtu <= 1500
        assert 0 < host.auto.hop_limit <= 255
        assert act[0] == "pass" or len(told) <= 1
