"""What counts as a difference between two cards, and our side of a comparison, without QEMU."""

import pytest

from motenet.bridge.qtest.twins import MEMORY, Bench, Mask, Note, OurSide, compare
from motenet.datasheets import e1000 as sheet
from motenet.datasheets import rtl8139 as realtek
from motenet.devices import E1000, Rtl8139
from motenet.machine import Machine

MASKS = {"CTRL": Mask(0x0F, "some-row"), "RAL": Mask(0xFF00, "another"), "line": Mask(0, "never")}


@pytest.mark.parametrize(
    ("ours", "theirs", "differ"),
    [
        ([("CTRL", 0x12)], [("CTRL", 0xF2)], False),
        ([("CTRL", 0x12)], [("CTRL", 0x13)], True),
        ([("RAL[3]", 0x1234)], [("RAL[3]", 0x1256)], False),
        ([("RAL[3]", 0x1234)], [("RAL[3]", 0x2234)], True),
        ([("STATUS", 1 << 31)], [("STATUS", 0)], True),
        ([("line", 1)], [("line", 0)], False),
        ([("ring", b"ab")], [("ring", b"ab")], False),
        ([("ring", b"ab")], [("ring", b"ac")], True),
        ([("frames", (b"a", b"b"))], [("frames", (b"b", b"a"))], True),
        ([("CTRL", 2)], [], True),
        ([], [("CTRL", 2)], True),
        ([("CTRL", 2)], [("STATUS", 2)], True),
    ],
)
def test_what_differs(ours: list[Note], theirs: list[Note], differ: bool) -> None:
    assert bool(compare(ours, theirs, MASKS)) is differ


def test_a_difference_reads_well() -> None:
    (one,) = compare([("frames", (b"\x01\x02",))], [("frames", ())], {})
    assert str(one) == "#0 frames: ours [2 bytes 0102], theirs []"
    (other,) = compare([("CTRL", 1)], [], {})
    assert str(other) == "#0 CTRL: ours 0x00000001, theirs nothing"


def test_our_side_runs_a_program() -> None:
    """8254x 14.5 by hand, on a fresh model."""
    machine = Machine()
    machine.plug(E1000("52:54:00:12:34:56"))
    bench = Bench(OurSide(machine), sheet.REGISTERS)
    assert bench.base % MEMORY == 0
    bench.write(sheet.CTRL, sheet.CTRL["SLU"])
    bench.settle()
    bench.store(0, sheet.TDESC_LEGACY_CODEC.pack(bench.base + 1024, 64, 0, 0x0B, 0, 0, 0))
    bench.store(1024, bytes(range(64)))
    for register, value in ((sheet.TDBAL, bench.base), (sheet.TDLEN, 128), (sheet.TCTL, 2), (sheet.TDT, 1)):
        bench.write(register, value)
    bench.settle()
    bench.frames()
    bench.read(sheet.TDH)
    bench.line()
    assert bench.notes == [("frames", (bytes(range(64)),)), ("TDH", 1), ("line", 0)]
    assert bench.load(12, 1) == b"\x01", "DD"
    bench.close()


def test_registers_of_all_widths() -> None:
    """RTL8139C 5.4 to 5.6: IMR and ISR are words, CR a byte; as wide as it is declared, or as said."""
    machine = Machine()
    machine.plug(Rtl8139("52:54:00:12:34:56"))
    bench = Bench(OurSide(machine), realtek.REGISTERS, 1)
    bench.settle()
    bench.write(realtek.IMR, 0xFFFF)
    bench.write(realtek.CR.offset, realtek.CR["TE"])
    assert (bench.read(realtek.IMR.offset), bench.read(realtek.CR)) == (0xE1FF, 0x05)
    assert bench.look(realtek.IMR, 8) == 0xFF
    assert bench.read(realtek.IMR, 32) == 0xE1FF | realtek.ISR["PUN_LINKCHG"] << 16
    assert bench.notes == [("IMR", 0xE1FF), ("CR", 0x05), ("IMR", 0x0020E1FF)]
    bench.close()
