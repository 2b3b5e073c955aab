"""Devices and tokens; what a card computes and what it is told for that."""

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP

from motenet.core.checksum import pseudo_header_sum
from motenet.core.clock import Clock
from motenet.core.rng import Stream
from motenet.doors import Capabilities, FrameFacts
from motenet.stack import DeviceWrapper, Interface, Loopback

MS = 1_000_000
A, B = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
ABLE = Capabilities(checksum_tx=True, checksum_rx=True, max_segmented=65_535)


def connection(script: Any) -> Any:
    """A connection to 10.0.0.2 port 80, and the stack's SYN answered by us."""
    script.know_peer()
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80)
    (syn,) = script.sent()
    answer = TCP(
        sport=80, dport=syn.sport, flags="SA", seq=1000, ack=syn.seq + 1, window=65535, options=[("MSS", 1460)]
    )
    script.hear(script.from_peer() / answer)
    script.driver.facts.clear()
    return socket


@pytest.fixture
def able(bench: Any, make_script: Any) -> Any:
    return make_script(bench, capabilities=ABLE)


def test_a_card_that_computes_checksums_finds_the_pseudo_headers_sum(able: Any) -> None:
    able.know_peer()
    able.stack.udp_socket(1000).send_to(b"data", "10.0.0.2", 7)
    (frame,) = able.sent()
    assert able.driver.facts == [None, FrameFacts(checksum_start=34, checksum_offset=6)]  # the ARP reply, and this
    assert frame[UDP].chksum == pseudo_header_sum(A, B, 17, 12)
    socket = connection(able)
    socket.send(b"data")
    (frame,) = able.sent()
    assert able.driver.facts == [FrameFacts(checksum_start=34, checksum_offset=16)]
    assert frame[TCP].chksum == pseudo_header_sum(A, B, 6, 24)


def test_a_card_that_cuts_segments_gets_them_in_one(able: Any) -> None:
    socket = connection(able)
    socket.send(bytes(4000))
    (frame,) = able.sent()
    assert able.driver.facts == [FrameFacts(34, 16, segment_size=1460, header_length=54)]
    assert (frame[IP].len, len(frame[TCP].payload)) == (40 + 2 * 1460 + 1080, 4000)
    ident = frame[IP].id
    able.stack.udp_socket(1000).send_to(b"next", "10.0.0.2", 7)
    (frame,) = able.sent()
    assert frame[IP].id == (ident + 3) & 0xFFFF  # RFC 6864: each of the three has had one


def test_fragments_and_what_waited_for_a_neighbor_have_their_checksums(able: Any) -> None:
    socket = able.stack.udp_socket(1000)
    socket.send_to(b"waits", "10.0.0.2", 7)
    able.sent()
    able.driver.facts.clear()
    able.know_peer()
    socket.send_to(bytes(2000), "10.0.0.2", 7)
    able.sent()
    assert set(able.driver.facts) == {None}


def test_without_offloads_every_checksum_is_good(script: Any) -> None:
    socket = connection(script)
    socket.send(bytes(range(256)))
    (frame,) = script.sent()
    assert script.driver.facts == [None]
    given_sums = frame[IP].chksum, frame[TCP].chksum
    del frame[IP].chksum, frame[TCP].chksum
    again = type(frame)(bytes(frame))
    assert (again[IP].chksum, again[TCP].chksum) == given_sums


def test_a_wrapper_rings_the_bell_once_a_poll_and_asks_no_more_of_a_full_ring(script: Any) -> None:
    script.know_peer()
    socket = script.stack.udp_socket(1000)
    for _ in range(5):
        socket.send_to(b"x", "10.0.0.2", 7)
    script.driver.room, script.driver.flushed = 2, 0
    script.stack.poll(0)
    assert (len(script.driver.sent), script.driver.flushed) == (2, 1)
    (card,) = script.stack.attachments
    assert card.device.transmit(0) is None
    card.device.begin()
    assert card.device.transmit(0) is not None
    assert script.stack.poll_at(0) == MS  # not at once: the driver will say when there is room


def test_a_datagram_whose_first_fragment_finds_no_room_waits_whole(script: Any) -> None:
    script.know_peer()
    script.driver.room = 0
    script.stack.udp_socket(1000).send_to(bytes(3000), "10.0.0.2", 7)
    assert script.sent() == []
    script.driver.room = 10
    assert [len(frame) for frame in script.pass_time(MS)] == [1514, 1514, 14 + 20 + 8 + 3000 - 2 * 1480]
    assert script.stack.statistics["fragmented"] == 1


def test_the_wrappers_tokens_lend_the_drivers_memory(script: Any) -> None:
    device = DeviceWrapper(script.driver)
    written: list[memoryview] = []
    token = device.transmit(0)
    assert token is not None
    assert token.consume(4, lambda view: (written.append(view), view.__setitem__(slice(0, 4), b"abcd"))[0])
    assert script.driver.sent.pop() == b"abcd"
    assert written[0].obj is script.driver._buffer


def test_a_device_that_loops_back_gives_what_it_took_in_order_and_within_bounds() -> None:
    device = Loopback(limit=2)
    for text in (b"one", b"two"):
        token = device.transmit(0)
        assert token is not None
        assert token.consume(3, lambda view, text=text: view.__setitem__(slice(0, 3), text))
    assert device.transmit(0) is None
    tokens = device.receive(0)
    assert tokens is not None
    assert tokens[0].consume(lambda received: bytes(received.frame)) == b"one"
    assert device.save() == {"queue": [b"two"]}


def test_an_interface_on_a_loopback_device_drops_its_own_broadcasts() -> None:
    interface = Interface(Clock(), Stream(1, "x"))
    interface.addressing.add("10.0.0.1/24")
    interface.adopt(bytes((2, 0, 0, 0, 0, 1)), Capabilities())
    socket = interface.sockets.udp_bind(7)
    socket.send_to(b"x", "10.0.0.255", 7)
    device = Loopback()
    assert interface.poll(0, device)
    interface.poll(0, device)
    assert socket.receive() is None
    assert interface.ingress.drops == {"source-address": 1}
