"""From the cable into receive buffers (virtio 5.1.6.3, 5.1.6.4)."""

from struct import unpack

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from motenet.doors import TCP4, TCP6, UFO, USO, FrameFacts

ETHER = Ether(dst="52:54:00:12:34:56", src="52:54:00:00:00:01")
FRAME = bytes(ETHER / IP(src="10.0.0.2", dst="10.0.0.1") / UDP() / Raw(bytes(range(200))))
WHOLE = bytes(10) + b"\1\0"
"""5.1.6.4.1: flags 0, gso_type NONE, num_buffers 1."""
GUEST = "GUEST_CSUM GUEST_TSO4 GUEST_TSO6 GUEST_ECN GUEST_UFO"


def large(kind, payload=4000):
    network = IPv6(src="fd00::2", dst="fd00::1") if kind == TCP6 else IP(src="10.0.0.2", dst="10.0.0.1")
    transport = TCP(sport=80, dport=1000) if kind in (TCP4, TCP6) else UDP(sport=53, dport=1000)
    return bytes(ETHER / network / transport / Raw(bytes(payload)))


def facts_for(kind, size=1448, **more):
    start = 54 if kind == TCP6 else 34
    tcp = kind in (TCP4, TCP6)
    return FrameFacts(start, 16 if tcp else 6, size, start + (20 if tcp else 8), segment_kind=kind, **more)


def test_a_frame_lies_behind_a_header_of_12_bytes(new_bench, layout):
    bench = new_bench(layout)
    bench.rx.add(1526)
    bench.deliver(FRAME)
    assert bench.received() == [WHOLE + FRAME]
    assert bench.interrupts == [0]


@pytest.mark.parametrize(("features", "header"), [("", bytes(10)), ("MRG_RXBUF", WHOLE)])
def test_5_1_6_1_legacy_headers(new_bench, features, header):
    bench = new_bench(features, legacy=True)
    bench.rx.add(1526)
    bench.deliver(FRAME)
    assert bench.received() == [header + FRAME]


@pytest.mark.parametrize(
    "split", [(12, 2000), (10, 2, 2000), (1, 1, 1, 1, 2000), (13, 2000), (12, 100, 2000), (5, 249)]
)
def test_2_7_4_1_and_2_8_5_buffers_in_any_split_of_descriptors(new_bench, layout, split):
    bench = new_bench(layout)
    number = bench.rx.add(*split)
    bench.deliver(FRAME)
    whole = WHOLE + FRAME
    for address, room in zip(bench.rx.buffers[number], split, strict=True):
        assert bench.rx.data(address, min(room, len(whole))) == whole[:room]
        whole = whole[room:]
    assert whole == b""
    assert bench.rx.used() == [(number, 12 + len(FRAME))]


def test_a_burst_is_published_together_with_one_interrupt(new_bench, layout):
    bench = new_bench(layout)
    for _ in range(6):
        bench.rx.add(1526)
    frames = [FRAME[:-1] + bytes((number,)) for number in range(6)]
    bench.deliver(*frames)
    assert bench.received() == [WHOLE + frame for frame in frames]
    assert bench.interrupts == [0]
    index = [
        what for kind, _, _, what in bench.log if kind == "write" and what in ("virtq_used.idx", "pvirtq_desc.flags")
    ]
    assert len(index) == 1


def test_without_buffers_frames_are_lost_and_counted(new_bench, layout):
    bench = new_bench(layout)
    bench.rx.add(1526)
    bench.deliver(FRAME, FRAME, FRAME)
    assert len(bench.received()) == 1
    assert bench.drops == {"no receive buffer": 2}
    bench.rx.add(1526)
    bench.deliver(FRAME)
    assert len(bench.received()) == 1


def test_a_buffer_that_is_too_small_stays_for_a_smaller_frame(new_bench, layout):
    """5.1.6.3.2: a single buffer without MRG_RXBUF."""
    bench = new_bench(layout)
    bench.rx.add(len(FRAME) + 11)
    bench.deliver(FRAME)
    assert bench.drops == {"receive buffer too small": 1}
    bench.deliver(FRAME[:-1])
    assert bench.received() == [WHOLE + FRAME[:-1]]


def test_a_readable_receive_buffer_takes_nothing(new_bench, layout):
    bench = new_bench(layout)
    bench.rx.add(b"x" * 2000)
    bench.deliver(FRAME)
    assert bench.drops == {"receive buffer too small": 1}
    assert bench.rx.used() == []


# --- mergeable


@pytest.mark.parametrize("rooms", [[100] * 4, [255], [12, 300], [200, 13, 500], [50, 100, 150], [254], [254, 12, 12]])
def test_5_1_6_4_1_mergeable_buffers_are_filled_one_after_the_other(new_bench, layout, rooms):
    bench = new_bench(f"MRG_RXBUF {layout}")
    numbers = [bench.rx.add(room) for room in rooms]
    bench.deliver(FRAME)
    used = bench.rx.used()
    whole, count = b"", len(used)
    for (number, length), room in zip(used, rooms, strict=False):
        whole += bench.rx.data(bench.rx.buffers[number][0], length)
        assert length == room or number == used[-1][0]  # all but the last completely
    assert [number for number, _ in used] == numbers[:count]
    assert whole == bytes(10) + count.to_bytes(2, "little") + FRAME
    assert bench.interrupts == [0]


def test_5_1_6_4_1_buffers_of_a_packet_are_used_together_or_not_at_all(new_bench, layout):
    bench = new_bench(f"MRG_RXBUF {layout}")
    for _ in range(2):
        bench.rx.add(100)
    bench.deliver(FRAME)
    assert bench.drops == {"no receive buffer": 1}
    assert bench.rx.used() == []
    bench.rx.add(100)
    bench.deliver(FRAME)
    assert [length for _, length in bench.rx.used()] == [100, 100, len(FRAME) + 12 - 200]


def test_5_1_6_3_1_a_mergeable_buffer_smaller_than_a_header(new_bench, layout):
    bench = new_bench(f"MRG_RXBUF {layout}")
    bench.rx.add(11)
    bench.rx.add(2000)
    bench.deliver(FRAME)
    assert bench.drops == {"receive buffer smaller than a header": 1}


def test_64_kib_in_mergeable_buffers_of_2_kib(new_bench, layout):
    """One write for each buffer, two for the first with its header."""
    bench = new_bench(f"MRG_RXBUF {GUEST} {layout}", size=64)
    for _ in range(64):
        bench.rx.add(2048)
    frame, facts = large(TCP4, 65_000), facts_for(TCP4)
    bench.deliver(frame, facts=facts)
    used = bench.rx.used()
    assert len(used) == 32
    assert b"".join(bench.rx.data(bench.rx.buffers[number][0], length) for number, length in used)[12:] == frame
    assert len([1 for kind, _, _, what in bench.log if kind == "write" and not what]) == 33


# --- offloads


def test_5_1_6_4_partial_checksums_go_to_a_driver_that_takes_them(new_bench):
    bench = new_bench("GUEST_CSUM")
    bench.rx.add(1526)
    bench.deliver(FRAME, facts=FrameFacts(34, 6))
    (got,) = bench.received()
    assert unpack("<BBHHHHH", got[:12]) == (1, 0, 0, 0, 34, 6, 1)  # NEEDS_CSUM
    assert got[12:] == FRAME


def test_5_1_6_4_1_otherwise_the_frame_is_completed_and_flags_are_0(new_bench):
    bench = new_bench()
    bench.rx.add(1526)
    left = FRAME[:40] + (0x0A000002 % 0xFFFF + 0x0A000001 % 0xFFFF + 17 + 208).to_bytes(2, "big") + FRAME[42:]
    bench.deliver(left, facts=FrameFacts(34, 6))
    assert bench.received() == [WHOLE + FRAME]


@pytest.mark.parametrize(("kind", "gso", "headers"), [(TCP4, 1, 54), (TCP6, 4, 74), (UFO, 3, 42)])
def test_5_1_6_4_1_large_packets_go_to_a_driver_that_takes_them(new_bench, kind, gso, headers):
    bench, frame = new_bench(GUEST), large(kind)
    bench.rx.add(65562)
    bench.deliver(frame, facts=facts_for(kind))
    (got,) = bench.received()
    start, offset = (54, 16) if kind == TCP6 else (34, 16 if kind == TCP4 else 6)
    assert unpack("<BBHHHHH", got[:12]) == (1, gso, headers, 1448, start, offset, 1)
    assert got[12:] == frame


@pytest.mark.parametrize(
    ("kind", "lacking"), [(TCP4, "GUEST_TSO4"), (TCP6, "GUEST_TSO6"), (UFO, "GUEST_UFO"), (USO, "")]
)
def test_5_1_6_4_1_otherwise_they_come_in_pieces_with_gso_none(new_bench, kind, lacking):
    """1.2 has no GUEST_USO."""
    features = " ".join(name for name in GUEST.split() if name not in (lacking, "GUEST_ECN"))
    bench = new_bench(features)
    for _ in range(4):
        bench.rx.add(65562)
    bench.deliver(large(kind), facts=facts_for(kind))
    got = bench.received()
    assert len(got) == 3
    assert all(one[:12] == WHOLE and len(one) <= 12 + 74 + 1448 for one in got)


def test_5_1_6_4_1_a_large_packet_with_a_whole_checksum_comes_in_pieces(new_bench):
    """NEEDS_CSUM goes with every gso_type, and there is nothing to be summed."""
    bench = new_bench(GUEST)
    for _ in range(4):
        bench.rx.add(65562)
    bench.deliver(large(TCP4), facts=FrameFacts(segment_size=1448, segment_kind=TCP4))
    assert [one[:12] for one in bench.received()] == [WHOLE] * 3


@pytest.mark.parametrize(("features", "gso"), [(GUEST, [0x81]), ("GUEST_CSUM GUEST_TSO4", [0, 0, 0])])
def test_5_1_6_4_1_ecn_needs_guest_ecn(new_bench, features, gso):
    bench = new_bench(features)
    for _ in range(4):
        bench.rx.add(65562)
    bench.deliver(large(TCP4), facts=facts_for(TCP4, ecn=True))
    assert [one[1] for one in bench.received()] == gso


def test_5_1_6_5_8_offloads_switched_off_are_not_used(new_bench):
    bench = new_bench(f"{GUEST} CTRL_VQ CTRL_GUEST_OFFLOADS")
    assert bench.command(5, 0, (1 << 1).to_bytes(8, "little")) == 0
    for _ in range(4):
        bench.rx.add(65562)
    bench.deliver(large(TCP4), facts=facts_for(TCP4))
    assert len(bench.received()) == 3
    bench.deliver(FRAME, facts=FrameFacts(34, 6))
    assert bench.received()[0][0] == 1
    assert bench.command(5, 0, bytes(8)) == 0
    for _ in range(4):
        bench.rx.add(65562)
    bench.deliver(FRAME, facts=FrameFacts(34, 6))
    assert bench.received()[0][0] == 0


def test_5_1_6_4_1_data_valid_is_never_set_unverified(new_bench):
    bench = new_bench(GUEST)
    bench.rx.add(1526)
    wrong = bytearray(FRAME)
    wrong[41] ^= 1
    bench.deliver(bytes(wrong))
    assert bench.received()[0][0] == 0


# --- what is not for the driver


def test_damaged_frames_and_fragments_of_frames(new_bench):
    bench = new_bench()
    bench.rx.add(1526)
    bench.deliver(FRAME, facts=FrameFacts(damaged=True))
    bench.deliver(FRAME[:13])
    assert bench.drops == {"bad FCS": 1, "not a frame": 1}
    assert bench.received() == []


@pytest.mark.parametrize(("features", "size", "taken"), [("MTU", 1514, 1), ("MTU", 1515, 0), ("", 1600, 1)])
def test_5_1_4_1_frames_beyond_the_mtu(new_bench, features, size, taken):
    bench = new_bench(features)
    bench.rx.add(2000)
    bench.deliver(FRAME.ljust(size, b"\0"))
    assert len(bench.received()) == taken
    assert bench.drops == ({} if taken else {"frame too long": 1})


def test_5_1_4_1_tagged_frames_have_four_bytes_more_and_large_packets_any(new_bench):
    bench = new_bench(f"MTU {GUEST}")
    bench.rx.add(65562)
    bench.rx.add(65562)
    bench.deliver((FRAME[:12] + b"\x81\x00\x00\x05" + FRAME[12:]).ljust(1518, b"\0"))
    bench.deliver(large(TCP4), facts=facts_for(TCP4))
    assert len(bench.received()) == 2


def test_before_driver_ok_and_without_a_link_nothing_is_received(new_bench):
    bench = new_bench()
    bench.rx.add(2000)
    bench.port.carrier = False
    bench.deliver(FRAME)
    bench.port.carrier = True
    bench.device.write_status(0)
    bench.deliver(FRAME)
    assert bench.drops == {"no link": 1, "device not ready": 1}


def test_a_frame_to_itself_comes_back_in_an_event_of_its_own(new_bench):
    """Loopback re-entrancy: this device has no loopback; a switch may still return what it sent, never within the
    transmission."""
    bench = new_bench()
    bench.rx.add(2000)
    depth = [0]

    def transmit(frame, facts=None):
        assert depth[0] == 0
        depth[0] += 1
        bench.slot.clock.after(0, lambda _: bench.deliver(frame))
        depth[0] -= 1

    bench.port.transmit = transmit
    bench.tx.add(bytes(12) + FRAME)
    bench.tx.kick()
    assert bench.received() == [WHOLE + FRAME]
    assert bench.interrupts == [1, 0]


@pytest.mark.parametrize("after", range(1, 14))
def test_a_reset_within_a_burst_ends_it(new_bench, layout, after):
    bench = new_bench(f"MRG_RXBUF {layout}", size=64)
    for _ in range(10):
        bench.rx.add(6, 50, 44)
    left = [after]

    def access():
        left[0] -= 1
        if left[0] == 0:
            bench.device.write_status(0)
        assert left[0] >= 0, "accesses go on after the reset"

    bench.slot.dma.on_access = access
    bench.deliver(FRAME, FRAME)
    bench.slot.dma.on_access = None
    assert not bench.device.status
    assert bench.interrupts == []


@pytest.mark.parametrize("after", range(1, 14))
def test_a_bus_that_is_lost_within_a_burst_loses_frames_but_no_buffer(new_bench, layout, after):
    bench = new_bench(f"MRG_RXBUF {layout}", size=64)
    for _ in range(8):
        bench.rx.add(6, 50, 44)
    left = [after]

    def access():
        left[0] -= 1
        if left[0] == 0:
            bench.bus_master(False)

    bench.slot.dma.on_access = access
    bench.deliver(FRAME, FRAME)
    bench.slot.dma.on_access = None
    bench.bus_master(True)
    bench.run()
    bench.deliver(*[FRAME] * 4)
    used = bench.rx.used()
    assert [length for _, length in used] == [100, 100, len(FRAME) + 12 - 200] * (len(used) // 3)
    assert len(used) == 6
    bench.rx.add(300)
    bench.rx.add(300)
    bench.deliver(FRAME)
    assert [length for _, length in bench.rx.used()] == [100, 100, len(FRAME) + 12 - 200]
