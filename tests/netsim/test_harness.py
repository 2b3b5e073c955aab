"""The simulation itself: what its wires and bottleneck do to frames, and that a seed decides everything."""

import pytest
from netsim import BANDWIDTH, QUEUE, RTT, Bottleneck, Time, Wire, WireDriver, cell, shared

from motenet.core.rng import Stream
from motenet.core.units import MS, SECOND


def test_a_bottleneck_sends_one_frame_after_the_other() -> None:
    """25,000,000 bytes per second: 40 ns a byte."""
    link = Bottleneck(BANDWIDTH, QUEUE)
    assert [link.transmit(0, 1500), link.transmit(0, 500), link.transmit(SECOND, 100)] == [
        60_000,
        80_000,
        SECOND + 4000,
    ]


def test_a_full_queue_drops_its_tail() -> None:
    link = Bottleneck(BANDWIDTH, QUEUE)
    taken = [link.transmit(0, 1024) is not None for _ in range(70)]
    assert taken == [True] * 64 + [False] * 6
    assert (link.frames, link.dropped, link.carried) == (70, 6, 64 * 1024)
    assert link.transmit(1024 * 40, 1024) is not None  # one frame has left


def test_a_wire_delays_and_loses_as_often_as_it_says() -> None:
    wire = Wire(Stream(1, "wire"), 0.25, 50 * MS, None)
    for number in range(10_000):
        wire.push(number, bytearray(60))
    assert 7350 < len(wire.frames) < 7650  # three standard deviations are 130
    assert all(50 * MS <= arrival < 50 * MS + 10_000 for arrival, _ in wire.frames)


def test_a_frame_is_not_there_before_it_arrives() -> None:
    time, wire = Time(), Wire(Stream(1, "wire"), 0.0, 7, None)
    driver = WireDriver(time, bytes(6), wire, Wire(Stream(1, "back"), 0.0, 7, None))
    wire.push(0, bytearray(b"frame"))
    time.now = 6
    assert (driver.poll(), driver.receive()) == (False, None)
    time.now = 7
    received = driver.receive()
    assert received is not None
    assert bytes(received.frame) == b"frame"


def test_a_seed_decides_a_cell() -> None:
    figures = [cell("none", 4096, 0.1, seed, 1 << 16) for seed in (1, 1, 2)]
    assert figures[0] == figures[1] != figures[2]


def test_nothing_is_faster_than_the_window_allows() -> None:
    """buffer/RTT, and the handshakes of ARP and TCP before."""
    assert cell("none", 4096, 0.0, 1, 1 << 18) < 4096 * SECOND / RTT


def test_no_bottleneck_carries_more_than_its_bandwidth() -> None:
    several = shared("reno", 4, size=1 << 18)
    assert 0 < several.utilization <= 1
    assert several.total < BANDWIDTH
    assert several.least <= several.total / 4 <= several.most


@pytest.mark.parametrize("mode", ["reno", "none"])
def test_a_mode_is_what_the_sender_uses(mode: str) -> None:
    """Without control a burst overruns the queue, and much is dropped."""
    assert (shared(mode, 4, size=1 << 20).dropped > 0.2) == (mode == "none")
