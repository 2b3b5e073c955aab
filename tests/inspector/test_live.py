"""The view of a driver at work, and the event log."""

import io
import json

from rich.console import Console

from motenet.core.trace import Changed, DmaAccess, Dropped, FramePassed, InterruptChange, RegisterAccess
from motenet.datasheets import e1000
from motenet.inspector.events import name_access
from motenet.inspector.live import DriverView, EventLog

TDT = RegisterAccess(2_000_000_000, "nic/bar0", "bar0", 0x3818, 4, 5, True)
CTRL = RegisterAccess(1, "nic/bar0", "bar0", 0, 4, 1 << 26 | 1 << 6, True)


def test_a_register_is_told_by_its_datasheet() -> None:
    """8254x 13.4.1: CTRL.RST is bit 26, SLU bit 6; an array's element has its index; other spaces are told by place."""
    assert name_access(e1000.REGISTERS, CTRL) == ("CTRL", "0x04000040 SLU | RST")
    assert name_access(e1000.REGISTERS, TDT) == ("TDT", "0x00000005")
    array = RegisterAccess(0, "nic/bar0", "bar0", 0x5204, 4, 1, False)
    assert name_access(e1000.REGISTERS, array)[0] == "MTA[1]"
    assert name_access(e1000.REGISTERS, RegisterAccess(0, "", "bar0", 0x0FFFC, 4, 9, False)) == (
        "0x0fffc",
        "0x00000009",
    )
    assert name_access(e1000.REGISTERS, RegisterAccess(0, "", "config", 4, 2, 7, True)) == ("config+0x04", "0x0007")


def test_the_view_counts_and_shows_rings() -> None:
    """Eight descriptors of 16 bytes, head 6, tail 2: four are the card's (8254x 3.4)."""
    values = {e1000.TDLEN.offset: 128, e1000.TDH.offset: 6, e1000.TDT.offset: 2, e1000.TDBAL.offset: 0x1000}
    view = DriverView("a card", e1000.REGISTERS, values)
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
    out = io.StringIO()
    Console(file=out, width=140).print(view.render())
    text = out.getvalue()
    assert "4 of 8 are the card's  head 6  tail 2  at 0x1000" in text
    assert text.count("█") == 16, "half of a bar of 32"
    assert "receive  ring not set up" in text
    assert "reserved bits 1" in text
    assert "3.500 s  link: up" in text
    assert "x2" in text, "the same access again is no new line"


def test_the_log_is_json_line_by_line() -> None:
    out = io.StringIO()
    log = EventLog(out, e1000.REGISTERS)
    log(CTRL)
    log(FramePassed(7, "nic/port", "rx", b"\x01\x02"))
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first == {
        "event": "RegisterAccess", "time": 1, "path": "nic/bar0", "space": "bar0", "offset": 0, "width": 4,
        "value": 0x04000040, "write": True, "register": "CTRL", "meaning": "0x04000040 SLU | RST",
    }  # fmt: skip
    assert second == {
        "event": "FramePassed", "time": 7, "path": "nic/port", "direction": "rx", "frame": "0102", "verdict": "",
    }  # fmt: skip
