"""QEMU's time beside a world's, the cable of datagrams, and QEMU's start, without QEMU."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from motenet.bridge.qtest.machine import QtestMachine
from motenet.bridge.qtest.memory import LOW_MEMORY, SharedMemory
from motenet.bridge.qtest.process import parked_rom
from motenet.bridge.qtest.time import QtestClock
from motenet.bridge.qtest.wire import MOST_WAITING, Wire
from motenet.bridge.tap import BridgeError
from motenet.core.clock import FOREVER, Clock, LocalClock
from motenet.core.errors import BlockingInsideWorld, ConfigurationError, DriverError
from motenet.core.state import Component
from motenet.core.units import MS, SECOND, US
from motenet.doors import FrameFacts
from motenet.machine import Port
from motenet.machine.dma import MachineDma


class FakeTime:
    """QEMU's clock with timers: (time, what happens), the first due ones first."""

    def __init__(self) -> None:
        self.now = 0
        self.timers: list[tuple[int, Any]] = []

    def read(self) -> int:
        return self.now

    def advance(self, target: int) -> None:
        while self.timers and self.timers[0][0] <= target:
            self.now, happen = self.timers.pop(0)
            happen()
        self.now = max(self.now, target)


class Log(Component):
    def __init__(self, clock: LocalClock) -> None:
        self.clock = clock
        self.entries: list[tuple[int, int, object]] = []

    def note(self, what: object) -> None:
        self.entries.append((self.clock.world.now, self.clock.now, what))


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def clock(time: FakeTime) -> QtestClock:
    return QtestClock(Clock(), time)


def test_delay_moves_qemu_and_not_the_world(clock: QtestClock, time: FakeTime) -> None:
    log = Log(clock)
    clock.world.at(5 * MS, log.note, "event")
    clock.delay(10 * MS)
    assert (time.now, clock.now, clock.world.now, log.entries) == (10 * MS, 10 * MS, 0, [])


def test_the_world_follows_when_somebody_waits(clock: QtestClock, time: FakeTime) -> None:
    log = Log(clock)
    clock.world.at(5 * MS, log.note, "early")
    clock.world.at(30 * MS, log.note, "late")
    clock.delay(10 * MS)
    assert clock.wait(lambda: len(log.entries) == 2, 50 * MS) is True
    assert log.entries == [(5 * MS, 10 * MS, "early"), (30 * MS, 30 * MS, "late")]
    assert clock.wait(lambda: False, 50 * MS) is False
    assert time.now == clock.world.now == 50 * MS


def test_what_the_driver_posts_runs_at_its_own_time(clock: QtestClock) -> None:
    log = Log(clock)
    clock.delay(2 * MS)
    assert clock.now == 2 * MS
    clock.post(log.note, "posted")
    clock.wait(lambda: bool(log.entries), 3 * MS)
    assert log.entries == [(2 * MS, 2 * MS, "posted")]


def test_a_world_that_is_older_sets_the_scale(time: FakeTime) -> None:
    world = Clock()
    world.run(7 * SECOND)
    clock = QtestClock(world, time)
    assert clock.now == 7 * SECOND
    clock.delay(1 * US)
    assert clock.now == 7 * SECOND + 1 * US
    world.run(9 * SECOND)
    assert clock.now == 9 * SECOND, "it never lags"


@given(at=st.integers(min_value=1, max_value=1 * SECOND))
def test_what_qemu_does_is_seen_soon_after(at: int) -> None:
    """Late by no more than the silence before it, and never by more than 10 ms."""
    time = FakeTime()
    clock = QtestClock(Clock(), time)
    news: list[int] = []
    time.timers.append((at, lambda: news.append(at)))
    seen: list[int] = []

    def take() -> bool:
        if news:
            seen.append(clock.known)
            news.clear()
            return True
        return False

    clock.take = take
    assert clock.wait(lambda: bool(seen), 2 * SECOND)
    assert at <= seen[0] <= at + min(at + 1 * US, 10 * MS)


def test_a_wait_for_ever_ends_when_nothing_can_happen(clock: QtestClock, time: FakeTime) -> None:
    assert clock.wait(lambda: False, FOREVER) is False
    assert 2 * SECOND <= time.now < 3 * SECOND
    log = Log(clock)
    clock.world.at(10 * SECOND, log.note, "far away")
    assert clock.wait(lambda: bool(log.entries), FOREVER) is True


def test_a_handler_may_not_delay_and_an_event_may_not_wait(clock: QtestClock) -> None:
    clock.in_interrupt = True
    with pytest.raises(DriverError, match="may not delay"):
        clock.delay(1)
    clock.in_interrupt = False

    class Blocking(Component):
        def block(self, _: object) -> None:
            clock.wait(lambda: True, FOREVER)

    clock.post(Blocking().block)
    with pytest.raises(BlockingInsideWorld):
        clock.wait(lambda: False, 1 * MS)


# --- the cable


class Cable:
    """A wire, and the far end's socket."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.far = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.far.bind(str(folder / "far"))
        self.far.setblocking(False)
        near = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.bind(str(folder / "near"))
        self.near = str(folder / "near")
        self.wire = Wire(LocalClock(self.clock), near, str(folder / "far"), "qemu/wire")


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path)
    yield cable
    cable.wire.close()
    cable.far.close()


class Medium(Component):
    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        self.frames.append(frame)


def test_a_frame_is_a_datagram_both_ways(cable: Cable) -> None:
    medium = Medium()
    cable.wire.port.connect(medium)
    cable.wire.port.deliver(b"to qemu")
    assert cable.far.recv(100) == b"to qemu"
    cable.far.sendto(b"from qemu", cable.near)
    cable.far.sendto(bytes(61), cable.near)
    assert cable.wire.take() is True
    assert cable.wire.take() is False
    assert medium.frames == [b"from qemu".ljust(60, b"\0"), bytes(61)], "802.3, 4.2.3.3: made up to 64 bytes with FCS"


def test_without_a_port_frames_are_kept_for_whoever_looks(cable: Cable) -> None:
    cable.far.sendto(b"one", cable.near)
    cable.far.sendto(b"two", cable.near)
    cable.wire.take()
    assert list(cable.wire.received) == [b"one", b"two"]


def test_frames_wait_while_qemu_takes_none_and_are_lost_beyond_a_bound(cable: Cable) -> None:
    """unix(7): a datagram socket's queue is bounded (net.unix.max_dgram_qlen)."""
    sent = [b"%d" % number for number in range(2 * MOST_WAITING)]
    for frame in sent:
        cable.wire.send(frame)
    got: list[bytes] = []
    for _ in range(2 * MOST_WAITING):
        cable.wire.take()
        try:
            got.append(cable.far.recv(100))
        except BlockingIOError:
            break
    assert MOST_WAITING <= len(got) == len(sent) - cable.wire.drops["queue full"]
    assert got == sent[: len(got)], "in order"


def test_what_a_datagram_cannot_tell_is_done_before(cable: Cable) -> None:
    """Checksums are computed, segments cut; a damaged frame is counted, and lost as at any MAC."""
    port = cable.wire.port
    port.deliver(b"flipped", FrameFacts(damaged=True))
    assert cable.wire.drops == {"bad FCS": 1}
    port.deliver(bytes(34) + b"\x00\x01\x00\x00", FrameFacts(checksum_start=34, checksum_offset=2))
    assert cable.far.recv(100) == bytes(34) + b"\x00\x01\xff\xfe", "RFC 1071: the complement of the sum"
    large = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / Raw(bytes(2000)))
    port.deliver(large, FrameFacts(checksum_start=34, checksum_offset=16, segment_size=1460, header_length=54))
    assert [len(cable.far.recv(2000)) for _ in range(2)] == [1514, 594]
    cable.far.close()
    port.deliver(b"nobody")
    assert cable.wire.drops["no QEMU"] == 1


# --- memory and process


def test_guest_memory_is_shared_and_buffers_avoid_the_first_mib() -> None:
    memory = SharedMemory("4MiB")
    try:
        buffer = MachineDma(memory, memory.allocator()).allocate(4096, 4096)
        assert buffer.address >= LOW_MEMORY
        buffer.lend(16, 5)[:] = b"hello"
        with open(memory.mem_path, "rb") as other:  # as QEMU opens it
            other.seek(buffer.address + 16)
            assert other.read(5) == b"hello"
    finally:
        memory.close()
    memory.close()
    with pytest.raises(ConfigurationError, match="4 MiB"):
        SharedMemory("1MiB")


def test_the_firmware_halts_the_processor() -> None:
    """Intel SDM vol. 3, 9.1.4: execution begins 16 bytes below the top; FA is cli, F4 hlt, EB FD a jump back."""
    rom = parked_rom()
    assert len(rom) == 65536
    assert rom[-16:-12] == bytes.fromhex("faf4ebfd")


def program(folder: Path, text: str) -> str:
    script = folder / "qemu"
    script.write_text("#!/bin/sh\n" + text)
    script.chmod(0o755)
    return str(script)


def test_a_missing_qemu_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="apt-get install qemu-system-x86"):
        QtestMachine(program=str(tmp_path / "none"))


def test_a_qemu_that_refuses_its_arguments_is_quoted(tmp_path: Path) -> None:
    script = program(tmp_path, 'echo "e1001 is not a valid device model name" >&2\nexit 1\n')
    with pytest.raises(BridgeError, match="does not start: e1001 is not a valid"):
        QtestMachine("e1001", program=script)


def test_names_that_would_be_misread_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="braces"):
        QtestMachine("e1000", capture="{x}.pcap")
