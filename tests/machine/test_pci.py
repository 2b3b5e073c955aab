"""PCI Local Bus 3.0, chapter 6, and the windows behind the BARs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.trace import Dropped, Event, RegisterAccess, observe
from motenet.doors import BarLayout
from motenet.machine import Machine
from motenet.machine.function import Function

COMMAND, STATUS = 4, 6


def function(machine: Machine) -> Function:
    return machine.pci.find(0x1234, 0x5678)


def test_a_missing_card_is_answered_with_those_there_are(machine, card) -> None:
    with pytest.raises(ConfigurationError, match="1234:5678"):
        machine.pci.find(0x8086, 0x100E)


def test_6_2_5_1_writing_ones_sizes_a_bar(machine, card) -> None:
    config = function(machine).config
    assert config.read(0x10, 4) >> 12
    config.write(0x10, 0xFFFFFFFF, 4)
    assert config.read(0x10, 4) == 0xFFFFF000
    config.write(0x18, 0xFFFFFFFF, 4)
    assert config.read(0x18, 4) == 0xFFFFFFE1
    config.write(0x14, 0xFFFFFFFF, 4)
    assert config.read(0x14, 4) == 0


def test_6_2_5_1_a_64_bit_bar_has_two_registers(machine, wide_card) -> None:
    config = function(machine).config
    config.write(0x10, 0xFFFFFFFF, 4)
    config.write(0x14, 0xFFFFFFFF, 4)
    assert (config.read(0x10, 4), config.read(0x14, 4)) == (0xFFFFF004, 0xFFFFFFFF)


def test_6_2_5_1_firmware_gives_64_bit_bars_whole_addresses_that_do_not_overlap(machine, wide_card) -> None:
    machine.plug(type(wide_card)(wide=True), "other")
    configs = [function.config for function in machine.pci.functions]
    low = [config.read(0x10, 4) for config in configs]
    assert [value & 0xFFF for value in low] == [4, 4]  # type 10b, and aligned to its 4,096 bytes
    first, second = (config.read(0x14, 4) << 32 | value & ~0xF for config, value in zip(configs, low, strict=True))
    assert first > 0xFFFFFFFF
    assert second >= first + 4096
    function(machine).config.write(COMMAND, 0b10, 2)
    assert function(machine).bar(0).read32(4) == 0x07060504


@pytest.mark.parametrize("index", [1, 5])
def test_6_2_5_1_a_64_bit_bar_needs_both_its_registers(wide_card, index) -> None:
    card = type(wide_card)()
    card.bars[index] = BarLayout(4096, "memory64")
    with pytest.raises(ConfigurationError, match="takes two"):
        Machine().plug(card)


def test_6_2_2_decoding_off_reads_ones_and_loses_writes_with_an_event(machine, card) -> None:
    events: list[Event] = []
    observe(machine, events.append)
    window = function(machine).bar(0)
    assert (window.read32(0), window.read16(2), window.read8(1)) == (0xFFFFFFFF, 0xFFFF, 0xFF)
    window.write32(0, 1)
    assert card.accesses == []
    assert [type(event) for event in events] == [Dropped] * 4
    assert window.drops == {"not decoded": 4}
    function(machine).config.write(COMMAND, 0b10, 2)
    assert window.read32(0) == 0x03020100
    assert function(machine).bar(2).read8(0) == 0xFF


def test_6_2_2_reserved_and_hardwired_command_bits_read_zero(machine, card) -> None:
    config = function(machine).config
    config.write(COMMAND, 0xFFFF, 2)
    assert config.read(COMMAND, 2) == 0b0000_0101_0101_0111


def test_6_2_3_status_bits_are_cleared_by_writing_ones(machine, card) -> None:
    config = function(machine).config
    config.write(COMMAND, 0b110, 2)
    card.slot.dma.read(1 << 40, 4)
    assert config.read(STATUS, 2) == 0x2010
    config.write(STATUS, 0xFFFF, 2)
    assert config.read(STATUS, 2) == 0x0010


def test_6_2_2_bus_mastering_is_told_to_the_card_once_a_change(machine, card) -> None:
    config = function(machine).config
    for value in (0b100, 0b110, 0b010):
        config.write(COMMAND, value, 2)
    assert card.masters == [True, False]


def test_pm_5_4_leaving_d3hot_resets_the_function(machine, card) -> None:
    config = function(machine).config
    config.write(COMMAND, 0b110, 2)
    config.write(0x44, 3, 2)
    assert function(machine).bar(0).read32(0) == 0xFFFFFFFF
    before = card.resets
    config.write(0x44, 0, 2)
    assert card.resets == before + 1
    assert config.read(COMMAND, 2) == 0


def test_reads_of_parts_take_lanes_of_the_whole_register(machine, card) -> None:
    function(machine).config.write(COMMAND, 0b11, 2)
    window = function(machine).bar(0)
    assert (window.read8(6), window.read16(6), window.read32(6)) == (6, 0x0706, 0x09080706)
    assert card.accesses == [(0, 4, 4), (0, 4, 4), (0, 4, 4), (0, 8, 4)]


def test_writes_of_parts_are_lost_where_the_register_is_wider(machine, card) -> None:
    function(machine).config.write(COMMAND, 0b11, 2)
    window = function(machine).bar(0)
    window.write8(4, 1)
    window.write32(2, 0xAABBCCDD)
    assert card.accesses == []
    assert window.drops == {"partial write": 3}
    port = function(machine).bar(2)
    port.write32(4, 0x44332211)
    assert card.accesses == [(2, 4, 1, 0x11), (2, 5, 1, 0x22), (2, 6, 1, 0x33), (2, 7, 1, 0x44)]


@given(st.integers(-8, 4200), st.sampled_from([1, 2, 4]), st.integers(0, 2**32))
def test_any_access_gives_lanes_or_refuses_what_lies_outside(new_machine, offset, width, value) -> None:
    machine = new_machine()
    function(machine).config.write(COMMAND, 0b11, 2)
    window = function(machine).bar(0)
    read = {1: window.read8, 2: window.read16, 4: window.read32}[width]
    write = {1: window.write8, 2: window.write16, 4: window.write32}[width]
    if 0 <= offset <= 4096 - width:
        assert read(offset) == int.from_bytes(bytes((offset + n) & 0xFF for n in range(width)), "little")
        write(offset, value)
    else:
        with pytest.raises(DriverError, match="outside the window"):
            read(offset)
        with pytest.raises(DriverError, match="outside the window"):
            write(offset, value)


def test_register_accesses_are_watched(machine, card) -> None:
    function(machine).config.write(COMMAND, 0b11, 2)
    events: list[Event] = []
    observe(machine, events.append)
    function(machine).bar(0).write32(8, 5)
    function(machine).bar(2).read8(3)
    assert events == [
        RegisterAccess(0, "machine/nic/bar0", "bar0", 8, 4, 5, True),
        RegisterAccess(0, "machine/nic/bar2", "bar2", 3, 1, 3, False),
    ]


def test_ports_carry_frames_both_ways_and_tell_the_carrier(machine, card) -> None:
    sent = []

    class Recorder:
        def frame_sent(self, port, frame, facts) -> None:
            sent.append((frame, facts))

    port = machine.slots[0].port
    port.transmit(b"lost")
    assert port.drops == {"no cable": 1}
    port.connect(Recorder())
    port.transmit(b"frame")
    port.deliver(b"back", None)
    port.connect(None)
    assert sent == [(b"frame", None)]
    assert card.frames == [(b"back", None)]
    assert card.carriers == [True, False]


def test_pm_3_2_4_a_state_that_the_function_has_not_is_not_entered(machine, card) -> None:
    config = function(machine).config
    config.write(COMMAND, 0b111, 2)
    for state in (1, 2):
        config.write(0x44, state, 2)
        assert config.read(0x44, 2) & 3 == 0
    assert function(machine).bar(0).read32(0) == 0x03020100
    config.write(0x44, 3, 2)
    config.write(0x44, 1, 2)
    assert config.read(0x44, 2) & 3 == 3


def test_pm_5_4_a_sleeping_function_asserts_no_interrupt_and_wakes_without_context(machine, card) -> None:
    config = function(machine).config
    config.write(COMMAND, 0b111, 2)
    config.write(0x52, 0x81, 2)
    config.write(0x52, 0x80, 2)
    card.slot.set_level(True)
    assert any(machine.interrupts.sources.values())
    config.write(0x44, 3, 2)
    assert not any(machine.interrupts.sources.values())
    config.write(0x52, 0x81, 2)
    config.write(0x44, 0, 2)
    assert (config.read(COMMAND, 2), config.read(0x52, 2), config.read(0x10, 4)) == (0, 0x80, 0)
