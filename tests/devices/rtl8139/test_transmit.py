"""C mode's four slots: ownership, order, results, abort, loopback (RTL8139C 5.2, 5.7, 5.17)."""

import zlib
from struct import pack

import pytest

from motenet.doors import FrameFacts

TO, FROM = bytes.fromhex("020000000001"), bytes.fromhex("525400123456")


def frame(size=60, mark=0):
    return (TO + FROM + b"\x08\x00" + bytes([mark]) * size)[:size]


def test_5_2_a_slot_goes_out_as_it_is_and_comes_back_with_own_and_tok(bench):
    bench.c_mode()
    bench.write(0x3C, 0x0004, 2)
    bench.send(0, frame(1514), 0x003F0000)
    assert bench.tsd(0) == 0x003F05EA, "the card's until its event"
    assert bench.slot.dma.reads == [], "no DMA within the register access"
    bench.run()
    assert bench.sent == [frame(1514)]
    assert bench.slot.port.facts == [None]
    assert bench.tsd(0) == 0x803FA5EA
    assert (bench.slot.level, bench.isr(), bench.slot.level) == (True, 0x0004, False)


def test_no_automatic_padding_a_short_frame_goes_out_short(bench):
    """QEMU pads; Linux 8139too notes that the chip does not."""
    bench.c_mode()
    bench.send(0, frame(42))
    bench.run()
    assert bench.sent == [frame(42)]


def test_5_2_the_four_slots_go_round_robin(bench):
    bench.c_mode()
    for slot in (1, 3, 2):
        bench.send(slot, frame(mark=slot))
    bench.run()
    assert bench.sent == [], "it is slot 0's turn"
    bench.send(0, frame(mark=0))
    bench.run()
    assert [data[14] for data in bench.sent] == [0, 1, 2, 3]
    for turn in range(5):
        bench.send(turn % 4, frame(mark=turn))
        bench.run()
    assert [data[14] for data in bench.sent[4:]] == [0, 1, 2, 3, 4]


def test_5_2_writing_the_size_clears_the_results(bench):
    bench.c_mode()
    bench.send(0, frame())
    bench.run()
    bench.write(0x10, 0x00002000, 4)
    assert bench.tsd(0) == 0x00002000
    bench.run()
    assert len(bench.sent) == 1, "OWN was written 1: nothing to send"


def test_5_17_tsad_shows_own_tabt_tun_and_tok_of_all_slots(bench):
    bench.c_mode()
    assert bench.read(0x60, 2) == 0x000F
    bench.send(0, frame())
    assert bench.read(0x60, 2) == 0x000E
    bench.run()
    assert bench.read(0x60, 2) == 0x100F
    bench.card.jam = 1
    bench.send(1, frame())
    bench.run()
    assert bench.read(0x60, 2) == 0x102F
    bench.card.bank.values[0x18] |= 0x4000
    assert bench.read(0x60, 2) == 0x142F


def test_5_2_tabt_and_ter_and_nothing_more_before_clrabt(bench):
    """5.7: 16 * (TXRR + 1) collisions abort; CLRABT sends the packet again."""
    bench.c_mode()
    bench.card.jam = 2
    bench.send(0, frame(mark=0))
    bench.send(1, frame(mark=1))
    bench.run()
    assert bench.tsd(0) == 0x4F00203C
    assert bench.isr() == 0x0008
    assert bench.sent == []
    bench.write(0x40, 0x03000001, 4)
    bench.run()
    assert (bench.tsd(0), bench.isr()) == (0x4F00203C, 0x0008), "once more"
    bench.write(0x40, 0x03000001, 4)
    bench.run()
    assert bench.tsd(0) == bench.tsd(1) == 0x8000A03C
    assert [data[14] for data in bench.sent] == [0, 1]
    assert bench.read(0x40, 4) == 0x77000000


def test_5_7_clrabt_without_abort_does_nothing(bench):
    bench.c_mode()
    bench.write(0x40, 0x03000001, 4)
    bench.run()
    assert (bench.sent, bench.isr()) == ([], 0)


def test_linux_8139too_crs_is_always_set_at_100_mbit_and_not_at_10(bench):
    bench.c_mode()
    bench.unlock()
    bench.write(0x62, 0x0100, 2)
    bench.run(10**9)
    bench.send(0, frame())
    bench.run()
    assert bench.tsd(0) == 0x0000A03C


def test_without_a_link_frames_are_sent_into_the_void(bench):
    bench.c_mode()
    bench.plug(False)
    bench.isr()
    bench.send(0, frame())
    bench.run()
    assert (bench.tsd(0), bench.isr(), bench.sent) == (0x8000A03C, 0x0004, [])
    assert bench.drops == {"no link": 1}


@pytest.mark.parametrize(("speed", "bit"), [(0x2100, 10), (0x0100, 100)])
def test_tok_comes_when_the_frame_has_left_the_cable(new_bench, speed, bit):
    """802.3 4.4.2: 8 bytes of preamble, 4 of FCS, a gap of 12; DMA ends, and OWN is set, before."""
    bench = new_bench("C", "datasheet")
    bench.unlock()
    bench.write(0x62, speed, 2)
    bench.run(10**9)
    bench.isr()
    bench.c_mode()
    bench.send(0, frame(1514))
    bench.send(1, frame(60))
    bench.run(8 * 1538 * bit - 1)
    assert bench.tsd(0) & 0xE000 == 0x2000
    assert bench.isr() == 0
    bench.run(1)
    assert bench.tsd(0) & 0xE000 == 0xA000
    assert bench.isr() == 0x0004
    assert bench.tsd(1) & 0xE000 == 0x2000
    bench.run(8 * 84 * bit)
    assert bench.tsd(1) & 0xE000 == 0xA000


@pytest.mark.parametrize("lbk", [0, 1, 2])
def test_5_7_only_lbk_11_is_loopback(bench, lbk):
    bench.c_mode(tcr=lbk << 17)
    bench.send(0, frame())
    bench.run()
    assert len(bench.sent) == 1


def test_5_7_loopback_comes_back_without_link_and_in_an_event_of_its_own(bench):
    bench.plug(False)
    bench.c_mode(tcr=0x00060000)
    bench.isr()
    depth = []
    arrived = bench.card.receiver.arrived
    bench.card.receiver.arrived = lambda *args: (depth.append(bench.tsd(0) & 0x8000), arrived(*args))
    bench.send(0, frame(100))
    bench.run()
    assert depth == [0x8000], "the transmission had ended before"
    assert bench.sent == []
    assert bench.at_ring(0) == (0x0001, 104)
    assert bench.memory[0x20004 : 0x20004 + 104] == frame(100) + pack("<I", zlib.crc32(frame(100)))
    assert bench.tsd(0) == 0x0000A064
    assert bench.isr() == 0x0005
    bench.deliver(frame())
    assert bench.drops == {"loopback": 1}, "the cable is not heard"


def test_5_7_with_tcr_crc_software_supplies_the_fcs(bench):
    bench.c_mode(tcr=0x00010000)
    data = frame()
    bench.send(0, data + pack("<I", zlib.crc32(data)))
    bench.send(1, data + b"\0\0\0\0")
    bench.run()
    assert bench.sent == [data, data]
    assert bench.slot.port.facts == [None, FrameFacts(damaged=True)]


def test_5_7_tcr_is_written_only_while_the_transmitter_is_on(bench):
    bench.write(0x40, 0x03000000, 4)
    assert bench.read(0x40, 4) == 0x74000000
    assert bench.drops == {"write refused": 1}


def test_a_tsd_written_while_the_card_has_the_slot_is_told(bench):
    bench.c_mode()
    bench.send(0, frame(60, 1))
    bench.send(0, frame(70, 2))
    bench.run()
    assert bench.sent == [frame(70, 2)]
    assert bench.drops == {"TSD busy": 1}


def test_a_slot_waits_for_te_and_for_the_bus(bench):
    bench.send(0, frame())
    bench.run()
    assert bench.sent == []
    assert bench.drops == {"transmitter disabled": 1}
    bench.card.bus_master_changed(False)
    bench.c_mode()
    bench.run()
    assert bench.sent == []
    bench.card.bus_master_changed(True)
    bench.run()
    assert bench.sent == [frame()]


def test_ipxe_the_turn_survives_te_off_but_not_a_reset(bench):
    bench.c_mode()
    bench.send(0, frame())
    bench.run()
    bench.write(0x37, 0x00, 1)
    bench.write(0x37, 0x0C, 1)
    bench.send(1, frame())
    bench.run()
    assert len(bench.sent) == 2
    bench.write(0x37, 0x10, 1)
    bench.run()
    bench.c_mode()
    bench.send(0, frame())
    bench.run()
    assert len(bench.sent) == 3


def test_a_reset_from_within_dma_ends_the_engines_work(bench):
    bench.c_mode()
    bench.send(0, frame())
    bench.slot.dma.on_access = lambda: bench.write(0x37, 0x10, 1)
    bench.run()
    assert bench.sent == []
    assert bench.tsd(0) == 0x2000


def test_5_2_a_frame_is_fetched_once_from_where_tsad_points(bench):
    bench.c_mode()
    bench.send(2, frame())
    bench.send(1, frame())
    bench.send(0, frame())
    bench.run()
    assert [(address, length) for address, length, _ in bench.slot.dma.reads] == [
        (0x1000, 60),
        (0x3000, 60),
        (0x5000, 60),
    ]
