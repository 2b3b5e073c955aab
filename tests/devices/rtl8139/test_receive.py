"""C mode's reception: the ring and its headers, its end, overflow and recovery, the filters (RTL8139C 5.1, 5.8)."""

import zlib
from struct import pack

import pytest

from motenet.doors import FrameFacts

OURS, OTHER, ALL = bytes.fromhex("525400123456"), bytes.fromhex("020000000001"), b"\xff" * 6
GROUP = bytes.fromhex("01005e000001")
LAG = 0xFFF0


def frame(size=60, to=OURS):
    """Without FCS."""
    return (to + OTHER + b"\x08\x00" + bytes(at & 0xFF for at in range(size)))[:size]


def room(data):
    """What a frame takes of the ring."""
    return 4 + len(data) + 4 + 3 & ~3


def take(bench, at):
    """A driver's reading of the frame at an offset. Returns where the next one is."""
    status, length = bench.at_ring(at)
    return (at + 4 + length + 3 & ~3) & 0x1FFF, status, length


def fill(bench, size=1500, leave=2000):
    """Frames until less than `leave` bytes of 8 KiB are free; nothing is read."""
    count = 0
    while bench.read(0x3A, 2) + room(frame(size)) < 8192 - leave:
        bench.deliver(frame(size))
        count += 1
    return count


def test_5_1_header_data_real_crc_and_dword_rounding(bench):
    bench.c_mode()
    for size in (60, 61, 62, 63, 1514):
        bench.isr()
        data, at = frame(size), bench.read(0x3A, 2)
        bench.deliver(data)
        assert bench.at_ring(at) == (0x4001, size + 4)
        stored = bench.memory[0x20004 + at : 0x20004 + at + size + 4]
        assert stored == data + pack("<I", zlib.crc32(data))
        assert bench.read(0x3A, 2) == at + room(data)
        assert bench.isr() == 0x0001
    assert not bench.read(0x3A, 2) & 3
    assert bench.drops == {}


def test_design_c_the_header_is_stored_after_the_data_and_alone(bench):
    bench.c_mode()
    bench.deliver(frame(100))
    assert [(address, len(data)) for address, data in bench.slot.dma.writes] == [(0x20004, 104), (0x20000, 4)]


def test_5_4_bufe_follows_capr_which_lies_16_behind(bench):
    bench.c_mode()
    assert bench.read(0x37, 1) == 0x0D
    bench.deliver(frame())
    bench.deliver(frame())
    assert bench.read(0x37, 1) == 0x0C
    bench.write(0x38, 68 - 16, 2)
    assert bench.read(0x37, 1) == 0x0C
    bench.write(0x38, 136 - 16, 2)
    assert bench.read(0x37, 1) == 0x0D
    assert bench.read(0x38, 2) == 120


@pytest.mark.parametrize(("length", "kib"), [(0, 8), (1, 16), (2, 32), (3, 64)])
def test_5_8_rings_of_8_to_64_kib_wrap_at_their_size(bench, length, kib):
    bench.c_mode(0x0F | length << 11)
    size, place = kib << 10, 0
    for _ in range(kib * 1024 // 1524 + 2):
        bench.deliver(frame(1514))
        place = (place + 1524) % size
        assert bench.read(0x3A, 2) == place
        bench.write(0x38, place - 16 & 0xFFFF, 2)
    assert place < 2 * 1524
    assert "bad frame" not in bench.drops


@pytest.mark.parametrize("capr", [0xFFF0, 0x1FF0, 0x2000 - 16, 0xE000 - 16])
def test_trap_capr_at_the_rings_end(bench, capr):
    """CAPR's -16 at offset 0 is written as FFF0h, or as 1FF0h; Linux's place never wraps. All mean the same."""
    bench.c_mode()
    for number in range(1, 5):
        bench.deliver(frame(1636))
        bench.write(0x38, 1644 * number - 16, 2)
    bench.deliver(frame(8192 - 4 * 1644 - 8))
    assert bench.read(0x3A, 2) == 0, "the frame ends where the ring does"
    assert bench.read(0x37, 1) == 0x0C
    bench.write(0x38, capr, 2)
    assert bench.read(0x37, 1) == 0x0D
    assert bench.read(0x38, 2) == capr
    bench.deliver(frame(77))
    assert bench.at_ring(0) == (0x4001, 81)
    assert bench.read(0x37, 1) == 0x0C


def test_5_8_a_frame_never_fills_the_ring_since_full_would_read_as_empty(bench):
    bench.c_mode()
    for _ in range(2):
        bench.deliver(frame(4052))
    bench.deliver(frame(64))  # 72 bytes: all that is left
    assert (bench.read(0x3A, 2), bench.isr()) == (8120, 0x0011)
    bench.write(0x38, 4 - 16 & 0xFFFF, 2)
    bench.run()
    assert (bench.read(0x3A, 2), bench.read(0x37, 1)) == (0, 0x0C)


def test_5_8_without_wrap_the_rest_goes_to_the_rings_start(bench):
    bench.c_mode()
    at = fill(bench) * 1508 % 8192
    bench.write(0x38, at - 16, 2)
    data = frame(1514)
    bench.deliver(data)
    bench.write(0x38, at + 1524 - 16, 2)
    bench.deliver(data)
    at += 1524
    whole = data + pack("<I", zlib.crc32(data))
    cut = 8192 - at - 4
    assert 0 < cut < len(whole)
    assert bench.memory[0x20000 + at + 4 : 0x22000] == whole[:cut]
    assert bench.memory[0x20000 : 0x20000 + len(whole) - cut] == whole[cut:]
    assert bench.memory[0x22000:0x22600] == bytes(0x600)
    assert bench.read(0x3A, 2) == at + 1524 - 8192


def test_5_8_with_wrap_the_rest_goes_behind_the_ring(bench):
    bench.c_mode(0x8F)
    data = frame(1514)
    for number in range(6):
        bench.deliver(data)
        bench.write(0x38, (number + 1) * 1524 - 16, 2)
    start = 5 * 1524
    assert bench.memory[0x20000 + start + 4 : 0x20000 + start + 4 + 1514] == data
    assert bench.read(0x3A, 2) == 6 * 1524 - 8192
    bench.deliver(frame(70))
    assert bench.at_ring(6 * 1524 - 8192) == (0x4001, 74)


def test_5_8_wrap_is_without_effect_on_64_kib(bench):
    bench.c_mode(0x188F)
    bench.memory[0x30000:0x31000] = b"\xaa" * 0x1000
    for _ in range(44):
        bench.deliver(frame(1514))
        bench.write(0x38, (bench.read(0x3A, 2) - 16) & 0xFFFF, 2)
    assert bench.memory[0x30000:0x31000] == b"\xaa" * 0x1000
    assert bench.read(0x3A, 2) == 44 * 1524 - 65536


def test_5_6_a_full_ring_sets_rxovw_and_the_fifo_holds_what_it_can(bench):
    """Nothing unread is overwritten; what the FIFO of 2 KiB cannot hold is missed: FOVW and MPC."""
    bench.c_mode()
    for _ in range(5):
        bench.deliver(frame(1514))
    before = bytes(bench.memory[0x20000:0x22000])
    bench.isr()
    bench.deliver(frame(1500))
    assert (bench.isr(), bench.read(0x4C, 4)) == (0x0010, 0)
    bench.deliver(frame(1500))
    assert (bench.isr(), bench.read(0x4C, 4)) == (0x0040, 1)
    bench.deliver(frame(500))
    assert (bench.isr(), bench.read(0x4C, 4)) == (0x0000, 1)
    assert bench.memory[0x20000:0x22000] == before
    assert bench.drops == {"FIFO full": 1}
    bench.write(0x4C, 0x123456, 4)
    assert bench.read(0x4C, 4) == 0


def test_linux_8139too_acknowledges_rxovw_and_goes_on_reading(bench):
    bench.c_mode()
    for _ in range(6):
        bench.deliver(frame(1514))
    at = 0
    for _ in range(6):
        at, status, length = take(bench, at)
        assert (status, length) == (0x4001, 1518)
        bench.write(0x38, (at - 16) & 0xFFFF, 2)
        bench.write(0x3E, 0x0051, 2)
        bench.run()
    assert bench.read(0x37, 1) & 1
    assert "FIFO full" not in bench.drops


def test_linux_8139too_recovers_by_switching_the_receiver_off_and_on(bench):
    """It begins at offset 0 again without writing CAPR or RBSTART."""
    bench.c_mode()
    bench.deliver(frame())
    for _ in range(6):
        bench.deliver(frame(1500))
    bench.write(0x37, 0x04, 1)
    bench.write(0x37, 0x0C, 1)
    bench.write(0x44, 0x0000000F, 4)
    assert (bench.read(0x3A, 2), bench.read(0x38, 2), bench.read(0x37, 1)) == (0, LAG, 0x0D)
    bench.deliver(frame(99))
    assert bench.at_ring(0) == (0x4001, 103)
    assert bench.read(0x3A, 2) == 108, "the FIFO is empty, too"


def test_5_8_a_ring_made_larger_takes_what_the_fifo_holds(bench):
    """The driver may see a larger ring as empty, and would move CAPR no more."""
    bench.c_mode()
    for _ in range(6):
        bench.deliver(frame(1500))
    assert bench.card.receiver.held == 1504
    bench.write(0x44, 0x0000180F, 4)
    bench.run()
    assert bench.card.receiver.held == 0
    assert bench.read(0x3A, 2) == 6 * room(frame(1500))


def test_5_6_moving_capr_while_the_ring_is_empty_is_an_underrun(bench):
    bench.c_mode()
    bench.write(0x38, LAG, 2)
    assert bench.isr() == 0
    bench.write(0x38, 100, 2)
    assert bench.isr() == 0x0020


@pytest.mark.parametrize(
    ("rcr", "to", "status"),
    [
        (0x02, OURS, 0x4001), (0x01, OURS, 0x4001), (0x0C, OURS, None),
        (0x01, OTHER, 0x0001), (0x0E, OTHER, None),
        (0x08, ALL, 0x2001), (0x07, ALL, None),
        (0x04, GROUP, 0x8001), (0x0B, GROUP, None),
    ],
)  # fmt: skip
def test_5_8_each_filter_takes_its_own(bench, rcr, to, status):
    bench.c_mode(rcr)
    bench.write(0x08, 0xFFFFFFFF, 4)
    bench.write(0x0C, 0xFFFFFFFF, 4)
    bench.deliver(frame(to=to))
    assert bench.drops == ({} if status else {"not for us": 1})
    assert bench.at_ring(0)[0] == (status or 0)


@pytest.mark.parametrize("group", ["01005e000001", "333300000001", "0180c2000000", "01005e0000fb", "3333ff123456"])
def test_mar_hashes_by_the_upper_six_bits_of_the_crc_as_linux_does(bench, group):
    """ether_crc(6, address) >> 26, worked out bit by bit: polynomial 04C11DB7h, first bit highest, no complement."""
    crc = 0xFFFFFFFF
    for byte in bytes.fromhex(group):
        for place in range(8):
            high = crc >> 31 ^ byte >> place & 1
            crc = (crc << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if high else 0)
    bit = crc >> 26
    bench.c_mode(0x04)
    for number in (bit ^ 1, bit ^ 32, bit):
        bench.write(0x08, 1 << number & 0xFFFFFFFF, 4)
        bench.write(0x0C, 1 << number >> 32, 4)
        bench.deliver(frame(to=bytes.fromhex(group)))
        assert bool(bench.read(0x3A, 2)) == (number == bit)


def test_idr_can_be_changed_and_decides_at_once(bench):
    bench.c_mode(0x02)
    bench.unlock()
    bench.write(0x00, int.from_bytes(OTHER[:4], "little"), 4)
    bench.write(0x04, int.from_bytes(OTHER[4:], "little"), 4)
    bench.deliver(frame(to=OTHER))
    bench.deliver(frame(to=OURS))
    assert bench.read(0x3A, 2) == 68


def test_5_8_ar_takes_runts_from_8_bytes_on(bench):
    for rcr, taken in ((0x0F, 0), (0x1F, 1)):
        bench.c_mode(rcr)
        bench.deliver(frame(59))
        assert bool(bench.read(0x3A, 2)) == taken
    assert bench.at_ring(0) == (0x4010, 63)
    at = bench.read(0x3A, 2)
    bench.deliver(frame(6))
    assert bench.at_ring(at) == (0x4010, 10)
    bench.deliver(frame(5))
    assert bench.drops == {"bad frame": 1, "not a frame": 1}


@pytest.mark.parametrize(
    ("rcr", "size", "status"),
    [(0x0F, 60, None), (0x2F, 60, 0x4004), (0x2F, 59, None), (0x3F, 59, 0x4014), (0x1002F, 59, 0x4014),
     (0x1F, 59, None), (0x1000F, 59, None)],
)  # fmt: skip
def test_5_8_aer_takes_damaged_frames_and_rer8_damaged_runts(bench, rcr, size, status):
    bench.c_mode(rcr)
    data = frame(size)
    bench.deliver(data, FrameFacts(damaged=True))
    assert bench.isr() == 0x0002
    assert bench.at_ring(0) == ((status, size + 4) if status else (0, 0))
    if status:
        assert bench.memory[0x20004 + size : 0x20008 + size] != pack("<I", zlib.crc32(data))


def test_5_1_longer_than_4_kib_is_an_error(bench):
    bench.c_mode(0x0F)
    bench.deliver(frame(4092))
    assert bench.at_ring(0) == (0x4001, 4096)
    bench.write(0x38, bench.read(0x3A, 2) - 16, 2)
    bench.deliver(frame(4093))
    assert bench.drops == {"bad frame": 1}
    bench.write(0x44, 0x2F | 1 << 11, 4)
    at = bench.read(0x3A, 2)
    bench.deliver(frame(4093))
    assert bench.at_ring(at) == (0x4008, 4097)


def test_doors_work_that_a_sender_left_over_is_done_on_arrival(bench):
    """A frame of a card that left checksum and segments to the receiver's side."""
    bench.c_mode()
    header = bytes.fromhex("4500009c00014000400600000a0000010a000002")
    tcp = bytes.fromhex("1000200000000001000000005018ffff00000000")
    big = OURS + OTHER + b"\x08\x00" + header + tcp + bytes(116)
    bench.deliver(big, FrameFacts(34, 16, 58, 54))
    assert bench.read(0x3A, 2) == 2 * room(bytes(54 + 58))
    assert [bench.at_ring(at) for at in (0, room(bytes(112)))] == [(0x4001, 116)] * 2


def test_nothing_is_received_while_disabled_without_link_or_with_bus_master_off(bench):
    bench.deliver(frame())
    bench.c_mode()
    bench.plug(False)
    bench.deliver(frame())
    assert bench.drops == {"receiver disabled": 1, "no link": 1}
    bench.plug(True)
    bench.run(10**9)
    bench.card.bus_master_changed(False)
    bench.deliver(frame(64))
    assert bench.read(0x3A, 2) == 0
    bench.card.bus_master_changed(True)
    bench.run()
    assert bench.at_ring(0) == (0x4001, 68), "the FIFO has kept it"


def test_5_8_rcr_is_written_only_while_the_receiver_is_on(bench):
    """iPXE: the RTL8139 requires CR.RE before RCR."""
    bench.write(0x44, 0x0F, 4)
    assert (bench.read(0x44, 4), bench.drops) == (0, {"write refused": 1})
    bench.write(0x37, 0x08, 1)
    bench.write(0x44, 0x0F, 4)
    assert bench.read(0x44, 4) == 0x0F


def test_a_burst_is_as_if_each_had_arrived(bench):
    bench.c_mode()
    bench.slot.port.burst([frame(60 + n) for n in range(4)])
    assert [bench.at_ring(at) for at in (0, 68, 140, 212)] == [(0x4001, 64 + n) for n in range(4)]
