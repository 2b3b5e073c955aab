"""Scapy and we agree both ways: what it builds we parse into the same fields, what we emit are the same bytes.

Of ARP, TCP, DHCP and DNS their own files say the same; what only one side can write (IPv6's extension headers, which
hosts of ours do not send) is compared by its fields.
"""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import inet, inet6
from scapy.layers.igmp import IGMP
from scapy.layers.inet import ICMP, IP, UDP, IPOption_EOL, IPOption_Router_Alert, defragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.core.checksum import pseudo_header_sum
from motenet.stack.wire import ethernet, icmpv4, icmpv6, igmp, ipv4, ipv6, mld, ndisc, udp

QUICK = settings(max_examples=60)

octets = st.integers(0, 0xFF)
shorts = st.integers(0, 0xFFFF)
words = st.integers(0, 0xFFFF_FFFF)
macs = st.binary(min_size=6, max_size=6)
fours = st.binary(min_size=4, max_size=4)
sixteens = st.binary(min_size=16, max_size=16)
data = st.binary(max_size=100)

LINK_LOCAL = bytes.fromhex("fe80000000000000021122fffe334455")
GROUP = bytes.fromhex("ff0200000000000000000001ff334455")


def text(address: bytes) -> str:
    return str(ip_address(address))


def over_ipv6(layer: Any, source: bytes = LINK_LOCAL, destination: bytes = GROUP) -> bytes:
    """What Scapy makes of an upper layer, checksum and all."""
    return bytes(IPv6(src=text(source), dst=text(destination)) / layer)[40:]


def emitted6(message: icmpv6.Message, source: bytes = LINK_LOCAL, destination: bytes = GROUP) -> bytes:
    buffer = bytearray(message.length)
    message.emit(memoryview(buffer), pseudo_header_sum(source, destination, 58, len(buffer)))
    return bytes(buffer)


def parsed6(packet: bytes, source: bytes = LINK_LOCAL, destination: bytes = GROUP) -> icmpv6.Message:
    return icmpv6.parse(memoryview(packet), source, destination)


@QUICK
@given(macs, macs, st.none() | shorts, st.sampled_from((0x0800, 0x0806, 0x86DD)), data)
def test_ethernet_and_802_1q(destination: bytes, source: bytes, tag: int | None, kind: int, payload: bytes) -> None:
    theirs = Ether(dst=destination.hex(":"), src=source.hex(":"), type=kind) / Raw(payload)
    if tag is not None:
        vlan = Dot1Q(prio=tag >> 13, dei=tag >> 12 & 1, vlan=tag & 0xFFF, type=kind)
        theirs = Ether(dst=destination.hex(":"), src=source.hex(":")) / vlan / Raw(payload)
    frame = bytearray(18)
    start = ethernet.emit(memoryview(frame), destination, source, kind, tag)
    assert bytes(frame[:start]) + payload == bytes(theirs)
    assert ethernet.parse(memoryview(bytes(theirs))) == ethernet.Frame(
        destination, source, kind, memoryview(payload), tag
    )


# --- IPv4

options4 = st.lists(
    st.sampled_from((
        inet.IPOption_NOP(), IPOption_Router_Alert(), inet.IPOption_RR(routers=["0.0.0.0"] * 3, pointer=4),
        inet.IPOption_Stream_Id(security=7), inet.IPOption_Timestamp(flg=0),
    )),
    max_size=3,
    unique_by=type,
)  # fmt: skip


@QUICK
@given(
    st.tuples(fours, fours), octets, octets, octets, shorts, st.integers(0, 7), st.integers(0, 0x1FFF), options4, data
)
def test_ipv4_with_options(
    addresses: tuple[bytes, bytes], tos: int, ttl: int, protocol: int, ident: int, bits: int, place: int,
    options: list[Any], payload: bytes,
) -> None:  # fmt: skip
    theirs = bytes(
        IP(
            src=text(addresses[0]), dst=text(addresses[1]), tos=tos, ttl=ttl, proto=protocol, id=ident, flags=bits,
            frag=place, options=[*options, IPOption_EOL()] if options else [],
        ) / Raw(payload)
    )  # fmt: skip
    packet = ipv4.parse(memoryview(theirs))
    assert ((packet.source, packet.destination), packet.tos, packet.hop_limit) == (addresses, tos, ttl)
    assert (packet.protocol, packet.ident, bytes(packet.payload)) == (protocol, ident, payload)
    assert (packet.offset, packet.more, packet.flags >> 14 & 1) == (place * 8, bool(bits & 1), bits >> 1 & 1)
    assert packet.router_alert == any(isinstance(option, IPOption_Router_Alert) for option in options)
    buffer = bytearray(len(packet.header))
    extra = bytes(packet.header[20:])
    ipv4.emit(memoryview(buffer), *addresses, protocol, len(payload), ttl, ident, packet.flags, tos, extra)
    assert bytes(buffer) + payload == theirs


@QUICK
@given(st.integers(0, 3000), st.integers(68, 1500), st.integers(68, 600), options4)
def test_ipv4_fragments_are_put_together_by_scapy(size: int, mtu: int, second: int, options: list[Any]) -> None:
    """Cut by two routers, the second one with an MTU of its own."""
    payload = bytes(index * 7 & 0xFF for index in range(size + 1480))
    whole = bytes(IP(src="10.0.0.1", dst="10.9.0.2", id=7, proto=200, options=options) / Raw(payload))
    pieces = [
        again for piece in ipv4.fragments(memoryview(whole), mtu) for again in ipv4.fragments(memoryview(piece), second)
    ]
    assert max(map(len, pieces)) <= min(mtu, second)
    for piece in pieces:
        ipv4.parse(memoryview(piece))
    (joined,) = defragment([IP(piece) for piece in pieces])
    assert bytes(joined.payload) == payload
    assert all(IP(piece).options == [one for one in IP(whole).options if one.copy_flag] for piece in pieces[1:])


CONVERSATIONS = (0, 8, 13, 14, 15, 16, 17, 18)


@QUICK
@given(st.sampled_from((0, 3, 4, 5, 8, 11, 12, 13, 14, 15, 16, 17, 18)), octets, words, data)
def test_icmpv4_all_types(kind: int, code: int, word: int, payload: bytes) -> None:
    """RFC 792, RFC 950 and RFC 1191: what the four bytes mean depends on the type."""
    theirs: Any
    if kind in CONVERSATIONS:
        theirs = ICMP(type=kind, code=code, id=word >> 16, seq=word & 0xFFFF)
    elif kind == 3:
        word &= 0xFFFF
        theirs = ICMP(type=kind, code=code, nexthopmtu=word)
    elif kind == 5:
        theirs = ICMP(type=kind, code=code, gw=text(word.to_bytes(4, "big")))
    elif kind == 12:
        word &= 0xFF00_0000
        theirs = ICMP(type=kind, code=code, ptr=word >> 24)
    else:
        word = 0
        theirs = ICMP(type=kind, code=code)
    layer = bytes(theirs)
    built = bytes(theirs / Raw(payload))
    message = icmpv4.parse(memoryview(built))
    assert (message.type, message.code, message.word) == (kind, code, word)
    assert bytes(message.payload) == layer[8:] + payload
    buffer = bytearray(message.length)
    message.emit(memoryview(buffer))
    assert bytes(buffer) == built
    if kind == 3:
        assert message.next_hop_mtu == theirs.nexthopmtu
    if kind == 5:
        assert text(message.gateway) == theirs.gw
    if kind == 12:
        assert message.word >> 24 == theirs.ptr


@QUICK
@given(fours, octets, st.sampled_from((igmp.QUERY, igmp.REPORT_1, igmp.REPORT, igmp.LEAVE)))
def test_igmp(group: bytes, tenths: int, kind: int) -> None:
    theirs = bytes(IGMP(type=kind, mrcode=tenths, gaddr=text(group)))
    version = 1 if kind == igmp.QUERY and not tenths else 2
    message = igmp.Message(kind, group, tenths, version)
    buffer = bytearray(message.length)
    message.emit(memoryview(buffer))
    assert bytes(buffer) == theirs
    assert igmp.parse(memoryview(theirs)) == message


# --- IPv6


@QUICK
@given(sixteens, sixteens, octets, st.integers(0, 0xFFFFF), octets, st.sampled_from((6, 17, 50, 58, 59, 200)), data)
def test_ipv6(
    source: bytes, destination: bytes, tos: int, flow: int, hop_limit: int, protocol: int, payload: bytes
) -> None:
    layers = IPv6(src=text(source), dst=text(destination), tc=tos, fl=flow, hlim=hop_limit, nh=protocol) / Raw(payload)
    theirs = bytes(layers)
    buffer = bytearray(40)
    ipv6.emit(memoryview(buffer), source, destination, protocol, len(payload), hop_limit, tos, flow)
    assert bytes(buffer) + payload == theirs
    packet = ipv6.parse(memoryview(theirs + b"padding"))
    assert (packet.source, packet.destination, packet.tos, packet.flow) == (source, destination, tos, flow)
    assert (packet.hop_limit, packet.protocol, bytes(packet.payload)) == (hop_limit, protocol, payload)


unknown_options = st.builds(
    lambda kind, value: inet6.HBHOptUnknown(otype=kind, optdata=value), st.integers(6, 0x3F), st.binary(max_size=20)
)
known_options = st.just(inet6.RouterAlert(value=0))
extensions = st.lists(
    st.one_of(
        st.builds(lambda options: inet6.IPv6ExtHdrDestOpt(options=options), st.lists(unknown_options, max_size=3)),
        st.builds(lambda kind, hops: inet6.IPv6ExtHdrRouting(type=kind, addresses=["fd00::1"] * hops, segleft=0),
                  octets, st.integers(0, 2)),
        st.builds(lambda ident: inet6.IPv6ExtHdrFragment(offset=0, m=0, id=ident), words),
    ),
    max_size=4,
)  # fmt: skip


@QUICK
@given(st.none() | st.lists(unknown_options | known_options, max_size=3), extensions, shorts, data)
def test_ipv6_extension_headers(hop_by_hop: list[Any] | None, headers: list[Any], port: int, payload: bytes) -> None:
    """In any order, any number of times (RFC 8200, 4.1)."""
    layers = IPv6(src="fd00::1", dst="fd00::2")
    if hop_by_hop is not None:
        layers /= inet6.IPv6ExtHdrHopByHop(options=hop_by_hop)
    for header in headers:
        layers /= header
    theirs = bytes(layers / UDP(sport=port, dport=7) / Raw(payload))
    packet = ipv6.parse(memoryview(theirs))
    length = 8 + len(payload)
    assert (packet.protocol, len(packet.payload)) == (17, length)
    assert bytes(packet.header) == theirs[:-length]
    assert theirs[packet.protocol_at] == 17
    assert packet.router_alert == any(option.otype == 5 for option in hop_by_hop or ())
    idents = [header.id for header in headers if isinstance(header, inet6.IPv6ExtHdrFragment)]
    assert (packet.ident, packet.fragmented, packet.is_fragment) == (idents[-1] if idents else 0, bool(idents), False)
    datagram = udp.parse(packet.payload, packet.source, packet.destination)
    assert (datagram.source_port, bytes(datagram.payload)) == (port, payload)
    quote = ipv6.parse_quote(memoryview(theirs))
    assert (quote.protocol, bytes(quote.payload)) == (17, theirs[-length:])


@QUICK
@given(st.integers(1300, 6000), st.integers(1280, 1500), words)
def test_ipv6_fragments(size: int, mtu: int, ident: int) -> None:
    payload = bytes(index * 5 & 0xFF for index in range(size))
    whole = (
        IPv6(src="fd00::1", dst="fd00::2") / inet6.IPv6ExtHdrFragment(id=ident) / UDP(sport=1, dport=2) / Raw(payload)
    )
    upper, end = b"", 0
    for theirs in map(bytes, inet6.fragment6(whole, mtu)):
        packet = ipv6.parse(memoryview(theirs))
        assert (packet.offset, packet.ident, packet.protocol) == (end, ident, 17)
        upper, end = upper + bytes(packet.payload), end + len(packet.payload)
        header = ipv6.fragment_header(packet.protocol, packet.offset, packet.more, ident)
        assert bytes(packet.header[40:]) == header
        assert packet.more == (end < size + 8)
    assert bytes(udp.parse(memoryview(upper), packet.source, packet.destination).payload) == payload


@QUICK
@given(shorts, shorts, data)
def test_udp_over_ipv6(source_port: int, destination_port: int, payload: bytes) -> None:
    theirs = over_ipv6(UDP(sport=source_port, dport=destination_port) / Raw(payload))
    datagram = udp.Datagram(source_port, destination_port, payload)
    buffer = bytearray(datagram.length)
    datagram.emit(memoryview(buffer), pseudo_header_sum(LINK_LOCAL, GROUP, 17, len(buffer)))
    assert bytes(buffer) == theirs
    assert udp.parse(memoryview(theirs), LINK_LOCAL, GROUP) == datagram


ERRORS6 = [
    (inet6.ICMPv6DestUnreach, icmpv6.UNREACHABLE, None),
    (inet6.ICMPv6PacketTooBig, icmpv6.PACKET_TOO_BIG, "mtu"),
    (inet6.ICMPv6TimeExceeded, icmpv6.TIME_EXCEEDED, None),
    (inet6.ICMPv6ParamProblem, icmpv6.PARAMETER_PROBLEM, "ptr"),
]


@pytest.mark.parametrize(("layer", "kind", "field"), ERRORS6)
@QUICK
@given(code=octets, word=words, ports=st.tuples(shorts, shorts), payload=data)
def test_icmpv6_errors(
    layer: Any, kind: int, field: str | None, code: int, word: int, ports: tuple[int, int], payload: bytes
) -> None:
    quoted = IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=ports[0], dport=ports[1]) / Raw(payload)
    theirs = over_ipv6(layer(code=code, **({field: word} if field else {})) / quoted)
    message = icmpv6.Message(kind, code, word if field else 0, bytes(quoted))
    assert emitted6(message) == theirs
    assert parsed6(theirs) == message
    quote = ipv6.parse_quote(memoryview(message.payload))
    assert (text(quote.source), text(quote.destination), quote.protocol) == ("fd00::1", "fd00::2", 17)
    assert bytes(quote.payload[:4]) == bytes(UDP(sport=ports[0], dport=ports[1]))[:4]


@QUICK
@given(st.sampled_from((inet6.ICMPv6EchoRequest, inet6.ICMPv6EchoReply)), shorts, shorts, data)
def test_icmpv6_echo(layer: Any, ident: int, sequence: int, payload: bytes) -> None:
    theirs = over_ipv6(layer(id=ident, seq=sequence, data=payload))
    message = icmpv6.echo_request(ident, sequence, payload)
    if layer is inet6.ICMPv6EchoReply:
        message = icmpv6.echo_reply(message)
    assert emitted6(message) == theirs
    assert parsed6(theirs) == message
    assert (message.ident, message.sequence) == (ident, sequence)


@QUICK
@given(st.sampled_from((inet6.ICMPv6MLQuery, inet6.ICMPv6MLReport, inet6.ICMPv6MLDone)), sixteens, shorts)
def test_mld_with_its_router_alert(layer: Any, group: bytes, delay: int) -> None:
    """The whole packet, as it goes out (RFC 2710, 3)."""
    hop_by_hop = inet6.IPv6ExtHdrHopByHop(options=[inet6.RouterAlert()])
    theirs = bytes(
        IPv6(src=text(LINK_LOCAL), dst=text(GROUP), hlim=1) / hop_by_hop / layer(mladdr=text(group), mrd=delay)
    )
    record = mld.Message(layer().type, group, delay)
    message = emitted6(mld.emit(record))
    extension = ipv6.router_alert_header(ipv6.ICMP)
    buffer = bytearray(40)
    ipv6.emit(memoryview(buffer), LINK_LOCAL, GROUP, ipv6.HOP_BY_HOP, len(extension + message), mld.HOP_LIMIT)
    assert bytes(buffer) + extension + message == theirs
    packet = ipv6.parse(memoryview(theirs))
    assert packet.router_alert
    assert mld.parse(icmpv6.parse(packet.payload, packet.source, packet.destination)) == record


# --- Neighbor Discovery

mac_options = st.just(b"") | macs


def with_mac(layer: Any, option: Any, mac: bytes) -> Any:
    return layer / option(lladdr=mac.hex(":")) if mac else layer


def written(record: ndisc.Record) -> tuple[bytes, ndisc.Record]:
    """As we write it, and what it says."""
    return emitted6(ndisc.emit(record)), record


def read(theirs: Any) -> tuple[bytes, ndisc.Record]:
    """As Scapy writes it, and what we read in that."""
    built = over_ipv6(theirs)
    return built, ndisc.parse(parsed6(built))


@QUICK
@given(sixteens, mac_options, st.booleans())
def test_ndisc_solicitations(target: bytes, mac: bytes, router: bool) -> None:
    if router:
        record, theirs = ndisc.RouterSolicitation(mac), inet6.ICMPv6ND_RS()
    else:
        record, theirs = ndisc.NeighborSolicitation(target, mac), inet6.ICMPv6ND_NS(tgt=text(target))
    assert written(record) == read(with_mac(theirs, inet6.ICMPv6NDOptSrcLLAddr, mac))


@QUICK
@given(sixteens, mac_options, st.booleans(), st.booleans(), st.booleans())
def test_ndisc_neighbor_advertisement(target: bytes, mac: bytes, router: bool, solicited: bool, override: bool) -> None:
    theirs = inet6.ICMPv6ND_NA(tgt=text(target), R=int(router), S=int(solicited), O=int(override))
    record = ndisc.NeighborAdvertisement(target, router, solicited, override, mac)
    assert written(record) == read(with_mac(theirs, inet6.ICMPv6NDOptDstLLAddr, mac))


@QUICK
@given(sixteens, sixteens, mac_options, st.integers(0, 10).map(lambda units: bytes(range(8 * units))))
def test_ndisc_redirect(target: bytes, destination: bytes, mac: bytes, redirected: bytes) -> None:
    theirs = with_mac(inet6.ICMPv6ND_Redirect(tgt=text(target), dst=text(destination)), inet6.ICMPv6NDOptDstLLAddr, mac)
    if redirected:
        theirs /= inet6.ICMPv6NDOptRedirectedHdr(pkt=redirected)
    assert written(ndisc.Redirect(target, destination, mac, redirected)) == read(theirs)


prefixes = st.builds(ndisc.Prefix, sixteens, st.integers(0, 128), st.booleans(), st.booleans(), words, words)
servers = st.builds(ndisc.Servers, words, st.lists(sixteens, min_size=1, max_size=3))
labels = st.text("abcxyz-09", min_size=1, max_size=12).map(str.encode)
names = st.lists(labels, min_size=1, max_size=4).map(tuple)
searches = st.builds(ndisc.SearchList, words, st.lists(names, min_size=1, max_size=3))


@QUICK
@given(
    st.tuples(octets, st.booleans(), st.booleans(), shorts, words, words), mac_options, st.none() | words,
    st.lists(prefixes, max_size=2), st.lists(servers, max_size=2), st.lists(searches, max_size=1),
    st.sampled_from((0, 1, -1)),
)  # fmt: skip
def test_ndisc_router_advertisement(
    fields: tuple[int, bool, bool, int, int, int], mac: bytes, mtu: int | None, prefixes: list[ndisc.Prefix],
    servers: list[ndisc.Servers], searches: list[ndisc.SearchList], preference: int,
) -> None:  # fmt: skip
    hop_limit, managed, other, lifetime, reachable, retransmit = fields
    theirs = inet6.ICMPv6ND_RA(
        chlim=hop_limit, M=int(managed), O=int(other), prf=preference & 3, routerlifetime=lifetime,
        reachabletime=reachable, retranstimer=retransmit,
    )  # fmt: skip
    theirs = with_mac(theirs, inet6.ICMPv6NDOptSrcLLAddr, mac)
    if mtu is not None:
        theirs /= inet6.ICMPv6NDOptMTU(mtu=mtu)
    for one in prefixes:
        theirs /= inet6.ICMPv6NDOptPrefixInfo(
            prefixlen=one.length, L=int(one.on_link), A=int(one.autonomous), validlifetime=one.valid,
            preferredlifetime=one.preferred, prefix=text(one.prefix),
        )  # fmt: skip
    for server in servers:
        theirs /= inet6.ICMPv6NDOptRDNSS(lifetime=server.lifetime, dns=[text(one) for one in server.addresses])
    for search in searches:
        domains = [b".".join(name).decode() + "." for name in search.domains]
        theirs /= inet6.ICMPv6NDOptDNSSL(lifetime=search.lifetime, searchlist=domains)
    record = ndisc.RouterAdvertisement(*fields, mac, mtu, prefixes, servers, searches, preference)
    assert written(record) == read(theirs)
