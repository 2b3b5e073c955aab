"""How shipped drivers bring the card up, register by register, in a machine; afterwards frames pass both ways.

From the public sources of Linux (virtio_pci_modern.c, virtio_pci_legacy.c, virtio_mmio.c), iPXE (virtio-pci.c and
virtio-net.c until 2026, virtio.c since) and U-Boot (virtio_pci_modern.c, virtio_pci_legacy.c, virtio-uclass.c).
"""

from struct import pack_into, unpack_from

import pytest

from motenet import Machine
from motenet.devices import VirtioNet

MAC = bytes.fromhex("525400123456")
TO_US = MAC + bytes.fromhex("5254000000010800") + bytes(range(46))
FROM_US = bytes.fromhex("525400000001") + MAC + b"\x08\x00" + bytes(range(46))
NEXT, WRITE = 1, 2
RINGS, BUFFERS = 0x100000, 0x200000


class Cable:
    """The other end; it takes whole frames only."""

    takes_unfinished = False

    def __init__(self):
        self.sent = []

    def frame_sent(self, port, frame, facts):
        self.sent.append(frame)


class Guest:
    """A machine with the card, its cable, and the driver's memory."""

    def __init__(self, **options):
        self.machine = Machine()
        self.card = self.machine.plug(VirtioNet(MAC, **options))
        found = self.machine.pci.functions or self.machine.platform.functions
        self.function = found[0]
        self.cable = Cable()
        self.port = self.machine.slots[0].port
        self.port.connect(self.cable)
        self.memory = self.machine.memory.view
        self.rings = {}

    def run(self):
        self.machine.run(0)

    @property
    def drops(self):
        return self.card.device.drops

    # --- PCI

    def enable(self, command):
        self.config = self.function.config
        self.config.write(4, command, 2)

    def capability(self, kind):
        """(where, bar, offset) of a virtio capability, as all drivers walk the list."""
        at = self.config.read(0x34, 1)
        while at:
            if self.config.read(at, 1) == 0x09 and self.config.read(at + 3, 1) == kind:
                assert self.config.read(at + 2, 1) >= 16
                return at, self.config.read(at + 4, 1), self.config.read(at + 8, 4)
            at = self.config.read(at + 1, 1)
        return None

    # --- queues, with 256 descriptors at most and 4 KiB for each part

    def ring(self, index, size):
        base = RINGS + 0x4000 * index
        self.rings[index] = [base, base + 0x1000, base + 0x2000, size, 0, 0]
        self.memory[base : base + 0x4000] = bytes(0x4000)
        return base

    def add(self, index, buffers, flags=0):
        """A chain of `buffers`: (address, length)."""
        ring = self.rings[index]
        desc, available, _, size, produced, free = ring
        for number, (address, length) in enumerate(buffers):
            more = NEXT if number + 1 < len(buffers) else 0
            pack_into(
                "<QIHH", self.memory, desc + 16 * (free + number), address, length, flags | more, free + number + 1
            )
        pack_into("<H", self.memory, available + 4 + 2 * (produced % size), free)
        pack_into("<H", self.memory, available + 2, produced + 1)
        ring[4:] = produced + 1, free + len(buffers)

    def used(self, index):
        """The used ring's elements: (id, length)."""
        _, _, used, size, *_ = self.rings[index]
        count = unpack_from("<H", self.memory, used + 2)[0]
        return [unpack_from("<II", self.memory, used + 4 + 8 * (number % size)) for number in range(count)]

    # --- what a driver does when the card is up

    def fill(self, header, apart=False, count=8):
        for number in range(count):
            at = BUFFERS + 0x1000 * number
            whole = [(at, 1526)]
            self.add(0, [(at, header), (at + header, 1518)] if apart else whole, WRITE)

    def exchange(self, kick, header, apart=False):
        """One frame each way."""
        before = len(self.used(0)), len(self.used(1))
        self.port.deliver(TO_US)
        self.run()
        received = self.used(0)[before[0] :]
        assert [length for _, length in received] == [header + len(TO_US)]
        at = BUFFERS + 0x1000 * before[0] + header
        assert bytes(self.memory[at : at + len(TO_US)]) == TO_US
        at = BUFFERS + 0x100000
        self.memory[at : at + header + len(FROM_US)] = bytes(header) + FROM_US
        parts = [(at, header), (at + header, len(FROM_US))] if apart else [(at, header + len(FROM_US))]
        self.add(1, parts)
        kick(1)
        self.run()
        assert self.cable.sent == [FROM_US]
        self.cable.sent.clear()
        assert len(self.used(1)) == before[1] + 1


# --- the modern interface


class Modern:
    """The structures, found by their capabilities."""

    def __init__(self, guest):
        self.guest = guest
        guest.enable(6)
        places = {kind: guest.capability(kind) for kind in (1, 2, 3, 4, 5)}
        assert all(places.values())
        assert {places[kind][1] for kind in (1, 2, 3, 4)} == {4}
        self.bar = guest.function.bar(4)
        self.common, self.notifications, self.isr, self.device = (places[kind][2] for kind in (1, 2, 3, 4))
        self.multiplier = guest.config.read(places[2][0] + 16, 4)

    def status(self, value=None):
        if value is not None:
            self.bar.write8(self.common + 0x14, value)
        return self.bar.read8(self.common + 0x14)

    def add_status(self, bit):
        return self.status(self.status() | bit)

    def features(self, read):
        words = []
        for select in (0, 1):
            self.bar.write32(self.common + 0x00, select)
            words.append(read(self.common + 0x04))
        return words[0] | words[1] << 32

    def accept(self, features):
        for select in (0, 1):
            self.bar.write32(self.common + 0x08, select)
            self.bar.write32(self.common + 0x0C, features >> 32 * select & 0xFFFFFFFF)

    def queue(self, index, *, enable):
        bar, common = self.bar, self.common
        assert index < bar.read16(common + 0x12)
        bar.write16(common + 0x16, index)
        size = bar.read16(common + 0x18)
        assert size == 256
        assert bar.read16(common + 0x1C) == 0
        off = bar.read16(common + 0x1E)
        bar.write16(common + 0x18, size)
        base = self.guest.ring(index, size)
        for number in range(3):
            bar.write32(common + 0x20 + 8 * number, base + 0x1000 * number)
            bar.write32(common + 0x24 + 8 * number, 0)
        if enable:
            self.enable(index)
        return self.notifications + off * self.multiplier

    def enable(self, index):
        self.bar.write16(self.common + 0x16, index)
        self.bar.write16(self.common + 0x1C, 1)


def test_linux_modern_with_msix():
    guest = Guest()
    modern = Modern(guest)
    vectors, heard = guest.function.interrupts.allocate(3), []
    for number, vector in enumerate(vectors):
        guest.function.interrupts.connect(vector, lambda number=number: heard.append(number) or True)
    assert modern.status(0) == 0
    assert modern.status(1) == 1
    assert modern.add_status(2) == 3
    offered = modern.features(modern.bar.read32)
    assert offered >> 32 & 1
    modern.accept(offered & (1 << 5 | 1 << 16 | 1 << 32))
    assert modern.add_status(8) == 0x0B
    generation = modern.bar.read8(modern.common + 0x15)
    assert bytes(modern.bar.read8(modern.device + at) for at in range(6)) == MAC
    assert modern.bar.read8(modern.common + 0x15) == generation
    modern.bar.write16(modern.common + 0x10, 0)
    assert modern.bar.read16(modern.common + 0x10) == 0
    doorbells = []
    for index in (0, 1):
        doorbells.append(modern.queue(index, enable=False))
        modern.bar.write16(modern.common + 0x1A, 1 + index)
        assert modern.bar.read16(modern.common + 0x1A) == 1 + index
    for index in (0, 1):
        modern.enable(index)
    assert modern.add_status(4) == 0x0F
    guest.fill(12)
    modern.bar.write16(doorbells[0], 0)
    for _ in range(2):
        guest.exchange(lambda index: modern.bar.write16(doorbells[index], index), 12)
    assert heard == [1, 2, 1, 2]
    for index in (0, 1):  # del_vq, after the reset
        assert modern.status(0) == 0
        modern.bar.write16(modern.common + 0x16, index)
        modern.bar.write16(modern.common + 0x1A, 0xFFFF)
        assert modern.bar.read16(modern.common + 0x1A) == 0xFFFF
    assert guest.drops == {}


def test_ipxe_modern_until_2026_and_opened_again():
    guest = Guest()
    modern = Modern(guest)

    def open_card():
        """virtnet_open_modern: 32-bit registers are read as 16 bits."""
        offered = modern.features(modern.bar.read16)
        modern.accept(offered & (1 << 5 | 1 << 3 | 1 << 32 | 1 << 27 | 1 << 33))
        modern.add_status(8)
        assert modern.status() & 8
        doorbells = [modern.queue(index, enable=False) for index in (0, 1)]
        for index in (0, 1):
            modern.enable(index)
        modern.add_status(4)
        for _ in range(8):
            guest.fill(12, apart=True, count=1)
            modern.bar.write16(doorbells[0], 0)
        modern.bar.read8(modern.isr)
        guest.run()
        guest.exchange(lambda index: modern.bar.write16(doorbells[index], index), 12, apart=True)
        assert modern.bar.read8(modern.isr) == 1
        assert modern.bar.read8(modern.isr) == 0

    assert modern.status(0) == 0
    modern.add_status(1)
    modern.add_status(2)
    open_card()
    told = dict(guest.drops)
    assert told == {"access width": 2}
    assert modern.status(0) == 0
    guest.run()
    open_card()
    assert guest.drops == {"access width": 4, "status order": 2}


@pytest.mark.parametrize("transport", ["modern", "transitional"])
def test_ipxe_since_2026_modern(transport):
    guest = Guest(transport=transport)
    modern = Modern(guest)
    assert modern.status(0) == 0
    for status in (1, 3):
        assert modern.status(status) == status
    modern.accept(modern.features(modern.bar.read32) & (1 << 5 | 1 << 3 | 1 << 32))
    assert modern.status(0x0B) == 0x0B
    doorbells = []
    for index in (0, 1):
        bar, common = modern.bar, modern.common
        bar.write16(common + 0x16, index)
        count = min(bar.read16(common + 0x18), 32)
        bar.write16(common + 0x18, count)
        base = guest.ring(index, count)
        bar.write16(common + 0x16, index)
        for number in range(3):
            bar.write32(common + 0x20 + 8 * number, base + 0x1000 * number)
            bar.write32(common + 0x24 + 8 * number, 0)
        bar.write16(common + 0x1C, 1)
        doorbells.append(modern.notifications + index * modern.multiplier)
    assert modern.status(0x0F) == 0x0F
    guest.fill(12, apart=True)
    bar.write16(doorbells[0], 0)
    guest.exchange(lambda index: bar.write16(doorbells[index], index), 12, apart=True)
    assert guest.drops == {}


def test_u_boot_modern():
    guest = Guest()
    modern = Modern(guest)
    modern.add_status(1)  # child_post_bind, before any reset
    assert modern.status(0) == 0
    modern.add_status(1)
    modern.add_status(2)
    modern.accept(modern.features(modern.bar.read32) & (1 << 5 | 1 << 32))
    assert modern.add_status(8) & 8
    assert bytes(modern.bar.read8(modern.device + at) for at in range(6)) == MAC
    for index in (0, 1):
        modern.queue(index, enable=True)
    modern.add_status(4)

    def kick(index):
        modern.bar.write16(modern.common + 0x16, index)
        off = modern.bar.read16(modern.common + 0x1E)
        modern.bar.write16(modern.notifications + off * modern.multiplier, index)

    guest.fill(12)
    kick(0)
    guest.exchange(kick, 12)
    assert guest.drops == {}


# --- the legacy interface


class Legacy:
    """BAR 0, I/O."""

    def __init__(self, guest):
        self.guest = guest
        guest.enable(7)
        self.io = guest.function.bar(0)

    def status(self, value=None):
        if value is not None:
            self.io.write8(0x12, value)
        return self.io.read8(0x12)

    def queue(self, index):
        self.io.write16(0x0E, index)
        size = self.io.read16(0x0C)
        assert size == 256  # iPXE's MAX_QUEUE_NUM
        assert self.io.read32(0x08) == 0
        self.io.write32(0x08, self.guest.ring(index, size) >> 12)

    def kick(self, index):
        self.io.write16(0x10, index)


@pytest.mark.parametrize("transport", ["transitional", "legacy"])
@pytest.mark.parametrize("messages", [False, True])
def test_linux_legacy(transport, messages):
    guest = Guest(transport=transport)
    legacy, heard = Legacy(guest), []
    vectors = guest.function.interrupts.allocate(3, ("msi-x",) if messages else ("intx",))
    for number, vector in enumerate(vectors):
        guest.function.interrupts.connect(
            vector, lambda number=number: heard.append((number, messages or legacy.io.read8(0x13)))
        )
    assert legacy.status(0) == 0
    for status in (1, 3):
        legacy.status(status)
    offered = legacy.io.read32(0x00)
    legacy.io.write32(0x04, offered & (1 << 5 | 1 << 16 | 1 << 27))
    start = 0x18 if messages else 0x14
    assert bytes(legacy.io.read8(start + at) for at in range(6)) == MAC
    if messages:
        legacy.io.write16(0x14, 0)
        assert legacy.io.read16(0x14) == 0
    for index in (0, 1):
        legacy.queue(index)
        if messages:
            legacy.io.write16(0x16, 1 + index)
            assert legacy.io.read16(0x16) == 1 + index
    legacy.status(7)
    guest.fill(10)
    legacy.kick(0)
    guest.exchange(legacy.kick, 10)
    assert heard == ([(1, True), (2, True)] if messages else [(0, 1), (0, 1)])
    for index in (0, 1):  # del_vq
        legacy.io.write16(0x0E, index)
        legacy.io.write32(0x08, 0)
        assert legacy.io.read32(0x08) == 0
    assert guest.drops == {}


@pytest.mark.parametrize("transport", ["transitional", "legacy"])
def test_ipxe_legacy_until_2026(transport):
    guest = Guest(transport=transport)
    legacy = Legacy(guest)
    for _ in range(2):  # opened again
        legacy.io.write8(0x12, 0)
        legacy.io.read8(0x13)
        assert legacy.io.read32(0x00) >> 5 & 1
        assert bytes(legacy.io.read8(0x14 + at) for at in range(6)) == MAC
        for index in (0, 1):
            legacy.queue(index)
        for _ in range(8):
            guest.fill(10, apart=True, count=1)
            legacy.kick(0)
        guest.run()
        legacy.io.write32(0x04, legacy.io.read32(0x00) & (1 << 5 | 1 << 3))
        legacy.io.write8(0x12, 6)
        guest.exchange(legacy.kick, 10, apart=True)
    assert guest.drops == {"early notification": 16, "status order": 4}


@pytest.mark.parametrize("transport", ["transitional", "legacy"])
def test_u_boot_legacy(transport):
    guest = Guest(transport=transport)
    legacy = Legacy(guest)
    legacy.status(1)
    legacy.io.write8(0x12, 0)
    legacy.io.read8(0x12)
    for bit in (1, 2):
        legacy.status(legacy.status() | bit)
    legacy.io.write32(0x04, legacy.io.read32(0x00) & 1 << 5)
    for index in (0, 1):
        legacy.queue(index)
    legacy.status(legacy.status() | 4)
    guest.fill(10)
    legacy.kick(0)
    guest.exchange(legacy.kick, 10)
    assert guest.drops == {}


# --- MMIO


def test_linux_mmio():
    guest = Guest(transport="mmio")
    io, heard = guest.function.bar(0), []
    (vector,) = guest.function.interrupts.allocate(1, ("intx",))

    def interrupt():
        status = io.read32(0x60)
        io.write32(0x64, status)
        heard.append(status)
        return True

    guest.function.interrupts.connect(vector, interrupt)
    assert [io.read32(at) for at in (0, 4, 8)] == [0x74726976, 2, 1]
    io.write32(0x70, 0)
    for status in (1, 3):
        io.write32(0x70, status)
    io.write32(0x14, 1)
    high = io.read32(0x10)
    io.write32(0x14, 0)
    low = io.read32(0x10)
    for select, value in ((1, high & 1), (0, low & (1 << 5 | 1 << 16))):
        io.write32(0x24, select)
        io.write32(0x20, value)
    io.write32(0x70, 0x0B)
    assert io.read32(0x70) == 0x0B
    assert bytes(io.read8(0x100 + at) for at in range(6)) == MAC
    for index in (0, 1):
        io.write32(0x30, index)
        assert io.read32(0x44) == 0
        size = io.read32(0x34)
        io.write32(0x38, size)
        base = guest.ring(index, size)
        for number in range(3):
            io.write32(0x80 + 0x10 * number, base + 0x1000 * number)
            io.write32(0x84 + 0x10 * number, 0)
        io.write32(0x44, 1)
    io.write32(0x70, 0x0F)
    guest.fill(12)
    io.write32(0x50, 0)
    guest.exchange(lambda index: io.write32(0x50, index), 12)
    assert heard == [1, 1]
    for index in (0, 1):
        io.write32(0x30, index)
        io.write32(0x44, 0)
        assert io.read32(0x44) == 0
    assert guest.drops == {}
