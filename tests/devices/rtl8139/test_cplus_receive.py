"""C+ mode's reception: descriptors, scatter, results, checksums, VLAN, counters (RTL8139C+ 6, 9)."""

import zlib
from struct import pack, unpack_from

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.doors import FrameFacts

OURS, OTHER, ALL = bytes.fromhex("525400123456"), bytes.fromhex("020000000001"), b"\xff" * 6
GROUP = bytes.fromhex("01005e000001")


def frame(size=60, to=OURS):
    return (to + OTHER + b"\x12\x34" + bytes(at & 0xFF for at in range(size)))[:size]


def fcs(data):
    return data + pack("<I", zlib.crc32(data))


@pytest.mark.parametrize(("to", "kind"), [(OURS, 0x02000000), (ALL, 0x01000000), (GROUP, 0x04000000), (OTHER, 0)])
def test_9_a_frame_in_one_buffer_with_fs_ls_length_and_kind(plus, to, kind):
    plus.cplus()
    plus.write(0x08, 0xFFFFFFFF, 4)
    plus.buffers(1536, 1536)
    plus.deliver(frame(100, to))
    assert plus.result(0) == (0x30000068 | kind, 0)
    assert plus.buffer(0, 104) == fcs(frame(100, to))
    assert plus.isr() == 0x0001
    plus.deliver(frame(60, to))
    assert plus.result(1) == (0x70000040 | kind, 0), "EOR stays"


def test_9_own_is_published_last_alone_and_aligned(plus):
    plus.cplus()
    plus.buffers(1536)
    plus.deliver(frame())
    assert plus.slot.dma.writes == [
        (0x50000, fcs(frame())), (0x41004, bytes(4)), (0x41000, pack("<I", 0x72000040)),
    ]  # fmt: skip
    assert plus.slot.dma.reads == [(0x41000, 16, "RXDESC")], "fetched once"


def test_9_scatter_over_several_descriptors(plus):
    plus.cplus()
    plus.buffers(40, 0, 30, 100, 100)
    plus.deliver(frame(100))
    assert [plus.result(index)[0] for index in range(4)] == [0x20000028, 0x00000000, 0x0000001E, 0x12000068]
    whole = b"".join(plus.buffer(index, size) for index, size in ((0, 40), (2, 30), (3, 34)))
    assert whole == fcs(frame(100))
    plus.deliver(frame(60))
    assert plus.result(4)[0] == 0x72000040
    owns = [address for address, data in plus.slot.dma.writes if len(data) == 4 and not address & 0xF]
    assert owns == [0x41000, 0x41010, 0x41020, 0x41030, 0x41040]


def test_9_eor_and_64_descriptors_end_the_ring(plus):
    plus.cplus()
    for end in (3, 64):
        plus.write(0xE4, 0x41000, 4)
        for number in range(end + 1):
            sizes = [128] * end
            plus.buffers(*sizes) if number in (0, end) else None
            if end == 64:
                plus.memory[0x41000 + 63 * 16 + 3] &= 0xBF  # without EOR
            plus.deliver(frame(60 + number))
        assert plus.result(0)[0] & 0x1FFF == 64 + end


def test_6_no_descriptor_is_rdu_a_missed_frame_and_bovf_in_the_next(plus):
    plus.cplus()
    plus.buffers(100, 100)
    plus.deliver(frame(300))
    assert (plus.isr(), plus.read(0x4C, 4)) == (0x0010, 1)
    assert plus.result(0)[0] == 0x80000064, "nothing of it is stored"
    plus.deliver(frame(60))
    assert plus.result(0)[0] == 0x32800040
    plus.deliver(frame(60))
    assert plus.result(1)[0] == 0x72000040
    plus.deliver(frame(60))
    assert plus.isr() == 0x0011
    assert plus.drops == {"no receive descriptor": 2}


@pytest.mark.parametrize(
    ("rcr", "size", "damaged", "bits"),
    [(0x1F, 50, False, 0x00180000), (0x2F, 60, True, 0x00140000), (0x3F, 50, True, 0x001C0000),
     (0x2F, 4100, False, 0x00300000)],
)  # fmt: skip
def test_9_errors_and_their_summary(plus, rcr, size, damaged, bits):
    plus.cplus(rcr=rcr)
    plus.buffers(8191)
    plus.deliver(frame(size), FrameFacts(damaged=damaged))
    assert plus.result(0)[0] == 0x72000000 | bits | size + 4
    assert plus.isr() == (0x0002 if damaged else 0x0001)


def packet(layer, tag=None):
    base = Ether(dst="52:54:00:12:34:56", src="02:00:00:00:00:01")
    return bytes(base / Dot1Q(vlan=tag) / layer if tag else base / layer)


BASE = IP(src="10.0.0.2", dst="10.0.0.1")
GOOD_TCP, GOOD_UDP = packet(BASE / TCP() / Raw(bytes(101))), packet(BASE / UDP() / Raw(b"x" * 100))


def spoilt(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (GOOD_TCP, 0x10000), (spoilt(GOOD_TCP, 60), 0x12000), (spoilt(GOOD_TCP, 24), 0x18000),
        (spoilt(spoilt(GOOD_TCP, 60), 22), 0x1A000),
        (GOOD_UDP, 0x20000), (spoilt(GOOD_UDP, 60), 0x24000), (spoilt(GOOD_UDP, 24), 0x28000),
        (packet(BASE / UDP(chksum=0) / Raw(b"y" * 30)), 0x20000),
        (packet(BASE / TCP() / Raw(bytes(60)), tag=5), 0x10000),
        (packet(IP(src="1.2.3.4", dst="5.6.7.8", proto=47) / Raw(bytes(60))), 0x30000),
        (packet(IP(src="1.2.3.4", dst="5.6.7.8", proto=6, frag=3) / Raw(bytes(60))), 0x30000),
        (packet(IP(src="1.2.3.4", dst="5.6.7.8", options=b"\x01" * 4) / TCP() / Raw(bytes(60))), 0x10000),
        (packet(IPv6() / TCP() / Raw(bytes(60))), 0),
        (frame(), 0), (GOOD_TCP[:40].ljust(60, b"\0"), 0), (packet(BASE / Raw(bytes(60))).replace(b"E", b"D", 1), 0),
    ],
)  # fmt: skip
def test_9_checksum_results_by_protocol(plus, data, bits):
    plus.cplus(0x0023)
    plus.buffers(1536, 1536)
    plus.deliver(data)
    assert plus.result(0)[0] == 0x32000000 | bits | len(data) + 4
    plus.write(0xE0, 0x0003, 2)
    plus.deliver(data)
    assert plus.result(1)[0] == 0x72000000 | len(data) + 4, "without RXCHKSUM nothing is said"


def test_9_padding_behind_the_ip_packet_is_not_summed(plus):
    plus.cplus(0x0023)
    plus.buffers(1536)
    plus.deliver(packet(BASE / TCP()).ljust(60, b"\xaa"))
    assert plus.result(0)[0] == 0x72010040


def test_9_vlan_tags_are_stripped_into_the_second_word(plus):
    """Its first byte lowest: Linux swaps the word."""
    plus.cplus(0x0043)
    plus.buffers(1536, 1536, 1536)
    tagged = OURS + OTHER + bytes.fromhex("8100 6abc 1234") + bytes(60)
    plus.deliver(tagged)
    assert plus.result(0) == (0x3200004E, 0x0001BC6A)
    assert plus.buffer(0, 78) == fcs(tagged)[:12] + fcs(tagged)[16:]
    plus.deliver(frame())
    assert plus.result(1)[1] == 0
    plus.write(0xE0, 0x0003, 2)
    plus.deliver(tagged)
    assert plus.result(2) == (0x72000052, 0)


@pytest.mark.parametrize(("mode", "high"), [(0x0003, 0), (0x0013, 1)])
def test_addresses_have_32_bits_unless_cpcr_dac(plus, mode, high):
    plus.cplus(mode)
    plus.write(0xE8, 1, 4)
    plus.deliver(frame())
    assert plus.slot.dma.reads == [(high << 32 | 0x41000, 16, "RXDESC")]
    plus.write(0xE8, 0, 4)
    plus.memory[0x41000:0x41010] = pack("<IIQ", 0xC0000600, 0, 0x100050000)
    plus.deliver(frame())
    assert (high << 32 | 0x50000) in [address for address, _ in plus.slot.dma.writes]


def test_6_33_ring_addresses_come_after_cpcr(plus):
    """Written before, they are lost (Linux 8139cp): RDSAR is refused, TNPDS is not there yet."""
    plus.write(0xE4, 0x41000, 4)
    plus.write(0x20, 0x40000, 4)
    plus.write(0xE0, 0x0003, 2)
    assert (plus.read(0xE4, 4), plus.read(0x20, 4)) == (0, 0)
    assert plus.drops == {"write refused": 1}
    plus.write(0x20, 0x40000, 4)
    plus.write(0xE0, 0x0023, 2)
    assert plus.read(0x20, 4) == 0x40000, "another mode bit changes nothing"
    plus.write(0xE0, 0x0000, 2)
    plus.write(0xE0, 0x0003, 2)
    assert plus.read(0x20, 4) == 0


def test_a_cplus_card_receives_in_c_mode_until_cprx(plus):
    plus.c_mode()
    plus.deliver(frame())
    assert plus.at_ring(0) == (0x4001, 64)


def test_what_the_fifo_holds_goes_on_in_cplus_mode(plus):
    """Nobody moves CAPR there."""
    plus.c_mode()
    for size in (1514, 1514, 1514, 1514, 1514, 700):
        plus.deliver(frame(size))
    assert plus.card.receiver.held == 704
    plus.write(0xE0, 0x0003, 2)
    plus.write(0xE4, 0x41000, 4)
    plus.write(0xE8, 0, 4)
    plus.buffers(1536, 1536)
    plus.run()
    plus.deliver(frame(800))
    assert [plus.result(index)[0] & 0xFFF for index in (0, 1)] == [704, 804]


def test_rdsar_written_again_starts_at_the_first_descriptor(plus):
    plus.cplus()
    plus.buffers(1536, 1536)
    plus.deliver(frame())
    plus.buffers(1536, 1536)
    plus.write(0xE4, 0x41000, 4)
    plus.deliver(frame(99))
    assert plus.result(0)[0] == 0x32000067
    plus.buffers(1536, 1536)
    plus.write(0x37, 0x04, 1)
    plus.write(0x37, 0x0C, 1)
    plus.deliver(frame(98))
    assert plus.result(0)[0] == 0x32000066


COUNTERS = "<QQQIHHIIQQIHH"


def dump(plus, at=0x70000):
    plus.write(0x14, 0, 4)
    plus.write(0x10, at | 8, 4)
    assert plus.read(0x10, 4) == at | 8
    assert (at, b"") not in plus.slot.dma.writes
    plus.run()
    assert plus.read(0x10, 4) == at
    return unpack_from(COUNTERS, plus.memory, at)


def test_6_the_tally_counters_by_dma(plus):
    """TxOk, RxOk, TxEr, RxEr, MissPkt, FAE, Tx1Col, TxMCol, RxOkPhy, RxOkBrd, RxOkMul, TxAbt, TxUndrn."""
    plus.cplus()
    plus.write(0x08, 0xFFFFFFFF, 4)
    plus.buffers(1536, 1536, 1536, 1536, 1536, 1536, 1536)
    for to, count in ((OURS, 1), (ALL, 2), (GROUP, 3), (OTHER, 1)):
        for _ in range(count):
            plus.deliver(frame(60, to))
    plus.deliver(frame())
    plus.deliver(frame(), FrameFacts(damaged=True))
    for _ in range(3):
        plus.give(frame())
    plus.card.jam = 0
    plus.poll()
    plus.card.jam = 1
    plus.give(frame())
    plus.poll()
    plus.plug(False)
    plus.give(frame())
    plus.poll()
    expected = (3, 7, 2, 2, 1, 0, 0, 0, 1, 2, 3, 1, 0)
    assert dump(plus) == expected
    assert [data for address, data in plus.slot.dma.writes if address == 0x70000] == [pack(COUNTERS, *expected)]
    plus.write(0x37, 0x10, 1)
    plus.run()
    plus.cplus()
    assert dump(plus, 0x70040) == expected, "a software reset leaves them (Linux r8169 knows of the family)"
    plus.card.reset()
    plus.cplus()
    assert dump(plus) == (0,) * 13, "RST# does not"


def test_6_counters_wrap_at_their_width(plus):
    plus.cplus()
    plus.card.tally.counts.update(miss_pkt=0x10002, rx_er=1 << 32, tx_ok=2**64 + 5, rx_ok_mul=2**33 + 7)
    assert dump(plus) == (5, 0, 0, 0, 2, 0, 0, 0, 0, 0, 7, 0, 0)


def test_a_reset_before_the_dump_prevents_it_but_not_the_next(plus):
    plus.cplus()
    plus.write(0x10, 0x70008, 4)
    plus.write(0x37, 0x10, 1)
    plus.run()
    assert plus.slot.dma.writes == []
    plus.cplus()
    plus.write(0x10, 0x70008, 4)
    plus.write(0x37, 0x10, 1)
    plus.cplus()
    plus.write(0x10, 0x70048, 4)
    plus.run()
    assert [address for address, _ in plus.slot.dma.writes] == [0x70040]


def test_a_dump_without_the_bus_waits_for_it(plus):
    """DTCCR.CMD reads 1 until the counters are in memory."""
    plus.cplus()
    plus.write(0x10, 0x70008, 4)
    plus.card.bus_master_changed(False)
    plus.run(10**9)
    assert (plus.read(0x10, 4), plus.slot.dma.writes) == (0x70008, [])
    plus.card.bus_master_changed(True)
    plus.run()
    assert plus.read(0x10, 4) == 0x70000
    assert [address for address, _ in plus.slot.dma.writes] == [0x70000]
