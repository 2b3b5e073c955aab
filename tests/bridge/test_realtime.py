"""The world on the real clock, with a TAP made of two queues."""

import asyncio
import fcntl
import gc
import os
import resource
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from motenet.bridge.realtime import RealTime, TapCable
from motenet.core.clock import FOREVER, Clock, LocalClock
from motenet.core.errors import BlockingInsideWorld, ConfigurationError
from motenet.core.state import Component
from motenet.core.units import MS, SECOND, US
from motenet.doors import FrameFacts
from motenet.machine import Port
from motenet.sim.host import Host
from motenet.sim.world import World


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


def test_a_process_with_many_files_waits_for_those_above_1023_as_well(setup: Setup) -> None:
    """select(2): FD_SETSIZE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1100), hard))
    ours, theirs = os.pipe()
    high = fcntl.fcntl(ours, fcntl.F_DUPFD, 1050)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    seen: list[int] = []
    setup.pump.watch(high, seen.append)
    setup.clock.at(500 * US, setup.card.note, "soon")
    assert setup.pump.run(lambda: len(setup.card.log) == 2, SECOND)
    os.write(theirs, b"x")
    assert setup.pump.run(lambda: bool(seen), SECOND)
    for file in (ours, theirs, high):
        os.close(file)


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


# --- whoever waits on this clock


def test_what_waits_on_a_paced_clock_lets_real_time_pass_and_frames_in(setup: Setup) -> None:
    setup.clock.at(20 * MS, setup.card.note, "timer")
    setup.tap.put(b"frame")
    begin = time.monotonic_ns()
    assert setup.clock.wait(lambda: len(setup.card.log) == 3, SECOND) is True
    assert 20 * MS <= time.monotonic_ns() - begin < 900 * MS
    assert [what for _, what in setup.card.log] == [True, b"frame", "timer"]
    begin, now = time.monotonic_ns(), setup.clock.now
    assert setup.clock.wait(lambda: False, now + 10 * MS) is False
    assert time.monotonic_ns() - begin >= 10 * MS
    assert setup.clock.now == now + 10 * MS


def test_a_condition_is_looked_at_after_every_event_as_in_virtual_time(setup: Setup) -> None:
    for number in range(3):
        setup.clock.at(1 * MS, setup.card.note, number)
    assert setup.clock.wait(lambda: len(setup.card.log) == 2, SECOND)
    assert [what for _, what in setup.card.log] == [True, 0]


def test_a_worlds_run_is_on_the_real_clock_until_the_pump_is_closed() -> None:
    world = World()
    with RealTime(world.clock):
        begin = time.monotonic_ns()
        world.run("10ms")
        assert world.now == 10 * MS
        assert time.monotonic_ns() - begin >= 10 * MS
    begin = time.monotonic_ns()
    world.run("1h")
    assert time.monotonic_ns() - begin < SECOND, "virtual time again"


def test_between_two_runs_the_world_stands_still(setup: Setup) -> None:
    setup.clock.elapse(1 * MS)
    time.sleep(0.02)
    setup.clock.at(5 * MS, setup.card.note, "later")
    begin = time.monotonic_ns()
    setup.clock.elapse(5 * MS)
    assert time.monotonic_ns() - begin >= 4 * MS


@pytest.mark.parametrize("where", ["event", "reader", "condition"])
def test_blocking_inside_the_world_is_refused(setup: Setup, where: str) -> None:
    clock, pump = setup.clock, setup.pump
    verbs: list[Callable[[], bool]] = [lambda: clock.wait(lambda: True, SECOND), lambda: clock.run(FOREVER), pump.run]

    class Nested(Component):
        def block(self, _: object) -> None:
            while verbs:
                with pytest.raises(BlockingInsideWorld):
                    verbs.pop()()

    nested = Nested()
    if where == "event":
        clock.at(1, nested.block)
    elif where == "reader":
        setup.tap.put(b"readable")
        pump.watch(setup.tap.fileno(), nested.block)

    def condition() -> bool:
        if where == "condition":
            nested.block(None)
        return not verbs

    assert pump.run(condition, SECOND)
    assert clock.wait(lambda: False, clock.now + MS) is False, "the world can be run again afterwards"


def test_a_clock_has_one_pace_and_a_closed_pump_gives_it_back(setup: Setup) -> None:
    with pytest.raises(ConfigurationError, match="real time already"):
        RealTime(setup.clock)
    setup.pump.close()
    setup.pump.close()
    assert setup.clock.pace is None
    second = RealTime(setup.clock)
    setup.pump.close()
    assert setup.clock.pace is second, "an old pump does not take the new one's place away"
    setup.pump.wake()
    second.close()


def test_what_was_asked_for_before_a_pump_was_closed_still_happens(setup: Setup) -> None:
    setup.clock.call(setup.card.note, "before")
    setup.pump.close()
    setup.pump.call(setup.card.note, "after")
    setup.clock.run(setup.clock.now + MS)
    assert [what for _, what in setup.card.log[1:]] == ["before", "after"]


def test_pumps_leave_no_files_behind() -> None:
    def files() -> int:
        gc.collect()
        return len(os.listdir("/dev/fd"))

    before = files()
    for _ in range(5):
        RealTime(Clock())
    with RealTime(Clock()):
        pass
    assert files() == before


# --- other threads, and signals


def test_another_thread_wakes_a_sleeping_world(setup: Setup) -> None:
    """A world that nobody wakes sleeps for a second."""
    flag = threading.Event()

    def ring() -> None:
        flag.set()
        setup.pump.wake()

    thread = threading.Timer(0.02, ring)
    thread.start()
    begin = time.monotonic()
    assert setup.pump.run(flag.is_set, 30 * SECOND)
    assert time.monotonic() - begin < 0.5
    thread.join()


def test_what_other_threads_ask_for_are_events_in_their_order(setup: Setup) -> None:
    """More of them than a pipe has room for rings (Linux, pipe(7): 64 KiB)."""
    count = 70_000

    def ask() -> None:
        for number in range(count):
            setup.clock.call(setup.card.note, number)

    thread = threading.Thread(target=ask)
    thread.start()
    assert setup.clock.wait(lambda: len(setup.card.log) == count + 1, 60 * SECOND)
    thread.join()
    assert [what for _, what in setup.card.log[1:]] == list(range(count))
    times = [when for when, _ in setup.card.log]
    assert times == sorted(times)


def test_a_call_is_not_early_for_what_is_due_and_wakes_at_once(setup: Setup) -> None:
    thread = threading.Timer(0.02, setup.clock.call, (setup.card.note, "called"))
    thread.start()
    setup.clock.at(1 * MS, setup.card.note, "due")
    begin = time.monotonic()
    assert setup.clock.wait(lambda: len(setup.card.log) == 3, 30 * SECOND)
    assert time.monotonic() - begin < 0.5
    assert [what for _, what in setup.card.log] == [True, "due", "called"]
    assert setup.card.log[2][0] > setup.card.log[1][0] >= 1 * MS
    thread.join()


def test_an_interrupt_passes_through_and_leaves_the_world_fit_to_be_run_on(setup: Setup) -> None:
    flushed: list[int] = []
    setup.clock.on_return = lambda: flushed.append(setup.clock.now)
    main = threading.main_thread().ident
    assert main is not None
    thread = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        setup.clock.wait(lambda: False, FOREVER)
    thread.join()
    assert not setup.clock.running
    setup.tap.put(b"frame")
    assert setup.clock.wait(lambda: len(setup.card.log) == 2, setup.clock.now + SECOND)
    assert flushed[-1] == setup.clock.now, "the captures are whole whenever the top level has its turn"


# --- coroutines in real time


@pytest.fixture
def host() -> Iterator[Host]:
    """A computer whose world runs in real time."""
    world = World()
    with RealTime(world.clock):
        yield world.host("host")
        world.close()


def test_a_coroutine_sleeps_in_real_time(host: Host) -> None:
    begin = time.monotonic_ns()
    host.run(asyncio.sleep(0.02))
    assert time.monotonic_ns() - begin >= 20 * MS


def test_a_thread_wakes_a_coroutine(host: Host) -> None:
    """asyncio's call_soon_threadsafe; and a world in real time has no deadlock: somebody else may always come."""

    async def wait() -> int:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        threading.Timer(0.02, loop.call_soon_threadsafe, (done.set_result, 7)).start()
        return int(await done)

    begin = time.monotonic()
    assert host.run(wait()) == 7
    assert 0.02 <= time.monotonic() - begin < 0.5


def test_an_interrupt_in_a_coroutine_passes_through_and_leaves_no_complaint(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    async def interrupted() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    async def waiting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    ended: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        host.run(interrupted())
    main = threading.main_thread().ident
    assert main is not None
    thread = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        host.run(waiting())
    thread.join()
    gc.collect()
    assert ended == [True], "what is interrupted may tidy up"
    assert caplog.records == []
