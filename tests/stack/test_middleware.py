"""Devices around a device: what smoltcp's middlewares do, between an interface and its card."""

from typing import Any

import pytest
from scapy.layers.inet import UDP

import motenet
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.trace import FramePassed
from motenet.doors import Capabilities, Received
from motenet.stack import FaultInjector, FuzzInjector, Loopback, Middleware, Tracer

SECOND = 1_000_000_000
ABLE = Capabilities(checksum_tx=True, checksum_rx=True, max_segmented=65_535, max_segmented_ipv6=65_535)


def faults(script: Any, **settings: Any) -> FaultInjector:
    (card,) = script.stack.attachments
    injector = FaultInjector(script.bench, card.device, Stream(1, "faults"), **settings)
    card.wrap(injector)
    return injector


def echo(script: Any, count: int, size: int = 100) -> list[bytes]:
    """What comes back of numbered datagrams that the stack's application returns."""
    script.know_peer()
    script.driver.sent.clear()
    socket = script.stack.udp_socket(7)
    back = []
    for number in range(count):
        frames = script.hear(script.from_peer() / UDP(sport=9, dport=7) / bytes([number] * size))
        while (message := socket.receive()) is not None:
            socket.send_to(message.data, "10.0.0.2", 9)
        back += frames
    return [bytes(frame[UDP].payload) for frame in back + script.sent() if UDP in frame]


def test_a_tracer_tells_of_each_frame_both_ways(script: Any) -> None:
    told: list[FramePassed] = []
    (card,) = script.stack.attachments
    card.wrap(Tracer(script.bench, card.device, told.append))
    script.bench.now = 5
    script.know_peer()
    script.driver.received.append(Received(memoryview(b"first"), more=[memoryview(b", more")]))
    script.sent()
    assert [(event.time, event.direction, len(event.frame)) for event in told[:2]] == [(5, "rx", 42), (5, "tx", 42)]
    assert (told[2].frame, told[2].path) == (b"first, more", "host1/eth0-card/tracer")
    script.driver.room = 0
    script.stack.udp_socket(7).send_to(b"x", "10.0.0.2", 9)
    script.sent()
    assert len(told) == 3  # the card had no room
    script.driver.room = 1
    script.pass_time(1_000_000)
    assert (len(told), len(told[3].frame)) == (4, 43)


def test_a_tracer_leaves_the_card_its_work_and_an_injector_does_not(make_script: Any) -> None:
    script = make_script(capabilities=ABLE)
    (card,) = script.stack.attachments
    told: list[FramePassed] = []
    card.wrap(Tracer(script.bench, card.device, told.append))
    assert card.device.capabilities() == ABLE
    script.know_peer()
    script.stack.udp_socket(7).send_to(b"x", "10.0.0.2", 9)
    script.sent()
    assert told[-1].facts == script.driver.facts[-1] == (34, 6, 0, 0, False, "tcp4", False)
    faults(script)
    assert card.device.capabilities() == Capabilities(checksum_rx=True)
    script.stack.udp_socket(8).send_to(b"x", "10.0.0.2", 9)
    script.sent()
    assert told[-1].facts is script.driver.facts[-1] is None


@pytest.mark.parametrize(("settings", "least", "most"), [({}, 50, 50), ({"drop": 0.5}, 5, 20), ({"drop": 1.0}, 0, 0)])
def test_frames_are_lost_as_often_as_was_asked_for(
    script: Any, settings: dict[str, float], least: int, most: int
) -> None:
    injector = faults(script, **settings)
    assert least <= len(echo(script, 50)) <= most
    assert injector.drops.get("fault-lost", 0) == script.drops.get("fault-lost", 0) >= (50 - most) // 2


@pytest.mark.parametrize("verified", [False, True])
def test_flipped_bits_are_found_whatever_the_card_has_verified(make_script: Any, verified: bool) -> None:
    script = make_script(capabilities=Capabilities(checksum_rx=True) if verified else None)
    script.know_peer()
    injector = faults(script, corrupt=1.0)
    socket = script.stack.udp_socket(7)
    hear = script.hear_verified if verified else script.hear
    hear(*[script.from_peer() / UDP(sport=9, dport=7) / bytes(1000)] * 50)
    assert injector.corrupted >= 50
    injector.corrupting = 0
    assert socket.receive() is None
    assert sum(script.drops.values()) >= 50
    frame = bytearray(bytes(script.from_peer() / UDP(sport=9, dport=7) / b"x"))
    frame[-1] ^= 1
    hear(bytes(frame))
    assert (socket.receive() is not None) == verified


def test_long_frames_and_too_many_of_them_are_lost_in_each_direction(script: Any) -> None:
    script.know_peer()
    injector = faults(script, longest=60, rate=3)
    socket = script.stack.udp_socket(7)
    short, long = (script.from_peer() / UDP(sport=9, dport=7) / bytes(size) for size in (18, 19))
    for second in range(2):
        script.bench.now = second * SECOND
        for size in (19, *[18] * 4):
            socket.send_to(bytes(size), "10.0.0.2", 9)
        assert len(script.hear(long, *[short] * 4)) == 3
    assert injector.drops == {"fault-long": 4, "fault-rate": 4}
    assert [len(message.data) for message in iter(socket.receive, None)] == [18] * 6


@pytest.mark.parametrize("wrong", [{"drop": 2}, {"corrupt": -0.1}, {"longest": -1}, {"rate": -1}, {"interval": 0.5}])
def test_what_cannot_be_is_refused(script: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        faults(script, **wrong)


def test_a_program_changes_frames(script: Any) -> None:
    def change(direction: str, frame: memoryview) -> None:
        if direction == "tx":
            frame[-1] ^= 0xFF

    (card,) = script.stack.attachments
    card.wrap(FuzzInjector(script.bench, card.device, change))
    (data,) = echo(script, 1, 8)
    assert data == bytes(7) + b"\xff"


def test_middlewares_are_stacked_and_their_state_is_the_stacks() -> None:
    """A world goes on the same after a snapshot, with faults between the card and the stack."""
    world = motenet.World(seed=3)
    alice, bob = (world.host(name, address=f"10.0.0.{number}/24") for number, name in enumerate(("alice", "bob"), 1))
    world.link(alice, bob, delay="1ms")
    (card,) = bob.stack.attachments
    lossy = FaultInjector(bob.stack.clock, card.device, Stream(3, "faults"), drop=0.2, corrupt=0.2)
    card.wrap(Middleware(bob.stack.clock, lossy, "nothing"))
    before, ends = world.snapshot(), []
    for _ in range(2):
        world.restore(before)
        pings = alice.stack.ping("10.0.0.2", count=20)
        ends.append((pings, world.state_hash(), lossy.drops["fault-lost"], lossy.corrupted))
    assert ends[0] == ends[1]
    assert None in ends[0][0]


def test_a_loopback_device_can_be_wrapped(bench: Any) -> None:
    device = FaultInjector(bench, Loopback(), Stream(1, "faults"), drop=0.5)
    token = device.transmit(0)
    assert token is not None
    sent = [token.consume(1, lambda view: None) for _ in range(20)]
    assert sent == [True] * 20
    got = 0
    while (tokens := device.receive(0)) is not None:
        got += tokens[0].consume(lambda received: len(received.frame))
    assert (got, device.drops) == (20 - device.drops["fault-lost"], {"fault-lost": 20 - got})
    assert 1 <= got <= 15
