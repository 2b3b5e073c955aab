"""The transmit path against a mocked card: descriptors by clause of the 8254x manual, chapter 3.3 to 3.6."""

from struct import unpack_from

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from motenet.core.checksum import ones_sum, pseudo_header_sum
from motenet.core.errors import DriverError
from motenet.datasheets import e1000 as ds
from motenet.doors import FrameFacts

EOP, IFCS, TSE, RS, DEXT, VLE = 1 << 24, 1 << 25, 1 << 26, 1 << 27, 1 << 29, 1 << 30
DATA = 1 << 20 | DEXT | IFCS


def sent(fake, descriptors) -> bytes:
    """The bytes that data descriptors name."""
    return b"".join(bytes(fake.memory.view[d[0] : d[0] + (d[1] & 0xFFFFF)]) for d in descriptors)


def lengths(descriptors) -> list[int]:
    return [d[1] & 0xFFFFF for d in descriptors]


def put(driver, frame: bytes, facts: FrameFacts | None = None) -> None:
    view = driver.reserve(len(frame))
    assert view is not None
    view[:] = frame
    driver.commit(facts)


def tcp_frame(payload: bytes, vlan: bool = False, options: list | None = None) -> bytes:
    """A frame as a stack gives it for segmentation: the TCP checksum field holds the pseudo-header's sum."""
    ip = IP(src="10.0.0.1", dst="10.0.0.2", id=7)
    link = Ether(dst="52:54:00:00:00:02") / Dot1Q(vlan=5) if vlan else Ether(dst="52:54:00:00:00:02")
    return bytes(link / ip / TCP(sport=80, dport=4000, seq=1, ack=2, options=options or []) / payload)


def test_3_3_3_a_plain_frame_is_one_legacy_descriptor_and_one_doorbell(fake, started):
    driver = started()
    frame = bytes(range(100))
    assert driver.send(frame)
    assert fake.writes() == [("TDT", 1)]
    (descriptor,) = fake.transmit_ring(0)
    assert descriptor[1:] == (100 | EOP | IFCS | RS, 0, 0, 0)
    assert sent(fake, [descriptor]) == frame


def test_the_reserved_view_is_the_cards_own_memory(fake, started):
    driver = started()
    view = driver.reserve(64)
    driver.commit()
    view[:] = b"z" * 64  # nothing was copied
    driver.flush()
    assert sent(fake, fake.transmit_ring(0)) == b"z" * 64


@pytest.mark.parametrize("length", [14, 17, 59, 60])
def test_3_3_3_short_frames_are_padded_with_zeros_in_memory(fake, started, length):
    driver = started()
    driver.transmitter.memory.lend(0, 64)[:] = b"\xee" * 64
    driver.send(b"a" * length)
    assert sent(fake, fake.transmit_ring(0)) == b"a" * length + bytes(60 - length)


def test_a_batch_has_one_doorbell_and_one_write_back(fake, started):
    driver = started()
    for n in range(10):
        put(driver, bytes([n]) * 60)
    assert fake.writes() == []
    driver.flush()
    driver.flush()
    assert fake.writes() == [("TDT", 10)]
    assert [bool(d[1] & RS) for d in fake.transmit_ring(0)] == [False] * 9 + [True]
    assert driver.poll() is False
    assert driver.transmitter.idle


def test_a_long_batch_is_reported_every_32_descriptors(fake, started):
    driver = started()
    for _ in range(100):
        put(driver, bytes(60))
    driver.flush()
    assert [i for i, d in enumerate(fake.transmit_ring(0)) if d[1] & RS] == [31, 63, 95, 99]


def test_13_4_39_dd_is_trusted_and_head_never_read(fake, started):
    driver = started(tx_ring=8, segmentation_offload=False)
    for _ in range(40):
        driver.send(bytes(60))
        fake.transmit_ring((fake.registers[ds.TDT.offset] - 1) % 8)
    assert not [entry for entry in fake.log if entry[:2] == ("read", "TDH")]
    assert driver.transmitter.frames == 40


def test_3_4_a_full_ring_refuses_and_never_lets_tail_meet_head(fake, started):
    driver = started(tx_ring=8, segmentation_offload=False)
    count = 0
    while driver.send(bytes(60)):
        count += 1
    assert 1 <= count <= 7
    assert fake.registers[ds.TDT.offset] == count
    fake.transmit_ring(0)
    assert driver.send(bytes(60))  # what is done is taken back without an interrupt


def test_a_refusal_asks_for_one_transmit_interrupt(fake, started):
    driver = started(tx_ring=8, segmentation_offload=False)
    woken = []
    driver.wake = lambda: woken.append(1)
    while driver.send(bytes(60)):
        pass
    assert fake.writes("IMS") == [("IMS", 1)]
    driver.send(bytes(60))
    assert fake.writes("IMS") == [("IMS", 1)]
    assert not fake.raise_interrupt(1 << 9)  # not ours
    fake.transmit_ring(0)
    assert fake.raise_interrupt(1)
    assert woken == [1]
    fake.log.clear()
    driver.poll()
    assert fake.writes("IMS") == [("IMS", 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7)]  # TXDW is off again


def test_a_refusal_while_masked_asks_when_interrupts_go_on(fake, started):
    driver = started(tx_ring=8, segmentation_offload=False)
    fake.raise_interrupt(1 << 7)
    while driver.send(bytes(60)):
        pass
    assert fake.writes("IMS") == []
    driver.poll()
    assert fake.writes("IMS") == [("IMS", 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7)]


def test_transmit_memory_is_a_ring_of_bytes(fake, started):
    driver = started(segmentation_offload=False, tx_memory=4096)
    base = driver.transmitter.memory.address
    first = 0
    for n in range(30):
        frame = bytes([n]) * (400 + 37 * n)
        while driver.reserve(len(frame)) is None:
            first = fake.registers[ds.TDT.offset] if fake.transmit_ring(first) else first
        driver.reserve(len(frame))[:] = frame
        driver.commit()
        driver.flush()
        (descriptor,) = fake.transmit_ring(fake.registers[ds.TDT.offset] - 1, done=False)
        assert sent(fake, [descriptor]) == frame
        assert base <= descriptor[0] <= base + 4096 - len(frame)


def test_memory_of_frames_in_flight_is_not_given_out_again(fake, started):
    driver = started(segmentation_offload=False, tx_memory=4096)
    frames = []
    while (view := driver.reserve(600)) is not None:
        frames.append(bytes([len(frames)]) * 600)
        view[:] = frames[-1]
        driver.commit()
    descriptors = fake.transmit_ring(0)
    assert len(frames) == 6
    assert [sent(fake, [d]) for d in descriptors] == frames


def test_idle_memory_is_used_again_from_its_start(fake, started):
    driver = started()
    for turn in range(5):
        driver.send(bytes(1000))
        fake.transmit_ring(turn)
        driver.poll()
    assert driver.transmitter.written == 0


def test_3_6_a_checksum_has_a_context_that_is_repeated_only_when_it_changes(fake, started):
    driver = started()
    tcp, udp = FrameFacts(34, 16), FrameFacts(34, 6)
    for facts in (tcp, tcp, None, tcp, udp):
        put(driver, bytes(100), facts)
    driver.flush()
    found = fake.transmit_ring(0)
    kinds = [("context" if d[1] & DEXT and not d[1] >> 20 & 0xF else "data" if d[1] & DEXT else "plain") for d in found]
    assert kinds == ["context", "data", "data", "plain", "data", "context", "data"]
    context = unpack_from("<BBHBBHIBBH", fake.memory.view, fake.ring("T")[0])
    assert context == (0, 0, 0, 34, 50, 0, DEXT | 1 << 24, 0, 0, 0)  # TUCSS, TUCSO, TUCSE 0: to the end; TCP
    udp_context = unpack_from("<BBHBBHIBBH", fake.memory.view, fake.ring("T")[0] + 5 * 16)
    assert udp_context == (0, 0, 0, 34, 40, 0, DEXT, 0, 0, 0)
    assert found[1][1:] == (100 | DATA | EOP, 0, 2, 0)  # POPTS.TXSM


def test_a_reset_forgets_the_context(fake, started):
    driver = started()
    put(driver, bytes(100), FrameFacts(34, 16))
    driver.recover()
    put(driver, bytes(100), FrameFacts(34, 16))
    driver.flush()
    assert len(fake.transmit_ring(0)) == 2


def test_3_5_a_segmented_frame(fake, started):
    driver = started()
    payload = bytes(n & 0xFF for n in range(10000))
    frame = tcp_frame(payload)
    put(driver, frame, FrameFacts(34, 16, 1460, 54))
    driver.flush()
    data = fake.transmit_ring(0)[1:]
    fields = unpack_from("<BBHBBHIBBH", fake.memory.view, fake.ring("T")[0])
    # 3.3.6: IPCSS, IPCSO, IPCSE (inclusive), TUCSS, TUCSO, TUCSE, PAYLEN | DTYP 0 | TCP IP TSE DEXT, STA, HDRLEN, MSS
    assert fields == (14, 24, 33, 34, 50, 0, 10000 | 1 << 24 | 1 << 25 | TSE | DEXT, 0, 54, 1460)
    assert all(d[1] & (DATA | TSE) == DATA | TSE and d[3] == 3 for d in data)
    assert [bool(d[1] & EOP) for d in data] == [False] * (len(data) - 1) + [True]
    assert max(lengths(data)) <= 4096
    assert lengths(data)[-1] == 4  # Linux's sentinel against premature write-back
    # 3.5.5: length and checksum of IPv4 are zero, TCP's checksum is the pseudo-header's sum without the length
    expected = bytearray(frame)
    expected[16:18] = expected[24:26] = b"\0\0"
    seed = pseudo_header_sum(bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), 6, 0)
    expected[50:52] = seed.to_bytes(2, "big")
    assert sent(fake, data) == expected


def test_3_3_7_1_segmentation_leaves_the_checksum_context_alone_and_a_sentinel_follows(fake, started):
    driver = started()
    put(driver, bytes(100), FrameFacts(34, 16))
    put(driver, tcp_frame(bytes(3000)), FrameFacts(34, 16, 1460, 54))
    put(driver, bytes(100), FrameFacts(34, 16))
    put(driver, bytes(100), FrameFacts(34, 16))
    driver.flush()
    found = fake.transmit_ring(0)
    assert lengths(found[5:]) == [96, 4, 100]  # Linux: the frame behind a segmented one has its own last descriptor
    assert len(found) == 8


@pytest.mark.parametrize("mss", [88, 536, 1000])
def test_linux_a_buffer_holds_at_most_four_segments(fake, started, mss):
    driver = started()
    put(driver, tcp_frame(bytes(9000)), FrameFacts(34, 16, mss, 54))
    driver.flush()
    assert max(lengths(fake.transmit_ring(0)[1:])) == 4 * mss


def test_small_segments_never_take_more_descriptors_than_there_are(fake, started):
    driver = started(tx_ring=32)
    put(driver, tcp_frame(bytes(65000)), FrameFacts(34, 16, 8, 54))
    driver.flush()
    assert len(fake.transmit_ring(0)) <= 31
    assert driver.transmitter.ring.room() >= 0


def test_segmentation_of_a_tagged_frame_with_options(fake, started):
    driver = started()
    frame = tcp_frame(bytes(5000), vlan=True, options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 2))])
    put(driver, frame, FrameFacts(38, 16, 1400, 70))
    driver.flush()
    fields = unpack_from("<BBHBBHIBBH", fake.memory.view, fake.ring("T")[0])
    assert fields[:6] == (18, 28, 37, 38, 54, 0)
    assert fields[6] & 0xFFFFF == 5000
    assert sent(fake, fake.transmit_ring(1))[20:22] == b"\0\0"


@pytest.mark.parametrize(
    ("frame", "facts"),
    [
        (bytes(Ether() / IP() / UDP() / bytes(3000)), FrameFacts(34, 6, 1400, 42)),
        (b"\0" * 12 + b"\x86\xdd\x60" + bytes(3000), FrameFacts(54, 16, 1400, 74)),
        (tcp_frame(bytes(3000)), FrameFacts(34, 16, 1500, 54)),
        (tcp_frame(bytes(3000)), FrameFacts(34, 16, 1400, 20)),
        (tcp_frame(bytes(3000)), None),
        (tcp_frame(bytes(300)), FrameFacts(34, 400)),
        (tcp_frame(bytes(300)), FrameFacts(2, 6)),
    ],
)
def test_what_the_card_cannot_do_is_the_callers_mistake(started, frame, facts):
    driver = started()
    with pytest.raises(DriverError, match=r"capabilities|mtu"):
        put(driver, frame, facts)


def test_offloads_that_are_off_are_refused(started):
    driver = started(checksum_offload=False, segmentation_offload=False)
    assert (driver.capabilities.checksum_tx, driver.capabilities.max_segmented) == (False, 0)
    with pytest.raises(DriverError):
        put(driver, bytes(100), FrameFacts(34, 16))
    with pytest.raises(DriverError, match="1518"):
        driver.reserve(1519)


def test_commit_wants_a_reserve(started):
    driver = started()
    with pytest.raises(DriverError, match="reserve"):
        driver.commit()
    for length in (0, 13, 65550):
        with pytest.raises(DriverError, match="14 to 65549"):
            driver.reserve(length)


def test_3_3_7_1_vlan_tags_are_in_all_descriptors_of_a_frame(fake, started):
    driver = started()
    with pytest.raises(DriverError, match="set_vlan_mode"):
        driver.set_vlan_tag(5)
    driver.set_vlan_mode(True)
    assert fake.registers[ds.CTRL.offset] & ds.CTRL["VME"]
    assert fake.registers[ds.VET.offset] == 0x8100
    driver.set_vlan_tag(0x2005)
    put(driver, bytes(60))
    put(driver, tcp_frame(bytes(9000)), FrameFacts(34, 16, 1460, 54))
    driver.set_vlan_tag(None)
    put(driver, bytes(60))
    driver.flush()
    found = fake.transmit_ring(0)
    data = [d for d in found if not d[1] & DEXT or d[1] >> 20 & 0xF == 1]
    assert [(bool(d[1] & VLE), d[4]) for d in data] == [(True, 0x2005)] * (len(data) - 2) + [(False, 0)] * 2


def test_jumbo_frames_span_descriptors(fake, started):
    driver = started(mtu=9000)
    frame = bytes(n & 0xFF for n in range(9014))
    driver.send(frame)
    found = fake.transmit_ring(0)
    assert lengths(found) == [4096, 4096, 822]
    assert [d[1] >> 24 for d in found] == [2, 2, 11]
    assert sent(fake, found) == frame


def test_hang_frames_that_stay_with_the_card_make_it_reset(fake, started):
    driver = started(hang_timeout="100ms")
    driver.send(bytes(60))
    fake.clock.now += 90_000_000
    driver.poll()
    assert driver.recoveries == 0
    fake.clock.now += 20_000_000
    driver.poll()
    assert driver.statistics["recoveries"] == 1
    assert driver.drops == {"tx lost": 1}
    assert driver.send(b"again" * 20)
    assert sent(fake, fake.transmit_ring(0)) == b"again" * 20
    assert fake.log[-1][1] == "TDT"


def test_hang_time_does_not_count_without_link_nor_without_frames(fake, started):
    driver = started(hang_timeout="100ms")
    fake.clock.now += 10**9
    driver.send(bytes(60))
    driver.poll()
    fake.registers[ds.STATUS.offset] = 0
    fake.raise_interrupt(1 << 2)
    driver.poll()
    assert not driver.is_link_up
    fake.clock.now += 10**9
    driver.poll()
    fake.registers[ds.STATUS.offset] = ds.STATUS["LU"]
    fake.raise_interrupt(1 << 2)
    driver.poll()
    assert driver.is_link_up
    assert driver.recoveries == 0


def test_a_card_that_does_not_come_back_leaves_a_link_that_is_down(fake, started):
    driver = started(hang_timeout="100ms", tx_ring=8, segmentation_offload=False)
    driver.send(bytes(60))
    fake.reset_bit_stuck = True
    fake.clock.now += 200_000_000
    assert driver.poll() is False
    assert driver.drops == {"tx lost": 1, "card dead": 1}
    assert not driver.is_link_up
    while driver.send(bytes(60)):
        assert driver.transmitter.ring.room() >= 0
    fake.clock.now += 10**10
    driver.poll()
    assert driver.recoveries == 1


def test_3_3_3_2_collisions_are_counted(fake, started):
    driver = started()
    driver.send(bytes(60))
    fake.transmit_ring(0)
    fake.memory.view[fake.ring("T")[0] + 12] = 0x3  # DD, EC
    driver.poll()
    assert driver.drops == {"collisions": 1}


@given(st.lists(st.tuples(st.integers(14, 20000), st.integers(0, 3)), max_size=40))
def test_whatever_is_sent_arrives_in_order_and_once(make_started, plan):
    """Frames of any length, plain or segmented, with a card that is done now and then."""
    fake, driver = make_started(tx_ring=32, tx_memory=140_032)
    expected, arrived, first = [], [], 0
    for index, (length, reap) in enumerate(plan):
        segmented = length > 1518
        frame = tcp_frame(bytes([index]) * (length - 54)) if segmented else bytes([index]) * length
        view = driver.reserve(len(frame))
        if view is not None:
            view[:] = frame
            driver.commit(FrameFacts(34, 16, 1460, 54) if segmented else None)
            expected.append(frame[54:] if segmented else frame + bytes(max(0, 60 - length)))
        if reap == 0 or view is None:
            driver.flush()
            found = fake.transmit_ring(first)
            first = fake.registers[ds.TDT.offset]
            arrived += frames_of(fake, found)
    driver.flush()
    arrived += frames_of(fake, fake.transmit_ring(first))
    assert arrived == expected
    assert driver.poll() is False
    assert driver.transmitter.idle


def frames_of(fake, descriptors) -> list[bytes]:
    """Frames, or the payload of segmented ones."""
    frames, parts = [], []
    for descriptor in descriptors:
        if descriptor[1] & DEXT and not descriptor[1] >> 20 & 0xF:
            continue
        parts.append(descriptor)
        if descriptor[1] & EOP:
            data = sent(fake, parts)
            frames.append(data[54:] if descriptor[1] & TSE else data)
            parts = []
    return frames


def test_the_seed_folds_as_rfc_1071_says(fake, started):
    driver = started()
    frame = bytearray(tcp_frame(bytes(3000)))
    frame[26:34] = b"\xff" * 8
    put(driver, bytes(frame), FrameFacts(34, 16, 1460, 54))
    driver.flush()
    seed = sent(fake, fake.transmit_ring(1))[50:52]
    assert int.from_bytes(seed, "big") == ones_sum(b"\xff" * 8 + b"\0\6")
