"""Path MTU discovery (RFC 1191, RFC 8201): what is believed, for how long, and that the data get there."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment

import motenet
from motenet.stack.address import parse_address
from motenet.stack.routing import PATH_LIFETIME

SECOND = 1_000_000_000
DATA = bytes(range(256)) * 400


def sending(script: Any, size: int = 4000) -> tuple[Any, list[Any]]:
    """A connection from 10.0.0.1 port 80 to the peer's port 9, and the segments with `size` bytes that it sends."""
    script.know_peer()
    listener = script.stack.tcp_listen(80)
    tcp = {"sport": 9, "dport": 80}
    syn = TCP(seq=0, flags="S", options=[("MSS", 1460)], **tcp)
    (answer,) = script.hear(script.from_peer() / syn)
    script.hear(script.from_peer() / TCP(seq=1, ack=answer[TCP].seq + 1, flags="A", window=60000, **tcp))
    socket = listener.accept()
    socket.send(DATA[:size])
    return socket, script.sent()


def too_big(script: Any, frame: Any, mtu: int) -> Any:
    """A router's error about a packet of ours."""
    return script.from_peer(src="10.0.0.254") / ICMP(type=3, code=4, nexthopmtu=mtu) / bytes(frame[IP])[:28]


def sizes(frames: list[Any]) -> list[int]:
    return [frame[IP].len for frame in frames if TCP in frame and len(frame[TCP].payload)]


# --- IPv4


def test_rfc_1191_3_tcp_sends_what_no_router_may_cut(script: Any) -> None:
    _, frames = sending(script)
    assert {str(frame[IP].flags) for frame in frames} == {"DF"}
    assert max(sizes(frames)) == 1500


def test_rfc_1191_6_4_segments_shrink_and_are_sent_again_at_once(script: Any) -> None:
    _, frames = sending(script)
    again = script.hear(too_big(script, frames[0], 1300))
    assert sizes(again)
    assert max(sizes(again)) == 1300
    assert again[0][TCP].seq == frames[0][TCP].seq


def test_rfc_1191_5_a_router_that_tells_no_mtu(script: Any) -> None:
    """The next plateau below what was too large: 1492 for 1500."""
    _, frames = sending(script)
    assert max(sizes(script.hear(too_big(script, frames[0], 0)))) == 1492


@pytest.mark.parametrize("mtu", [1500, 1501, 9000, 65535])
def test_rfc_1191_3_an_mtu_never_grows_by_an_error(script: Any, mtu: int) -> None:
    _, frames = sending(script)
    script.hear(too_big(script, frames[0], mtu))
    assert script.stack.node.routing.paths == {}


def test_rfc_5927_4_who_has_not_seen_a_segment_is_not_believed(script: Any) -> None:
    _, frames = sending(script)
    for field, value in (("seq", frames[0][TCP].seq - 1), ("seq", frames[-1][TCP].seq + 5000), ("dport", 10)):
        forged = frames[0].copy()
        setattr(forged[TCP], field, value)
        script.hear(too_big(script, forged, 1300))
    for field, value in (("src", "10.0.0.7"), ("dst", "10.0.0.3")):
        forged = frames[0].copy()
        setattr(forged[IP], field, value)
        script.hear(too_big(script, forged, 1300))
    assert script.stack.node.routing.paths == {}


@pytest.mark.parametrize("mtu", [68, 296, 551])
def test_what_is_smaller_than_552_is_left_to_the_routers(script: Any, mtu: int) -> None:
    """As Linux has it (net.ipv4.route.min_pmtu): no forger makes us send crumbs, and narrow paths still work."""
    socket, frames = sending(script)
    again = script.hear(too_big(script, frames[0], mtu))
    assert max(sizes(again)) == 552
    assert {str(frame[IP].flags) for frame in again} == {""}
    assert socket.error is None


def test_rfc_1191_6_3_after_ten_minutes_larger_packets_are_tried(script: Any) -> None:
    socket, frames = sending(script)
    script.hear(too_big(script, frames[0], 1300))
    tcp = {"sport": 9, "dport": 80, "flags": "A", "window": 60000}
    ack = frames[0][TCP].seq + 4000
    script.hear(script.from_peer() / TCP(seq=1, ack=ack, **tcp))
    script.pass_time(PATH_LIFETIME - SECOND)
    script.know_peer()
    socket.send(DATA[:4000])
    assert max(sizes(script.sent())) == 1300
    script.hear(script.from_peer() / TCP(seq=1, ack=ack + 4000, **tcp))
    script.pass_time(2 * SECOND)
    socket.send(DATA[:4000])
    assert max(sizes(script.sent())) == 1500
    assert script.stack.node.routing.paths == {}


def test_datagrams_are_cut_by_routers_and_need_no_discovery(script: Any) -> None:
    script.know_peer()
    script.stack.udp_socket(7).send_to(DATA[:1400], "10.0.0.2", 9)
    (frame,) = script.sent()
    assert str(frame[IP].flags) == ""
    assert frame[UDP].len == 1408


def test_the_paths_that_are_remembered_are_bounded(script: Any) -> None:
    routing = script.stack.node.routing
    for number in range(3000):
        routing.too_big(bytes((10, 0, number >> 8, number & 0xFF)), 1000, 1500, script.bench.now)
        script.stack.add_route("0.0.0.0/0", "10.0.0.2") if number == 0 else None
    assert len(routing.paths) == 1024


# --- IPv6


def test_rfc_8201_4_never_below_1280(script: Any) -> None:
    script.stack.add_address("2001:db8::1/64")
    routing, there = script.stack.node.routing, parse_address("2001:db8::2")
    assert routing.too_big(there, 500, 0, 0)
    assert routing.way(there).mtu == 1280
    assert not routing.too_big(there, 1400, 0, 0)  # nor more than before


# --- worlds


def through(world: Any, nic: str, near: int, far: int, family: int) -> tuple[Any, Any]:
    """alice and bob with a router between; the MTU of the first link and of the second."""
    options = {"driver_options": {"mtu": near}}, {"driver_options": {"mtu": far}}
    networks = [("10.0.1", "10.0.2"), ("fd00:1:", "fd00:2:")][family == 6]
    dot, length = (".", "/24") if family == 4 else (":", "/64")
    addresses = [f"{network}{dot}{host}{length}" for network in networks for host in (1, 2)]
    gateways = [address.split("/")[0] for address in addresses[::2]]
    alice = world.host("alice", nic, addresses[1], gateway=gateways[0], **options[0])
    bob = world.host("bob", nic, addresses[3], gateway=gateways[1], **options[1])
    router = world.host("router", nic, addresses[0], forwarding=True, memory="32MiB", **options[0])
    router.plug(nic, address=addresses[2], **options[1])
    world.link(alice, router, delay="1ms")
    world.link(router, bob, delay="1ms")
    world.run("8s")
    return alice, bob


def transfer(sender: Any, receiver: Any, data: bytes = DATA) -> bytes:
    address = str(receiver.stack.addresses[0]).split("/")[0]
    listener = receiver.stack.tcp_listen(80)
    client = sender.stack.tcp_connect(address, 80)
    server = receiver.stack.tcp_accept(listener)
    client.send(data[:50_000])
    received, left = bytearray(), data[50_000:]
    while len(received) < len(data):
        received += receiver.stack.tcp_receive(server)
        left = left[client.send(left) :]
    return bytes(received)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("nic", "near", "far"), [("e1000", 9000, 1500), ("virtio-net", 1500, 1280)])
def test_tcp_gets_through_a_link_with_a_smaller_mtu(nic: str, near: int, far: int, family: int) -> None:
    """The hosts' maximum segment sizes hide no link: alice's is larger than what bob's link takes."""
    alice, bob = through(motenet.World(seed=3), nic, near, far, family)
    assert transfer(alice, bob) == DATA
    assert transfer(bob, alice) == DATA


@pytest.mark.parametrize("family", [4, 6])
def test_large_frames_of_cards_do_not_stop_at_a_router(family: int) -> None:
    """The router's virtio card takes 64 KiB at once from alice's: on the next link these are segments again."""
    alice, bob = through(motenet.World(seed=3), "virtio-net", 1500, 1500, family)
    start = alice.stack.clock.now
    assert transfer(alice, bob, DATA * 5) == DATA * 5
    assert alice.stack.clock.now - start < SECOND
    assert alice.stack.node.routing.paths == {}


@pytest.mark.parametrize("family", [4, 6])
def test_tcp_gets_through_a_narrow_link_in_the_middle(family: int) -> None:
    """Both hosts believe in 1500: only the routers know better."""
    world = motenet.World(seed=3)
    wide, narrow = {}, {"mtu": 1300}
    nets = ("10.0.{}.{}", "/24") if family == 4 else ("fd00:{}::{}", "/64")
    at = lambda net, host: nets[0].format(net, host)  # noqa: E731
    length = nets[1]
    alice = world.host("alice", address=at(1, 1) + length, gateway=at(1, 2), driver_options=wide)
    bob = world.host("bob", address=at(3, 2) + length, gateway=at(3, 1), driver_options=wide)
    left = world.host("left", address=at(1, 2) + length, forwarding=True)
    left.plug(address=at(2, 1) + length, driver_options=narrow)
    right = world.host("right", address=at(2, 2) + length, forwarding=True, driver_options=narrow)
    right.plug(address=at(3, 1) + length)
    left.stack.add_route("0.0.0.0/0" if family == 4 else "::/0", at(2, 2))
    right.stack.add_route("0.0.0.0/0" if family == 4 else "::/0", at(2, 1))
    for a, b in ((alice, left), (left, right), (right, bob)):
        world.link(a, b, delay="1ms")
    world.run("8s")
    assert transfer(alice, bob) == DATA
    assert [mtu for mtu, _ in alice.stack.node.routing.paths.values()] == [1300]
    # the first large echo and its answer find the path out, the next get through
    assert alice.stack.ping(at(3, 2), count=3, size=1400)[-1] is not None
    before = world.snapshot()
    ends = []
    for _ in range(2):
        world.restore(before)
        world.run("700s")
        ends.append((world.state_hash(), world.fingerprint()))
    assert ends[0] == ends[1]
    assert alice.stack.node.routing.paths == {}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("nic", [motenet.devices.E1000, lambda mac: motenet.devices.VirtioNet(mac, mtu=9000)])
def test_jumbo_frames_end_to_end(nic: Any, family: int) -> None:
    world = motenet.World(seed=1)
    addresses = ["10.0.0.1/24", "10.0.0.2/24"] if family == 4 else ["fd00::1/64", "fd00::2/64"]
    hosts = [
        world.host(f"host{number}", nic(f"52:54:00:00:00:0{number}"), address, driver_options={"mtu": 9000})
        for number, address in enumerate(addresses)
    ]
    world.link(*hosts)
    alice, bob = hosts
    there = addresses[1].split("/")[0]
    assert None not in alice.stack.ping(there, count=2, size=8900)
    assert alice.stack.statistics["fragmented"] == 0
    before = alice.stack.statistics["tx_frames"]
    assert transfer(alice, bob, DATA * 10) == DATA * 10
    assert alice.stack.statistics["tx_frames"] - before < len(DATA) * 10 / 1460 / 2


def test_an_ipv6_fragment_is_of_the_learned_size(script: Any) -> None:
    script.stack.add_address("2001:db8::1/64")
    script.sent()
    script.stack.node.routing.too_big(parse_address("2001:db8::2"), 1280, 0, script.bench.now)
    script.stack.udp_socket(7).send_to(DATA[:3000], "2001:db8::2", 9)
    script.sent()
    interface = script.stack.interface
    interface.resolved(b"\2\0\0\0\0\2", interface.neighbors.learn(parse_address("2001:db8::2"), b"\2\0\0\0\0\2", 0))
    frames = [frame for frame in script.sent() if IPv6ExtHdrFragment in frame]
    assert len(frames) == 3
    assert max(len(frame[IPv6]) for frame in frames) <= 1280
    assert ICMPv6PacketTooBig not in frames[0]
