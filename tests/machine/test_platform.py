"""A card without configuration space: always decoded, always bus master, one line of its own."""

import pytest

from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.trace import RegisterAccess, observe
from motenet.doors import PciFunction


def test_it_answers_at_once_and_may_access_memory(machine, platform_card) -> None:
    events = []
    observe(machine, events.append)
    function = machine.platform.find("mmio")
    assert function.bar(0).read32(0x40) == 0x43424140
    function.bar(0).write8(0x100, 0x1FF)
    assert platform_card.accesses == [(0, 0x40, 4), (0, 0x100, 1, 0xFF)]
    assert events[0] == RegisterAccess(0, "machine/mmio/bar0", "bar0", 0x40, 4, 0x43424140, False)
    buffer = function.dma.allocate(16)
    platform_card.slot.dma.write(buffer.address, b"hello")
    assert bytes(buffer.lend(0, 5)) == b"hello"
    assert platform_card.slot.dma.read(1 << 40, 2) == b"\xff\xff"
    assert platform_card.resets == 1


def test_its_line_is_level_triggered_and_its_own(machine, card, platform_card) -> None:
    interrupts = machine.platform.functions[0].interrupts
    (vector,) = interrupts.allocate()
    assert vector not in [machine.slots[0].line]
    calls = []

    def handler() -> bool:
        calls.append(1)
        platform_card.slot.set_level(len(calls) < 3)
        return True

    interrupts.connect(vector, handler)
    interrupts.mask(vector)
    platform_card.slot.set_level(True)
    machine.run("1us")
    assert calls == []
    interrupts.unmask(vector)
    machine.run("1us")
    assert calls == [1, 1, 1]
    interrupts.free()
    platform_card.slot.set_level(True)
    machine.run("1us")
    assert calls == [1, 1, 1]


def test_it_has_no_messages(machine, platform_card) -> None:
    with pytest.raises(DriverError, match="none of the interrupt kinds msi-x, msi"):
        machine.platform.functions[0].interrupts.allocate(1, ("msi-x", "msi"))
    assert not platform_card.slot.message_enabled()
    assert not platform_card.slot.send_message(0)
    assert machine.slots[0].drops == {"message not enabled": 1}


def test_it_stands_beside_pci_cards(machine, card, platform_card) -> None:
    assert machine.functions == [machine.pci.functions[0], machine.platform.functions[0]]
    assert [isinstance(function, PciFunction) for function in machine.functions] == [True, False]
    assert [slot.card for slot in machine.slots] == [card, platform_card]


def test_a_missing_card_is_answered_with_those_there_are(machine, platform_card) -> None:
    with pytest.raises(ConfigurationError, match=r"'disk'.*there is mmio"):
        machine.platform.find("disk")
    with pytest.raises(DriverError, match="no BAR 1"):
        machine.platform.find("mmio").bar(1)


def test_time_is_the_machines(machine, platform_card) -> None:
    function = machine.platform.functions[0]
    function.delay(1500)
    assert function.now == machine.clock.now == 1500


def test_its_level_is_part_of_a_snapshot(machine, platform_card) -> None:
    slot = machine.slots[0]
    slot.set_level(True)
    slots, lines = slot.save(), machine.interrupts.save()
    slot.set_level(False)
    slot.load(slots)
    machine.interrupts.load(lines)
    slot.set_level(False)
    assert not any(machine.interrupts.sources.values())
