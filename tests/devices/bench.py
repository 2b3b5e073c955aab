"""What the benches of all cards share: a slot that only records, and a card whose clock a test moves."""

from collections.abc import Callable
from struct import Struct
from typing import Any

from motenet.core.clock import Clock, LocalClock
from motenet.core.state import Component, walk
from motenet.doors import FrameFacts, PortUser

MAC = bytes.fromhex("525400123456")


class FakeDma:
    """A megabyte of memory; reads outside give ones, writes are lost. It remembers both in order."""

    def __init__(self) -> None:
        self.memory = bytearray(1 << 20)
        self.reads: list[tuple[int, int, str]] = []
        self.writes: list[tuple[int, bytes]] = []
        self.on_access: Callable[[], None] | None = None

    @property
    def accesses(self) -> int:
        return len(self.reads) + len(self.writes)

    def read(self, address: int, length: int, layout: str = "") -> bytes:
        self.reads.append((address, length, layout))
        if self.on_access is not None:
            self.on_access()
        if address < 0 or address + length > len(self.memory):
            return b"\xff" * length
        return bytes(self.memory[address : address + length])

    def write(self, address: int, data: bytes | memoryview, layout: str = "") -> None:
        assert 0 <= address < 1 << 64
        self.writes.append((address, bytes(data)))
        if address + len(data) <= len(self.memory):
            self.memory[address : address + len(data)] = data
        if self.on_access is not None:
            self.on_access()

    def reader(self, layout: Struct, name: str) -> Callable[[int], tuple[Any, ...]]:
        return lambda address: layout.unpack(self.read(address, layout.size, name))

    def writer(self, layout: Struct, name: str) -> Callable[..., None]:
        return lambda address, *values: self.write(address, layout.pack(*values), name)


class FakePort:
    """A cable into a notebook."""

    def __init__(self) -> None:
        self.carrier = False
        self.sent: list[bytes] = []
        self.facts: list[FrameFacts | None] = []

    def transmit(self, frame: bytes, facts: FrameFacts | None = None) -> None:
        assert type(frame) is bytes
        self.sent.append(frame)
        self.facts.append(facts)

    def attach(self, card: PortUser, burst: Callable[[list[bytes]], None] | None = None, **options: Any) -> None:
        self.card, self.burst, self.options = card, burst, options


class FakeSlot:
    """Implements doors.PciSlot: messages go nowhere."""

    def __init__(self, dma: Any = None, port: Any = None) -> None:
        self.world = Clock()
        self.clock = LocalClock(self.world)
        self.dma = dma or FakeDma()
        self.port = port or FakePort()
        self.level = False
        self.edges: list[tuple[int, bool]] = []

    def set_level(self, level: bool) -> None:
        self.level = level
        self.edges.append((self.clock.now, level))

    def send_message(self, vector: int) -> bool:
        raise AssertionError("this card knows no messages")

    def message_enabled(self) -> bool:
        return False


class CardBench:
    """A card, or a part of one, in a slot."""

    def __init__(self, slot: Any, card: Any) -> None:
        self.slot, self.card = slot, card
        self.memory = slot.dma.memory

    def run(self, nanoseconds: int = 0) -> None:
        self.slot.world.run(self.slot.world.now + nanoseconds)

    def plug(self, carrier: bool) -> None:
        self.slot.port.carrier = carrier
        self.card.carrier_changed(carrier)

    def deliver(self, frame: bytes, facts: FrameFacts | None = None) -> None:
        self.card.frame_arrived(frame, facts)
        self.run()

    @property
    def now(self) -> int:
        return self.slot.world.now

    @property
    def drops(self) -> dict[str, int]:
        return self.card.drops

    def save(self) -> dict[str, Any]:
        components = {part.path: part.save() for part in walk(self.card)}
        return {"card": components, "clock": self.slot.world.save(), "memory": bytes(self.memory)}

    def load(self, state: dict[str, Any]) -> None:
        by_path: dict[str, Component] = {part.path: part for part in walk(self.card)}
        by_path[self.slot.clock.path] = self.slot.clock
        for path, saved in state["card"].items():
            by_path[path].load(saved)
        self.slot.clock.load({"_local": state["clock"]["now"]})
        self.slot.world.load_events(state["clock"], by_path.__getitem__)
        self.memory[:] = state["memory"]
