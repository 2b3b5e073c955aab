"""Which TCP segments join a train, and which do not: header by header."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether

from motenet.drivers.gro import train

STAMP = [("NOP", None), ("NOP", None), ("Timestamp", (5, 6))]


def frame(payload: bytes = b"x" * 100, *, ip: dict | None = None, tcp: dict | None = None, pad: int = 0) -> memoryview:
    network = IP(**{"src": "10.0.0.1", "dst": "10.0.0.2", **(ip or {})})
    fields = {"sport": 80, "dport": 4000, "seq": 1000, "ack": 7, "flags": "A", **(tcp or {})}
    return memoryview(bytearray(bytes(Ether(dst="52:54:00:00:00:01") / network / TCP(**fields) / payload) + bytes(pad)))


def joined(first: memoryview, second: memoryview) -> bytes | None:
    begun = train(first)
    assert begun is not None
    payload = begun.join(second)
    return None if payload is None else bytes(payload)


def test_the_next_segment_joins_with_its_payload_alone():
    assert joined(frame(), frame(b"y" * 50, tcp={"seq": 1100}, ip={"id": 9})) == b"y" * 50


def test_ethernet_padding_is_no_payload():
    assert joined(frame(), frame(b"y", tcp={"seq": 1100}, pad=5)) == b"y"
    assert joined(frame(b"x", pad=5), frame(b"y", tcp={"seq": 1001})) == b"y"


def test_equal_options_join_and_others_do_not():
    first = frame(tcp={"options": STAMP})
    assert joined(first, frame(b"y", tcp={"seq": 1100, "options": STAMP})) == b"y"
    later = [("NOP", None), ("NOP", None), ("Timestamp", (6, 6))]
    assert joined(first, frame(b"y", tcp={"seq": 1100, "options": later})) is None
    assert joined(first, frame(b"y", tcp={"seq": 1100})) is None


def test_sequence_numbers_wrap():
    first = frame(tcp={"seq": 2**32 - 50})
    assert joined(first, frame(b"y", tcp={"seq": 50})) == b"y"


@pytest.mark.parametrize(
    ("ip", "tcp"),
    [
        ({}, {"seq": 1101}),
        ({}, {"seq": 1099}),
        ({}, {"sport": 81}),
        ({}, {"dport": 4001}),
        ({"dst": "10.0.0.3"}, {}),
        ({}, {"ack": 8}),
        ({}, {"window": 1}),
        ({"tos": 3}, {}),  # a congestion mark must be seen (RFC 3168 5.3)
        ({"ttl": 63}, {}),
        ({"flags": "MF"}, {}),
        ({"frag": 1}, {}),
        ({"proto": 17}, {}),
        *(({}, {"flags": f"A{flag}"}) for flag in "FSRUEC"),
        ({}, {"flags": "P"}),
    ],
)
def test_another_flow_or_more_than_data_does_not_join(ip, tcp):
    assert joined(frame(), frame(b"y", ip=ip, tcp={"seq": 1100, **tcp})) is None


def test_a_bare_acknowledgement_does_not_join():
    assert joined(frame(), frame(b"", tcp={"seq": 1100})) is None


def test_psh_ends_the_train_and_shows_in_its_first_header():
    first = frame()
    begun = train(first)
    assert bytes(begun.join(frame(b"y", tcp={"seq": 1100, "flags": "PA"}))) == b"y"
    assert first[47] == 0x18
    assert begun.room == 0
    assert begun.join(frame(b"z", tcp={"seq": 1101})) is None


def test_a_train_is_no_longer_than_an_ipv4_packet_could_be():
    begun = train(frame(b"x" * 1400))
    count, sequence = 0, 2400
    while begun.join(frame(b"y" * 1400, tcp={"seq": sequence})) is not None:
        count, sequence = count + 1, sequence + 1400
    assert 40 + 1400 * (count + 1) <= 65535 < 40 + 1400 * (count + 2)


@pytest.mark.parametrize(
    "first",
    [
        frame(b""),
        frame(tcp={"flags": "PA"}),
        frame(tcp={"flags": "S"}),
        frame(ip={"options": [b"\x01\x01\x01\x01"]}),
        frame(ip={"proto": 17}),
        frame(ip={"flags": "MF"}),
        frame(ip={"len": 2000}),
        frame(tcp={"dataofs": 4}),
        frame(tcp={"dataofs": 15}, payload=b"x"),
        memoryview(bytearray(53)),
        memoryview(bytearray(200)),
    ],
)
def test_nothing_follows_a_segment_that_is_not_plain_data(first):
    assert train(first) is None


@given(st.binary(max_size=120), st.binary(max_size=120), st.integers(0, 0xFFFF), st.integers(0, 15))
def test_arbitrary_bytes_behind_good_headers(first, second, total, offset):
    """Lengths that lie never give a view beyond the frame."""
    begun = train(memoryview(bytearray(bytes(frame(first))))) if first else None
    if begun is None:
        return
    follower = bytearray(frame(second, tcp={"seq": 1000 + len(first)}))
    follower[16:18] = pack(">H", total)
    follower[46] = offset << 4
    payload = begun.join(memoryview(follower))
    assert payload is None or 0 < len(payload) <= len(follower) - 54


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_arbitrary_bytes(first, second):
    begun = train(memoryview(bytearray(first)))
    assert begun is None or begun.join(memoryview(bytearray(second))) is None


# --- over IPv6


def frame6(payload: bytes = b"x" * 100, *, ip: dict | None = None, tcp: dict | None = None, pad: int = 0) -> memoryview:
    network = IPv6(**{"src": "fd00::1", "dst": "fd00::2", "fl": 77, **(ip or {})})
    fields = {"sport": 80, "dport": 4000, "seq": 1000, "ack": 7, "flags": "A", **(tcp or {})}
    return memoryview(bytearray(bytes(Ether(dst="52:54:00:00:00:01") / network / TCP(**fields) / payload) + bytes(pad)))


def test_over_ipv6_the_next_segment_joins_with_its_payload_alone():
    assert joined(frame6(), frame6(b"y" * 50, tcp={"seq": 1100})) == b"y" * 50
    assert joined(frame6(b"x", pad=5), frame6(b"y", tcp={"seq": 1001}, pad=5)) == b"y"
    stamped = frame6(tcp={"options": STAMP})
    assert joined(stamped, frame6(b"y", tcp={"seq": 1100, "options": STAMP})) == b"y"


@pytest.mark.parametrize(
    ("ip", "tcp"),
    [
        ({}, {"seq": 1101}),
        ({}, {"sport": 81}),
        ({"src": "fd00::3"}, {}),
        ({"dst": "fd00::3"}, {}),
        ({}, {"ack": 8}),
        ({}, {"window": 1}),
        ({}, {"options": STAMP}),
        ({"tc": 3}, {}),  # a congestion mark must be seen (RFC 3168, 5.3)
        ({"tc": 0x20}, {}),
        ({"fl": 78}, {}),  # RFC 6437, 2: another flow
        ({"hlim": 63}, {}),
        ({"nh": 17}, {}),
        *(({}, {"flags": f"A{flag}"}) for flag in "FSRUEC"),
    ],
)
def test_over_ipv6_another_flow_or_more_than_data_does_not_join(ip, tcp):
    assert joined(frame6(), frame6(b"y", ip=ip, tcp={"seq": 1100, **tcp})) is None


def test_over_ipv6_timestamps_that_differ_do_not_join():
    later = [("NOP", None), ("NOP", None), ("Timestamp", (6, 6))]
    first = frame6(tcp={"options": STAMP})
    assert joined(first, frame6(b"y", tcp={"seq": 1100, "options": later})) is None


def test_over_ipv6_psh_ends_the_train_and_shows_in_its_first_header():
    first = frame6()
    begun = train(first)
    assert bytes(begun.join(frame6(b"y", tcp={"seq": 1100, "flags": "PA"}))) == b"y"
    assert Ether(bytes(first))[TCP].flags == "PA"
    assert begun.room == 0


def test_a_train_is_no_longer_than_an_ipv6_payload_could_be():
    begun = train(frame6(b"x" * 1400))
    count, sequence = 0, 2400
    while begun.join(frame6(b"y" * 1400, tcp={"seq": sequence})) is not None:
        count, sequence = count + 1, sequence + 1400
    assert 20 + 1400 * (count + 1) <= 65535 < 20 + 1400 * (count + 2)


def test_families_do_not_mix():
    assert joined(frame(), frame6(b"y", tcp={"seq": 1100})) is None
    assert joined(frame6(), frame(b"y" * 60, tcp={"seq": 1100})) is None


@pytest.mark.parametrize(
    "first",
    [
        frame6(b""),
        frame6(tcp={"flags": "PA"}),
        frame6(ip={"plen": 2000}),
        frame6(ip={"version": 4}),
        frame6(tcp={"dataofs": 4}),
        frame6(tcp={"dataofs": 15}, payload=b"x"),
        *(
            memoryview(bytearray(bytes(Ether() / IPv6() / extension / TCP(flags="A") / bytes(100))))
            for extension in (IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrFragment(), UDP())
        ),
        frame6(b"x")[:73],
    ],
)
def test_over_ipv6_nothing_follows_a_segment_that_is_not_plain_data(first):
    """RFC 8200, 4: behind an extension header TCP does not lie where it is looked for."""
    assert train(first) is None


@given(st.binary(min_size=1, max_size=120), st.binary(max_size=120), st.integers(0, 0xFFFF), st.integers(0, 15))
def test_over_ipv6_arbitrary_bytes_behind_good_headers(first, second, length, offset):
    """Lengths that lie never give a view beyond the frame."""
    begun = train(frame6(first))
    follower = bytearray(frame6(second, tcp={"seq": 1000 + len(first)}))
    follower[18:20] = pack(">H", length)
    follower[66] = offset << 4
    payload = begun.join(memoryview(follower))
    assert payload is None or 0 < len(payload) <= len(follower) - 74
