"""The receiver: buffers, status, FCS, tags, overruns, checksum results (8254x 3.2, 9.3, 13.4.22, 13.4.47)."""

import zlib

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
from scapy.layers.l2 import LLC, SNAP, Dot1Q, Dot3, Ether
from scapy.packet import Raw

from motenet.datasheets import e1000 as sheet
from motenet.doors import FrameFacts

UPE, SECRC, LPE, SBP = (sheet.RCTL[name] for name in ("UPE", "SECRC", "LPE", "SBP"))
IPOFL, TUOFL, IPV6OFL = (sheet.RXCSUM[name] for name in ("IPOFL", "TUOFL", "IPV6OFL"))
IXSM, IPCS, TCPCS, VP = (sheet.RDESC_STATUS[name] for name in ("IXSM", "IPCS", "TCPCS", "VP"))
CE, IPE, TCPE = (sheet.RDESC_ERRORS[name] for name in ("CE", "IPE", "TCPE"))
RXT0, RXDMT0, RXO = (sheet.ICR[name] for name in ("RXT0", "RXDMT0", "RXO"))
DAMAGED = FrameFacts(damaged=True)
FRAME = bytes.fromhex("525400123456525400000001") + bytes(range(88))


def fcs(frame):
    return zlib.crc32(frame).to_bytes(4, "little")


def test_3_2_3_a_frame_with_its_fcs_and_status(bench):
    bench.receiver()
    bench.deliver(FRAME)
    data, status, errors, special, _ = bench.received()
    assert data == FRAME + fcs(FRAME)
    assert (status, errors, special) == (0x07, 0, 0)  # DD, EOP, IXSM
    assert bench.read(sheet.RDH) == 1
    assert bench.read(sheet.ICR) & RXT0


def test_13_4_22_secrc_strips_the_fcs(bench):
    bench.receiver(control=SECRC)
    bench.deliver(FRAME)
    assert bench.received()[0] == FRAME


def test_3_2_3_dd_is_stored_last_in_an_aligned_quadword_of_its_own(bench):
    """The card writes length, checksum, status, errors and special back in one access."""
    bench.receiver(control=SECRC)
    bench.deliver(FRAME)
    data, back = bench.slot.dma.writes
    assert data == (0x40000, FRAME)
    assert (back[0], back[1][:2], back[1][4:]) == (0x2008, b"\x64\x00", b"\x07\x00\x00\x00")


SIZES = [(0, 0, 2048), (1, 0, 1024), (2, 0, 512), (3, 0, 256), (1, 1, 16384), (2, 1, 8192), (3, 1, 4096)]


@pytest.mark.parametrize(("bsize", "bsex", "size"), SIZES)
def test_3_2_2_buffer_sizes(bench, bsize, bsex, size):
    """A frame longer than a buffer spans descriptors; only the last has EOP."""
    control = LPE | SECRC | UPE | sheet.RCTL.field("BSIZE").put(bsize) | (sheet.RCTL["BSEX"] if bsex else 0)
    bench.receiver(control=control)
    frame = FRAME[:14] + bytes(n % 251 for n in range(min(2 * size + 100, 16380) - 14))
    bench.deliver(frame)
    pieces, index = [], 0
    while True:
        data, status, *_ = bench.received(index)
        pieces.append(data)
        assert status & 1
        if status & 2:
            break
        assert len(data) == size
        index += 1
    assert b"".join(pieces) == frame
    assert bench.read(sheet.RDH) == index + 1 == -(-len(frame) // size)


def test_13_4_22_bsex_with_bsize_0_is_told(bench):
    bench.receiver(control=sheet.RCTL["BSEX"])
    assert bench.drops == {"reserved buffer size": 1}


def test_3_2_3_the_packet_checksum_is_in_the_first_descriptor(bench):
    """The complement of the sum from PCSS on, after stripping."""
    bench.write(sheet.RXCSUM, 14)
    bench.receiver(control=SECRC | sheet.RCTL.field("BSIZE").put(3))
    frame = FRAME[:14] + b"\x12\x34\x00\x01" + bytes(400)
    bench.deliver(frame)
    assert [bench.received(index)[4] for index in (0, 1)] == [0x1235 ^ 0xFFFF, 0]


def test_3_2_5_a_null_address_takes_no_data(bench):
    bench.receiver()
    bench.memory[0x2000:0x2010] = sheet.RDESC_CODEC.pack(0, 7, 8, 0x40, 0x22, 9)
    bench.deliver(FRAME)
    assert bench.memory[0x2000:0x2010] == sheet.RDESC_CODEC.pack(0, 7, 8, 0x41, 0x22, 9)
    assert bench.received(1)[0] == FRAME + fcs(FRAME)


def test_13_4_22_a_disabled_receiver_hears_nothing(bench):
    bench.receiver()
    bench.write(sheet.RCTL, 0)
    bench.deliver(FRAME)
    assert bench.read(sheet.TPR) == 0
    assert bench.slot.dma.writes == []


@pytest.mark.parametrize(("control", "longest"), [(0, 1518), (LPE, 16380)])
def test_13_7_15_the_longest_frame(bench, control, longest):
    """1522 bytes with FCS; 16384 with RCTL.LPE."""
    bench.receiver(control=control | SECRC | sheet.RCTL["BSEX"] | sheet.RCTL.field("BSIZE").put(1))
    bench.deliver(FRAME[:14] + bytes(longest - 14))
    bench.deliver(FRAME[:14] + bytes(longest - 13))
    assert len(bench.received(0)[0]) == longest
    assert bench.read(sheet.RDH) == 1
    assert bench.drops == {"bad frame": 1}
    assert (bench.read(sheet.ROC), bench.read(sheet.RLEC)) == (1, 1)


def test_3_2_1_bad_frames_are_stored_only_with_sbp(bench):
    bench.receiver()
    bench.deliver(FRAME, DAMAGED)
    assert (bench.read(sheet.RDH), bench.read(sheet.CRCERRS), bench.read(sheet.GPRC)) == (0, 1, 0)
    bench.write(sheet.RCTL, sheet.RCTL["EN"] | SBP)
    bench.deliver(FRAME, DAMAGED)
    data, status, errors, *_ = bench.received()
    assert (status & 3, errors) == (3, CE)
    assert data[:-4] == FRAME
    assert data[-4:] != fcs(FRAME)
    assert bench.read(sheet.GPRC) == 0


def test_13_7_33_frames_wait_in_the_packet_buffer_for_descriptors(bench):
    bench.receiver(control=SECRC, free=2)
    for number in range(4):
        bench.deliver(FRAME + bytes([number]))
    assert bench.read(sheet.RDH) == 2
    assert bench.read(sheet.RNBC) == 2
    assert bench.read(sheet.MPC) == 0
    bench.write(sheet.RDT, 10)
    bench.run()
    assert [bench.received(index)[0][-1] for index in range(4)] == [0, 1, 2, 3]


def test_13_7_5_a_full_packet_buffer_overruns(bench):
    """48 KiB by default (PBA); what does not fit is missed, counted, and RXO raised."""
    bench.receiver(control=SECRC, free=0)
    big = FRAME[:14] + bytes(1500)
    count = (48 << 10) // len(big)
    for _ in range(count):
        bench.deliver(big)
    assert bench.read(sheet.MPC) == 0
    assert not bench.read(sheet.ICR) & RXO
    bench.deliver(big)
    bench.deliver(big)
    assert bench.read(sheet.MPC) == 2
    assert bench.read(sheet.ICR) & RXO
    assert bench.read(sheet.GPRC) == count
    assert bench.read(sheet.TPR) == count + 2
    bench.write(sheet.RDT, 15)
    bench.run()
    bench.deliver(big)
    assert bench.read(sheet.MPC) == 0


def test_13_4_16_pba_sets_the_packet_buffers_size(bench):
    bench.write(sheet.PBA, 8)
    assert bench.read(sheet.PBA) == 8 | 56 << 16
    bench.receiver(free=0)
    for _ in range(6):
        bench.deliver(FRAME[:14] + bytes(1500))
    assert bench.read(sheet.MPC) == 1


def test_a_frame_that_ran_out_of_descriptors_goes_on_with_new_ones(bench):
    bench.receiver(control=SECRC | sheet.RCTL.field("BSIZE").put(3), free=2)
    frame = FRAME[:14] + bytes(range(256)) * 3
    bench.deliver(frame)
    assert [bench.received(index)[1] & 3 for index in range(4)] == [1, 1, 0, 0]
    bench.write(sheet.RDT, 8)
    bench.run()
    assert b"".join(bench.received(index)[0] for index in range(4)) == frame


@pytest.mark.parametrize(("fraction", "at"), [(0, 8), (1, 4), (2, 2)])
def test_3_2_7_3_rxdmt0_at_the_minimum_of_free_descriptors(bench, fraction, at):
    bench.receiver(16, sheet.RCTL.field("RDMTS").put(fraction))
    raised = []
    for _ in range(15):
        bench.deliver(FRAME)
        free = 15 - bench.read(sheet.RDH)
        if bench.read(sheet.ICR) & RXDMT0:
            raised.append(free)
    assert raised == [at]


def test_13_4_32_small_packets_are_detected(bench):
    bench.write(sheet.RSRPD, len(FRAME) + 3)
    bench.receiver()
    bench.deliver(FRAME)
    assert not bench.read(sheet.ICR) & sheet.ICR["SRPD"]
    bench.deliver(FRAME[:-1])
    assert bench.read(sheet.ICR) & sheet.ICR["SRPD"]


def test_command_bus_master_off_holds_frames_back(bench):
    bench.receiver()
    bench.card.bus_master_changed(False)
    bench.deliver(FRAME)
    assert bench.slot.dma.writes == []
    bench.card.bus_master_changed(True)
    bench.run()
    assert bench.received()[1] & 1


@pytest.mark.parametrize("access", range(1, 10))
@pytest.mark.parametrize("stop", ["disable", "bus"])
def test_13_4_22_work_interrupted_between_any_two_dmas_is_taken_up_where_it_was(bench, access, stop):
    """What the packet buffer holds stays: no frame is lost, none stored twice."""
    control = SECRC | sheet.RCTL.field("BSIZE").put(3)
    bench.receiver(control=control)
    countdown = [access]

    def interrupt():
        countdown[0] -= 1
        if countdown[0] == 0 and stop == "disable":
            bench.write(sheet.RCTL, control)
        elif countdown[0] == 0:
            bench.card.bus_master_changed(False)
            bench.card.bus_master_changed(True)

    bench.slot.dma.on_access = interrupt
    for frame in (FRAME + bytes(400), FRAME):
        bench.deliver(frame)
        bench.write(sheet.RCTL, sheet.RCTL["EN"] | control)
        bench.run()
    assert bench.read(sheet.RDH) == 3
    assert b"".join(bench.received(index)[0] for index in range(2)) == FRAME + bytes(400)
    assert [bench.received(index)[1] & 3 for index in range(3)] == [1, 3, 3]
    assert bench.received(2)[0] == FRAME


@pytest.mark.parametrize("access", range(1, 4))
def test_a_reset_from_within_dma_ends_the_engines_work(bench, access):
    bench.receiver()
    countdown = [access]

    def disable():
        countdown[0] -= 1
        if countdown[0] == 0:
            bench.write(sheet.CTRL, sheet.CTRL["RST"])

    bench.slot.dma.on_access = disable
    bench.deliver(FRAME)
    assert len(bench.slot.dma.reads) + len(bench.slot.dma.writes) == access
    assert (bench.read(sheet.RDH), bench.read(sheet.ICR)) == (0, 0)


@pytest.mark.parametrize(("length", "head", "tail"), [(0, 0, 5), (128, 0, 8), (128, 0xFFFF, 0)])
def test_a_bogus_ring_is_told_and_takes_nothing(bench, length, head, tail):
    bench.receiver()
    for register, value in ((sheet.RDLEN, length), (sheet.RDH, head), (sheet.RDT, tail)):
        bench.write(register, value)
    bench.deliver(FRAME)
    assert bench.drops == {"bad receive ring": 1}
    assert bench.slot.dma.writes == []


# --- VLAN (9.3)


def tagged(frame=FRAME, tag=0x6123):
    return frame[:12] + b"\x81\x00" + tag.to_bytes(2, "big") + frame[12:]


def test_9_3_vme_strips_the_tag_into_the_descriptor(bench):
    bench.write(sheet.VET, 0x8100)
    bench.write(sheet.CTRL, sheet.CTRL["SLU"] | sheet.CTRL["VME"])
    bench.receiver(control=SECRC)
    bench.deliver(tagged())
    bench.deliver(FRAME)
    data, status, _, special, _ = bench.received()
    assert (data, status & VP, special) == (FRAME, VP, 0x6123)
    assert (bench.received(1)[0], bench.received(1)[1] & VP) == (FRAME, 0)


def test_9_3_without_vme_the_tag_stays(bench):
    bench.write(sheet.VET, 0x8100)
    bench.receiver(control=SECRC)
    bench.deliver(tagged())
    data, status, _, special, _ = bench.received()
    assert (data, status & VP, special) == (tagged(), 0, 0)


# --- checksum results (3.2.9)

ETHER = Ether(dst="52:54:00:12:34:56", src="52:54:00:00:00:01")
IPV4 = IP(src="10.0.0.1", dst="10.0.0.2")
IPV6 = IPv6(src="fd00::1", dst="fd00::2")
SNAP_LLC = Dot3(dst="52:54:00:12:34:56", src="52:54:00:00:00:01") / LLC() / SNAP(code=0x0800)


def checked(bench, packet, enabled=IPOFL | TUOFL, control=SECRC):
    """Deliver a packet, padded to 60 bytes. Returns the checksum bits of status and errors."""
    bench.write(sheet.VET, 0x8100)
    bench.write(sheet.RXCSUM, enabled)
    bench.receiver(control=control)
    bench.deliver(bytes(packet).ljust(60, b"\0"))
    _, status, errors, *_ = bench.received()
    assert status & 3 == 3
    return status & (IXSM | IPCS | TCPCS), errors


GOOD = {
    "TCP": (ETHER / IPV4 / TCP() / b"odd", IPCS | TCPCS),
    "TCP, long": (ETHER / IPV4 / TCP() / (b"\xff" * 1460), IPCS | TCPCS),
    "TCP options": (ETHER / IPV4 / TCP(options=[("MSS", 1460)]) / b"even", IPCS | TCPCS),
    "IP options": (ETHER / IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x01\x01\x01\x00") / TCP(), IPCS | TCPCS),
    "UDP": (ETHER / IPV4 / UDP() / b"x", IPCS | TCPCS),
    "UDP without sum": (ETHER / IPV4 / UDP(chksum=0) / b"x", IPCS),
    "ICMP": (ETHER / IPV4 / ICMP(), IPCS),
    "fragment": (ETHER / IP(src="10.0.0.1", dst="10.0.0.2", flags="MF") / TCP(), IPCS),
    "last fragment": (ETHER / IP(src="10.0.0.1", dst="10.0.0.2", frag=100) / UDP() / b"x", IPCS),
    "SNAP": (SNAP_LLC / IPV4 / UDP() / b"x", IPCS | TCPCS),
    "tagged": (ETHER / Dot1Q(vlan=5) / IPV4 / TCP() / b"x", IPCS | TCPCS),
    "ARP": (ETHER / Raw(b"\0\1\x08\0\6\4\0\1"), IXSM),
    "IPv6": (ETHER / IPV6 / TCP() / b"x", IXSM),
    "cut short": (Ether(bytes(ETHER / IPV4 / TCP() / (b"x" * 60))[:70]), IPCS),
}


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("control", [0, SECRC])
def test_3_2_9_what_is_verified(bench, kind, control):
    packet, status = GOOD[kind]
    assert checked(bench, packet, control=control) == (status, 0)


@pytest.mark.parametrize("start", [0, 13, 14, 34, 60])
def test_3_2_9_the_result_does_not_depend_on_pcss(bench, start):
    assert checked(bench, GOOD["TCP"][0], IPOFL | TUOFL | start) == (IPCS | TCPCS, 0)


@pytest.mark.parametrize(("at", "errors"), [(24, IPE), (50, TCPE), (14 + 20 + 20, TCPE), (26, IPE | TCPE)])
def test_3_2_3_2_wrong_sums_are_told(bench, at, errors):
    raw = bytearray(bytes(ETHER / IPV4 / TCP() / b"payload"))
    raw[at] ^= 0x10
    assert checked(bench, raw) == (IPCS | TCPCS, errors)


@pytest.mark.parametrize(
    ("enabled", "status"), [(0, IXSM), (IPOFL, IPCS), (TUOFL, TCPCS), (IPOFL | TUOFL, IPCS | TCPCS)]
)
def test_13_4_47_what_is_not_enabled_is_not_verified(bench, enabled, status):
    """Linux e1000 sets TUOFL alone and relies on TCPCS, though 3.2.9.3 asks for IPOFL too."""
    assert checked(bench, GOOD["TCP"][0], enabled) == (status, 0)


EXTENDED = [ETHER / IPV6 / TCP() / b"odd", ETHER / IPV6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP() / b"x"]


@pytest.mark.parametrize("packet", EXTENDED)
def test_3_2_9_4_ipv6_with_its_extension_headers(bench, packet):
    assert checked(bench, packet, TUOFL | IPV6OFL) == (TCPCS, 0)
    raw = bytearray(bytes(packet))
    raw[-1] ^= 1
    assert checked(bench, raw, TUOFL | IPV6OFL) == (TCPCS, TCPE)


def test_a_sender_that_left_the_checksum_to_the_card_is_completed(bench):
    wanted = bytes(ETHER / IPV4 / TCP() / b"payload")
    raw = bytearray(wanted)
    pseudo = 6 + len(raw) - 34 + sum(raw[26 + n] << 8 | raw[27 + n] for n in range(0, 8, 2))
    raw[50:52] = (pseudo % 0xFFFF).to_bytes(2, "big")
    bench.receiver(control=SECRC)
    bench.deliver(bytes(raw), FrameFacts(checksum_start=34, checksum_offset=16))
    assert bench.received()[0] == wanted
