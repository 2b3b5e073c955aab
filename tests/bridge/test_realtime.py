"""The world on the real clock, with a TAP made of two queues."""

import os
import time
from collections import deque
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from motenet.bridge.realtime import RealTime, TapCable
from motenet.core.clock import Clock, LocalClock
from motenet.core.state import Component
from motenet.core.units import MS, US
from motenet.doors import FrameFacts
from motenet.machine import Port


class Queues:
    """Stands for a TAP; its descriptor is readable while a frame waits."""

    name = "tap0"

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.sent: list[bytes] = []
        self.takes = True
        self._out, self._in = os.pipe()

    def put(self, frame: bytes) -> None:
        self.waiting.append(frame)
        os.write(self._in, b"x")

    def fileno(self) -> int:
        return self._out

    def read(self) -> bytes | None:
        if not self.waiting:
            return None
        os.read(self._out, 1)
        return self.waiting.popleft()

    def write(self, frame: bytes) -> bool:
        self.sent.append(frame)
        return self.takes

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)


class Card(Component):
    """Notes what comes, with the virtual time; answers what begins with `?`."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.log: list[tuple[int, object]] = []
        port.attach(self)

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        self.note(frame.rstrip(b"\0"))
        if frame.startswith(b"?"):
            self.port.transmit(b"!" + frame.rstrip(b"\0"))

    def carrier_changed(self, carrier: bool) -> None:
        self.note(carrier)

    def note(self, what: object) -> None:
        self.log.append((self.port.clock.now, what))


class Setup:
    def __init__(self) -> None:
        self.clock = Clock()
        self.tap = Queues()
        self.card = Card(Port(LocalClock(self.clock), "nic/port"))
        self.pump = RealTime(self.clock)
        self.cable: TapCable = self.pump.connect(self.card.port, self.tap)  # type: ignore[arg-type]


@pytest.fixture
def setup() -> Iterator[Setup]:
    setup = Setup()
    yield setup
    setup.tap.close()


def test_virtual_time_goes_at_the_pace_of_real_time(setup: Setup) -> None:
    setup.clock.at(30 * MS, setup.card.note, "later")
    begin = time.monotonic_ns()
    assert setup.pump.run(timeout=20 * MS) is False
    assert time.monotonic_ns() - begin >= 20 * MS
    assert setup.clock.now == 20 * MS
    assert setup.card.log == [(0, True)], "a carrier, and no event ahead of its time"
    setup.pump.run(lambda: len(setup.card.log) == 2)
    assert setup.card.log[1] == (30 * MS, "later")
    assert time.monotonic_ns() - begin >= 30 * MS


def test_frames_pass_both_ways_and_ready_ends_the_run(setup: Setup) -> None:
    for number in range(200):
        setup.tap.put(b"?%d" % number)
    assert setup.pump.run(lambda: len(setup.tap.sent) == 200, timeout=10_000 * MS) is True
    assert setup.tap.sent == [b"!?%d" % number for number in range(200)]
    assert [what for _, what in setup.card.log[1:]] == [b"?%d" % number for number in range(200)]


def test_a_frame_wakes_a_sleeping_world(setup: Setup) -> None:
    class Peer(Component):
        def send(self, frame: bytes) -> None:
            setup.tap.put(frame)

    setup.clock.at(5 * MS, Peer().send, b"hello")
    begin = time.monotonic_ns()
    assert setup.pump.run(lambda: len(setup.card.log) == 2, timeout=10_000 * MS)
    assert time.monotonic_ns() - begin < 5_000 * MS


def test_a_waiting_frame_comes_before_a_timer_that_is_overdue(setup: Setup) -> None:
    """A process that was held up must not retransmit what has already been acknowledged."""

    class Stall(Component):
        def stall(self, _: object) -> None:
            setup.tap.put(b"ack")
            time.sleep(0.03)

    setup.clock.at(1 * MS, Stall().stall)
    setup.clock.at(20 * MS, setup.card.note, "retransmission timer")
    setup.pump.run(lambda: len(setup.card.log) == 3)
    assert [what for _, what in setup.card.log[1:]] == [b"ack", "retransmission timer"]


def test_a_short_frame_is_padded_as_on_a_cable() -> None:
    """IEEE 802.3, 4.2.3.3: no frame on a cable has less than 64 bytes with its FCS; Linux gives a TAP 42 for an ARP."""
    setup = Setup()
    arrived: list[bytes] = []
    setup.card.frame_arrived = lambda frame, facts: arrived.append(frame)  # type: ignore[method-assign]
    for length in (42, 60, 61):
        setup.tap.put(bytes([length]) * length)
    setup.pump.run(lambda: len(arrived) == 3)
    setup.tap.close()
    assert arrived == [b"\x2a" * 42 + bytes(18), b"\x3c" * 60, b"\x3d" * 61]


def test_a_busy_world_looks_at_its_files_and_forgets_how_far_it_has_fallen_behind(setup: Setup) -> None:
    """100 ms of work for 5 ms of virtual time: a request must not wait for its end, nor timers then fire in a row."""

    class Work(Component):
        left = 100

        def step(self, _: object) -> None:
            time.sleep(0.001)
            self.left -= 1
            if self.left == 90:
                setup.tap.put(b"request")
            if self.left:
                setup.clock.after(50 * US, self.step)

    work = Work()
    setup.clock.after(0, work.step)
    assert setup.pump.run(lambda: len(setup.card.log) > 1, timeout=10_000 * MS)
    assert work.left > 50
    assert setup.pump.run(lambda: not work.left, timeout=10_000 * MS)
    assert setup.clock.now < 20 * MS


def test_what_is_ready_already_is_not_waited_for(setup: Setup) -> None:
    begin = time.monotonic()
    assert setup.pump.run(lambda: True, timeout=10_000 * MS)
    assert time.monotonic() - begin < 0.5


def test_files_come_and_go(setup: Setup) -> None:
    seen: list[int] = []
    ours, theirs = os.pipe()
    setup.pump.watch(ours, seen.append)
    os.write(theirs, b"x")
    assert setup.pump.run(lambda: bool(seen), timeout=10_000 * MS)
    setup.pump.unwatch(ours)
    setup.pump.unwatch(ours)
    count = len(seen)
    assert not setup.pump.run(lambda: len(seen) > count, timeout=5 * MS)
    os.close(ours)
    os.close(theirs)


def test_what_cannot_be_sent_is_counted_with_its_reason(setup: Setup) -> None:
    port = setup.card.port
    port.transmit(b"flipped", FrameFacts(damaged=True))
    assert setup.tap.sent == []
    setup.tap.takes = False
    port.transmit(b"refused")
    assert setup.cable.drops == {"bad FCS": 1, "refused by the kernel": 1}


@pytest.mark.parametrize(("transport", "field"), [(TCP(sport=1, dport=2), 16), (UDP(sport=1, dport=2), 6)])
def test_a_checksum_that_is_left_to_compute_is_scapys(setup: Setup, transport: TCP | UDP, field: int) -> None:
    packet = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / transport / Raw(b"an odd payload!")
    whole = bytes(packet)
    length = len(whole) - 34
    pseudo = 0x0A00 + 0x0001 + 0x0A00 + 0x0002 + whole[23] + length
    frame = whole[: 34 + field] + pseudo.to_bytes(2, "big") + whole[34 + field + 2 :]
    setup.card.port.transmit(frame, FrameFacts(checksum_start=34, checksum_offset=field))
    assert setup.tap.sent == [whole]


def test_what_is_left_to_cut_is_cut(setup: Setup) -> None:
    large = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / Raw(bytes(2000)))
    facts = FrameFacts(checksum_start=34, checksum_offset=16, segment_size=1460, header_length=54)
    setup.card.port.transmit(large, facts)
    assert [len(frame) for frame in setup.tap.sent] == [1514, 594]
