"""Save in the middle of a transfer, load into another card, and go on the same way."""

import pytest

from motenet.core.state import state_hash

FRAME = bytes.fromhex("525400123456020000000001") + bytes(range(100))


def begin_c(bench):
    """A slot on the cable, slots that wait, an abort, a full ring and a FIFO, the timer, negotiation."""
    bench.c_mode(0x0F)
    bench.write(0x3C, 0xFFFF, 2)
    bench.write(0x54, 10_000, 4)
    for _ in range(6):
        bench.card.frame_arrived(FRAME * 14, None)
    for slot in range(3):
        bench.send(slot, FRAME * 10)
    bench.write(0x50, 0x40, 1)
    bench.write(0x50, 0x80, 1)
    for pins in (0x88, 0x8A, 0x8E, 0x8A, 0x8E):
        bench.write(0x50, pins, 1)
    bench.write(0x50, 0x00, 1)
    bench.card.jam = 1


def begin_cplus(bench):
    """A large packet half sent, another half gathered on the other ring, a dump, a software reset of the PHY."""
    bench.cplus(0x0063)
    bench.write(0x3C, 0xFFFF, 2)
    bench.buffers(1536, 1536, 50, 1536)
    header = bytes.fromhex("02000000000152540012345608004500000000000000400600000a0000010a000002")
    bench.give(header + bytes(12) + b"\x50\x18" + bytes(6) + bytes(20_000), 0xB8000000 | 100 << 16, at=0x80000)
    bench.give(FRAME, 0xA0000000, high=1)
    bench.write(0xD9, 0xC0, 1)
    bench.write(0x10, 0x70008, 4)
    bench.card.frame_arrived(FRAME, None)
    bench.unlock()
    bench.write(0x62, 0x8000, 2)


BEGIN = {"C": begin_c, "C+": begin_cplus}


def go_on(bench):
    """The rest, with all that can be seen of it."""
    seen = []
    bench.slot.edges.clear()
    bench.sent.clear()
    for _ in range(12):
        bench.run(50_000)
        seen.append((bench.now, bench.read(0x3C, 4), bench.read(0x48, 4), bench.read(0x58, 1)))
        bench.write(0x3E, 0xFFFF, 2)
    bench.write(0x38, 0x1000, 2)
    bench.card.frame_arrived(FRAME, None)
    bench.write(0x40, 0x00000001, 4)
    bench.write(0xD9, 0x40, 1)
    bench.run(10**9)
    seen.append([bench.read(offset, 4) for offset in range(0, 256, 4)])
    return seen, list(bench.sent), list(bench.slot.edges), bytes(bench.memory)


@pytest.mark.parametrize("revision", ["C", "C+"])
@pytest.mark.parametrize("moment", [0, 100, 30_000, 200_000, 499_999_999])
def test_a_loaded_card_goes_on_like_the_saved_one(new_bench, revision, moment):
    begin = BEGIN[revision]
    first = new_bench(revision, "datasheet")
    begin(first)
    first.run(moment)
    saved = first.save()
    fingerprint = state_hash(saved)
    outcome = go_on(first)
    second = new_bench(revision, "datasheet")
    begin(second)
    second.run(700_000_000)
    second.load(saved)
    assert state_hash(second.save()) == fingerprint
    assert go_on(second) == outcome


@pytest.mark.parametrize("revision", ["C", "C+"])
def test_restoring_in_place_undoes_everything(new_bench, revision):
    bench = new_bench(revision, "datasheet")
    saved = bench.save()
    BEGIN[revision](bench)
    go_on(bench)
    assert state_hash(bench.save()) != state_hash(saved)
    bench.load(saved)
    assert state_hash(bench.save()) == state_hash(saved)


def test_a_loaded_card_takes_frames_to_the_address_it_has_loaded(new_bench):
    first, second = new_bench(), new_bench()
    first.unlock()
    first.write(0x00, 0x04030202, 4)
    first.write(0x04, 0x0605, 4)
    first.c_mode(0x02)
    second.load(first.save())
    second.deliver(bytes.fromhex("020203040506020000000001") + bytes(50))
    assert second.at_ring(0) == (0x4001, 66)
