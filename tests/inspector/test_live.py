"""The view of a driver at work, and the event log."""

import io
import json

import pytest
from rich.console import Console

from motenet.core.trace import Changed, DmaAccess, Dropped, FramePassed, InterruptChange, RegisterAccess
from motenet.datasheets import e1000
from motenet.inspector.cards import sheet
from motenet.inspector.events import name_access
from motenet.inspector.live import DriverView, EventLog
from motenet.inspector.rings import RingState, e1000_rings

E1000 = sheet("e1000")

TDT = RegisterAccess(2_000_000_000, "nic/bar0", "bar0", 0x3818, 4, 5, True)
CTRL = RegisterAccess(1, "nic/bar0", "bar0", 0, 4, 1 << 26 | 1 << 6, True)


def test_a_register_is_told_by_its_datasheet() -> None:
    """8254x 13.4.1: CTRL.RST is bit 26, SLU bit 6; an array's element has its index."""
    assert name_access(E1000, CTRL) == ("CTRL", "0x04000040 SLU | RST")
    assert name_access(E1000, TDT) == ("TDT", "0x00000005")
    array = RegisterAccess(0, "nic/bar0", "bar0", 0x5204, 4, 1, False)
    assert name_access(E1000, array)[0] == "MTA[1]"
    upper = RegisterAccess(0, "", "bar4", 0x24, 4, 1, True)  # virtio 4.1.4.3: queue_desc has 64 bits, at 0x20
    assert name_access(sheet("virtio-net"), upper) == ("queue_desc+4", "0x00000001")
    assert name_access(E1000, RegisterAccess(0, "", "bar0", 0x0FFFC, 4, 9, False)) == (
        "bar0+0xfffc",
        "0x00000009",
    )
    assert name_access(E1000, RegisterAccess(0, "", "bar2", 0, 4, 8, True)) == ("bar2+0x00", "0x00000008")


@pytest.mark.parametrize(
    ("offset", "width", "value", "name", "words"),
    [
        (0x00, 4, 0x100E8086, "VENDOR_ID, DEVICE_ID", "0x100e8086"),
        (0x04, 2, 7, "COMMAND", "0x0007 IO | MEMORY | MASTER"),
        (0x04, 2, 0, "COMMAND", "0x0000"),
        (0x04, 4, 0x00100002, "COMMAND, STATUS", "0x00100002 MEMORY, CAPABILITIES"),
        (0x05, 1, 4, "COMMAND+1", "0x04"),
        (0x0C, 4, 0, "CACHE_LINE_SIZE to BIST", "0x00000000"),
        (0x10, 4, 0xFEBC0000, "BAR0", "0xfebc0000"),
        (0x18, 4, 1, "BAR2", "0x00000001"),
        (0x3C, 1, 11, "INTERRUPT_LINE", "0x0b"),
        (0xE0, 2, 0x2003, "PMCSR", "0x2003 STATE=0x3 | DATA_SCALE=0x1"),  # 8254x 4.1.3.1: the capability is at 0xDC
        (0xF2, 2, 0x81, "MSI_CONTROL", "0x0081 ENABLE | 64BIT"),
        (0xFC, 2, 0x21, "MSI_DATA", "0x0021"),  # 6.8.1: behind the upper address of a 64-bit message
    ],
)
def test_configuration_space_is_told_by_name(offset: int, width: int, value: int, name: str, words: str) -> None:
    """PCI 3.0, figure 6-1 and 6.7: the header's registers, and the capabilities' where the card has them."""
    access = RegisterAccess(0, "", "config", offset, width, value, True)
    assert name_access(E1000, access) == (f"config.{name}", words)


def test_what_configuration_space_does_not_have_is_told_by_its_place() -> None:
    access = RegisterAccess(0, "", "config", 0x80, 4, 0, False)
    assert name_access(E1000, access) == ("config+0x80", "0x00000000")


def test_the_rings_stay_as_the_guest_left_them() -> None:
    """The card is reset when its guest has gone; the next guest's rings are shown again."""
    values = {e1000.TDLEN.offset: 128, e1000.TDH.offset: 6, e1000.TDT.offset: 2}
    view = DriverView("a card", E1000, lambda: e1000_rings(values))
    view(Changed(1, "vfio-user", "client", "connected"))
    view(Changed(2, "vfio-user", "client", "gone: it has hung up"))
    values.clear()
    assert "head 6  tail 2" in printed(view)
    view(Changed(3, "vfio-user", "client", "connected"))
    assert "transmit ring not set up" in printed(view)


def test_a_long_value_ends_with_a_word() -> None:
    """CTRL with all its bits (8254x 13.4.1) is longer than its column."""
    view = DriverView("a card", E1000, list)
    view(RegisterAccess(1, "nic/bar0", "bar0", 0, 4, 0xFFFFFFFF, True))
    line = next(line for line in printed(view).splitlines() if "writes CTRL" in line)
    shown, _, _ = line.partition(" …")
    assert shown != line
    all_words = name_access(E1000, RegisterAccess(1, "", "bar0", 0, 4, 0xFFFFFFFF, True))[1].split()
    assert shown.split()[2:] == all_words[: len(shown.split()) - 2]


def printed(view: DriverView) -> str:
    out = io.StringIO()
    Console(file=out, width=140).print(view.render())
    return out.getvalue()


def test_the_view_counts_and_shows_rings() -> None:
    """Eight descriptors of 16 bytes, head 6, tail 2: four are the card's (8254x 3.4)."""
    values = {e1000.TDLEN.offset: 128, e1000.TDH.offset: 6, e1000.TDT.offset: 2, e1000.TDBAL.offset: 0x1000}
    view = DriverView("a card", E1000, lambda: e1000_rings(values))
    for event in (
        CTRL, TDT, TDT, RegisterAccess(0, "nic/bar0", "bar0", 8, 4, 3, False),
        DmaAccess(0, "nic/dma", 0x1000, 16, False, "TDESC"), DmaAccess(0, "nic/dma", 0x2000, 60, False),
        InterruptChange(0, "interrupts", 0, True), InterruptChange(0, "interrupts", 0, False),
        FramePassed(0, "nic/port", "tx", bytes(60)), Dropped(0, "nic", "reserved bits", "CTRL"),
        Changed(3_500_000_000, "nic", "link", "up"),
    ):  # fmt: skip
        view(event)
    assert view.summary() == {
        "reads": {"STATUS": 1},
        "writes": {"CTRL": 1, "TDT": 2},
        "dma": {"TDESC read": 1, "data read": 1},
        "frames": {"tx": 1},
        "bytes": {"tx": 60},
        "drops": {"reserved bits": 1},
        "interrupts": 1,
    }
    text = printed(view)
    assert "4 of 8 are the card's  head 6  tail 2  at 0x1000" in text
    assert text.count("█") == 16, "half of a bar of 32"
    assert "receive  ring not set up" in text
    assert "reserved bits 1" in text
    assert "3.500 s  link: up" in text
    assert "x2" in text, "the same access again is no new line"


def test_the_log_is_json_line_by_line() -> None:
    out = io.StringIO()
    log = EventLog(out, E1000)
    log(CTRL)
    log(FramePassed(7, "nic/port", "rx", b"\x01\x02"))
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first == {
        "event": "RegisterAccess", "time": 1, "path": "nic/bar0", "space": "bar0", "offset": 0, "width": 4,
        "value": 0x04000040, "write": True, "register": "CTRL", "meaning": "0x04000040 SLU | RST",
    }  # fmt: skip
    assert second == {
        "event": "FramePassed", "time": 7, "path": "nic/port", "direction": "rx", "frame": "0102",
        "verdict": "", "facts": None,
    }  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
def test_the_view_fits_where_it_is_shown(width: int) -> None:
    """virtio 4.1.4.3: the longest names; their table takes nothing from whether they were read or written."""
    view = DriverView("a card", sheet("virtio-net"), list)
    for offset in (0x00, 0x04, 0x08, 0x0C, 0x14, 0x18):
        view(RegisterAccess(1, "nic/bar4", "bar4", offset, 1 if offset == 0x14 else 4, 0xF, offset % 8 == 0))
    view(RegisterAccess(1, "nic/config", "config", 0x40, 4, 0, False))
    out = io.StringIO()
    Console(file=out, width=width).print(view.render(width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("reads  ") for line in lines) == 4
    assert sum(line.startswith("writes ") for line in lines) == 3
    assert any(line.startswith("reads  device_status") and "ACKNOWLEDGE" in line for line in lines)


def test_a_card_without_rings_is_left_as_it_was() -> None:
    """When the guest has gone, nothing is what is shown of nothing."""
    found: list[RingState] = []
    view = DriverView("a card", E1000, lambda: found)
    view(Changed(2, "vfio-user", "client", "gone: it has hung up"))
    found.append(RingState("transmit", 4))
    assert "transmit" not in printed(view)
