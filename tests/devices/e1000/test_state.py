"""Save in the middle of a transfer, load into another card, and go on the same way."""

import pytest

from motenet.core.state import state_hash
from motenet.datasheets import e1000 as sheet

FRAME = bytes.fromhex("525400123456525400000001") + bytes(range(100))


def begin(bench):
    """Work of every kind under way: MDIO, EERD, negotiation, a packet half gathered, frames waiting for descriptors."""
    bench.write(sheet.IMS, 0x1FFFF)
    bench.write(sheet.ITR, 1000)
    bench.transmitter()
    bench.receiver(control=sheet.RCTL["UPE"] | sheet.RCTL.field("BSIZE").put(3), free=2)
    for number in range(3):
        bench.deliver(FRAME * 3 + bytes([number]))
    bench.context()
    bench.data(FRAME, "IFCS RS", popts=1)
    bench.write(sheet.TDT, bench.tail)
    bench.run()
    bench.data(FRAME, at=0x20000)
    bench.write(sheet.TDT, bench.tail)
    bench.write(sheet.EERD, sheet.EERD["START"] | 0x0D << 8)
    bench.write(sheet.MDIC, 2 << 26 | 1 << 21 | 2 << 16)
    bench.write(sheet.CTRL, sheet.CTRL["SLU"] | sheet.CTRL["PHY_RST"])
    bench.write(sheet.CTRL, sheet.CTRL["SLU"])


def go_on(bench):
    """The rest, with all that can be seen of it."""
    seen = []
    bench.slot.edges.clear()
    bench.sent.clear()
    for _ in range(12):
        bench.run(50_000)
        seen.append((bench.now, bench.read(sheet.ICR), bench.read(sheet.EERD), bench.read(sheet.MDIC)))
    bench.write(sheet.RDT, 12)
    bench.run(10**9)
    seen.append([bench.read(register) for register in sheet.REGISTERS])
    return seen, list(bench.sent), list(bench.slot.edges), bytes(bench.memory)


@pytest.mark.parametrize("moment", [0, 30_000, 64_000, 300_000, 499_999_999])
def test_a_loaded_card_goes_on_like_the_saved_one(new_bench, moment):
    first = new_bench("datasheet")
    begin(first)
    first.run(moment)
    saved = first.save()
    fingerprint = state_hash(saved)
    outcome = go_on(first)
    second = new_bench("datasheet")
    begin(second)
    second.run(700_000_000)
    second.load(saved)
    assert state_hash(second.save()) == fingerprint
    assert go_on(second) == outcome
    assert len(outcome[1]) == 1


def test_restoring_in_place_undoes_everything(new_bench):
    bench = new_bench("datasheet")
    saved = bench.save()
    begin(bench)
    go_on(bench)
    bench.load(saved)
    assert state_hash(bench.save()) == state_hash(saved)
