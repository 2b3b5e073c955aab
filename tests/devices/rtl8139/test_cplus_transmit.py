"""C+ mode's transmission: rings, priorities, checksums, large send, VLAN (RTL8139C+ 6, 9)."""

from struct import pack

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

ETHER = Ether(dst="02:00:00:00:00:01", src="52:54:00:12:34:56")
BASE = IP(src="10.0.0.1", dst="10.0.0.2", id=100)
EOR, FS, LS = 0x40000000, 0x20000000, 0x10000000
OWN = 0x80000000
ONE = OWN | FS | LS


def frame(size=60, mark=0):
    return (bytes.fromhex("020000000001525400123456 1234") + bytes([mark]) * size)[:size]


def test_9_a_packet_of_one_descriptor(plus):
    plus.cplus()
    at = plus.give(frame(100))
    plus.write(0xD9, 0x40, 1)
    assert plus.slot.dma.reads == [], "no DMA within the register access"
    plus.run()
    assert plus.sent == [frame(100)]
    assert plus.dword(at) == 0x30000064
    assert plus.isr() == 0x0084, "TOK, and TDU: the next descriptor is not the card's"
    assert plus.slot.dma.writes == [(at, pack("<I", 0x30000064))]
    assert plus.read(0x82, 2) == at & 0xFFFF


def filled(data):
    return data.ljust(60, b"\0")


def test_cplus_mode_fills_short_frames_up_unless_software_makes_the_fcs(plus):
    """Linux 8139cp and iPXE rely on it: they give ARP requests of 42 bytes."""
    plus.cplus()
    plus.give(frame(42))
    plus.give(frame(30), vlan=0x00021234)
    assert [len(data) for data in plus.poll()] == [60, 60]
    plus.write(0x40, 0x00010000, 4)
    plus.give(frame(42))
    assert plus.poll() == [frame(38)]


def test_9_pieces_from_fs_to_ls_are_one_packet(plus):
    plus.cplus()
    data = frame(100)
    first = plus.give(data[:30], OWN | FS)
    plus.give(b"", OWN)
    assert plus.poll() == []
    assert (plus.dword(first), plus.isr()) == (0x2000001E, 0x0080)
    plus.give(data[30:], OWN | LS)
    assert plus.poll() == [data]


def test_9_segments_out_of_order_are_told_and_the_last_packet_that_begins_counts(plus):
    plus.cplus()
    plus.give(b"lost", OWN | FS)
    plus.give(frame(80)[:40], OWN | FS)
    plus.give(frame(80)[40:], OWN | LS)
    plus.give(frame(70), OWN | LS)
    assert plus.poll() == [frame(80), frame(70)]
    assert plus.drops == {"segments out of order": 2}


def test_9_eor_and_64_descriptors_end_the_ring(plus):
    plus.cplus()
    for number in range(3):
        plus.give(frame(60, number), ONE | (EOR if number == 2 else 0))
    plus.give(frame(60, 9), OWN | FS)  # over the first, which has been sent by then
    plus.memory[0x40000:0x40010] = pack("<IIQ", ONE | 60, 0, 0x60000)
    sent = plus.poll()
    assert len(sent) == 3
    assert plus.card.rings.rings[0].index == 0
    plus.write(0x20, 0x40000, 4)
    plus.tx_index[0] = 0
    for number in range(64):
        plus.give(frame(60, number))
    assert len(plus.poll()) == 64
    plus.tx_index[0] = 0
    plus.give(frame(60, 77))
    assert plus.poll() == [frame(60, 77)]


def test_6_tdokladdr_names_the_descriptor_whose_dma_is_done(plus):
    plus.cplus()
    plus.give(frame())
    plus.give(frame())
    plus.poll()
    assert plus.read(0x82, 2) == 0x0010


def test_6_the_high_priority_ring_goes_first(plus):
    plus.cplus()
    for number in range(2):
        plus.give(frame(60, number))
        plus.give(frame(60, 0x80 + number), high=1)
    assert [data[14] for data in plus.poll(0xC0)] == [0x80, 0x81, 0, 1]


def test_6_each_poll_bit_is_for_its_own_ring(plus):
    plus.cplus()
    plus.give(frame(60, 1))
    plus.give(frame(60, 2), high=1)
    assert [data[14] for data in plus.poll(0x80)] == [2]
    assert [data[14] for data in plus.poll(0x40)] == [1]


def test_high_priority_does_not_break_into_a_packet(plus):
    """The rings gather each for itself; a packet goes out whole."""
    plus.cplus()
    data = frame(100)
    plus.give(data[:50], OWN | FS)
    plus.poll()
    plus.give(frame(60, 7), high=1)
    assert plus.poll(0x80) == [frame(60, 7)]
    plus.give(data[50:], OWN | LS)
    assert plus.poll() == [data]


def test_6_fswint_sets_swint(plus):
    plus.write(0xD9, 0x01, 1)
    assert plus.isr() == 0x0100


@pytest.mark.parametrize(("cr", "cpcr"), [(0x08, 0x0003), (0x0C, 0x0002)])
def test_tppoll_outside_cplus_mode_is_ignored_and_told(plus, cr, cpcr):
    plus.write(0xE0, cpcr, 2)
    plus.write(0x37, cr, 1)
    plus.write(0xD9, 0x40, 1)
    plus.run()
    assert plus.slot.dma.reads == []
    assert plus.drops == {"TPPOLL ignored": 1}


def plain(packet):
    """The frame as a driver gives it: with rubbish where the card is to put checksums."""
    copy = Ether(bytes(packet))
    copy[IP].chksum = 0xDEAD
    copy[IP].payload.chksum = 0xBEEF
    return bytes(copy)


TCP4 = ETHER / BASE / TCP(sport=1, dport=2) / Raw(b"odd number of bytes"[:17])
UDP4 = ETHER / BASE / UDP(sport=1, dport=2) / Raw(b"even")


@pytest.mark.parametrize(
    ("packet", "asked", "made"),
    [
        (TCP4, 0x00050000, (True, True)), (TCP4, 0x00040000, (True, False)), (TCP4, 0x00010000, (False, True)),
        (TCP4, 0x00020000, (False, False)), (UDP4, 0x00060000, (True, True)), (UDP4, 0x00020000, (False, True)),
        (UDP4, 0x00010000, (False, False)), (TCP4, 0x00070000, (True, True)),
        (ETHER / Dot1Q(vlan=3) / BASE / TCP() / Raw(b"tagged"), 0x00050000, (True, True)),
        (ETHER / IP(src="1.2.3.4", dst="4.3.2.1", options=b"\1\1\1\1") / TCP(), 0x00050000, (True, True)),
    ],
)  # fmt: skip
def test_9_checksums_that_are_asked_for_are_made(plus, packet, asked, made):
    plus.cplus()
    plus.give(plain(packet), ONE | asked)
    (sent,) = plus.poll()
    wanted = Ether(bytes(packet))
    if not made[0]:
        wanted[IP].chksum = 0xDEAD
    if not made[1]:
        wanted[IP].payload.chksum = 0xBEEF
    assert sent == filled(bytes(wanted))


def test_9_a_udp_checksum_of_zero_is_sent_as_ffff(plus):
    """RFC 768: zero says that there is none."""
    plus.cplus()
    bare = bytes(ETHER / BASE / UDP(sport=1, dport=2, chksum=0) / Raw(b"\0\0"))
    summed = Ether(bytes(ETHER / BASE / UDP(sport=1, dport=2) / Raw(b"\0\0")))[UDP].chksum
    plus.give(bare[:-2] + pack(">H", summed), ONE | 0x00020000)
    (sent,) = plus.poll()
    assert sent[40:42] == b"\xff\xff"


@pytest.mark.parametrize("data", [frame(60), bytes(TCP4)[:30], b"", bytes(TCP4)[:36], bytes(14)])
def test_9_what_is_no_ipv4_packet_goes_out_as_it_is(plus, data):
    plus.cplus()
    plus.give(data, ONE | 0x00070000)
    assert plus.poll() == ([filled(data)] if len(data) >= 14 else [])


def large(payload, flags="PA", **ip):
    return (
        ETHER / IP(src="10.0.0.1", dst="10.0.0.2", id=0xFFFE, **ip) / TCP(seq=2**32 - 1000, flags=flags) / Raw(payload)
    )


def cut(packet, mss):
    """The segments that software would send."""
    payload, pieces = bytes(packet[Raw]), []
    for number, start in enumerate(range(0, len(payload), mss)):
        one = Ether(bytes(packet))
        one[Raw].load = payload[start : start + mss]
        one[IP].id = packet[IP].id + number & 0xFFFF
        one[TCP].seq = packet[TCP].seq + start & 0xFFFFFFFF
        if start + mss < len(payload):
            one[TCP].flags = str(one[TCP].flags).replace("P", "").replace("F", "")
        del one[IP].len, one[IP].chksum, one[TCP].chksum
        pieces.append(filled(bytes(one)))
    return pieces


@pytest.mark.parametrize(
    ("mss", "payload"),
    [(1, 1), (1, 130), (100, 1460), (535, 4000), (1448, 4000), (1460, 1460), (1460, 4000), (2047, 4000), (2047, 1)],
)
def test_9_large_send_cuts_what_software_would_cut(plus, mss, payload):
    plus.cplus()
    packet = large(bytes(at * 7 & 0xFF for at in range(payload)), "FPA")
    data = plain(packet)
    plus.give(data[:54], OWN | FS | 0x08000000 | mss << 16)
    at = plus.give(data[54:], OWN | LS | 0x08000000 | mss << 16, at=0x70000)
    assert plus.poll() == cut(packet, mss)
    assert plus.dword(at) & 0xFFFF0000 == LS, "MSS's bits are not taken for errors"
    assert plus.isr() & 0x000C == 0x0004


def test_9_large_send_of_64_kib_and_with_a_vlan_tag_in_each_segment(plus):
    plus.cplus()
    packet = large(bytes(60_000))
    data = plain(packet)
    plus.give(data[:30_000], OWN | FS, at=0x80000)
    plus.give(data[30_000:], OWN | LS | 0x08000000 | 1460 << 16, 0x0002BC6A, at=0x90000)
    sent = plus.poll()
    assert [one[:12] + one[16:] for one in sent] == cut(packet, 1460)
    assert {one[12:16] for one in sent} == {bytes.fromhex("81006abc")}


@pytest.mark.parametrize("size", [60, 100])
def test_9_a_vlan_tag_is_inserted_after_the_checksums(plus, size):
    """TAGC; the tag's first byte lies lowest."""
    plus.cplus()
    plus.give(frame(size), ONE, 0x00021234)
    plus.give(frame(size), ONE, 0x00011234)
    assert plus.poll() == [frame(size)[:12] + bytes.fromhex("81003412") + frame(size)[12:], frame(size)]


def test_9_errors_are_reported_in_the_last_descriptor(plus):
    plus.cplus()
    plus.card.jam = 1
    first, second = plus.give(frame(), OWN | FS), plus.give(frame(), OWN | LS)
    plus.poll()
    assert (plus.dword(first), plus.dword(second)) == (0x2000003C, 0x109F003C)
    assert plus.isr() == 0x0088
    plus.plug(False)
    plus.isr()
    third = plus.give(frame())
    plus.poll()
    assert plus.dword(third) == 0x30A0003C
    assert plus.isr() == 0x0088


def test_own_goes_back_when_the_packet_has_left_the_cable(new_bench):
    plus = new_bench("C+", "datasheet")
    plus.cplus()
    first, second = plus.give(frame(1514)), plus.give(frame(60))
    plus.poll()
    plus.run(8 * 1538 * 10 - 1)
    assert (plus.dword(first) >> 31, plus.isr()) == (1, 0)
    plus.run(1)
    assert (plus.dword(first) >> 31, plus.dword(second) >> 31, plus.isr()) == (0, 1, 0x0004)
    plus.run(8 * 84 * 10)
    assert (plus.dword(second) >> 31, plus.isr()) == (0, 0x0084)


def test_a_poll_before_the_bus_is_ours_is_kept(plus):
    plus.cplus()
    plus.card.bus_master_changed(False)
    plus.give(frame())
    assert plus.poll() == []
    plus.card.bus_master_changed(True)
    plus.run()
    assert plus.sent == [frame()]


def test_a_descriptor_goes_back_though_the_bus_was_lost_while_its_frame_was_on_the_cable(new_bench):
    """PCI 6.2.2: the card may not write without the bus; the driver would wait for OWN for ever."""
    plus = new_bench("C+", "datasheet")
    plus.cplus()
    first, second = plus.give(frame(1514)), plus.give(frame(60))
    plus.poll()
    plus.card.bus_master_changed(False)
    writes = len(plus.slot.dma.writes)
    plus.run(10**9)
    assert (len(plus.slot.dma.writes), plus.isr()) == (writes, 0)
    plus.card.bus_master_changed(True)
    plus.run(10**6)
    assert (plus.dword(first) >> 31, plus.dword(second) >> 31, plus.isr()) == (0, 0, 0x0084)
    assert plus.sent == [frame(1514), frame(60)]


def test_te_off_ends_it_and_a_new_start_is_at_the_first_descriptor(new_bench):
    plus = new_bench("C+", "datasheet")
    plus.cplus()
    plus.give(frame(1514))
    plus.give(frame(1514))
    plus.poll()
    before = len(plus.slot.dma.writes)
    plus.write(0x37, 0x00, 1)
    plus.run(10**9)
    assert len(plus.slot.dma.writes) == before, "nothing is written into memory that the driver frees"
    plus.write(0x37, 0x0C, 1)
    plus.tx_index[0] = 0
    plus.give(frame(60, 5))
    assert plus.poll() == [frame(60, 5)]


def test_a_reset_from_within_dma_ends_the_engines_work(plus):
    plus.cplus()
    plus.give(frame())
    plus.slot.dma.on_access = lambda: plus.write(0x37, 0x10, 1)
    plus.poll()
    plus.run(10**9)
    assert (plus.sent, plus.slot.dma.writes) == ([], [])


def test_transmit_addresses_have_32_bits_unless_cpcr_dac(plus):
    for mode, high in ((0x0003, 0), (0x0013, 1)):
        plus.cplus(mode)
        plus.write(0x24, 1, 4)
        plus.slot.dma.reads.clear()
        plus.poll()
        assert plus.slot.dma.reads[0] == (high << 32 | 0x40000, 16, "TXDESC")
        plus.write(0x37, 0x08, 1)


def test_cplus_loopback_comes_back_into_the_receive_ring(plus):
    plus.cplus()
    plus.write(0x40, 0x00060000, 4)
    plus.buffers(1536)
    plus.give(frame(100))
    assert plus.poll() == []
    assert plus.result(0)[0] == 0x70000068
    assert plus.buffer(0, 100) == frame(100)
