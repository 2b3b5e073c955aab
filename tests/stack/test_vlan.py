"""IEEE 802.1Q: networks of their own on one card, each with its tag; Scapy at the other end, and worlds of cards."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

import motenet
from motenet.core.errors import ConfigurationError
from motenet.doors import Capabilities, Received

SECOND = 1_000_000_000
US, PEER, BROADCAST = "02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"
DATA = bytes(range(256)) * 40


@pytest.fixture
def tagged(script: Any) -> Any:
    """10.0.0.1 without a tag; 10.0.10.1 and 2001:db8::1 in VLAN 10; 10.0.20.1 in VLAN 20. All know their neighbor."""
    return settle(script)


def settle(script: Any) -> Any:
    script.stack.add_vlan(10, ["10.0.10.1/24", "2001:db8::1/64"])
    script.stack.add_vlan(20, "10.0.20.1/24")
    script.sent()
    script.pass_time(20 * SECOND)
    script.know_peer()
    for vlan in (10, 20):
        script.hear(ask(vlan))
    return script


def ask(vlan: int, **tag: int) -> Any:
    arp = ARP(op=1, hwsrc=PEER, psrc=f"10.0.{vlan}.2", pdst=f"10.0.{vlan}.1")
    return Ether(src=PEER, dst=BROADCAST) / Dot1Q(vlan=vlan, **tag) / arp


def inside(vlan: int, tag: int | None = None, **fields: Any) -> Any:
    """From that VLAN's neighbor to us."""
    ip = IP(**{"src": f"10.0.{vlan}.2", "dst": f"10.0.{vlan}.1", **fields})
    return Ether(src=PEER, dst=US) / Dot1Q(vlan=vlan if tag is None else tag) / ip


# --- frames


@pytest.mark.parametrize("vlan", [10, 20])
def test_ieee_802_1q_9_what_goes_out_has_the_tag(tagged: Any, vlan: int) -> None:
    tagged.stack.udp_socket(7).send_to(b"x", f"10.0.{vlan}.2", 9)
    (frame,) = tagged.sent()
    assert (frame.type, frame[Dot1Q].vlan, frame[Dot1Q].type, frame[IP].dst) == (0x8100, vlan, 0x800, f"10.0.{vlan}.2")
    given = frame[UDP].chksum
    del frame[UDP].chksum
    assert Ether(bytes(frame))[UDP].chksum == given


def test_arp_is_asked_and_answered_in_its_vlan(tagged: Any) -> None:
    (answer,) = tagged.hear(ask(10, prio=5, dei=1))  # a bridge that is full had better dropped it: no matter here
    assert (answer[Dot1Q].vlan, answer[ARP].op, answer[ARP].psrc, answer[ARP].hwdst) == (10, 2, "10.0.10.1", PEER)
    tagged.stack.udp_socket(7).send_to(b"x", "10.0.20.9", 9)
    (question,) = tagged.sent()
    assert (question[Dot1Q].vlan, question[ARP].pdst, question[ARP].psrc) == (20, "10.0.20.9", "10.0.20.1")


def test_neighbors_are_solicited_in_their_vlan(tagged: Any) -> None:
    solicitation = ICMPv6ND_NS(tgt="2001:db8::1") / ICMPv6NDOptSrcLLAddr(lladdr=PEER)
    six = IPv6(src="2001:db8::2", dst="ff02::1:ff00:1", hlim=255) / solicitation
    (answer,) = tagged.hear(Ether(src=PEER, dst="33:33:ff:00:00:01") / Dot1Q(vlan=10) / six)
    assert (answer[Dot1Q].vlan, answer[ICMPv6ND_NA].tgt) == (10, "2001:db8::1")
    echo = Ether(src=PEER, dst=US) / Dot1Q(vlan=10) / IPv6(src="2001:db8::2", dst="2001:db8::1")
    (answer,) = tagged.hear(echo / ICMPv6EchoRequest(data=b"x"))
    assert (answer[Dot1Q].vlan, answer[ICMPv6EchoReply].data) == (10, b"x")


@pytest.mark.parametrize("stripped", [False, True])
def test_a_frame_is_for_the_vlan_of_its_tag_in_the_frame_or_beside_it(tagged: Any, stripped: bool) -> None:
    """A card may take the tag out (8254x, 3.2.3: RCTL and CTRL.VME); the driver then says what it was."""
    frame = inside(10) / ICMP(id=7) / b"x"
    if stripped:
        plain = Ether(src=PEER, dst=US) / frame[IP]
        tagged.driver.received.append(Received(memoryview(bytes(plain)), vlan=3 << 13 | 10))
        (reply,) = tagged.sent()
    else:
        (reply,) = tagged.hear(frame)
    assert (reply[Dot1Q].vlan, reply[IP].src, reply[ICMP].type) == (10, "10.0.10.1", 0)


def test_ieee_802_1q_9_6_identifier_0_is_only_a_priority(tagged: Any) -> None:
    frame = Ether(src=PEER, dst=US) / Dot1Q(vlan=0, prio=7) / IP(src="10.0.0.2", dst="10.0.0.1") / ICMP()
    (reply,) = tagged.hear(frame)
    assert Dot1Q not in reply


@pytest.mark.parametrize(
    "frame",
    [
        inside(10, tag=30) / ICMP(),  # a network that we are not on
        inside(10, tag=4095) / ICMP(),  # 9.6: reserved
        Ether(src=PEER, dst=US) / Dot1AD(vlan=10) / Dot1Q(vlan=10) / IP(src="10.0.10.2", dst="10.0.10.1") / ICMP(),
        Ether(src=PEER, dst=US) / Dot1Q(vlan=10) / Dot1Q(vlan=20) / IP(src="10.0.20.2", dst="10.0.20.1") / ICMP(),
        Ether(src=PEER, dst="02:00:00:00:00:99") / Dot1Q(vlan=10) / IP(src="10.0.10.2", dst="10.0.10.1") / ICMP(),
        bytes(Ether(src=PEER, dst=US, type=0x8100)) + b"\x00",
    ],
)
def test_what_is_for_no_network_of_ours_is_dropped(tagged: Any, frame: Any) -> None:
    assert tagged.hear(frame) == []
    assert tagged.stack.statistics["drops"] == 1


def test_a_tag_behind_one_that_the_card_has_stripped_is_no_way_into_another_vlan(tagged: Any) -> None:
    tagged.driver.received.append(Received(memoryview(bytes(inside(20) / ICMP())), vlan=10))
    assert tagged.sent() == []
    assert tagged.drops == {"vlan-stacked": 1}


def test_networks_are_apart(tagged: Any) -> None:
    """A neighbor of one VLAN is none of the other, and broadcasts and groups stay where they are."""
    tagged.hear(
        Ether(src=PEER, dst=BROADCAST) / Dot1Q(vlan=20) / ARP(op=1, hwsrc=PEER, psrc="10.0.10.7", pdst="10.0.20.1")
    )
    assert all(row["address"] != "10.0.10.7" for row in tagged.stack.list_neighbors())
    socket = tagged.stack.udp_socket(7)
    broadcast = Ether(src=PEER, dst=BROADCAST) / Dot1Q(vlan=20) / IP(src="10.0.20.2", dst="10.0.10.255")
    tagged.hear(broadcast / UDP(sport=9, dport=7) / b"x")
    assert socket.receive() is None
    tagged.hear(inside(20, dst="10.0.20.255") / UDP(sport=9, dport=7) / b"no")  # to one station: RFC 1122, 3.3.6
    tagged.hear(
        Ether(src=PEER, dst=BROADCAST) / Dot1Q(vlan=20) / IP(src="10.0.20.2", dst="10.0.20.255")
        / UDP(sport=9, dport=7) / b"yes"
    )  # fmt: skip
    assert [message.interface for message in iter(socket.receive, None)][-1:] == ["eth0.20"]


def test_frames_are_counted_once_with_all_that_a_driver_has_joined(tagged: Any) -> None:
    before = tagged.stack.statistics
    frame = bytes(inside(10) / TCP(sport=9, dport=7, flags="A") / bytes(100))
    tagged.driver.received.append(Received(memoryview(frame), True, [memoryview(bytes(100)), memoryview(bytes(50))]))
    tagged.sent()
    after = tagged.stack.statistics
    assert (after["rx_frames"] - before["rx_frames"], after["rx_bytes"] - before["rx_bytes"]) == (1, len(frame) + 150)
    vlan = tagged.stack.node.interface("eth0.10")
    assert vlan.ingress.bytes >= len(frame) + 150


def test_offloads_with_a_tag(make_script: Any) -> None:
    """The checksum's place is behind the tag; segments are not left to the card (it looks for them without one)."""
    capabilities = Capabilities(checksum_tx=True, checksum_rx=True, max_segmented=65536, max_segmented_ipv6=65536)
    script = settle(make_script(capabilities=capabilities))
    script.driver.facts.clear()
    script.stack.udp_socket(7).send_to(b"x", "10.0.10.2", 9)
    (frame,) = script.sent()
    (facts,) = script.driver.facts
    assert (facts.checksum_start, facts.checksum_offset, facts.segment_size) == (18 + 20, 6, 0)
    assert bytes(frame)[18] == 0x45
    assert [one.max_segmented for one in script.stack.interfaces][1] == {4: 0, 16: 0}


# --- the stack's surface


@pytest.mark.parametrize("identifier", [0, 4095, 10, -1])
def test_identifiers_that_cannot_be(tagged: Any, identifier: int) -> None:
    with pytest.raises(ConfigurationError):
        tagged.stack.add_vlan(identifier)


def test_no_vlan_in_a_vlan_nor_on_what_is_not_there(tagged: Any) -> None:
    for parent in ("eth0.10", "eth7"):
        with pytest.raises(ConfigurationError):
            tagged.stack.add_vlan(30, parent=parent)


def test_links_are_listed(tagged: Any) -> None:
    assert [(row["interface"], row["vlan"], row["mtu"], row["mac"]) for row in tagged.stack.list_links()] == [
        ("eth0", None, 1500, US),
        ("eth0.10", 10, 1500, US),
        ("eth0.20", 20, 1500, US),
    ]


# --- whole hosts


def trunk(world: Any, nic: str) -> tuple[Any, Any]:
    hosts = []
    for number, name in enumerate(("alice", "bob"), 1):
        host = world.host(name, nic, f"10.0.0.{number}/24")
        host.stack.add_vlan(10, [f"10.0.10.{number}/24", f"fd00:10::{number}/64"])
        host.stack.add_vlan(20, f"10.0.20.{number}/24")
        hosts.append(host)
    world.link(*hosts, delay="50us")
    world.run("8s")
    return hosts[0], hosts[1]


@pytest.mark.parametrize("nic", ["e1000", "rtl8139", "rtl8139cp", "virtio-net"])
def test_every_card_carries_full_frames_with_a_tag(nic: str) -> None:
    alice, bob = trunk(motenet.World(seed=2), nic)
    for address in ("10.0.0.2", "10.0.10.2", "10.0.20.2", "fd00:10::2"):
        assert None not in alice.stack.ping(address, count=2, size=1472 if "." in address else 1452), address
    assert alice.stack.statistics["fragmented"] == 0
    listener = bob.stack.tcp_listen(80)
    client = alice.stack.tcp_connect("10.0.10.2", 80)
    server = bob.stack.tcp_accept(listener)
    client.send(DATA)
    client.close()
    received = bytearray()
    while piece := bob.stack.tcp_receive(server):
        received += piece
    assert bytes(received) == DATA


def test_a_router_on_a_stick() -> None:
    """Two VLANs of one card, with a router between them; a snapshot in the midst goes on the same."""
    world = motenet.World(seed=2)
    router = world.host("router", forwarding=True)
    hosts = []
    lan = world.switch("lan")
    world.link(router, lan)
    for vlan in (10, 20):
        router.stack.add_vlan(vlan, [f"10.0.{vlan}.1/24", f"fd00:{vlan}::1/64"])
        host = world.host(f"host{vlan}")
        host.stack.add_vlan(vlan, [f"10.0.{vlan}.2/24", f"fd00:{vlan}::2/64"])
        host.stack.add_route("0.0.0.0/0", f"10.0.{vlan}.1")
        host.stack.add_route("::/0", f"fd00:{vlan}::1")
        world.link(host, lan)
        hosts.append(host)
    world.run("8s")
    assert all(one.addressing.router and not one.accept_redirects for one in router.stack.interfaces)
    assert None not in hosts[0].stack.ping("10.0.20.2", count=1)
    assert None not in hosts[0].stack.ping("fd00:20::2", count=1)
    before = world.snapshot()
    ends = []
    for _ in range(2):
        world.restore(before)
        hosts[0].stack.ping("10.0.20.2", count=2)
        world.run("100s")
        ends.append((world.state_hash(), world.fingerprint()))
    assert ends[0] == ends[1]
