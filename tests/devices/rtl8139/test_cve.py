"""The ways in which models of this card were attacked: each ends in bounded time, and touches nothing else.

QEMU's rtl8139 had several of them: CVE-2015-5165 (lengths of offloaded packets), CVE-2016-8910 (a transmit ring without
end), CVE-2018-17958 (integer overflow in receive), CVE-2021-3416 (loopback re-entrancy).
"""

from struct import pack

import pytest

from motenet.doors import FrameFacts

OWN, EOR, FS, LS, LGSEN = 0x80000000, 0x40000000, 0x20000000, 0x10000000, 0x08000000
OURS = bytes.fromhex("525400123456")
FRAME = OURS + bytes.fromhex("0200000000010800") + bytes(50)


def events(bench):
    return bench.slot.world.save()["sequence"]


def settle(bench, most):
    """Let everything happen that is to happen: so many events at most, and the world stands still."""
    before = events(bench)
    bench.run(10**9)
    assert events(bench) - before <= most
    assert bench.slot.world.save()["events"] == []


def everywhere(bench, command, count=64):
    for index in range(count):
        bench.memory[0x40000 + 16 * index : 0x40010 + 16 * index] = pack("<IIQ", command, 0, 0x60000)


@pytest.mark.parametrize("timing", ["instant", "datasheet"])
def test_descriptor_loop_a_ring_without_end_that_is_always_the_cards(new_bench, timing):
    """Outside memory all descriptors read as ones: OWN, EOR, FS, LS and LGSEN, for ever. A poll is for 64 of them."""
    plus = new_bench("C+", timing)
    plus.cplus()
    plus.write(0x20, 0xFFF00000, 4)
    plus.write(0xD9, 0x40, 1)
    settle(plus, 200)
    assert len(plus.slot.dma.reads) == 128
    plus.write(0xD9, 0xC0, 1)
    settle(plus, 200)


def test_descriptor_loop_own_given_back_by_the_data_itself(plus):
    """A one-descriptor ring whose buffer is the descriptor; a driver that sets OWN again whenever it is cleared."""
    plus.cplus()
    plus.memory[0x40000:0x40010] = pack("<IIQ", OWN | EOR | FS | LS | 64, 0, 0x40000)

    def give_back():
        plus.memory[0x40003] |= 0x80

    plus.slot.dma.on_access = give_back
    plus.write(0xD9, 0x40, 1)
    settle(plus, 200)
    assert len(plus.sent) == 64


def test_descriptor_loop_all_owned_without_eor(plus):
    plus.cplus()
    everywhere(plus, OWN | FS | LS | 60)
    plus.write(0xD9, 0x40, 1)
    settle(plus, 200)
    assert len(plus.sent) == 64


@pytest.mark.parametrize("command", [OWN, OWN | FS, OWN | LS, OWN | FS | LS, OWN | FS | LS | LGSEN | 1460 << 16])
def test_zero_length_chains(plus, command):
    plus.cplus()
    everywhere(plus, command)
    for _ in range(3):
        plus.write(0xD9, 0x40, 1)
        settle(plus, 200)
    assert plus.sent == []
    assert plus.card.rings.rings[0].pieces == []


def test_descriptor_loop_an_end_of_the_receive_ring_that_comes_to_lie_before_the_card(plus):
    """With buffers of no size the walk never comes back to where it began, and never has enough."""
    plus.cplus()
    plus.buffers(*[1536] * 64)
    for _ in range(10):
        plus.deliver(FRAME)
    for index in range(64):
        plus.memory[0x41000 + 16 * index : 0x41010 + 16 * index] = pack("<IIQ", OWN | (index == 5) * EOR, 0, 0x50000)
    before = len(plus.slot.dma.reads)
    plus.deliver(FRAME)
    assert len(plus.slot.dma.reads) - before == 64
    assert plus.drops == {"no receive descriptor": 1}


def test_zero_length_receive_buffers(plus):
    plus.cplus()
    plus.buffers(*[0] * 64)
    plus.deliver(FRAME)
    settle(plus, 4)
    assert len(plus.slot.dma.reads) == 64
    assert [data for _, data in plus.slot.dma.writes] == []
    assert plus.drops == {"no receive descriptor": 1}


def test_a_receive_ring_of_one_descriptor_is_not_filled_twice_by_one_frame(plus):
    plus.cplus()
    plus.buffers(20)
    plus.deliver(FRAME)
    assert plus.result(0)[0] == OWN | EOR | 20
    assert plus.slot.dma.writes == []


def test_zero_length_slot(bench):
    bench.c_mode()
    for slot in range(4):
        bench.write(0x10 + 4 * slot, 0, 4)
    settle(bench, 20)
    assert bench.sent == []
    assert bench.drops == {"packet too short": 4}
    assert bench.read(0x60, 2) == 0xF00F


@pytest.mark.parametrize("revision", ["C", "C+"])
def test_loopback_reentrancy_a_received_frame_writes_the_cards_own_registers(new_bench, revision):
    """Loopback into a buffer that is the register space: TSD or TPPOLL is written by DMA, and sends again."""
    bench = new_bench(revision)
    nested = []

    def into_registers():
        nested.append(1)
        assert len(nested) < 2000
        if revision == "C":
            bench.write(0x10 + 4 * (len(nested) % 4), 60, 4)
        else:
            bench.write(0xD9, 0xC0, 1)

    if revision == "C":
        bench.c_mode(tcr=0x00060000)
    else:
        bench.cplus()
        bench.write(0x40, 0x00060000, 4)
        bench.buffers(*[1536] * 64)
        everywhere(bench, OWN | FS | LS | 60)
    bench.send(0, FRAME) if revision == "C" else None
    bench.slot.dma.on_access = into_registers
    bench.write(0xD9, 0x40, 1)
    begun = events(bench)
    while events(bench) - begun < 300 and bench.slot.world.save()["events"]:
        bench.slot.world.run(bench.now, lambda: True)  # one event
    bench.slot.dma.on_access = None
    settle(bench, 1000)


def test_loopback_into_the_transmit_ring(plus):
    """Received frames overwrite the descriptors that are being sent."""
    plus.cplus(rcr=0x3F)
    plus.write(0x40, 0x00060000, 4)
    for index in range(64):
        end = EOR if index == 63 else 0
        plus.memory[0x41000 + 16 * index : 0x41010 + 16 * index] = pack("<IIQ", OWN | end | 1024, 0, 0x40000)
    plus.memory[0x60000:0x60400] = OURS + b"\xff" * 1018
    everywhere(plus, OWN | FS | LS | 1000)
    before = bytes(plus.memory[0x41000:0x41400])
    plus.write(0xD9, 0xC0, 1)
    settle(plus, 1000)
    assert bytes(plus.memory[0x41000:0x41400]) != before


@pytest.mark.parametrize("capr", [0x0001, 0x1FFF, 0x2000, 0x7FF3, 0xFFEF, 0xFFF1, 0xFFFF])
@pytest.mark.parametrize("rcr", [0x0F, 0x8F, 0x080F, 0x188F])
def test_ring_pointer_wrap_any_capr_keeps_the_card_within_its_ring(bench, capr, rcr):
    bench.c_mode(rcr)
    size = 8192 << (rcr >> 11 & 3)
    for number in range(60):
        bench.write(0x38, capr + 1531 * number & 0xFFFF, 2)
        bench.deliver(OURS + bytes(1500))
        assert bench.read(0x3A, 2) < size
    settle(bench, 20)
    behind = 2048 if rcr & 0x80 else 0
    for address, data in bench.slot.dma.writes:
        assert address in range(0x20000, 0x20000 + size + behind - len(data) + 1)


def test_ring_pointer_wrap_a_ring_made_smaller_than_what_it_holds(bench):
    bench.c_mode(0x180F)
    for _ in range(30):
        bench.deliver(OURS + bytes(1500))
    bench.write(0x44, 0x0F, 4)
    bench.slot.dma.writes.clear()
    for number in range(30):
        bench.write(0x38, 1500 * number & 0xFFFF, 2)
        bench.deliver(OURS + bytes(1500))
    settle(bench, 20)
    for address, data in bench.slot.dma.writes:
        assert address in range(0x20000, 0x22000 - len(data) + 1)


def test_ring_pointer_wrap_a_ring_at_the_end_of_the_address_space(bench):
    bench.c_mode()
    bench.write(0x30, 0xFFFFFFF0, 4)
    bench.deliver(FRAME)
    assert all(address < 1 << 32 for address, _ in bench.slot.dma.writes)


PACKET = OURS + bytes.fromhex("020000000001 0800 4500") + bytes(6) + b"\x40\x06" + bytes(10)


@pytest.mark.parametrize("dac", [0, 1])
def test_ring_pointer_wrap_descriptors_at_the_end_of_the_address_space(plus, dac):
    """Both rings go on at address 0, and never beyond 32 bits, or 64 with CPCR.DAC."""
    plus.cplus(0x0003 | dac << 4)
    for low in (0x20, 0xE4):
        plus.write(low, 0xFFFFFF00, 4)
        plus.write(low + 4, 0xFFFFFFFF, 4)
    asked = []

    def read(address, length, layout):
        asked.append(address)
        return pack("<IIQ", OWN | FS | LS | 64, 0, 0x60000)

    plus.slot.dma.read = read  # for descriptors
    for _ in range(17):
        plus.deliver(FRAME[:60])
    last = (2**64 if dac else 2**32) - 16
    assert asked[15:17] == [last, 0]
    asked.clear()
    plus.poll()
    assert asked[15:17] == [last, 0]
    assert max(asked) == last


@pytest.mark.parametrize("mss", [0, 1, 2047])
@pytest.mark.parametrize("offset", [0x00, 0x50, 0xF0])
@pytest.mark.parametrize("total", [0x0000, 0x0013, 0x0028, 0xFFFF])
@pytest.mark.parametrize("header", [0x40, 0x45, 0x4F, 0xFF])
def test_oversized_segments_and_lengths_that_lie(plus, mss, offset, total, header):
    """MSS 0 and huge; data offset, header length and total length that are short, or beyond the packet."""
    plus.cplus()
    data = bytearray(PACKET + bytes(12) + bytes([offset, 0x18]) + bytes(6) + bytes(200))
    data[14] = header
    data[16:18] = total.to_bytes(2, "big")
    for flags in (LGSEN | mss << 16, 0x00070000):
        plus.give(bytes(data), OWN | FS | LS | flags)
    plus.write(0xD9, 0x40, 1)
    settle(plus, 100)
    assert all(len(frame) <= len(data) for frame in plus.sent)
    if mss == 0:
        assert plus.drops == {"bad large send": 1}
        assert len(plus.sent) == 1


def test_oversized_segments_64_kib_in_segments_of_one_byte_a_few_an_event(plus):
    plus.cplus()
    data = bytearray(PACKET + bytes(12) + b"\x50\x18" + bytes(6) + bytes(5000))
    plus.give(bytes(data), OWN | FS | LS | LGSEN | 1 << 16, at=0x80000)
    plus.write(0xD9, 0x40, 1)
    before = 0
    for _ in range(40):
        plus.slot.world.run(plus.now, lambda: True)
        assert len(plus.sent) - before <= 64
        before = len(plus.sent)
    settle(plus, 100)
    assert len(plus.sent) == 5000


def test_integer_overflow_a_packet_of_more_than_64_kib_is_not_gathered(plus):
    plus.cplus()
    for index in range(5):
        plus.give(b"", OWN | (FS if index == 0 else LS if index == 4 else 0) | 0xFFFF)
    plus.write(0xD9, 0x40, 1)
    settle(plus, 20)
    assert plus.sent == []
    assert plus.drops == {"packet too long": 1}
    assert sum(length for _, length, layout in plus.slot.dma.reads if not layout) == 0xFFFF


@pytest.mark.parametrize("size", [8, 60, 4092, 8191, 16_000, 65_530, 200_000])
def test_integer_overflow_received_frames_of_any_length(bench, plus, size):
    bench.c_mode(0x3F)
    bench.deliver(OURS + bytes(size))
    for address, data in bench.slot.dma.writes:
        assert address + len(data) <= 0x22000
    plus.cplus(rcr=0x3F)
    plus.buffers(*[0x1FFF] * 64)
    for damaged in (False, True):
        plus.deliver(OURS + bytes(size), FrameFacts(damaged=damaged))
    settle(plus, 10)
    for _, data in plus.slot.dma.writes:
        assert len(data) <= 0x1FFF
    for index in range(64):
        assert plus.memory[0x41003 + 16 * index] & 0x40 == (0x40 if index == 63 else 0), "EOR is not overrun"
        result = plus.result(index)[0]
        if result & 0x90000000 == 0x10000000:
            assert result & 0x0003E000 == 0, "the length does not run into the results"


def test_integer_overflow_the_largest_size_of_a_slot(bench):
    bench.c_mode()
    bench.write(0x20, 0xFFFFFFFC, 4)
    bench.write(0x10, 0x1FFF, 4)
    settle(bench, 10)
    assert [len(frame) for frame in bench.sent] == [8191]


def test_an_abort_that_is_answered_for_ever_ends_when_the_collisions_do(bench):
    """An interrupt handler that writes CLRABT each time."""
    bench.c_mode()
    bench.card.jam = 50
    bench.send(0, FRAME)
    for _ in range(60):
        bench.run()
        if bench.isr() & 0x0008:
            bench.write(0x40, 0x00000001, 4)
    settle(bench, 10)
    assert len(bench.sent) == 1


def test_timer_interrupts_come_once_a_turn_of_the_counter_however_small_the_limit(bench):
    bench.write(0x54, 1, 4)
    before = events(bench)
    for _ in range(100):
        bench.run(10**8)
        bench.isr()
    assert events(bench) - before <= 2
