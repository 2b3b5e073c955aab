"""Frames of one instant are taken together; memory and registers end as if each had come alone (8254x 3.2)."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from motenet.datasheets import e1000 as sheet

RING, SECRC = 32, sheet.RCTL["SECRC"]
OFFLOADS = sheet.RXCSUM["IPOFL"] | sheet.RXCSUM["TUOFL"]
TOP = 0x100000
"""Where memory ends."""
SEEN = ("RDH", "ICR", "TPR", "TORL", "GPRC", "GORCL", "PRC1522", "PRC127", "RNBC", "MPC", "BPRC", "MPRC")


@cache
def segment(number: int, size: int, length: int) -> bytes:
    """One of what TCP segmentation puts on the wire: its payload has `length` bytes, that of those before it `size`."""
    payload = bytes((number + n) & 0xFF for n in range(length))
    ip = IP(src="10.0.0.2", dst="10.0.0.1", id=1000 + number, flags="DF")
    tcp = TCP(sport=80, dport=4000, seq=number * size, ack=1, flags="A")
    return bytes(Ether(dst="52:54:00:12:34:56", src="52:54:00:00:00:01") / ip / tcp / payload)


def segments(count: int, size: int = 1460, last: int = 0) -> list[bytes]:
    """All of it; the last one is shorter if that is said."""
    return [segment(number, size, last if last and number == count - 1 else size) for number in range(count)]


def outcome(bench, frames: list[bytes], together: bool, control: int, offloads: int, free: int, arrange=None):
    bench.receiver(count=RING, control=control, free=free)
    if arrange is not None:
        arrange(bench)
    bench.write(sheet.RXCSUM, offloads)
    bench.write(sheet.VET, 0x8100)
    if together:
        bench.slot.port.burst(frames)
    else:
        for frame in frames:
            bench.card.frame_arrived(frame, None)
    bench.run()
    dma = bench.slot.dma
    outside = [address for address, length, _ in dma.reads if address + length > len(bench.memory)]
    registers = [bench.read(sheet.REGISTERS[name]) for name in SEEN]
    return registers, bytes(bench.memory), bench.card.drops, dma.writes, outside


def assert_alike(new_bench, frames, control=SECRC, offloads=OFFLOADS, free=-1, arrange=None) -> None:
    alone = outcome(new_bench(), frames, False, control, offloads, free, arrange)
    together = outcome(new_bench(), frames, True, control, offloads, free, arrange)
    for one, other in zip(together, alone, strict=True):
        assert one == other


def test_segments_of_one_packet_go_to_memory_together_and_verified(new_bench) -> None:
    frames = segments(20, last=333)
    assert_alike(new_bench, frames)
    bench = new_bench()
    outcome(bench, frames, True, SECRC, OFFLOADS, -1)
    for index, frame in enumerate(frames):
        data, status, errors, _, _ = bench.received(index)
        assert (data, errors) == (frame, 0)
        assert status == 0x63  # DD, EOP, TCPCS, IPCS: 3.2.3.1


@pytest.mark.parametrize("at", [14, 16, 20, 24, 25, 34, 38, 50, 54, 1513])
def test_a_wrong_byte_anywhere_is_found_in_its_own_frame(new_bench, at) -> None:
    frames = segments(12)
    frames[5] = frames[5][:at] + bytes([frames[5][at] ^ 0x01]) + frames[5][at + 1 :]
    assert_alike(new_bench, frames)


def test_other_traffic_is_looked_at_frame_by_frame(new_bench) -> None:
    ether = Ether(dst="52:54:00:12:34:56", src="52:54:00:00:00:01")
    for layers in (
        IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=1, dport=2),
        IP(src="10.0.0.2", dst="10.0.0.1", flags="MF") / TCP(),
        IP(src="10.0.0.2", dst="10.0.0.1", options=[]) / TCP(options=[("Timestamp", (1, 2))]),
        Dot1Q(vlan=3) / IP() / TCP(),
    ):
        assert_alike(new_bench, [bytes(ether / layers / bytes(100))] * 12)
    assert_alike(new_bench, [b"\xff" * 6 + frame[6:] for frame in segments(12)])


@given(
    st.lists(st.tuples(st.integers(1, 16), st.sampled_from([100, 101, 536, 1460]), st.integers(0, 99)), max_size=3),
    st.sampled_from([SECRC, 0, SECRC | sheet.RCTL["UPE"], SECRC | sheet.RCTL.field("BSIZE").put(1)]),
    st.sampled_from([OFFLOADS, sheet.RXCSUM["IPOFL"], 0, OFFLOADS | 14]),
    st.sampled_from([-1, 4, 15, 31, 77]),
)
def test_any_burst_is_as_its_frames_one_by_one(new_bench, trains, control, offloads, free) -> None:
    frames = [frame for count, size, last in trains for frame in segments(count, size, last)]
    assert_alike(new_bench, frames, control, offloads, free)


@given(
    count=st.integers(8, 40),
    last=st.integers(0, 99),
    allocation=st.sampled_from([0, 1, 2, 48]),
    base=st.sampled_from([0x2000, TOP - 16 * 10, TOP - 16, TOP]),
    small=st.sampled_from([0, 1513, 1514, 1515, 1518]),
    places=st.dictionaries(
        st.integers(0, RING - 1),
        st.integers(0x2000 - 1600, 0x2000 + 16 * RING)
        | st.sampled_from([0, TOP - 100, TOP - 160 - 1500, 2**64 - 1, 2**64 - 1514, 2**64 - 1513, 0x40010, 0x44010]),
        max_size=6,
    ),
)
def test_a_burst_into_odd_places_is_as_its_frames_one_by_one(new_bench, count, last, allocation, base, small, places):
    """A small packet buffer; buffers upon the ring, upon each other and beyond memory; a ring that leaves memory."""

    def arrange(bench) -> None:
        for index, address in places.items():
            bench.memory[0x2000 + 16 * index : 0x2008 + 16 * index] = address.to_bytes(8, "little")
        inside = bytes(bench.memory[0x2000 : 0x2000 + min(16 * RING, TOP - base)])
        bench.memory[base : base + len(inside)] = inside
        bench.write(sheet.RDBAL, base)
        bench.write(sheet.PBA, allocation)
        bench.write(sheet.RSRPD, small)

    assert_alike(new_bench, segments(count, last=last), arrange=arrange)
