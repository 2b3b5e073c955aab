"""Any bytes are a record or Malformed, and what was read is written again as it was.

ICMPv6, Neighbor Discovery, IGMP, TCP, DHCP and DNS say so in their own files.
"""

from hypothesis import given
from hypothesis import strategies as st

from motenet.core.checksum import internet_checksum, pseudo_header_sum
from motenet.stack.wire import Malformed, arp, ethernet, icmpv4, ipv4, ipv6, udp

anything = st.binary(max_size=90)
starts = st.sampled_from((b"", b"\x45\0\0\x20", b"\x46\0\0\x2c", b"\x4f\0\0\x50", b"\x60\0\0\0\0\x08\x2c\x40"))


@given(st.binary(max_size=12), st.sampled_from((b"", b"\x81\0", b"\x88\xa8", b"\x08\0")), anything)
def test_ethernet(addresses: bytes, ethertype: bytes, rest: bytes) -> None:
    data = addresses + ethertype + rest
    try:
        frame = ethernet.parse(memoryview(data))
    except Malformed as malformed:
        reason = malformed.reason
    else:
        buffer = bytearray(18)
        start = ethernet.emit(memoryview(buffer), frame.destination, frame.source, frame.ethertype, frame.vlan)
        assert bytes(buffer[:start]) + bytes(frame.payload) == data
        reason = ""
    assert reason in ("", "ethernet-short", "vlan-stacked")


@given(st.sampled_from((b"", b"\0\1\x08\0\6\4\0\1", b"\0\1\x08\0\6\4\0\2")), anything)
def test_arp(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        packet = arp.parse(memoryview(data))
    except Malformed:
        packet = None
    assert packet is not None or not start or len(data) < arp.LENGTH
    if packet is not None:
        buffer = bytearray(arp.LENGTH)
        packet.emit(memoryview(buffer))
        assert bytes(buffer) == data[: arp.LENGTH]


@given(starts, anything)
def test_ip_and_its_quotes(start: bytes, rest: bytes) -> None:
    view = memoryview(start + rest)
    for parse in (ipv4.parse_quote, ipv6.parse_quote):
        try:
            quote = parse(view)
        except Malformed:
            continue
        assert bytes(view).endswith(bytes(quote.payload))
    try:
        packet = ipv4.parse(view, verify=False, source_routes=True)
    except Malformed:
        return
    head, total = bytearray(packet.header), len(packet.header) + len(packet.payload)
    ipv4.emit(
        memoryview(head), packet.source, packet.destination, packet.protocol, len(packet.payload), packet.hop_limit,
        packet.ident, packet.flags, packet.tos, bytes(packet.header[20:]),
    )  # fmt: skip
    assert head[:10] + head[12:] == bytes(view[:10]) + bytes(view[12 : len(head)])
    assert internet_checksum(head) == 0
    assert total == int.from_bytes(view[2:4], "big")


@given(anything)
def test_icmpv4(data: bytes) -> None:
    if len(data) >= 4:
        data = data[:2] + internet_checksum(data[:2] + b"\0\0" + data[4:]).to_bytes(2, "big") + data[4:]
    try:
        message = icmpv4.parse(memoryview(data))
    except Malformed:
        assert len(data) < 8
    else:
        buffer = bytearray(message.length)
        message.emit(memoryview(buffer))
        assert bytes(buffer) == data


@given(st.sampled_from((4, 16)), st.integers(0, 90), anything)
def test_udp(size: int, length: int, data: bytes) -> None:
    data = data[:4] + length.to_bytes(2, "big") + data[6:]
    addresses = bytes(range(size)), bytes(range(1, size + 1))
    try:
        datagram = udp.parse(memoryview(data), *addresses, verify=False)
    except Malformed:
        return
    buffer = bytearray(datagram.length)
    datagram.emit(memoryview(buffer), pseudo_header_sum(*addresses, 17, length))
    assert buffer[:6] + buffer[8:] == data[:6] + data[8:length]
    assert udp.parse(memoryview(buffer), *addresses) == datagram
