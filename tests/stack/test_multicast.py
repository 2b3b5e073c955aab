"""Groups through the whole stack: reports (RFC 2236; RFC 2710), filters, and datagrams to all who listen."""

from typing import Any

import pytest
from scapy.layers.igmp import IGMP
from scapy.layers.inet import IP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6MLDone,
    ICMPv6MLQuery,
    ICMPv6MLReport,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import Ether

import motenet
from motenet.core.errors import ConfigurationError

SECOND = 1_000_000_000
US, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"
GROUP, MAC = "239.129.2.3", "01:00:5e:01:02:03"  # RFC 1112, 6.4: the low 23 bits
GROUP6, MAC6 = "ff15::1:8765:4321", "33:33:87:65:43:21"  # RFC 2464, 7


@pytest.fixture
def member(script: Any) -> Any:
    script.stack.add_address("2001:db8::1/64")
    script.sent()
    script.pass_time(60 * SECOND)
    return script


def igmp(frames: list[Any]) -> list[tuple[float, str, str]]:
    return [(frame[IGMP].type, frame[IGMP].gaddr, frame[IP].dst) for frame in frames if IGMP in frame]


def query(group: str = "0.0.0.0", tenths: int = 100) -> Any:
    to = "224.0.0.1" if group == "0.0.0.0" else group
    mac = "01:00:5e:00:00:01" if group == "0.0.0.0" else MAC
    message = IGMP(type=0x11, gaddr=group, mrcode=tenths)
    return Ether(src=PEER, dst=mac) / IP(src="10.0.0.2", dst=to, ttl=1, options=[IPOption_Router_Alert()]) / message


def query6(group: str = "::", milliseconds: int = 10_000) -> Any:
    to, mac = ("ff02::1", "33:33:00:00:00:01") if group == "::" else (group, MAC6)
    header = IPv6(src="fe80::2", dst=to, hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    return Ether(src=PEER, dst=mac) / header / ICMPv6MLQuery(mladdr=group, mrd=milliseconds)


# --- reports


def test_rfc_2236_3_who_joins_says_so_twice_and_who_leaves_too(member: Any) -> None:
    member.stack.join_group(GROUP)
    frames = member.sent()
    assert igmp(frames) == [(0x16, GROUP, GROUP)]
    (report,) = frames
    assert (report.dst, report[IP].ttl, report[IP].src) == (MAC, 1, "10.0.0.1")
    assert isinstance(report[IP].options[0], IPOption_Router_Alert)
    for layer in (IP, IGMP):
        given = report[layer].chksum
        del report[layer].chksum
        assert Ether(bytes(report))[layer].chksum == given
    assert igmp(member.pass_time(10 * SECOND)) == [(0x16, GROUP, GROUP)]
    member.stack.leave_group(GROUP)
    assert igmp(member.sent()) == [(0x17, GROUP, "224.0.0.2")]


def test_rfc_2710_4_who_joins_says_so_twice_and_who_leaves_too(member: Any) -> None:
    member.stack.join_group(GROUP6)
    (report,) = member.sent()
    assert (report.dst, report[IPv6].src, report[IPv6].dst, report[IPv6].hlim) == (MAC6, "fe80::ff:fe00:1", GROUP6, 1)
    assert isinstance(report[IPv6ExtHdrHopByHop].options[0], RouterAlert)
    assert report[ICMPv6MLReport].mladdr == GROUP6
    given = report[ICMPv6MLReport].cksum
    del report[ICMPv6MLReport].cksum
    assert Ether(bytes(report))[ICMPv6MLReport].cksum == given
    assert len(member.pass_time(10 * SECOND)) == 1
    member.stack.leave_group(GROUP6)
    (done,) = member.sent()
    assert (done[IPv6].dst, done[ICMPv6MLDone].mladdr) == ("ff02::2", GROUP6)


@pytest.mark.parametrize("group", ["0.0.0.0", GROUP])
def test_rfc_2236_3_a_query_is_answered_in_time(member: Any, group: str) -> None:
    member.stack.join_group(GROUP)
    member.sent()
    member.pass_time(20 * SECOND)
    assert igmp(member.hear(query(group, 50))) == []
    assert igmp(member.pass_time(5 * SECOND)) == [(0x16, GROUP, GROUP)]


def test_rfc_2710_4_a_query_is_answered_in_time_for_every_group(member: Any) -> None:
    member.stack.join_group(GROUP6)
    member.sent()
    member.pass_time(20 * SECOND)
    member.hear(query6())
    frames = member.pass_time(10 * SECOND)
    reported = sorted(frame[ICMPv6MLReport].mladdr for frame in frames if ICMPv6MLReport in frame)
    assert reported == ["ff02::1:ff00:1", GROUP6]  # both unicast addresses end in 00:0001


def test_rfc_2236_2_and_rfc_2710_5_a_query_from_afar_is_not_believed(member: Any) -> None:
    member.stack.join_group(GROUP)
    member.sent()
    member.pass_time(20 * SECOND)
    four, six = query(), query6()
    four[IP].ttl = 2
    six[IPv6].src = "2001:db8::2"  # no address of the link's scope
    member.hear(four, six)
    assert member.pass_time(20 * SECOND) == []
    assert member.drops == {"igmp-hop-limit": 1, "mld-source": 1}


def test_groups_are_reported_again_when_the_carrier_comes_back(member: Any) -> None:
    member.stack.join_group(GROUP)
    member.sent()
    member.pass_time(20 * SECOND)
    member.driver.is_link_up = False
    member.sent()
    member.driver.is_link_up = True
    assert igmp(member.sent()) == [(0x16, GROUP, GROUP)]


def test_groups_are_counted_and_have_to_be_groups(member: Any) -> None:
    member.stack.join_group(GROUP)
    member.stack.join_group(GROUP)
    member.sent()
    member.stack.leave_group(GROUP)
    assert igmp(member.sent()) == []
    member.stack.leave_group(GROUP)
    assert len(igmp(member.sent())) == 1
    with pytest.raises(ConfigurationError):
        member.stack.join_group("10.0.0.7")


def test_the_cards_filter_follows_the_groups(member: Any) -> None:
    member.stack.join_group(GROUP)
    member.stack.join_group(GROUP6)
    member.sent()
    groups = {group.hex(":") for group in member.driver.groups}
    assert groups == {"01:00:5e:00:00:01", MAC, "33:33:00:00:00:01", "33:33:ff:00:00:01", MAC6}
    member.stack.leave_group(GROUP)
    member.sent()
    assert MAC not in {group.hex(":") for group in member.driver.groups}


def test_rfc_3810_5_2_13_a_report_from_our_address_follows_those_from_nowhere(make_script: Any) -> None:
    """A seed with which both of the usual reports go out before that address is settled."""
    script = make_script(seed=4)
    script.stack.add_address("auto")
    frames = script.sent() + script.pass_time(20 * SECOND)
    sources = [frame[IPv6].src for frame in frames if ICMPv6MLReport in frame]
    assert sources == ["::", "::", "fe80::ff:fe00:1"]


# --- datagrams


@pytest.mark.parametrize(("group", "mac"), [(GROUP, MAC), (GROUP6, MAC6)])
def test_what_is_sent_to_a_group_stays_on_the_link(member: Any, group: str, mac: str) -> None:
    socket = member.stack.udp_socket(7)
    socket.send_to(b"x", group, 9)
    (frame,) = member.sent()
    header = frame.payload
    assert (frame.dst, header.dst, getattr(header, "ttl", None) or header.hlim) == (mac, group, 1)
    socket.group_hop_limit = 5
    socket.send_to(b"x", group, 9)
    (frame,) = member.sent()
    assert (getattr(frame.payload, "ttl", None) or frame.payload.hlim) == 5


@pytest.mark.parametrize(("group", "mac"), [(GROUP, MAC), (GROUP6, MAC6)])
def test_only_members_hear_a_group(member: Any, group: str, mac: str) -> None:
    socket = member.stack.udp_socket(7)
    header = IPv6(src="2001:db8::2", dst=group) if ":" in group else IP(src="10.0.0.2", dst=group)
    frame = Ether(src=PEER, dst=mac) / header / UDP(sport=9, dport=7) / b"to all"
    member.hear(frame)
    assert socket.receive() is None
    member.stack.join_group(group)
    member.hear(frame)
    message = socket.receive()
    assert (message.data, message.interface) == (b"to all", "eth0")


@pytest.mark.parametrize("nic", ["e1000", "rtl8139", "rtl8139cp", "virtio-net"])
@pytest.mark.parametrize("group", [GROUP, GROUP6])
def test_datagrams_reach_all_members_over_a_switch(nic: str, group: str) -> None:
    world = motenet.World(seed=5)
    lan = world.switch("lan")
    hosts = [world.host(f"host{n}", nic, [f"10.0.0.{n}/24", f"fd00::{n}/64"]) for n in range(1, 5)]
    for host in hosts:
        world.link(host, lan, delay="10us")
    sockets = [host.stack.udp_socket(7) for host in hosts]
    for host in hosts[1:3]:
        host.stack.join_group(group)
    world.run("8s")
    sockets[0].send_to(b"to all", group, 7)
    world.run("1s")
    received = [socket.receive() for socket in sockets]
    assert [message and message.data for message in received] == [None, b"to all", b"to all", None]
    before = world.snapshot()
    ends = []
    for _ in range(2):
        world.restore(before)
        hosts[3].stack.join_group(group)
        world.run("30s")
        ends.append(world.state_hash())
        hosts[3].stack.leave_group(group)
    assert ends[0] == ends[1]


def test_an_idle_hosts_card_hears_a_group_as_soon_as_it_is_joined() -> None:
    """Nothing else has to happen on the host: joining has it poll, and the card's filter is set (8254x 13.5.2)."""
    world = motenet.World(seed=7)
    alice = world.host("alice", address="10.0.0.1/24")
    bob = world.host("bob", address="10.0.0.2/24")
    world.link(alice, bob)
    world.run("5s")
    ear = bob.stack.udp_socket(5000)
    bob.stack.join_group("239.1.2.3")
    world.run("1ms")
    mouth = alice.stack.udp_socket(5001)
    mouth.send_to(b"hear", "239.1.2.3", 5000)
    world.run("1s")
    message = ear.receive()
    assert message is not None
    assert message.data == b"hear"
