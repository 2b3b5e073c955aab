"""MSI-X: table, masks and pending bits (PCI 3.0, 6.8.2), programmed by hand and as an operating system does."""

import pytest

from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.state import walk
from motenet.core.trace import RegisterAccess, observe
from motenet.machine import Machine

CONTROL = 0x62
ENABLE, FUNCTION_MASK = 0x8000, 0x4000
TABLE, PENDING = 0x800, 0xC00
LOCAL_APIC = 0xFEE00000


class Driver:
    """Programs the table by hand: entry n goes to the vector that the machine has for it."""

    def __init__(self, machine, *, master: bool = True) -> None:
        self.machine = machine
        self.function = machine.pci.functions[0]
        self.config = self.function.config
        self.config.write(4, 0b110 if master else 0b010, 2)
        self.table = self.function.bar(4)
        self.calls: list[int] = []
        for number, vector in enumerate(machine.slots[0].msix_vectors):
            self.function.interrupts.connect(vector, self.handler(number))

    def handler(self, number):
        def handle() -> bool:
            self.calls.append(number)
            return True

        return handle

    def entry(self, number: int, control: int, address: int = LOCAL_APIC) -> None:
        data = self.machine.slots[0].msix_vectors[number]
        for place, value in enumerate((address & 0xFFFFFFFF, address >> 32, data, control)):
            self.table.write32(TABLE + 16 * number + 4 * place, value)

    def mask(self, number: int, control: int) -> None:
        self.table.write32(TABLE + 16 * number + 12, control)

    def delivered(self) -> list[int]:
        self.machine.run("1us")
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def driver(machine, msix_card) -> Driver:
    driver = Driver(machine)
    for number in range(3):
        driver.entry(number, 0)
    driver.config.write(CONTROL, ENABLE, 2)
    return driver


def test_6_8_2_9_after_reset_entries_are_zero_and_masked(machine, msix_card) -> None:
    table = Driver(machine).table
    assert [table.read32(TABLE + at) for at in range(0, 48, 4)] == [0, 0, 0, 1] * 3
    assert table.read32(PENDING) == table.read32(PENDING + 4) == 0
    assert msix_card.accesses == []


def test_6_8_2_7_what_may_be_written_of_an_entry(machine, msix_card) -> None:
    table = Driver(machine).table
    for at in range(16, 32, 4):
        table.write32(TABLE + at, 0xFFFFFFFF)
    assert [table.read32(TABLE + at) for at in range(16, 32, 4)] == [0xFFFFFFFC, 0xFFFFFFFF, 0xFFFFFFFF, 1]
    assert [table.read32(TABLE + at) for at in range(0, 16, 4)] == [0, 0, 0, 1]


def test_the_card_has_all_of_the_bar_that_is_not_table_nor_pending_bits(machine, msix_card) -> None:
    table = Driver(machine).table
    for at in (0, TABLE - 4, TABLE + 48, PENDING - 4, PENDING + 8, 4092):
        assert table.read32(at) == int.from_bytes(bytes((at + n) & 0xFF for n in range(4)), "little")
        table.write32(at, 7)
    assert len(msix_card.accesses) == 12


def test_6_8_2_each_message_goes_where_its_entry_says(driver, msix_card) -> None:
    assert msix_card.slot.message_enabled()
    for number in (2, 0):
        assert msix_card.slot.send_message(number)
    assert driver.delivered() == [2, 0]


def test_6_8_2_messages_silence_the_pin(driver, machine, msix_card) -> None:
    msix_card.slot.set_level(True)
    assert not any(machine.interrupts.sources.values())
    driver.config.write(CONTROL, 0, 2)
    assert any(machine.interrupts.sources.values())


def test_6_8_2_10_a_masked_message_is_pending_and_goes_once_on_unmask(driver, msix_card) -> None:
    driver.mask(1, 1)
    assert msix_card.slot.send_message(1)
    assert msix_card.slot.send_message(1)
    assert msix_card.slot.send_message(0)
    assert driver.table.read32(PENDING) == 0b010
    assert driver.delivered() == [0]
    driver.mask(1, 0)
    assert driver.table.read32(PENDING) == 0
    assert driver.delivered() == [1]
    driver.mask(1, 1)
    driver.mask(1, 0)
    assert driver.delivered() == []


def test_6_8_2_3_the_function_mask_keeps_back_all_and_the_entries_masks_stay(driver, msix_card) -> None:
    driver.mask(2, 1)
    driver.config.write(CONTROL, ENABLE | FUNCTION_MASK, 2)
    for number in range(3):
        assert msix_card.slot.send_message(number)
    assert driver.table.read32(PENDING) == 0b111
    assert driver.delivered() == []
    driver.config.write(CONTROL, ENABLE, 2)
    assert driver.delivered() == [0, 1]
    assert driver.table.read32(PENDING) == 0b100


def test_6_8_2_10_pending_bits_are_read_only(driver, msix_card) -> None:
    driver.table.write32(PENDING, 7)
    assert driver.table.read32(PENDING) == 0
    assert driver.machine.slots[0].msix.drops == {"read-only": 1}


def test_6_8_2_with_msi_x_off_nothing_is_sent_nor_kept(driver, msix_card) -> None:
    driver.mask(0, 1)
    msix_card.slot.send_message(0)
    driver.config.write(CONTROL, 0, 2)
    assert not msix_card.slot.send_message(1)
    driver.mask(0, 0)
    driver.config.write(CONTROL, ENABLE, 2)
    assert driver.delivered() == []
    assert driver.machine.slots[0].drops == {"message not enabled": 1}


def test_6_2_2_a_card_that_is_no_bus_master_sends_none_and_what_waits_goes_later(driver, msix_card) -> None:
    driver.mask(0, 1)
    msix_card.slot.send_message(0)
    driver.config.write(4, 0b010, 2)
    driver.mask(0, 0)
    msix_card.slot.send_message(1)
    assert driver.delivered() == []
    driver.config.write(4, 0b110, 2)
    assert driver.delivered() == [0, 1]


@pytest.mark.parametrize("address", [0xFEC00000, LOCAL_APIC | 1 << 32])
def test_a_message_to_nowhere_is_counted(driver, msix_card, address) -> None:
    driver.entry(0, 0, address)
    assert msix_card.slot.send_message(0)
    assert driver.machine.slots[0].drops == {"message astray": 1}


def test_a_message_that_the_table_has_not_is_none(driver, msix_card) -> None:
    assert not msix_card.slot.send_message(3)
    assert driver.machine.slots[0].drops == {"message not enabled": 1}


def test_allocating_gives_what_there_is_and_says_how_it_is_done(machine, msix_card) -> None:
    function = machine.pci.functions[0]
    function.config.write(4, 0b110, 2)
    events = []
    observe(machine, events.append)
    vectors = function.interrupts.allocate(8)
    assert vectors == machine.slots[0].msix_vectors
    written = [(event.space, event.offset, event.value) for event in events if isinstance(event, RegisterAccess)]
    assert written[0] == ("config", CONTROL, ENABLE | FUNCTION_MASK | 2)
    assert written[1:5] == [("bar4", TABLE + 4 * n, v) for n, v in enumerate((LOCAL_APIC, 0, vectors[0], 0))]
    assert written[-1] == ("config", CONTROL, ENABLE | 2)


def test_entries_that_were_not_asked_for_stay_masked(machine, msix_card) -> None:
    function = machine.pci.functions[0]
    function.config.write(4, 0b110, 2)
    function.interrupts.allocate(3)
    assert len(function.interrupts.allocate(2)) == 2
    assert [function.bar(4).read32(TABLE + 16 * n + 12) for n in range(3)] == [0, 0, 1]


def test_mask_and_unmask_are_the_tables(machine, msix_card) -> None:
    function = machine.pci.functions[0]
    function.config.write(4, 0b110, 2)
    vectors = function.interrupts.allocate(2)
    calls = []
    function.interrupts.connect(vectors[1], lambda: bool(calls.append(1)) or True)
    function.interrupts.mask(vectors[1])
    assert function.bar(4).read32(TABLE + 16 + 12) == 1
    msix_card.slot.send_message(1)
    machine.run("1us")
    assert calls == []
    function.interrupts.unmask(vectors[1])
    machine.run("1us")
    assert calls == [1]
    function.interrupts.free()
    assert not msix_card.slot.message_enabled()
    assert function.config.read(CONTROL, 2) == 2


def test_a_table_that_is_not_decoded_cannot_be_programmed(machine, msix_card) -> None:
    with pytest.raises(DriverError, match="BAR 4, which is not decoded"):
        machine.pci.functions[0].interrupts.allocate(1, ("msi-x",))


def test_other_kinds_are_to_be_had_when_they_come_first(machine, msix_card) -> None:
    interrupts = machine.pci.functions[0].interrupts
    assert interrupts.allocate(4, ("msi", "msi-x")) == [machine.slots[0].message_vector]
    assert interrupts.allocate(4, ("intx",)) == [machine.slots[0].line]


def test_pm_5_4_the_table_does_not_survive_d3hot(driver) -> None:
    driver.config.write(0x44, 3, 2)
    driver.config.write(0x44, 0, 2)
    driver.config.write(4, 0b110, 2)
    assert [driver.table.read32(TABLE + at) for at in range(0, 48, 4)] == [0, 0, 0, 1] * 3


def test_table_and_pending_bits_are_part_of_a_snapshot(driver, machine, msix_card) -> None:
    driver.mask(1, 1)
    msix_card.slot.send_message(1)
    saved = {part.path: part.save() for part in walk(machine.slots[0]) if part is not msix_card}
    driver.mask(1, 0)
    driver.entry(2, 1)
    driver.config.write(CONTROL, 0, 2)
    driver.delivered()
    for part in walk(machine.slots[0]):
        if part is not msix_card:
            part.load(saved[part.path])
    assert msix_card.slot.message_enabled()
    assert driver.table.read32(PENDING) == 0b010
    assert driver.table.read32(TABLE + 32 + 12) == 0
    driver.mask(1, 0)
    assert driver.delivered() == [1]


@pytest.mark.parametrize(
    "capability",
    [
        "11000200 05080000 040c0000",  # BAR 5 is the upper half of BAR 4
        "11000200 e40f0000 040c0000",  # the table reaches past the BAR's end
        "11000200 04080000 04100000",  # the pending bits do
        "11000200 04080000 02000000",  # I/O space
    ],
)
def test_a_table_that_lies_nowhere_is_a_mistake_of_the_cards(msix_card, capability) -> None:
    card = type(msix_card)()
    header = bytearray(card.config_header)
    header[0x60:0x6C] = bytes.fromhex(capability)
    card.config_header = bytes(header)
    with pytest.raises(ConfigurationError, match="BAR"):
        Machine().plug(card)


def test_table_and_pending_bits_may_lie_in_different_bars_and_serve_2048_messages(msix_card) -> None:
    card = type(msix_card)()
    card.bars[4] = type(card.bars[4])(1 << 16, "memory64", (4,))
    header = bytearray(card.config_header)
    header[0x60:0x6C] = bytes.fromhex("1100ff07 04000000 00080000")
    card.config_header = bytes(header)
    machine = Machine()
    machine.plug(card)
    function = machine.pci.functions[0]
    function.config.write(4, 0b110, 2)
    vectors = function.interrupts.allocate(2048)
    function.interrupts.mask(vectors[2047])
    card.slot.send_message(2047)
    assert len(vectors) == 2048
    assert function.bar(0).read32(0x800 + 252) == 1 << 31
    assert function.bar(0).read32(0x900) == 0x03020100
