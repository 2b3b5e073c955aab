"""A bench on which an 82540EM is programmed by hand."""

from collections.abc import Callable

import pytest

from motenet.datasheets import e1000 as sheet
from motenet.datasheets.registers import Register
from motenet.devices import E1000
from tests.devices.bench import MAC, CardBench, FakeSlot

TX_RING, RX_RING, TX_DATA, RX_DATA = 0x1000, 0x2000, 0x10000, 0x40000
RX_STRIDE = 0x4000


class Slot(FakeSlot):
    """One that takes messages, and notes when."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[int] = []
        self.msi = False
        self.deaf = False
        """Messages do not get through."""

    def send_message(self, vector: int) -> bool:
        if not self.deaf:
            self.messages.append(self.clock.now)
        return not self.deaf

    def message_enabled(self) -> bool:
        return self.msi


class Bench(CardBench):
    """An 82540EM in a slot, and the vocabulary of a driver: registers by name, rings, descriptors."""

    def __init__(self, timing: str = "instant", *, link: bool = True) -> None:
        super().__init__(Slot(), E1000(MAC, timing))
        self.card.plugged(self.slot)
        self.card.reset()
        self.registers = self.card.register_space(0)
        self.io = self.card.register_space(2)
        self.sent = self.slot.port.sent
        self.tx_count = self.rx_count = 0
        if link:
            self.card.bus_master_changed(True)
            self.plug(True)
            self.run(10**9)
            self.write(sheet.CTRL, sheet.CTRL["SLU"] | sheet.CTRL["FD"])
            self.run()
            self.read(sheet.ICR)

    def read(self, register: Register, index: int = 0) -> int:
        return self.registers.read(register.offset + index * register.stride, 4)

    def write(self, register: Register, value: int, index: int = 0) -> None:
        self.registers.write(register.offset + index * register.stride, value, 4)

    # --- transmit

    def transmitter(self, count: int = 16, control: int = 0) -> None:
        """14.5: ring, then TCTL."""
        self.tx_count, self.tail = count, 0
        self.write(sheet.TDBAL, TX_RING)
        self.write(sheet.TDLEN, count * 16)
        self.write(sheet.TDH, 0)
        self.write(sheet.TDT, 0)
        self.write(sheet.TCTL, sheet.TCTL["EN"] | control)

    def queue(self, descriptor: bytes) -> int:
        """Put a descriptor at the tail. Returns its index."""
        index = self.tail
        at = TX_RING + 16 * index
        self.memory[at : at + 16] = descriptor
        self.tail = (index + 1) % self.tx_count
        return index

    def legacy(self, frame: bytes, command: str = "EOP IFCS RS", *, at: int = TX_DATA, **fields: int) -> int:
        """Queue a legacy descriptor for data that is put at `at`."""
        self.memory[at : at + len(frame)] = frame
        bits = sum(sheet.TDESC_CMD[name] for name in command.split())
        values = {"cso": 0, "css": 0, "special": 0} | fields
        return self.queue(
            sheet.TDESC_LEGACY_CODEC.pack(at, len(frame), values["cso"], bits, 0, values["css"], values["special"])
        )

    def context(self, command: str = "TCP IP", *, payload: int = 0, header: int = 0, mss: int = 0, **at: int) -> int:
        """Queue a context descriptor, by default for TCP over IPv4 without options."""
        bits = sum(sheet.TDESC_CONTEXT_COMMAND[name] for name in command.split()) | sheet.TDESC_CONTEXT_COMMAND["DEXT"]
        place = {"ipcss": 14, "ipcso": 24, "ipcse": 33, "tucss": 34, "tucso": 50, "tucse": 0} | at
        names = ("ipcss", "ipcso", "ipcse", "tucss", "tucso", "tucse")
        values = [place[name] for name in names]
        return self.queue(sheet.TDESC_CONTEXT_CODEC.pack(*values, bits | payload, 0, header, mss))

    def data(
        self, piece: bytes, command: str = "EOP IFCS RS", *, at: int = TX_DATA, popts: int = 0, special: int = 0
    ) -> int:
        """Queue a data descriptor for data that is put at `at`."""
        self.memory[at : at + len(piece)] = piece
        bits = sum(sheet.TDESC_DATA_COMMAND[name] for name in command.split())
        bits |= sheet.TDESC_DATA_COMMAND["DEXT"] | sheet.TDESC_DATA_COMMAND.field("DTYP").put(sheet.DTYP_DATA)
        return self.queue(sheet.TDESC_DATA_CODEC.pack(at, bits | len(piece), 0, popts, special))

    def ring(self) -> list[bytes]:
        """Write the tail and let the card work. Returns what it has sent."""
        before = len(self.sent)
        self.write(sheet.TDT, self.tail)
        self.run()
        return self.sent[before:]

    def transmit_status(self, index: int) -> int:
        return self.memory[TX_RING + 16 * index + 12]

    # --- receive

    def receiver(self, count: int = 16, control: int = 0, *, free: int = -1) -> None:
        """14.4: buffers, ring, then RCTL; promiscuous for unicast unless `control` says something."""
        self.rx_count = count
        for index in range(count):
            at = RX_RING + 16 * index
            self.memory[at : at + 16] = sheet.RDESC_CODEC.pack(RX_DATA + RX_STRIDE * index, 0, 0, 0, 0, 0)
        self.write(sheet.RDBAL, RX_RING)
        self.write(sheet.RDLEN, count * 16)
        self.write(sheet.RDH, 0)
        self.write(sheet.RDT, count - 1 if free < 0 else free)
        self.write(sheet.RCTL, sheet.RCTL["EN"] | control)

    def received(self, index: int = 0) -> tuple[bytes, int, int, int, int]:
        """Data, status, errors, special and checksum of a receive descriptor."""
        _, length, checksum, status, errors, special = sheet.RDESC_CODEC.unpack_from(self.memory, RX_RING + 16 * index)
        at = RX_DATA + RX_STRIDE * index
        return bytes(self.memory[at : at + length]), status, errors, special, checksum

    # --- PHY

    def mdio(self, number: int, value: int | None = None, phy: int = 1) -> int:
        """One MDIO transaction. Returns MDIC at its end."""
        operation = 2 if value is None else 1
        self.write(sheet.MDIC, operation << 26 | phy << 21 | number << 16 | (value or 0))
        while not self.read(sheet.MDIC) & sheet.MDIC["R"]:
            self.run(1000)
        return self.read(sheet.MDIC)


@pytest.fixture(scope="session")
def new_bench() -> Callable[..., Bench]:
    """Makes benches: `new_bench(timing="datasheet", link=False)`."""
    return Bench


@pytest.fixture
def bench() -> Bench:
    """A card without delays, bus mastering on, and its link up."""
    return Bench()
