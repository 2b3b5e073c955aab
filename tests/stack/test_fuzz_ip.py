"""Whatever arrives at a host or a router of both families, with VLANs, all kinds of sockets and TCP in every state.

No exception, no table without a bound, no endless work, and never more than three bytes sent for each that came.
"""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scapy.layers.igmp import IGMP
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6MLQuery,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    RouterAlert,
    fragment6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether

from motenet.core.checksum import internet_checksum, pseudo_header_sum
from motenet.core.state import walk
from motenet.doors import Received
from motenet.stack.address import parse_address
from motenet.stack.neighbor import MAXIMUM_KNOWN
from motenet.stack.reassembly import MAXIMUM_BYTES, MAXIMUM_DATAGRAMS
from motenet.stack.searches import MAXIMUM_HELD_BYTES, MAXIMUM_UNRESOLVED
from motenet.stack.sockets.datagram import QUEUE_BYTES
from motenet.stack.sockets.tcp.state import State

SECOND = 1_000_000_000
US, NEAR = "02:00:00:00:00:01", "02:00:00:00:00:02"
HOST4, HOST6, LOCAL = "10.0.0.1", "2001:db8:1::1", "fe80::ff:fe00:1"
PEER4, PEER6 = "10.0.0.2", "2001:db8:1::2"
TIMERS = 3000
"""Bytes that were due anyway."""
MOST_STATE = 4_000_000
"""Characters of a stack's state as text: several times what all queues together may hold is a leak."""

quickly = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def seeds() -> list[bytes]:
    """Good frames of every kind, to begin from."""
    ether = Ether(src=NEAR, dst=US)
    four, six = ether / IP(src=PEER4, dst=HOST4), ether / IPv6(src=PEER6, dst=HOST6)
    near = ether / IPv6(src="fe80::2", dst=LOCAL, hlim=255)
    sent4 = IP(src=HOST4, dst=PEER4) / UDP(sport=7, dport=9)
    sent6 = IPv6(src=HOST6, dst=PEER6) / UDP(sport=7, dport=9)
    known, asked = ICMPv6NDOptDstLLAddr(lladdr=NEAR), ICMPv6NDOptSrcLLAddr(lladdr=NEAR)
    advertised = ICMPv6NDOptPrefixInfo(prefix="2001:db8:7::", prefixlen=64, L=1, A=1) / ICMPv6NDOptMTU(mtu=1400)
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    packets = [
        ether / ARP(op=1, hwsrc=NEAR, psrc=PEER4, pdst=HOST4),
        ether / Dot1Q(vlan=10) / IP(src="10.0.10.2", dst="10.0.10.1") / ICMP() / b"echo",
        four / ICMP() / b"echo",
        four / ICMP(type=3, code=4, nexthopmtu=600) / sent4,
        four / ICMP(type=5, code=1, gw="10.0.0.3") / sent4,
        four / ICMP(type=11) / sent4,
        four / IGMP(type=0x11, gaddr="0.0.0.0"),
        four / UDP(sport=9, dport=7) / b"data",
        four / UDP(sport=9, dport=8) / b"nobody",
        four / TCP(sport=1000, dport=80, flags="S", options=options),
        ether / IP(src=PEER4, dst="10.0.1.2") / UDP(dport=7) / b"onwards",
        ether / IP(src=PEER4, dst="10.0.0.9") / UDP(dport=7) / b"a better way",
        ether / IP(src=PEER4, dst="10.0.1.2", ttl=1) / UDP(dport=7) / b"too far",
        six / ICMPv6EchoRequest(data=b"echo"),
        ether / IPv6(src=PEER6, dst="ff02::1") / ICMPv6EchoRequest(data=b"echo"),
        six / UDP(sport=9, dport=7) / b"data",
        six / UDP(sport=9, dport=8) / b"nobody",
        six / TCP(sport=1000, dport=80, flags="S", options=options),
        six / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / IPv6ExtHdrDestOpt() / UDP(sport=9, dport=7) / b"data",
        six / IPv6ExtHdrRouting(segleft=0) / IPv6ExtHdrFragment(id=5) / UDP(sport=9, dport=7) / b"data",
        six / ICMPv6PacketTooBig(mtu=1280) / sent6,
        six / ICMPv6DestUnreach(code=4) / sent6,
        ether / IPv6(src=PEER6, dst="2001:db8:2::2") / UDP(dport=7) / b"onwards",
        ether / IPv6(src=PEER6, dst="2001:db8:1::9") / UDP(dport=7) / b"a better way",
        ether / IPv6(src=PEER6, dst="2001:db8:2::2", hlim=1) / UDP(dport=7) / b"too far",
        ether / IPv6(src=PEER6, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=HOST6) / asked,
        near / ICMPv6ND_NA(tgt="fe80::2", S=1) / known,
        near / ICMPv6ND_RS() / asked,
        near / ICMPv6ND_RA(routerlifetime=1800) / asked / advertised / ICMPv6NDOptRDNSS(dns=["2001:db8::53"], len=3),
        near / ICMPv6ND_Redirect(tgt="fe80::3", dst="2001:db8:9::9") / known,
        ether / IPv6(src="fe80::2", dst=LOCAL, hlim=1) / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / ICMPv6MLQuery(),
    ]
    cut = [ether / IP(bytes(one)) for one in fragment(IP(src=PEER4, dst=HOST4, id=9) / UDP() / bytes(3000), 600)]
    whole = IPv6(bytes(IPv6(src=PEER6, dst=HOST6) / IPv6ExtHdrFragment(id=9) / UDP(dport=7) / bytes(3000)))
    cut += [ether / one for one in fragment6(whole, 1280)]
    return [bytes(packet) for packet in packets + cut]


SEEDS = seeds()


def repair(frame: bytearray) -> bytes:
    """Make checksums good again, so that the mutation gets further in."""
    start = 18 if frame[12:14] == b"\x81\x00" else 14
    ip = memoryview(frame)[start:]
    if frame[start - 2 : start] == b"\x08\x00" and len(ip) >= 20:
        header = (ip[0] & 15) * 4
        ip[10:12] = b"\0\0"
        ip[10:12] = internet_checksum(ip[:header]).to_bytes(2, "big")
        end = int.from_bytes(ip[2:4], "big")
        if ip[9] in (1, 2) and len(ip) >= end >= header + 4:
            ip[header + 2 : header + 4] = b"\0\0"
            ip[header + 2 : header + 4] = internet_checksum(ip[header:end]).to_bytes(2, "big")
    elif frame[start - 2 : start] == b"\x86\xdd" and len(ip) >= 48:
        at, end = 40, 40 + int.from_bytes(ip[4:6], "big")
        protocol = ip[6]
        if protocol in (0, 60) and len(ip) > 56:
            protocol, at = ip[40], 48 + ip[41] * 8
        if protocol == 58 and len(ip) >= end >= at + 4:
            ip[at + 2 : at + 4] = b"\0\0"
            sum_ = pseudo_header_sum(bytes(ip[8:24]), bytes(ip[24:40]), 58, end - at)
            ip[at + 2 : at + 4] = internet_checksum(ip[at:end], sum_).to_bytes(2, "big")
    return bytes(frame)


def mutated(dice: random.Random, frames: list[bytes]) -> bytes:
    frame = bytearray(dice.choice(frames))
    for _ in range(dice.randrange(5)):
        frame[dice.randrange(12, len(frame))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    if dice.random() < 0.2:
        del frame[dice.randrange(14, len(frame)) :]
    elif dice.random() < 0.1:
        frame += dice.randbytes(dice.randrange(64))
    return repair(frame) if dice.random() < 0.9 else bytes(frame)


def furnish(script: Any, forwarding: bool) -> list[bytes]:
    """Give the stack all that it can have; returns segments for connections in every state."""
    stack, sockets = script.stack, script.stack.sockets
    stack.forwarding = forwarding
    stack.add_vlan(10, ["10.0.10.1/24", "2001:db8:a::1/64"])
    if not forwarding:
        stack.add_address("auto")
    else:
        stack.advertise("2001:db8:1::/64")
    for group in ("239.1.2.3", "ff15::1"):
        stack.join_group(group)
    script.meet()
    sockets.udp_bind(7).send_to(b"x", PEER4, 9)
    sockets.icmp_bind(77)
    sockets.raw_bind(99)
    listener = sockets.tcp_listen(80, backlog=8)
    segments = []
    for source, ours in ((PEER4, HOST4), (PEER6, HOST6)):
        segments += [connect(script, listener, source, ours, wanted) for wanted in State]
    return [one for one in segments if one]


def connect(script: Any, listener: Any, source: str, ours: str, wanted: State) -> bytes:
    """Bring a connection into a state; returns a segment that it would take. None for what takes none."""
    port = 2000 + list(State).index(wanted)
    header = Ether(src=NEAR, dst=US) / (IPv6(src=source, dst=ours) if ":" in source else IP(src=source, dst=ours))
    if wanted is State.CLOSED:
        return b""
    if wanted is State.SYN_SENT:
        client = script.stack.sockets.tcp_connect(source, port)
        script.sent()
        ack = client.sender.nxt & 0xFFFFFFFF
        return bytes(header / TCP(sport=port, dport=client.local[1], seq=1, ack=ack, flags="SA"))

    def hear(seq: int, flags: str, ack: int = 0) -> Any:
        segment = TCP(sport=port, dport=80, seq=seq, ack=ack, flags=flags, window=60000)
        frames = script.hear(header / segment)
        return next((frame for _, frame in frames if TCP in frame), None)

    answer = hear(0, "S")
    nxt = answer[TCP].seq + 1
    if wanted is State.SYN_RECEIVED:
        return bytes(header / TCP(sport=port, dport=80, seq=1, ack=nxt, flags="A"))
    hear(1, "A", nxt)
    server, seq = listener.accept(), 1
    assert server is not None
    if wanted in (State.CLOSE_WAIT, State.LAST_ACK):
        hear(seq, "FA", nxt)
        seq += 1
    if wanted not in (State.ESTABLISHED, State.CLOSE_WAIT):
        server.close()
        script.sent()
    if wanted in (State.FIN_WAIT_2, State.TIME_WAIT):
        hear(seq, "A", nxt + 1)
    if wanted in (State.CLOSING, State.TIME_WAIT):
        hear(seq, "FA", nxt + (wanted is State.TIME_WAIT))
        seq += 1
    assert server.state is wanted
    return bytes(header / TCP(sport=port, dport=80, seq=seq, ack=nxt, flags="A", window=60000) / b"data")


def exceeded(script: Any) -> list[tuple[str, int]]:
    """The bounds that do not hold, and what there is in place of that."""
    node = script.stack.node
    bounds = [
        ("state", sum(len(repr(part.save())) for part in walk(script.stack)), MOST_STATE),
        ("paths", len(node.routing.paths), 1024),
        ("routes", len(node.routing.routes.table), 128),
        ("partials", len(node.reassembly.partials), MAXIMUM_DATAGRAMS),
        ("fragments", node.reassembly.bytes, MAXIMUM_BYTES),
        ("queued", max(getattr(socket, "incoming_bytes", 0) for _, socket in node.sockets), QUEUE_BYTES),
    ]
    for one in script.stack.interfaces:
        bounds += [
            ("known", len(one.neighbors.known), MAXIMUM_KNOWN),
            ("unresolved", len(one.neighbors.unresolved), MAXIMUM_UNRESOLVED),
            ("held", one.neighbors.held_bytes, MAXIMUM_HELD_BYTES),
            ("addresses", len(one.addressing.entries), 32),
        ]
    return [(name, size) for name, size, most in bounds if size > most]


def bombard(script: Any, seed: int, forwarding: bool, batches: int, count: int = 1) -> tuple[int, int]:
    """Let mutated frames in, some time going by; returns the bytes that came and went."""
    dice = random.Random(seed)
    frames = SEEDS + furnish(script, forwarding)
    came = went = 0
    for _ in range(batches):
        batch = [mutated(dice, frames) for _ in range(count)]
        verified = dice.random() < 0.5
        size = dice.choice((0, 0, 0, 100))
        bare = [Received(memoryview(one), checksum_ok=verified, segment_size=size) for one in batch]
        answered = script.hear(*bare, side=dice.randrange(8) // 7)
        came += sum(max(60, len(one)) for one in batch)
        went += sum(len(frame) for _, frame in answered)
        script.bench.now += dice.choice((0, 1000, 1_000_000, 100_000_000))
    script.pass_time(200 * SECOND)
    return came, went


@quickly
@given(st.integers(0, 2**32), st.booleans())
def test_mutated_frames(make_router: Any, seed: int, forwarding: bool) -> None:
    script = make_router()
    came, went = bombard(script, seed, forwarding, 60)
    assert went <= 3 * came + TIMERS
    assert exceeded(script) == []


@quickly
@given(st.lists(st.tuples(st.sampled_from(SEEDS), st.integers(14, 80), st.binary(max_size=100)), max_size=20))
def test_good_headers_in_front_of_arbitrary_bytes(make_router: Any, frames: list[tuple[bytes, int, bytes]]) -> None:
    script = make_router()
    furnish(script, True)
    script.hear(*[repair(bytearray(frame[:at] + tail)) for frame, at, tail in frames])
    script.pass_time(100 * SECOND)
    assert exceeded(script) == []


@quickly
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_arbitrary_bytes_are_counted_and_dropped(make_router: Any, frames: list[bytes]) -> None:
    script = make_router()
    furnish(script, False)
    before = script.stack.statistics
    script.hear(*frames)
    after = script.stack.statistics
    assert [after[name] - before[name] for name in ("rx_frames", "drops")] == [len(frames), len(frames)]


@pytest.mark.parametrize("forwarding", [False, True])
def test_a_flood_stays_within_bounds(make_router: Any, forwarding: bool) -> None:
    script = make_router()
    came, went = bombard(script, 1, forwarding, 40, 100)
    assert went <= 3 * came + TIMERS
    assert exceeded(script) == []


@pytest.mark.parametrize("forwarding", [False, True])
def test_spoofed_senders_make_us_amplify_nothing(make_router: Any, forwarding: bool) -> None:
    """Each frame from another sender and to another destination, all good: the worst that can be asked."""
    dice, script = random.Random(1), make_router()
    furnish(script, forwarding)
    came = went = 0
    for _ in range(30):
        batch = []
        for _ in range(100):
            frame = bytearray(dice.choice(SEEDS))
            if frame[12:14] == b"\x08\x00":
                frame[28:30] = dice.randbytes(2)
                if dice.random() < 0.3:
                    frame[30:34] = bytes((10, 0, dice.randrange(2), dice.randrange(256)))
            elif frame[12:14] == b"\x86\xdd":
                frame[35:38] = dice.randbytes(3)
                if dice.random() < 0.3:
                    frame[38:54] = parse_address(f"2001:db8:{dice.randrange(1, 3)}::{dice.randrange(1 << 16):x}")
            batch.append(Received(memoryview(repair(frame)), checksum_ok=True))
        came += sum(max(60, len(one.frame)) for one in batch)
        went += sum(len(frame) for _, frame in script.hear(*batch))
        script.bench.now += 10_000_000
    assert exceeded(script) == []
    went += sum(len(frame) for _, frame in script.pass_time(5 * SECOND))
    assert went <= 3 * came
    script.pass_time(400 * SECOND)
    assert (script.stack.node.reassembly.partials, script.stack.node.reassembly.bytes) == ({}, 0)
    assert [(one.neighbors.unresolved, one.neighbors.held_bytes) for one in script.stack.interfaces] == [({}, 0)] * 3


@quickly
@given(st.integers(0, 2**32), st.booleans())
@example(1, False)  # whether routers are obeyed, too
@example(323752, False)  # connections whose next hop is found dead right after
def test_another_stack_goes_on_from_the_saved_state(make_router: Any, seed: int, forwarding: bool) -> None:
    """Whatever has come before: all that matters is in the state, and nothing of it elsewhere."""
    dice, script, other = random.Random(seed), make_router(), make_router()
    frames = SEEDS + furnish(script, forwarding)
    for _ in range(30):
        script.hear(mutated(dice, frames))
        script.bench.now += dice.choice((0, 1_000_000, 300_000_000))
    other.stack.add_vlan(10)
    state = {part.path: part.save() for part in walk(script.stack)}
    load(other.stack, state)
    other.bench.now = script.bench.now
    assert {part.path: part.save() for part in walk(other.stack)} == state
    for _ in range(15):
        frame = mutated(dice, frames)
        sent = [[(side, bytes(one)) for side, one in each.hear(frame)] for each in (script, other)]
        assert sent[0] == sent[1]
        sent = [[(side, bytes(one)) for side, one in each.pass_time(100_000_000)] for each in (script, other)]
        assert sent[0] == sent[1]
    assert {part.path: part.save() for part in walk(other.stack)} == {
        part.path: part.save() for part in walk(script.stack)
    }


def load(component: Any, state: dict[str, Any]) -> None:
    """As World.restore: a part may make others as it loads."""
    component.load(state[component.path])
    for part in component.parts():
        load(part, state)
