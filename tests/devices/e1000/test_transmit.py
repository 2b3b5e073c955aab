"""The transmitter: descriptors, checksums, write-back, interrupts, tags (8254x 3.3, 3.4, 3.6, 9.2)."""

import zlib

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from motenet.core.checksum import pseudo_header_sum
from motenet.datasheets import e1000 as sheet

TXDW, TXQE = sheet.ICR["TXDW"], sheet.ICR["TXQE"]


def with_partial_sum(packet):
    """The packet as a driver leaves it (IP checksum 0, pseudo-header's sum in the transport's), and as it must be."""
    wanted = bytes(packet)
    raw = bytearray(wanted)
    transport, offset = (6, 50) if TCP in packet else (17, 40)
    raw[24:26] = b"\0\0"
    partial = pseudo_header_sum(raw[26:30], raw[30:34], transport, len(raw) - 34)
    raw[offset : offset + 2] = partial.to_bytes(2, "big")
    return bytes(raw), wanted


def frame_of(*layers, payload=b"hello, world"):
    packet = Ether(dst="52:54:00:00:00:01", src="52:54:00:12:34:56") / IP(src="10.0.0.1", dst="10.0.0.2")
    for layer in layers:
        packet /= layer
    return packet / payload


def test_3_3_3_a_legacy_frame_goes_out_as_it_is(bench):
    bench.transmitter()
    frame = bytes(range(200))
    index = bench.legacy(frame)
    assert bench.ring() == [frame]
    assert bench.transmit_status(index) == 0x01
    assert bench.read(sheet.TDH) == 1


def test_3_3_3_pieces_up_to_eop_are_one_frame(bench):
    bench.transmitter()
    bench.legacy(b"a" * 40, "IFCS RS", at=0x10000)
    bench.legacy(b"b" * 50, "IFCS RS", at=0x20000)
    assert bench.ring() == []
    bench.legacy(b"c", at=0x30000)
    assert bench.ring() == [b"a" * 40 + b"b" * 50 + b"c"]


@pytest.mark.parametrize(("address", "length"), [(0, 60), (0x10000, 0)])
def test_3_3_3_null_address_or_no_length_transfers_no_data_but_is_written_back(bench, address, length):
    bench.transmitter()
    bench.memory[0x10000:0x10040] = b"x" * 64
    index = bench.queue(sheet.TDESC_LEGACY_CODEC.pack(address, length, 0, sheet.TDESC_CMD["RS"], 0, 0, 0))
    bench.legacy(b"y" * 64, at=0x20000)
    assert bench.ring() == [b"y" * 64]
    assert bench.transmit_status(index) & 1


def test_3_3_3_the_longest_packet_has_16288_bytes(bench):
    bench.transmitter()
    bench.legacy(b"z" * 16288)
    assert bench.ring() == [b"z" * 16288]
    bench.legacy(b"z" * 16289)
    bench.legacy(b"w" * 60, at=0x20000)
    assert bench.ring() == [b"w" * 60]
    assert bench.drops == {"packet too long": 1}


def test_3_3_3_ic_puts_the_sum_from_css_at_cso(bench):
    raw, wanted = with_partial_sum(frame_of(TCP(sport=1, dport=2, seq=3)))
    raw = raw[:24] + wanted[24:26] + raw[26:]
    bench.transmitter()
    bench.legacy(raw, "EOP IFCS IC RS", css=34, cso=50)
    assert bench.ring() == [wanted]


def test_3_3_3_ic_is_ignored_out_of_range(bench):
    bench.transmitter()
    bench.legacy(bytes(60), "EOP IFCS IC", css=60, cso=50)
    bench.legacy(bytes(60), "EOP IFCS IC", css=14, cso=59)
    assert bench.ring() == [bytes(60)] * 2
    assert bench.drops == {"checksum outside packet": 2}


@pytest.mark.parametrize("payload", [b"", b"x", b"even", b"\xff" * 1459, b"\xff" * 1460])
def test_3_6_tcp_and_ip_checksums_are_inserted(bench, payload):
    raw, wanted = with_partial_sum(frame_of(TCP(sport=80, dport=4000, seq=7, flags="PA"), payload=payload))
    bench.transmitter()
    bench.context()
    bench.data(raw, popts=3)
    assert bench.ring() == [wanted]


def test_3_6_one_context_serves_many_packets_and_popts_says_which(bench):
    raw, wanted = with_partial_sum(frame_of(UDP(sport=53, dport=54)))
    bench.transmitter()
    bench.context("IP", tucso=40)
    bench.data(raw, popts=3, at=0x10000)
    bench.data(raw, popts=1, at=0x20000)
    bench.data(raw, popts=0, at=0x30000)
    only_ip = raw[:24] + wanted[24:26] + raw[26:]
    assert bench.ring() == [wanted, only_ip, raw]


def test_rfc_768_a_udp_sum_of_zero_is_sent_as_ones(bench):
    packet = frame_of(UDP(sport=53, dport=54), payload=bytes(2))
    zero = int.from_bytes(bytes(packet)[40:42], "big")
    packet = frame_of(UDP(sport=53, dport=54), payload=zero.to_bytes(2, "big"))
    raw, _ = with_partial_sum(packet)
    bench.transmitter()
    bench.context("IP", tucso=40)
    bench.data(raw, popts=2)
    assert bench.ring()[0][40:42] == b"\xff\xff"


def test_3_3_7_popts_counts_in_the_first_data_descriptor(bench):
    raw, wanted = with_partial_sum(frame_of(TCP(), payload=b"p" * 100))
    bench.transmitter()
    bench.context()
    bench.data(raw[:54], "IFCS RS", popts=3, at=0x10000)
    bench.data(raw[54:], popts=0, at=0x20000)
    assert bench.ring() == [wanted]


def test_3_6_ipcse_bounds_the_sum(bench):
    """A context whose IPCSE is 0 sums to the end of the packet."""
    raw = bytearray(60)
    raw[14:34] = bytes(range(20))
    bench.transmitter()
    bench.context(ipcse=33)
    bench.data(bytes(raw), popts=1)
    bench.context(ipcse=0)
    bench.data(bytes(raw), popts=1, at=0x20000)
    total = sum(raw[14 + n] << 8 | raw[15 + n] for n in range(0, 20, 2))
    wanted = (total % 0xFFFF ^ 0xFFFF).to_bytes(2, "big")
    assert [frame[24:26] for frame in bench.ring()] == [wanted, wanted]  # what follows is zero


def test_3_3_3_1_only_rs_writes_back(bench):
    bench.transmitter()
    for command in ("EOP IFCS", "EOP IFCS RPS", "EOP IFCS IDE", "EOP IFCS RS"):
        bench.legacy(bytes(60), command)
    bench.ring()
    assert [bench.transmit_status(index) for index in range(4)] == [0, 0, 0, 1]  # RPS is the 82544's only


def test_3_3_6_2_context_descriptors_are_written_back_too(bench):
    bench.transmitter()
    index = bench.context("TCP IP RS")
    bench.ring()
    assert bench.transmit_status(index) == 1


def test_3_3_3_2_dd_is_stored_last_and_alone(bench):
    bench.transmitter()
    index = bench.legacy(bytes(60))
    bench.ring()
    assert bench.slot.dma.writes == [(0x1000 + 16 * index + 12, b"\x01")]


def test_3_4_3_txdw_with_rs_and_txqe_when_the_ring_is_empty(bench):
    bench.transmitter()
    bench.legacy(bytes(60), "EOP IFCS")
    bench.ring()
    assert bench.read(sheet.ICR) == TXQE
    bench.legacy(bytes(60))
    bench.ring()
    assert bench.read(sheet.ICR) == TXDW | TXQE


def test_3_4_the_ring_wraps_and_head_equal_tail_is_empty(bench):
    bench.transmitter(8)
    sent = []
    for round_ in range(5):
        for number in range(7):
            bench.legacy(bytes([round_, number]) * 30, at=0x10000 + 0x100 * number)
        sent += bench.ring()
        assert bench.read(sheet.TDH) == bench.read(sheet.TDT)
    assert sent == [bytes([round_, number]) * 30 for round_ in range(5) for number in range(7)]


def test_3_4_descriptors_are_fetched_once_and_in_batches_of_up_to_64(bench):
    bench.transmitter(256)
    for _ in range(200):
        bench.legacy(bytes(60))
    bench.ring()
    fetches = [(address, length) for address, length, layout in bench.slot.dma.reads if layout == "TDESC"]
    covered = [address + offset for address, length in fetches for offset in range(0, length, 16)]
    assert covered == [0x1000 + 16 * index for index in range(200)]
    assert max(length for _, length in fetches) == 64 * 16


def test_13_4_33_psp_pads_to_64_bytes_with_the_fcs(bench):
    bench.transmitter(control=sheet.TCTL["PSP"])
    bench.legacy(b"short" * 10)
    assert bench.ring() == [b"short" * 10 + bytes(10)]
    bench.write(sheet.TCTL, sheet.TCTL["EN"])
    bench.legacy(b"short" * 10)
    assert bench.ring() == [b"short" * 10]


def test_3_3_3_1_without_ifcs_software_supplies_the_fcs(bench):
    frame = bytes(range(64))
    bench.transmitter()
    bench.legacy(frame + zlib.crc32(frame).to_bytes(4, "little"), "EOP")
    bench.legacy(frame + b"oops", "EOP", at=0x20000)
    assert bench.ring() == [frame, frame]
    good, bad = bench.slot.port.facts
    assert good is None
    assert bad is not None
    assert bad.damaged


def test_9_2_vle_inserts_the_tag_if_vme_is_set(bench):
    frame = bytes(range(60))
    bench.transmitter()
    bench.write(sheet.VET, 0x8100)
    bench.write(sheet.CTRL, sheet.CTRL["SLU"] | sheet.CTRL["VME"])
    bench.legacy(frame, "EOP IFCS VLE", special=0x2005)
    bench.data(frame, "EOP IFCS VLE", special=0xE123, at=0x20000)
    assert bench.ring() == [
        frame[:12] + bytes.fromhex("81002005") + frame[12:],
        frame[:12] + bytes.fromhex("8100e123") + frame[12:],
    ]
    bench.write(sheet.CTRL, sheet.CTRL["SLU"])
    bench.legacy(frame, "EOP IFCS VLE", special=0x2005)
    assert bench.ring() == [frame]


def test_13_4_33_nothing_is_sent_before_tctl_en(bench):
    bench.transmitter()
    bench.write(sheet.TCTL, 0)
    bench.legacy(bytes(60))
    assert bench.ring() == []
    bench.write(sheet.TCTL, sheet.TCTL["EN"])
    bench.run()
    assert len(bench.sent) == 1


def test_command_bus_master_off_stops_and_on_resumes(bench):
    bench.transmitter()
    bench.card.bus_master_changed(False)
    bench.legacy(bytes(60))
    assert bench.ring() == []
    assert bench.slot.dma.reads == []
    bench.card.bus_master_changed(True)
    bench.run()
    assert len(bench.sent) == 1


@pytest.mark.parametrize("access", range(1, 9))
@pytest.mark.parametrize("stop", ["disable", "bus"])
def test_13_4_33_work_interrupted_between_any_two_dmas_is_taken_up_where_it_was(bench, access, stop):
    """What has been read stays in the card: no frame is lost, none sent twice."""
    bench.transmitter()
    for number in range(3):
        bench.legacy(bytes([number]) * 40, "IFCS RS", at=0x10000 + 0x200 * number)
        bench.legacy(bytes([number]) * 20, at=0x10100 + 0x200 * number)
    countdown = [access]

    def interrupt():
        countdown[0] -= 1
        if countdown[0] == 0 and stop == "disable":
            bench.write(sheet.TCTL, 0)
        elif countdown[0] == 0:
            bench.card.bus_master_changed(False)

    bench.slot.dma.on_access = interrupt
    bench.ring()
    assert len(bench.sent) < 3
    bench.write(sheet.TCTL, sheet.TCTL["EN"])
    bench.card.bus_master_changed(True)
    bench.run()
    assert bench.sent == [bytes([number]) * 60 for number in range(3)]
    assert all(bench.transmit_status(index) for index in range(6))


def test_a_doorbell_does_no_dma_of_its_own(bench):
    bench.transmitter()
    bench.legacy(bytes(60))
    bench.write(sheet.TDT, bench.tail)
    assert bench.slot.dma.reads == []
    bench.run()
    assert len(bench.sent) == 1


@pytest.mark.parametrize("access", range(1, 6))
def test_a_reset_from_within_dma_ends_the_engines_work(bench, access):
    """A bridge's DMA may let the guest run: after each one the engine looks whether it is still wanted."""
    bench.transmitter()
    for _ in range(4):
        bench.legacy(bytes(60))
    countdown = [access]

    def reset():
        countdown[0] -= 1
        if countdown[0] == 0:
            bench.write(sheet.CTRL, sheet.CTRL["RST"])

    bench.slot.dma.on_access = reset
    bench.ring()
    assert len(bench.slot.dma.reads) + len(bench.slot.dma.writes) == access
    assert (bench.read(sheet.TDH), bench.read(sheet.ICR)) == (0, 0)


BOGUS = ((0, 0, 5), (128, 0, 8), (128, 9, 0), (128, 0, 0xFFFF), (0xFFF80, 0xFFFF, 3))


@pytest.mark.parametrize(("length", "head", "tail"), BOGUS)
def test_a_bogus_ring_ends_and_is_told(bench, length, head, tail):
    bench.transmitter()
    bench.write(sheet.TDLEN, length)
    bench.write(sheet.TDH, head)
    bench.write(sheet.TDT, tail)
    bench.run(10**9)
    assert bench.drops == {"bad transmit ring": 1}
    assert bench.sent == []


def test_an_unknown_descriptor_type_is_told(bench):
    bench.transmitter()
    bench.queue(sheet.TDESC_DATA_CODEC.pack(0x10000, sheet.TDESC_DATA_COMMAND["DEXT"] | 7 << 20 | 60, 0, 0, 0))
    assert bench.ring() == []
    assert bench.drops == {"unknown descriptor": 1}


@pytest.mark.parametrize(
    ("obstacle", "why"),
    [
        (lambda bench: bench.card.bus_master_changed(False), "bus master bit is 0"),
        (lambda bench: bench.card.carrier_changed(False), "no link"),
        (lambda bench: bench.write(sheet.TCTL, 0), "TCTL.EN is 0"),
    ],
)
def test_a_doorbell_without_effect_says_what_is_in_the_way(bench, obstacle, why):
    told = []
    bench.transmitter()
    obstacle(bench)
    bench.run(10**9)
    bench.card.watch = told.append
    bench.legacy(bytes(60))
    bench.ring()
    assert [(event.reason, why in event.detail) for event in told] == [("doorbell without effect", True)]
    assert bench.sent == []


@pytest.mark.parametrize(("register", "value"), [("TDBAL", 0x1004), ("TDLEN", 100), ("RDBAL", 0x2008), ("RDLEN", 1)])
def test_13_4_25_a_ring_base_or_length_that_is_not_aligned_is_told(bench, register, value):
    """13.4.25, 13.4.27: a base's low 4 bits and a length's low 7 are zero, whatever is written."""
    told = []
    bench.card.watch = told.append
    bench.write(sheet.REGISTERS[register], value)
    assert [event.reason for event in told] == ["reserved bits"]
    assert bench.read(sheet.REGISTERS[register]) == value & ~(0x7F if "LEN" in register else 0xF)
