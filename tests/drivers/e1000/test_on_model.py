"""The driver on the model of its card: two machines and a wire, nothing between them but registers and descriptors."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from motenet.core.checksum import pseudo_header_sum
from motenet.core.state import canonical
from motenet.core.units import MS, SECOND
from motenet.datasheets import e1000 as ds
from motenet.devices import E1000
from motenet.doors import FrameFacts, NetworkDriver, PciFunction
from motenet.drivers import E1000Driver
from tests.drivers.model import ADDRESSES, CardPair, plain, unsummed


class Pair(CardPair):
    def __init__(self, timing: str = "instant", **options: object) -> None:
        super().__init__(lambda mac: E1000(mac, timing), lambda function: E1000Driver(function, **options))


def put(driver: E1000Driver, frame: bytes, facts: FrameFacts | None = None) -> bool:
    view = driver.reserve(len(frame))
    if view is None:
        return False
    view[:] = frame
    driver.commit(facts)
    return True


def test_it_is_what_the_doors_ask_for():
    pair = Pair()
    assert isinstance(pair.machines[0].pci.functions[0], PciFunction)
    driver: NetworkDriver = pair.drivers[0]
    assert driver.mac_address == bytes.fromhex("525400000001")
    assert driver.is_link_up
    assert pair.drivers[0].speed == 1000
    assert pair.drops() == {}


def test_with_the_datasheets_delays_the_link_comes_up_by_itself():
    pair = Pair("datasheet")
    pair.run(5 * SECOND)
    assert [driver.is_link_up for driver in pair.drivers] == [True, True]
    assert pair.drivers[0].send(plain(1))
    pair.run()
    assert pair.received[1] == [(plain(1), [], False, None)]
    assert pair.drops() == {}


def test_frames_both_ways_in_bursts():
    pair = Pair()
    for n in range(300):
        assert put(pair.drivers[0], plain(n)) or (pair.drivers[0].flush(), pair.run(MS), put(pair.drivers[0], plain(n)))
        if n % 20 == 19:
            pair.drivers[0].flush()
            pair.run(MS)
    pair.run()
    assert [entry[0] for entry in pair.received[1]] == [plain(n) for n in range(300)]
    assert pair.drops() == {}
    statistics = pair.drivers[1].statistics
    assert statistics["GPRC"] == statistics["rx_frames"] == 300
    assert pair.drivers[0].statistics["GPTC"] == 300
    assert statistics["interrupts"] < 60


def test_polling_mode():
    pair = Pair(interrupts=False)
    for n in range(10):
        pair.drivers[0].send(plain(n))
    pair.run()
    assert pair.received[1] == []
    pair.take(1)
    assert [entry[0] for entry in pair.received[1]] == [plain(n) for n in range(10)]
    assert not pair.drivers[0].poll()
    assert pair.drivers[0].transmitter.idle


def test_checksums_are_inserted_and_verified():
    pair = Pair()
    frame = unsummed(b"hello world", seq=5)
    assert put(pair.drivers[0], frame, FrameFacts(34, 16))
    udp = bytearray(bytes(Ether(src=ADDRESSES[0], dst=ADDRESSES[1]) / IP(dst="10.0.0.2") / UDP() / b"abc"))
    udp[40:42] = pseudo_header_sum(bytes(udp[26:30]), bytes(udp[30:34]), 17, 11).to_bytes(2, "big")
    assert put(pair.drivers[0], bytes(udp), FrameFacts(34, 6))
    pair.drivers[0].flush()
    pair.run()
    for sent in pair.wire.frames:
        packet = Ether(sent)
        wire_sum = packet[IP].payload.chksum
        del packet[IP].payload.chksum
        assert Ether(bytes(packet))[IP].payload.chksum == wire_sum  # Scapy's own
    assert [entry[2] for entry in pair.received[1]] == [True, True]


@pytest.mark.parametrize(("transport", "protocol", "place"), [(TCP(flags="A"), 6, 16), (UDP(), 17, 6)])
@pytest.mark.parametrize("tagged", [False, True])
def test_3_6_checksums_over_ipv6_are_inserted_where_the_context_says(transport, protocol, place, tagged):
    """The card knows offsets only; RXCSUM.IPV6OFL verifies them on the other side (8254x 3.2.9.4)."""
    pair = Pair()
    ether = Ether(src=ADDRESSES[0], dst=ADDRESSES[1])
    below = ether / Dot1Q(vlan=5) if tagged else ether
    whole = bytes(below / IPv6(src="fd00::1", dst="fd00::2") / transport / b"hello world")
    start = 58 if tagged else 54
    frame = bytearray(whole)
    seed = pseudo_header_sum(whole[start - 32 : start - 16], whole[start - 16 : start], protocol, len(whole) - start)
    frame[start + place : start + place + 2] = seed.to_bytes(2, "big")
    assert put(pair.drivers[0], bytes(frame), FrameFacts(start, place))
    pair.drivers[0].flush()
    pair.run()
    assert pair.wire.frames == [whole]
    assert [entry[2] for entry in pair.received[1]] == [True]


def test_segmentation_over_ipv6_is_not_announced():
    """The manual has it (8254x 3.5.9); of the drivers that shipped, Linux's announces none for this card."""
    capabilities = Pair().drivers[0].capabilities
    assert capabilities.max_segmented > 0
    assert capabilities.max_segmented_ipv6 == 0


def test_segments_over_ipv6_are_handed_up_as_one_train():
    pair = Pair()
    for number in range(10):
        tcp = TCP(flags="A", seq=1000 + 100 * number) / bytes([number] * 100)
        network = IPv6(src="fd00::1", dst="fd00::2")
        assert put(pair.drivers[0], bytes(Ether(src=ADDRESSES[0], dst=ADDRESSES[1]) / network / tcp))
    pair.drivers[0].flush()
    pair.run()
    joined = b"".join(frame[74:] + b"".join(more) for frame, more, _, _ in pair.received[1])
    assert joined == b"".join(bytes([number] * 100) for number in range(10))
    assert len(pair.received[1]) < 10


def test_a_segmented_frame_arrives_as_one_train():
    """TSO, the wire, and GRO: 40,000 bytes leave as one frame and are handed up as one."""
    pair = Pair()
    payload = bytes(n * 7 & 0xFF for n in range(40_000))
    assert put(pair.drivers[0], unsummed(payload, seq=1000), FrameFacts(34, 16, 1460, 54))
    pair.drivers[0].flush()
    pair.run()
    assert len(pair.wire.frames) == 28
    assert all(len(frame) <= 1514 for frame in pair.wire.frames)
    sequences = [Ether(frame)[TCP].seq for frame in pair.wire.frames]
    assert sequences == [1000 + 1460 * n for n in range(28)]
    assert all(entry[2] for entry in pair.received[1])
    together = b"".join(b"".join((frame[54:], *more)) for frame, more, _, _ in pair.received[1])
    assert together == payload
    assert pair.drivers[1].statistics["gro_joined"] + len(pair.received[1]) == 28
    assert pair.drivers[1].statistics["gro_joined"] > 20
    assert pair.drops() == {}


def test_contexts_for_checksums_and_segments_live_side_by_side():
    pair = Pair()
    for n in range(4):
        assert put(pair.drivers[0], unsummed(bytes([n]) * 4000, seq=1), FrameFacts(34, 16, 1000, 54))
        assert put(pair.drivers[0], unsummed(bytes([n]) * 99, seq=1), FrameFacts(34, 16))
        assert put(pair.drivers[0], plain(n))
    pair.drivers[0].flush()
    pair.run()
    assert len(pair.wire.frames) == 4 * 6
    assert [entry[2] for entry in pair.received[1] if entry[0][12:14] == b"\x08\0"].count(False) == 0


@pytest.mark.parametrize("rx_buffer", [None, 2048])
def test_jumbo_frames(rx_buffer):
    pair = Pair(mtu=9000, rx_buffer=rx_buffer, rx_ring=64)
    for n in range(40):
        pair.drivers[0].send(plain(n, 9000))
        pair.run(MS)
    assert [entry[0] for entry in pair.received[1]] == [plain(n, 9000) for n in range(40)]


def test_vlan_tags_are_inserted_stripped_and_filtered():
    pair = Pair()
    for driver in pair.drivers:
        driver.set_vlan_mode(True)
    pair.drivers[1].set_vlan_filter([5])
    pair.drivers[0].set_vlan_tag(5)
    pair.drivers[0].send(plain(1))
    pair.drivers[0].set_vlan_tag(6)
    pair.drivers[0].send(plain(2))
    assert put(pair.drivers[0], unsummed(bytes(3000), seq=1), FrameFacts(34, 16, 1460, 54))
    pair.drivers[0].flush()
    pair.run()
    assert [Ether(frame)[Dot1Q].vlan for frame in pair.wire.frames] == [5, 6, 6, 6, 6]
    assert pair.received[1] == [(plain(1), [], False, 5)]


def test_multicast_filters():
    pair = Pair()
    groups = [bytes([1, 0, 0x5E, 0, 0, n]) for n in range(1, 21)]
    pair.drivers[1].set_multicast(groups)
    for group in [*groups, bytes.fromhex("01005e7f0102")]:
        pair.drivers[0].send(group + plain(1)[6:])
    pair.run()
    assert [entry[0][:6] for entry in pair.received[1]] == groups
    pair.drivers[1].set_promiscuous(True)
    pair.drivers[0].send(bytes.fromhex("02aabbccddee") + plain(1)[6:])
    pair.run()
    assert pair.received[1][-1][0][:6] == bytes.fromhex("02aabbccddee")


def test_a_full_ring_wakes_its_stack_when_there_is_room():
    pair = Pair(tx_ring=8, segmentation_offload=False, rx_ring=512)
    sent = 0

    def more(_: object = None) -> None:
        nonlocal sent
        while sent < 200 and pair.drivers[0].send(plain(sent)):
            sent += 1

    take = pair.take

    def take_and_send(index: int) -> None:
        take(index)
        if index == 0:
            more()

    pair.take = take_and_send  # type: ignore[method-assign]
    more()
    pair.run()
    assert sent == 200
    assert len(pair.received[1]) == 200


def test_link_changes_are_seen_and_frames_wait_for_the_cable():
    pair = Pair()
    port = pair.wire.ends[0]
    port.set_carrier(False)
    pair.run()
    assert not pair.drivers[0].is_link_up
    assert pair.drivers[0].send(plain(1))
    pair.run()
    assert pair.received[1] == []
    port.set_carrier(True)
    pair.run(5 * SECOND)
    assert pair.drivers[0].is_link_up
    assert [entry[0] for entry in pair.received[1]] == [plain(1)]
    assert pair.drivers[0].recoveries == 0


def test_a_card_that_hangs_is_reset_and_goes_on():
    pair = Pair(hang_timeout="50ms")
    tctl = pair.machines[0].pci.functions[0].bar(0)
    tctl.write32(ds.TCTL.offset, 0)  # somebody has switched the transmitter off
    pair.drivers[0].send(plain(1))
    pair.run(100 * MS)
    assert pair.drivers[0].recoveries == 0
    pair.take(0)
    assert pair.drivers[0].recoveries == 1
    pair.run(5 * SECOND)
    assert pair.drivers[0].send(plain(2))
    pair.run()
    assert [entry[0] for entry in pair.received[1]] == [plain(2)]
    assert pair.drivers[0].drops == {"tx lost": 1}


def test_stop_and_start():
    pair = Pair()
    for n in range(3):
        pair.drivers[0].send(plain(n))
        pair.drivers[0].stop()
        assert len(pair.wire.frames) == n + 1  # drained
        pair.drivers[0].start()
        pair.run(5 * SECOND)
    assert len(pair.received[1]) == 3
    assert pair.machines[0].interrupts.drops == {}


@pytest.mark.parametrize("kinds", [("intx",), ("msi", "intx")])
def test_a_snapshot_of_everything_runs_on_alike_even_over_stop_and_start(kinds):
    pair = Pair(interrupt_kinds=kinds)

    def traffic() -> bytes:
        pair.received = [[], []]
        for n in range(30):
            pair.drivers[0].send(plain(n))
            put(pair.drivers[1], unsummed(bytes(5000), seq=1), FrameFacts(34, 16, 1460, 54))
            pair.drivers[1].flush()
            pair.run(30_000)
        pair.run()
        assert len(pair.received[1]) == 31  # with the one on its way
        return b"".join(b"".join(canonical(c.save())) for c in pair.components()) + repr(pair.received).encode()

    def load(states: list, events: object) -> None:
        parts = pair.components()
        for component, state in zip(parts, states, strict=True):
            component.load(state)
        paths = {component.path: component for component in parts}
        pair.clock.load_events(events, paths.__getitem__)

    pair.drivers[0].send(plain(1))
    states, events = [c.save() for c in pair.components()], pair.clock.save()
    expected = traffic()
    for driver in pair.drivers:
        driver.stop()
    pair.drivers[0].start()
    load(states, events)
    assert traffic() == expected
