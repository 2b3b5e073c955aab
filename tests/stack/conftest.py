"""Stacks on drivers of memory: a `Bench` with several on one segment, and a `Script` that plays one stack's peer."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from motenet.core.state import Plain, walk
from motenet.doors import Capabilities, FrameFacts, Received
from motenet.stack import NetworkStack

US, PEER, BROADCAST = "02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"


class MemoryDriver:
    """A NetworkDriver whose card is two queues of frames."""

    def __init__(self, bench: "Bench", mac: bytes, capabilities: Capabilities | None = None) -> None:
        self.clock = bench
        self.mac_address = mac
        self.is_link_up = True
        self.capabilities = capabilities or Capabilities()
        self.statistics: dict[str, int] = {}
        self.wake: Callable[[], None] | None = None
        self.room = 10_000
        self.received: deque[Received] = deque()
        self.sent: deque[bytes] = deque()
        self.facts: list[FrameFacts | None] = []
        self.groups: list[bytes] = []
        self.flushed = 0
        self._buffer = bytearray()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def poll(self) -> bool:
        return bool(self.received)

    def receive(self) -> Received | None:
        return self.received.popleft() if self.received else None

    def reserve(self, length: int) -> memoryview | None:
        if len(self.sent) >= self.room:
            return None
        self._buffer = bytearray(length)
        return memoryview(self._buffer)

    def commit(self, facts: FrameFacts | None = None) -> None:
        self.sent.append(bytes(self._buffer))
        self.facts.append(facts)

    def flush(self) -> None:
        self.flushed += 1

    def send(self, frame: bytes) -> bool:
        self.sent.append(frame)
        return True

    def set_multicast(self, groups: Sequence[bytes]) -> None:
        self.groups = list(groups)


class Bench:
    """Virtual time, and one cable that all drivers share; each frame takes `delay` ns."""

    def __init__(self, delay: int = 1000) -> None:
        self.now = 0
        self.delay = delay
        self.stacks: list[NetworkStack] = []
        self.flying: list[tuple[int, int, bytes]] = []
        """Frames on the cable: when they arrive, who sent them, and their bytes."""
        self.lose: Callable[[bytes], bool] = lambda frame: False
        self.running = False

    def stack(self, address: str | Sequence[str] = (), **more: object) -> NetworkStack:
        """Another stack; `capabilities` are its driver's."""
        number = len(self.stacks) + 1
        capabilities = more.pop("capabilities", None)
        driver = MemoryDriver(self, bytes((2, 0, 0, 0, 0, number)), capabilities)
        stack = NetworkStack(driver, address, name=f"host{number}", **more)
        stack.kick = lambda: None
        self.stacks.append(stack)
        return stack

    def post(self, callback: Callable[[object], None], argument: object = None) -> None:
        callback(argument)

    def wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        while not ready():
            at = self.settle()
            if ready():
                return True
            if at is None or at > deadline:
                self.now = max(self.now, deadline)
                return False
            self.now = max(self.now, at)
        return True

    def run(self, duration: int) -> None:
        """Let the time pass."""
        self.wait(lambda: False, self.now + duration)

    def settle(self) -> int | None:
        """Do all that is due now; returns when there is more."""
        for _ in range(1000):
            due = [entry for entry in self.flying if entry[0] <= self.now]
            self.flying = [entry for entry in self.flying if entry[0] > self.now]
            for _, sender, frame in due:
                for number, stack in enumerate(self.stacks):
                    if number != sender:
                        verified = stack.driver.capabilities.checksum_rx
                        stack.driver.received.append(Received(memoryview(frame), verified))
            for number, stack in enumerate(self.stacks):
                stack.poll(self.now)
                sent = stack.driver.sent
                while sent:
                    frame = sent.popleft()
                    if not self.lose(frame):
                        self.flying.append((self.now + self.delay, number, frame))
            times = [stack.poll_at(self.now) for stack in self.stacks] + [entry[0] for entry in self.flying]
            at = min((time for time in times if time is not None), default=None)
            if at is None or at > self.now:
                return at
        raise AssertionError("the stacks never come to rest")

    def save(self) -> Plain:
        parts = {part.path: part.save() for stack in self.stacks for part in walk(stack)}
        return (self.now, list(self.flying), parts)

    def load(self, state: Plain) -> None:
        self.now, flying, parts = state
        self.flying = list(flying)
        for stack in self.stacks:
            stack.driver.received.clear()
            for part in walk(stack):
                part.load(parts[part.path])


class Played(ABC):
    """A stack of whose world we are the rest; `sent` is what it has sent."""

    bench: Bench
    stack: NetworkStack

    @abstractmethod
    def sent(self) -> list[Any]:
        """Let the stack do what is due now; returns the frames that it has sent."""

    def pass_time(self, nanoseconds: int) -> list[Any]:
        """As `sent`, over a while: the stack is polled exactly when it asked for that."""
        end, frames = self.bench.now + nanoseconds, []
        for _ in range(10_000):
            at = self.stack.poll_at(self.bench.now)
            if at is None or at > end:
                self.bench.now = end
                return frames
            self.bench.now = max(self.bench.now, at)
            frames += self.sent()
        raise AssertionError("the stack never comes to rest")


class Script(Played):
    """The stack 10.0.0.1/24, and we are everybody else: Scapy's packets go in, and what it sends comes out as such."""

    def __init__(self, bench: Bench | None = None, **more: object) -> None:
        self.bench = Bench() if bench is None else bench
        self.stack = self.bench.stack("10.0.0.1/24", **more)
        self.driver = self.stack.driver

    def hear(self, *packets: Packet | bytes) -> list[Any]:
        """Give frames to the stack; returns what it has sent."""
        for packet in packets:
            self.driver.received.append(Received(memoryview(bytes(packet))))
        return self.sent()

    def hear_verified(self, *packets: Packet | bytes) -> list[Any]:
        """As `hear`, from a card that has verified all checksums."""
        for packet in packets:
            self.driver.received.append(Received(memoryview(bytes(packet)), checksum_ok=True))
        return self.sent()

    def sent(self) -> list[Any]:
        """Let the stack do what is due now; returns the frames that it has sent."""
        self.stack.poll(self.bench.now)
        frames = [Ether(frame) for frame in self.driver.sent]
        self.driver.sent.clear()
        return frames

    def know_peer(self) -> None:
        """Let the stack know 10.0.0.2's Ethernet address."""
        self.hear(Ether(src=PEER, dst=BROADCAST) / ARP(op=1, hwsrc=PEER, psrc="10.0.0.2", pdst="10.0.0.1"))

    def from_peer(self, **fields: object) -> Packet:
        """Ethernet and IP headers of a packet from 10.0.0.2 to us."""
        return Ether(src=PEER, dst=US) / IP(**{"src": "10.0.0.2", "dst": "10.0.0.1", **fields})

    @property
    def drops(self) -> dict[str, int]:
        return self.stack.drop_reasons


NEAR, FAR = "02:00:00:00:00:02", "02:00:00:00:01:02"
"""The Ethernet addresses of those who play the router's neighbors on its two links."""


class RouterScript(Played):
    """A router with two cards: 10.0.0.1/24 and 2001:db8:1::1/64, and 10.0.1.1/24 and 2001:db8:2::1/64."""

    def __init__(self, *, mtu: tuple[int, int] = (1500, 1500), verifies: bool = False) -> None:
        self.bench = Bench()
        near, far = (Capabilities(mtu=one, checksum_rx=verifies) for one in mtu)
        self.stack = self.bench.stack(["10.0.0.1/24", "2001:db8:1::1/64"], capabilities=near, forwarding=True)
        self.drivers = [self.stack.driver, MemoryDriver(self.bench, b"\2\0\0\0\1\1", far)]
        self.stack.add_interface(self.drivers[1], ["10.0.1.1/24", "2001:db8:2::1/64"])
        self.sent()
        self.pass_time(20_000_000_000)

    def meet(self) -> None:
        """Let the router know 10.0.0.2, 10.0.1.2, 2001:db8:1::2 and 2001:db8:2::2."""
        for number, mac in enumerate((NEAR, FAR)):
            address = f"2001:db8:{number + 1}::2"
            arp = ARP(op=1, hwsrc=mac, psrc=f"10.0.{number}.2", pdst=f"10.0.{number}.1")
            solicitation = ICMPv6ND_NS(tgt=f"2001:db8:{number + 1}::1") / ICMPv6NDOptSrcLLAddr(lladdr=mac)
            six = IPv6(src=address, dst="ff02::1:ff00:1", hlim=255) / solicitation
            self.hear(Ether(src=mac, dst=BROADCAST) / arp, side=number)
            self.hear(Ether(src=mac, dst="33:33:ff:00:00:01") / six, side=number)

    def hear(self, *packets: Packet | bytes | Received, side: int = 0) -> list[tuple[int, Any]]:
        """Give frames to one card; returns what was sent, each with the number of its card."""
        for packet in packets:
            whole = packet if isinstance(packet, Received) else Received(memoryview(bytes(packet)))
            self.drivers[side].received.append(whole)
        return self.sent()

    def sent(self) -> list[tuple[int, Any]]:
        """Let the router do what is due now; returns the frames that it has sent."""
        self.stack.poll(self.bench.now)
        frames = []
        for number, driver in enumerate(self.drivers):
            frames += [(number, Ether(frame)) for frame in driver.sent]
            driver.sent.clear()
        return frames


@pytest.fixture
def router() -> RouterScript:
    """A router that knows its neighbors."""
    script = RouterScript()
    script.meet()
    return script


@pytest.fixture
def make_router() -> type[RouterScript]:
    return RouterScript


@pytest.fixture
def script(bench: Bench) -> Script:
    return Script(bench)


@pytest.fixture
def make_script() -> type[Script]:
    """Script itself, for those who need several, or one with a better card."""
    return Script


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def pair(bench: Bench) -> tuple[NetworkStack, NetworkStack]:
    """Two stacks on one segment: 10.0.0.1 and 10.0.0.2."""
    return bench.stack("10.0.0.1/24"), bench.stack("10.0.0.2/24")
