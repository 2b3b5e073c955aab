"""TCP segmentation over IPv4 (8254x 3.5): the frames are those that software would have cut."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether

from motenet.core.checksum import pseudo_header_sum
from motenet.datasheets import e1000 as sheet

OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (1234, 5678))]


def cut(payload, mss, *, flags="PA", seq=1000, identification=77, options=(), only=None):
    """What Scapy makes of each segment: PSH and FIN on the last, sequence and identification counting."""
    frames = []
    for number, start in enumerate(range(0, len(payload), mss) or range(1)):
        if only is not None and number not in only:
            continue
        last = start + mss >= len(payload)
        these = flags if last else flags.replace("P", "").replace("F", "")
        frames.append(
            bytes(
                Ether(dst="52:54:00:00:00:01", src="52:54:00:12:34:56")
                / IP(src="10.0.0.1", dst="10.0.0.2", id=(identification + number) & 0xFFFF)
                / TCP(sport=80, dport=999, seq=(seq + start) & 0xFFFFFFFF, flags=these, options=list(options))
                / payload[start : start + mss]
            )
        )
    return frames


def prototype(whole, header):
    """3.5.5: IP length and checksum 0, and the pseudo-header's sum without the length in the TCP checksum."""
    raw = bytearray(whole)
    raw[16:18] = raw[24:26] = b"\0\0"
    raw[50:52] = pseudo_header_sum(raw[26:30], raw[30:34], 6, 0).to_bytes(2, "big")
    return bytes(raw)


def send(bench, payload, mss, *, command="EOP IFCS TSE RS", announced=None, special=0, **how):
    """Hand the card one large frame. Returns what it sends, and what it should."""
    wanted = cut(payload, mss, **how)
    header = 54 + 12 * bool(how.get("options"))
    whole = cut(payload, len(payload) or 1, **how)[0]
    raw = prototype(whole, header)
    bench.context("TCP IP TSE", payload=len(payload) if announced is None else announced, header=header, mss=mss)
    bench.data(raw[:header], command.replace("EOP ", ""), popts=3, at=0x10000, special=special)
    bench.data(raw[header:], command, at=0x20000, special=special)
    return bench.ring(), wanted


@pytest.mark.parametrize(
    ("size", "mss"),
    [(1, 1460), (1460, 1460), (1461, 1460), (5000, 1460), (65160, 1448), (4000, 1001), (30, 7), (16384, 8948)],
)
def test_3_5_9_segments_are_those_that_software_would_cut(bench, size, mss):
    bench.transmitter()
    payload = bytes(number * 7 & 0xFF for number in range(size))
    sent, wanted = send(bench, payload, mss)
    assert sent == wanted


def test_3_5_9_2_sequence_and_identification_wrap_around(bench):
    bench.transmitter()
    sent, wanted = send(bench, b"\xff" * 9000, 1460, seq=0xFFFFF000, identification=0xFFFE)
    assert sent == wanted


@pytest.mark.parametrize("flags", ["A", "PA", "FA", "FPA", "FPAEC"])
def test_3_5_9_psh_and_fin_only_on_the_last(bench, flags):
    bench.transmitter()
    sent, wanted = send(bench, b"abc" * 1000, 1000, flags=flags)
    assert sent == wanted


def test_3_5_6_options_and_descriptors_at_header_boundaries(bench):
    bench.transmitter()
    sent, wanted = send(bench, b"q" * 3000, 1448, options=OPTIONS)
    assert sent == wanted


def test_3_5_8_a_checksum_elsewhere_is_left_to_popts(bench):
    """Without TXSM the TCP checksum field stays as the driver wrote it."""
    bench.transmitter()
    payload = b"n" * 2000
    raw = prototype(cut(payload, 2000)[0], 54)
    bench.context("TCP IP TSE", payload=2000, header=54, mss=1000)
    bench.data(raw, "EOP IFCS TSE", popts=1)
    first, second = bench.ring()
    assert first[50:52] == second[50:52] == raw[50:52]
    assert [frame[24:26] for frame in (first, second)] == [frame[24:26] for frame in cut(payload, 1000)]


def test_9_2_each_segment_gets_the_tag_of_the_first_descriptor(bench):
    bench.transmitter()
    bench.write(sheet.VET, 0x8100)
    bench.write(sheet.CTRL, sheet.CTRL["SLU"] | sheet.CTRL["VME"])
    sent, wanted = send(bench, b"v" * 3000, 1460, command="EOP IFCS TSE VLE", special=0x0007)
    assert [Ether(frame)[Dot1Q].vlan for frame in sent] == [7, 7, 7]
    assert [frame[:12] + frame[16:] for frame in sent] == wanted


def test_13_7_53_contexts_are_counted(bench):
    bench.transmitter()
    send(bench, b"1" * 3000, 1460)
    send(bench, b"2" * 3000, 1460)
    assert (bench.read(sheet.TSCTC), bench.read(sheet.TSCTFC)) == (2, 0)
    assert bench.read(sheet.TPT) == 6


def test_13_7_54_a_context_that_ends_early_has_failed(bench):
    bench.transmitter()
    send(bench, b"1" * 3000, 1460, announced=4000)
    assert (bench.read(sheet.TSCTC), bench.read(sheet.TSCTFC)) == (0, 1)
    assert bench.drops == {"segmentation ended early": 1}


def test_3_5_more_data_than_announced_is_refused(bench):
    bench.transmitter()
    sent, _ = send(bench, b"1" * 3000, 1460, announced=2000)
    assert sent == []
    assert bench.drops == {"packet too long": 1}


IMPOSSIBLE = (
    {"mss": 0},
    {"header": 40},
    {"tucss": 240},
    {"ipcso": 255},
    {"command": "IP TSE"},  # UDP
    {"command": "TCP TSE"},  # IPv6
)


@pytest.mark.parametrize("broken", IMPOSSIBLE)
def test_an_impossible_context_sends_nothing_and_is_told(bench, broken):
    bench.transmitter()
    fields = {"payload": 1000, "header": 54, "mss": 500, "command": "TCP IP TSE"} | broken
    bench.context(**fields)
    bench.data(bytes(fields["header"] + 1000), "EOP IFCS TSE RS", popts=3)
    assert bench.ring() == []
    assert bench.drops == {"bad segmentation context": 1}
    assert bench.transmit_status(1) == 1


def test_3_3_6_both_contexts_are_kept(bench):
    """A segmentation context between does not disturb the one for checksums."""
    bench.transmitter()
    bench.context("IP", tucss=14, tucso=20, tucse=0)
    send(bench, b"1" * 3000, 1460)
    bench.data(bytes(60), popts=2)
    assert bench.ring()[0][20:22] == b"\xff\xff"


def assert_cut_into_bytes(sent, payload, begin=0):
    """The segments from `begin` on, with an MSS of 1; those at the seams are compared whole."""
    seams = (0, 1, 4094, 4095, 4096, 4097, 8191, 8192, len(payload) - 2, len(payload) - 1)
    numbers = [number for number in seams if begin <= number < len(payload)]
    assert len(sent) == len(payload) - begin
    assert b"".join(frame[54:55] for frame in sent) == payload[begin:]
    assert [sent[n - begin] for n in numbers] == cut(payload, 1, only=numbers)


def one_event(bench):
    bench.slot.world.run(bench.now, lambda: True)


def test_3_5_a_packet_of_very_many_segments_takes_several_events(bench):
    """PAYLEN (20 bits) by an MSS of 1: an event sends some thousands; the frames are the same, each padded."""
    bench.transmitter(control=sheet.TCTL["PSP"])
    size, slices, before = 10_000, [], 0
    payload = bytes(number * 7 & 0xFF for number in range(size))
    raw = prototype(cut(payload, size)[0], 54)
    bench.context("TCP IP TSE", payload=size, header=54, mss=1)
    bench.data(raw, "EOP IFCS TSE RS", popts=3)
    bench.legacy(bytes(60), at=0x20000)
    bench.write(sheet.TDT, bench.tail)
    while bench.slot.world.save()["events"]:
        one_event(bench)
        slices.append(len(bench.sent) - before)
        before = len(bench.sent)
    assert slices == [4096, 4096, 1809]
    assert bench.sent[-1] == bytes(60)
    assert {len(frame) for frame in bench.sent} == {60}
    assert_cut_into_bytes([frame[:55] for frame in bench.sent[:-1]], payload)
    assert bench.read(sheet.TSCTC) == 1
    assert bench.read(sheet.TPT) == size + 1
    assert bench.read(sheet.ICR) & sheet.ICR["TXQE"]


@pytest.mark.parametrize("stop", ["reset", "bus", "disable"])
def test_13_4_33_segments_that_are_left_wait_for_the_transmitter_and_die_with_a_reset(bench, stop):
    bench.transmitter()
    payload = bytes(9000)
    bench.context("TCP IP TSE", payload=9000, header=54, mss=1)
    bench.data(prototype(cut(payload, 9000)[0], 54), "EOP IFCS TSE RS", popts=3)
    bench.write(sheet.TDT, bench.tail)
    one_event(bench)
    assert len(bench.sent) == 4096
    if stop == "reset":
        bench.write(sheet.CTRL, sheet.CTRL["RST"])
        bench.run(10**9)
        bench.write(sheet.CTRL, sheet.CTRL["SLU"])
        bench.transmitter()
        bench.run(10**9)
        assert len(bench.sent) == 4096
        return
    if stop == "bus":
        bench.card.bus_master_changed(False)
        bench.run(10**9)
        assert len(bench.sent) == 4096
        bench.card.bus_master_changed(True)
    else:
        bench.write(sheet.TCTL, 0)
        bench.run(10**9)
        assert len(bench.sent) == 4096
        bench.write(sheet.TCTL, sheet.TCTL["EN"])
    bench.run()
    assert_cut_into_bytes(bench.sent, payload)


def test_3_5_the_segments_that_are_left_are_saved(new_bench):
    first, second = new_bench(), new_bench()
    payload = bytes(number & 0xFF for number in range(6000))
    first.transmitter()
    first.context("TCP IP TSE", payload=6000, header=54, mss=1)
    first.data(prototype(cut(payload, 6000)[0], 54), "EOP IFCS TSE RS", popts=3)
    first.write(sheet.TDT, first.tail)
    one_event(first)
    second.load(first.save())
    second.run()
    assert_cut_into_bytes(second.sent, payload, 4096)
