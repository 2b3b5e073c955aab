"""C+ mode's transmit ring against a mocked card (RTL8139C+ 9; Linux 8139cp.c)."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from motenet.core.checksum import pseudo_header_sum
from motenet.core.errors import DriverError
from motenet.datasheets import rtl8139 as ds
from motenet.doors import USO, FrameFacts
from motenet.drivers.rtl8139 import Rtl8139CpDriver

PLAIN = ds.TX_COMMAND["OWN"] | ds.TX_COMMAND["FS"] | ds.TX_COMMAND["LS"]
EOR = ds.TX_COMMAND["EOR"]
SUMS = {name: ds.TX_COMMAND["IPCS"] | ds.TX_COMMAND[f"{name}CS"] for name in ("TCP", "UDP")}


ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def put(driver, data: bytes, facts: FrameFacts | None = None) -> None:
    view = driver.reserve(len(data))
    assert view is not None
    view[:] = data
    driver.commit(facts)


def unsummed(packet, start: int = 34) -> tuple[bytes, bytes, FrameFacts]:
    """A frame as stacks hand it to an offloading card, the same with its checksum, and the facts."""
    whole = bytes(ETHER / packet)
    protocol, field = (6, 16) if TCP in packet else (17, 6)
    source, destination = (
        (whole[22:38], whole[38:54]) if IPv6 in packet else (whole[start - 8 : start - 4], whole[start - 4 : start])
    )
    seed = pseudo_header_sum(source, destination, protocol, len(whole) - start).to_bytes(2, "big")
    return whole[: start + field] + seed + whole[start + field + 2 :], whole, FrameFacts(start, field)


def test_one_frame_is_one_descriptor_and_own_is_published_last(fake, started):
    driver = started("C+")
    order, ring = [], driver.transmitter.ring
    body, publish = driver.transmitter._body, driver.transmitter._publish
    driver.transmitter._body = lambda *values: (order.append("body"), body(*values))
    driver.transmitter._publish = lambda *values: (order.append(values), publish(*values))
    driver.transmitter._barrier = lambda: order.append("barrier")
    put(driver, b"\x01" * 100)
    assert order == ["body", "barrier", (0, PLAIN | 100)]
    assert ring.load_at(0)[1:] == (0, driver.transmitter.memory.address)


def test_one_doorbell_for_a_batch(fake, started):
    driver = started("C+")
    for n in range(5):
        put(driver, bytes([n]) * 100)
    assert fake.writes() == []
    driver.flush()
    driver.flush()
    assert fake.writes() == [("TPPOLL", ds.TPPOLL["NPQ"])]
    assert [data for _, _, data in fake.transmit(0, 5)] == [bytes([n]) * 100 for n in range(5)]


def test_the_ring_turns_at_eor(fake, started):
    """Misuse 15."""
    driver = started("C+", tx_ring=3)
    for n in range(20):
        assert driver.send(bytes([n]) * 100)
        ((command, _, data),) = fake.transmit(n % 3, 1)
        assert command == PLAIN | 100 | (EOR if n % 3 == 2 else 0)
        assert data == bytes([n]) * 100
        driver.poll()
    assert driver.transmitter.idle


def test_a_full_ring_is_full_and_memory_too(fake, started):
    driver = started("C+", tx_ring=8, segmentation_offload=False, tx_memory=4096)
    sent = 0
    while driver.send(bytes(1000)):
        sent += 1
    assert sent == 4  # of 1024 bytes each
    assert driver.enabled & ds.ISR["TOK"]
    fake.transmit(0, 1)
    assert driver.send(bytes(100))
    driver = started("C+", tx_ring=8)
    while driver.send(bytes(60)):
        sent += 1
    assert sent == 12
    fake.transmit(0, 2)
    assert [driver.send(bytes(60)) for _ in range(3)] == [True, True, False]


def test_frames_lie_in_one_piece_in_a_ring_of_memory(fake, started):
    """The card is always one frame behind, so that memory never begins anew."""
    driver = started("C+", tx_ring=4, segmentation_offload=False, tx_memory=8192)
    data = [bytes([n]) * (60 + 37 * n % 1400) for n in range(100)]
    assert driver.send(data[0])
    for n in range(1, 100):
        assert driver.send(data[n])
        assert fake.transmit((n - 1) % 4, 1)[0][2] == data[n - 1]
        driver.poll()
    assert driver.transmitter.written > 8192


@pytest.mark.parametrize("length", [14, 59, 60])
def test_short_frames_are_padded_with_zeros(fake, started, length):
    driver = started("C+", tx_ring=1)
    driver.send(b"\xff" * 200)
    fake.transmit(0, 1)
    driver.send(b"\x01" * length)
    assert fake.transmit(0, 1)[0][2] == (b"\x01" * length).ljust(60, b"\0")


@pytest.mark.parametrize(
    ("packet", "command"),
    [
        (IP() / TCP() / b"data", SUMS["TCP"]),
        (IP() / UDP() / b"data", SUMS["UDP"]),
    ],
)
def test_checksums_by_the_card(fake, started, packet, command):
    driver = started("C+")
    partial, _, facts = unsummed(packet)
    put(driver, partial, facts)
    driver.flush()
    ((got, _, data),) = fake.transmit(0, 1)
    assert got & ~0xFFFF == PLAIN | command
    assert data[: len(partial)] == partial


@pytest.mark.parametrize(
    ("packet", "start"),
    [
        (IPv6(src="fd00::1", dst="fd00::2") / TCP() / b"datum", 54),
        (IPv6(src="fd00::1", dst="fd00::2") / UDP() / b"data", 54),
        (Dot1Q(vlan=5) / IP() / UDP() / b"data", 38),
    ],
    ids=["TCP over IPv6", "UDP over IPv6", "tagged"],
)
def test_what_the_card_cannot_sum_the_driver_does(fake, started, packet, start):
    driver = started("C+")
    partial, whole, facts = unsummed(packet, start)
    put(driver, partial, facts)
    driver.flush()
    ((command, _, data),) = fake.transmit(0, 1)
    assert command & ~0xFFFF == PLAIN
    assert data[: len(whole)] == whole


@pytest.mark.parametrize(
    ("header", "field", "sent"), [(UDP(), 6, b"\xff\xff"), (TCP(), 16, b"\0\0")], ids=["UDP", "TCP"]
)
def test_rfc_768_a_checksum_of_zero_is_sent_as_ones_in_udp_alone(fake, started, header, field, sent):
    """RFC 1624, 3: one's complement sums have two zeros; a checksum is the positive one."""
    driver = started("C+")
    frame = bytearray(bytes(ETHER / IPv6() / header / bytes(4)))
    place = slice(54 + field, 54 + field + 2)
    frame[place] = bytes(2)
    total = sum(int.from_bytes(frame[at : at + 2], "big") for at in range(54, len(frame), 2))
    frame[-2:] = (0xFFFF - total % 0xFFFF).to_bytes(2, "big")
    put(driver, bytes(frame), FrameFacts(54, field))
    driver.flush()
    assert fake.transmit(0, 1)[0][2][place] == sent


def test_icmp_checksums_are_the_drivers_too(fake, started):
    driver = started("C+")
    whole = bytes(Ether() / IP() / ICMP() / b"ping me")
    put(driver, whole[:36] + bytes(2) + whole[38:], FrameFacts(34, 2))
    driver.flush()
    assert fake.transmit(0, 1)[0][2][: len(whole)] == whole


def test_a_large_send_is_one_descriptor_with_the_segments_size(fake, started):
    driver = started("C+")
    data = bytes(Ether() / IP() / TCP() / bytes(65000))
    put(driver, data, FrameFacts(34, 16, segment_size=1460, header_length=54))
    driver.flush()
    ((command, _, taken),) = fake.transmit(0, 1)
    assert command == PLAIN | ds.TX_LARGE_SEND["LGSEN"] | 1460 << 16 | len(data)
    assert taken == data


@pytest.mark.parametrize(
    "facts",
    [
        FrameFacts(34, 16, segment_size=1465, header_length=54),  # a frame beyond the mtu
        FrameFacts(34, 16, segment_size=1460, header_length=34),
        FrameFacts(33, 16, segment_size=1460, header_length=54),
        FrameFacts(34, 16, segment_size=1460, header_length=54, segment_kind=USO),
    ],
)
def test_what_cannot_be_cut_is_refused(started, facts):
    driver = started("C+")
    with pytest.raises(DriverError, match="only TCP over IPv4"):
        put(driver, bytes(Ether() / IP() / TCP() / bytes(5000)), facts)


def test_a_callers_mistakes_are_told(started):
    driver = started("C+", checksum_offload=False, segmentation_offload=False)
    with pytest.raises(DriverError, match="reserve"):
        driver.commit()
    with pytest.raises(DriverError, match="14 to 1518"):
        driver.reserve(1519)
    with pytest.raises(DriverError, match="checksum_tx"):
        put(driver, bytes(100), FrameFacts(34, 16))
    with pytest.raises(DriverError, match="exceed the mtu"):
        put(started("C+"), bytes(2000))
    with pytest.raises(DriverError, match="set_vlan_mode"):
        driver.set_vlan_tag(5)


def test_segments_that_do_not_fit_eleven_bits_are_not_offered(fake):
    assert Rtl8139CpDriver(fake, mtu=2087).capabilities.max_segmented == 0xFFFF
    assert Rtl8139CpDriver(fake, mtu=2088).capabilities.max_segmented == 0


def test_tags_are_inserted_in_their_own_byte_order(fake, started):
    driver = started("C+")
    driver.set_vlan_mode(True)
    assert fake.writes() == [("CPCR", 0x6B)]
    driver.set_vlan_tag(0x6005)
    driver.send(bytes(60))
    driver.set_vlan_tag(None)
    driver.send(bytes(60))
    assert [vlan for _, vlan, _ in fake.transmit(0, 2)] == [ds.TX_VLAN["TAGC"] | 0x0560, 0]
    driver.recover()
    assert fake.get(ds.CPCR) == 0x6B, "a reset does not forget it"


@pytest.mark.parametrize("error", ["TES", "UNF"])
def test_errors_are_counted_and_do_not_stop_the_ring(fake, started, error):
    driver = started("C+")
    driver.send(bytes(60))
    driver.send(bytes(60))
    fake.transmit(0, 1, ds.TX_STATUS[error] | ds.TX_STATUS["EXC"])
    fake.transmit(1, 1)
    driver.poll()
    assert driver.transmitter.idle
    assert driver.drops == {"tx error": 1}
