"""Two machines with a card and a driver each, and a wire: nothing between them but registers and memory."""

from collections.abc import Callable
from typing import Any

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from motenet.core.checksum import pseudo_header_sum
from motenet.core.clock import Clock
from motenet.core.state import Component, walk
from motenet.core.trace import Watched
from motenet.core.units import SECOND, US
from motenet.doors import FrameFacts
from motenet.machine import Machine, Port

ADDRESSES = ("52:54:00:00:00:01", "52:54:00:00:00:02")


class Wire(Component):
    """Joins two ports: a frame arrives 1 us after it was sent, in an event of its own."""

    path = "wire"

    def __init__(self, clock: Clock, ends: list[Port]) -> None:
        self.clock, self.ends = clock, ends
        self.frames: list[bytes] = []
        for end in ends:
            end.connect(self)

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        assert facts is None
        self.frames.append(frame)
        self.clock.at(port.clock.now + US, self.arrive, (self.ends.index(port) ^ 1, frame))

    def arrive(self, sent: tuple[int, bytes]) -> None:
        self.ends[sent[0]].deliver(sent[1])


class CardPair:
    """What arrives is taken up when the driver wakes its stack."""

    def __init__(self, card: Callable[[str], Any], driver: Callable[[Any], Any], settle: int = SECOND) -> None:
        """`card` makes one of an address, `driver` one of a function; the links have `settle` ns to come up."""
        self.clock = Clock()
        self.machines = [Machine(self.clock, name=name) for name in ("alice", "bob")]
        self.cards = [machine.plug(card(mac)) for machine, mac in zip(self.machines, ADDRESSES, strict=True)]
        self.drivers: list[Any] = [driver(machine.pci.functions[0]) for machine in self.machines]
        self.wire = Wire(self.clock, [machine.slots[0].port for machine in self.machines])
        self.received: list[list[tuple[bytes, list[bytes], bool, int | None]]] = [[], []]
        for index, one in enumerate(self.drivers):
            one.wake = self.waker(index)
            one.start()
        self.run(settle)

    def waker(self, index: int) -> Callable[[], None]:
        return lambda: self.machines[index].clock.post(lambda _: self.take(index))

    def take(self, index: int) -> None:
        driver = self.drivers[index]
        driver.poll()
        while (received := driver.receive()) is not None:
            more = [bytes(view) for view in received.more]
            self.received[index].append((bytes(received.frame), more, received.checksum_ok, received.vlan))

    def run(self, duration: int = SECOND) -> None:
        self.clock.run(self.clock.now + duration)

    def components(self) -> list[Component]:
        """Everything with state, machines, drivers and wire."""
        return [component for root in (*self.machines, *self.drivers, self.wire) for component in walk(root)]

    def drops(self) -> dict[str, dict[str, int]]:
        return {c.path: c.drops for c in self.components() if isinstance(c, Watched) and c.drops}


def plain(n: int, size: int = 200) -> bytes:
    return bytes(Ether(src=ADDRESSES[0], dst=ADDRESSES[1], type=0x88B5) / (n.to_bytes(4, "big") * (size // 4)))


def unsummed(payload: bytes, **tcp: Any) -> bytes:
    """A TCP frame whose checksum field holds the pseudo-header's sum, as stacks hand it to an offloading card."""
    packet = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2, flags="A", **tcp) / payload
    frame = bytearray(bytes(Ether(src=ADDRESSES[0], dst=ADDRESSES[1]) / packet))
    seed = pseudo_header_sum(b"\x0a\0\0\x01", b"\x0a\0\0\x02", 6, len(frame) - 34)
    frame[50:52] = seed.to_bytes(2, "big")
    return bytes(frame)
