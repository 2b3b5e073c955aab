"""The kernel and our hosts with routers between them: ours between kernels, and the kernel's between ours."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chain import Chain
from family import IPV4, Family
from room import Room, tshark
from streams import data, exchange, opened

pytestmark = pytest.mark.needs("root", "tap", "ip", "ping", "tshark")

METHODS = {"UDP": (), "ICMP": ("-I",), "TCP": ("-T",)}


@pytest.mark.needs("traceroute")
@pytest.mark.parametrize("method", METHODS)
def test_traceroute_shows_every_emulated_router(room: Room, family: Family, method: str) -> None:
    """RFC 1812, 5.3.1 and 4.3.2.4; RFC 4443, 3.3: three probes a hop, each answered by the side that it came in at."""
    chain = Chain(room, family, routers=2)
    said = room.run("traceroute", "-n", f"-{family.version}", *METHODS[method], "-w", "5", chain.hops[-1])
    hops = re.findall(r"^ *(\d+)  (\S+)((?:  [\d.]+ ms)+)$", said, re.M)
    assert [(int(number), address) for number, address, _ in hops] == list(enumerate(chain.hops, 1)), said
    assert all(times.count("ms") == 3 for *_, times in hops), "no probe was answered by anybody else, or not at all"


def test_pings_go_through_emulated_routers_in_fragments(room: Room, family: Family) -> None:
    """RFC 791, 2.3; RFC 8200, 4.5: pieces are put together at the end alone, and the kernel gets its data back."""
    chain = Chain(room, family, routers=2)
    assert "ttl=62" in room.ping(chain.hops[-1], 6000), "two routers (RFC 1812, 5.3.1)"


def test_a_router_of_ours_knows_no_way(room: Room, family: Family) -> None:
    """RFC 1812, 5.2.7.1: to a network without a route, and to a neighbor that does not answer."""
    chain = Chain(room, family, routers=1)
    chain.routers[0].stack.remove_route("0.0.0.0/0" if family is IPV4 else "::/0")
    nowhere = room.start("ping", "-c", "1", "-W", "5", family.at(9, 1))
    nobody = room.start("ping", "-c", "1", "-W", "9", family.at(1, 77))
    unknown = "Destination Net Unreachable" if family is IPV4 else "Destination unreachable: No route"
    silent = "Destination Host Unreachable" if family is IPV4 else "Destination unreachable: Address unreachable"
    assert f"From {family.ours} icmp_seq=1 {unknown}" in room.finish(nowhere)
    assert f"From {family.ours} icmp_seq=1 {silent}" in room.finish(nobody)


def test_the_kernel_learns_a_narrow_paths_mtu(room: Room, family: Family) -> None:
    """RFC 1191, 4; RFC 8201, 4: what the next cable does not take is told, and ping -M do says so."""
    chain = Chain(room, family, routers=2, mtu=1400)
    told = "Frag needed and DF set (mtu = 1400)" if family is IPV4 else "Packet too big: mtu=1400"
    ping = ("ping", "-c", "1", "-W", "5", "-M", "do", "-s")
    assert told in room.finish(room.start(*ping, "1440", chain.hops[-1]))
    assert "mtu 1400" in room.namespace.ip(f"route get {chain.hops[-1]}")
    assert "1 received" in room.run(*ping, str(1400 - family.header - 8), chain.hops[-1])


@pytest.mark.parametrize("opener", ["kernel", "ours"])
def test_tcp_fits_a_narrow_path(room: Room, family: Family, opener: str) -> None:
    """RFC 1191, 6.4 and RFC 8201, 5.4: both ends hear of the smaller MTU, and send smaller segments from then on."""
    chain = Chain(room, family, routers=2, mtu=1400)
    ends = opened(room, chain.host, family, opener, chain.hops[-1])
    exchange(room, ends, data(1 << 20, 1), data(1 << 20, 2), timeout=30)
    room.world.flush()
    too_big, name = ("icmp.type == 3 && icmp.code == 4", "ip") if family is IPV4 else ("icmpv6.type == 2", "ipv6")
    told = [
        line.split(",")[0] for line in tshark(room.capture.path, "-Y", too_big, "-T", "fields", "-e", f"{name}.src")
    ]
    assert set(told) == {family.ours, family.at(2, 1)}, "the router before the narrow cable, on either side"
