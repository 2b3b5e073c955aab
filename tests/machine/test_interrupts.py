"""Interrupt lines by level, shared between cards, and messages (PCI 2.2.6, 6.8)."""

import pytest

from motenet.core.errors import DriverError
from motenet.datasheets.e1000 import ICS, IMC, IMS
from motenet.datasheets.pci import CAP_MSI
from motenet.devices import E1000
from motenet.machine import interrupts as controller


def test_a_level_is_delivered_in_an_event_until_the_handler_lowers_it(machine, card) -> None:
    interrupts = machine.pci.functions[0].interrupts
    (vector,) = interrupts.allocate(kinds=("intx",))
    calls = []

    def handler() -> bool:
        calls.append(machine.clock.now)
        if len(calls) == 3:
            card.slot.set_level(False)
        return True

    interrupts.connect(vector, handler)
    card.slot.set_level(True)
    assert calls == []
    machine.run("1us")
    assert len(calls) == 3


def test_2_2_6_a_shared_line_calls_every_handler_and_stays_high_for_either_card(machine, card) -> None:
    others = [machine.plug(type(card)(), f"nic{n}") for n in range(1, 5)]
    assert machine.slots[0].line == machine.slots[4].line
    first, second = card, others[3]
    a, b = machine.pci.functions[0].interrupts, machine.pci.functions[4].interrupts
    calls = []

    def handler_of(name, its_card):
        def handler() -> bool:
            calls.append(name)
            mine = its_card.slot.level
            if calls.count(name) == 2:
                its_card.slot.set_level(False)
            return mine

        return handler

    a.connect(a.allocate(kinds=("intx",))[0], handler_of("a", first))
    b.connect(b.allocate(kinds=("intx",))[0], handler_of("b", second))
    first.slot.set_level(True)
    second.slot.set_level(True)
    machine.run("1us")
    assert calls == ["a", "b", "a", "b"]


def test_masked_lines_wait(machine, card) -> None:
    interrupts = machine.pci.functions[0].interrupts
    (vector,) = interrupts.allocate(kinds=("intx",))
    calls = []

    def handler() -> bool:
        calls.append(1)
        card.slot.set_level(False)
        return True

    interrupts.connect(vector, handler)
    interrupts.mask(vector)
    card.slot.set_level(True)
    machine.run("1us")
    assert calls == []
    interrupts.unmask(vector)
    machine.run("1us")
    assert calls == [1]


def test_a_line_nobody_lowers_is_masked_with_an_event(machine, card, monkeypatch) -> None:
    monkeypatch.setattr(controller, "STORM", 1000)
    interrupts = machine.pci.functions[0].interrupts
    calls = []

    def handler() -> bool:
        calls.append(1)
        return False

    interrupts.connect(interrupts.allocate(kinds=("intx",))[0], handler)
    card.slot.set_level(True)
    machine.run("1us")
    assert len(calls) == 1000
    assert machine.interrupts.drops == {"interrupt storm": 1}


def test_6_2_2_interrupt_disable_silences_the_pin_and_6_2_3_status_still_tells(machine, card) -> None:
    function = machine.pci.functions[0]
    calls = []

    def handler() -> bool:
        calls.append(1)
        card.slot.set_level(False)
        return True

    function.interrupts.connect(function.interrupts.allocate(kinds=("intx",))[0], handler)
    function.config.write(4, 0x400, 2)
    card.slot.set_level(True)
    machine.run("1us")
    assert calls == []
    assert function.config.read(6, 2) & 8
    function.config.write(4, 0, 2)
    machine.run("1us")
    assert calls == [1]


def test_6_8_messages_need_enable_and_bus_mastering_and_silence_the_pin(machine, card) -> None:
    function = machine.pci.functions[0]
    function.config.write(4, 0b110, 2)
    card.slot.send_message(0)
    assert machine.slots[0].drops == {"message not enabled": 1}
    calls = []
    (vector,) = function.interrupts.allocate(kinds=("msi", "intx"))
    function.interrupts.connect(vector, lambda: bool(calls.append(1)) or True)
    assert card.slot.message_enabled()
    card.slot.set_level(True)
    machine.run("1us")
    assert calls == []
    card.slot.send_message(0)
    card.slot.send_message(0)
    machine.run("1us")
    assert calls == [1]
    function.config.write(0x5C, 0x7777, 2)
    card.slot.send_message(0)
    assert machine.slots[0].drops["message astray"] == 1


def test_a_handler_may_not_delay(machine, card) -> None:
    interrupts = machine.pci.functions[0].interrupts

    def handler() -> bool:
        machine.clock.delay(1)
        return True

    interrupts.connect(interrupts.allocate(kinds=("intx",))[0], handler)
    card.slot.set_level(True)
    with pytest.raises(DriverError, match="may not delay"):
        machine.run("1us")


def test_freed_handlers_are_not_called_and_a_snapshot_brings_them_back(machine, card) -> None:
    interrupts = machine.pci.functions[0].interrupts
    calls = []

    def handler() -> bool:
        calls.append(1)
        card.slot.set_level(False)
        return True

    interrupts.connect(interrupts.allocate(kinds=("intx",))[0], handler)
    before = machine.interrupts.save()
    interrupts.free()
    card.slot.set_level(True)
    machine.run("1us")
    assert calls == []
    card.slot.set_level(False)
    machine.interrupts.load(before)
    card.slot.set_level(True)
    machine.run("1us")
    assert calls == [1]


def test_6_8_msi_enabled_late_asks_the_card_what_it_has_to_tell_and_sends_nothing_itself(machine, card) -> None:
    """A message that has gone is not sent again by toggling the enable bit: only the card knows what is unread."""
    config = machine.pci.functions[0].config
    config.write(4, 0b110, 2)
    machine.pci.functions[0].interrupts.allocate(kinds=("msi",))
    card.slot.set_level(True)
    card.slot.send_message(0)
    sent = []
    machine.interrupts.watch = sent.append
    card.masters.clear()
    config.write(0x52, 0x80, 2)
    config.write(0x52, 0x81, 2)
    config.write(0x52, 0x81, 2)
    assert card.masters == [True]
    assert not any(change.message for change in sent)
    config.write(4, 0b010, 2)
    config.write(0x52, 0x80, 2)
    card.masters.clear()
    config.write(0x52, 0x81, 2)
    assert card.masters == []


def test_8254x_4_1_3_a_cause_before_msi_is_told_once_it_is_enabled_and_an_unread_one_not_again(machine) -> None:
    machine.plug(E1000(timing="instant"))
    function = machine.pci.find(0x8086, 0x100E)
    function.config.write(4, 0b110, 2)
    function.bar(0).write32(IMS.offset, 0x80)
    function.bar(0).write32(ICS.offset, 0x80)
    sent = []
    machine.interrupts.watch = lambda change: change.message and sent.append(change.vector)
    (vector,) = function.interrupts.allocate(kinds=("msi",))
    assert sent == [vector]
    control = function.config.capabilities[CAP_MSI] + 2
    function.config.write(control, function.config.read(control, 2) & ~1, 2)
    function.bar(0).write32(IMC.offset, 0x80)
    function.bar(0).write32(IMS.offset, 0x80)
    function.config.write(control, function.config.read(control, 2) | 1, 2)
    assert sent == [vector]
