"""IGMP (RFC 2236) and MLD (RFC 2710) messages by literal bytes; Scapy's opinion is in test_oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.checksum import internet_checksum
from motenet.core.units import MS, SECOND
from motenet.stack.wire import Malformed, icmpv6, igmp, mld

GROUP4 = bytes((239, 1, 2, 3))
GROUP6 = bytes.fromhex("ff02000000000000000000000000abcd")
LINK_LOCAL = bytes.fromhex("fe800000000000000000000000000001")


def with_checksum(data: str) -> memoryview:
    packet = bytearray.fromhex(data)
    packet[2:4] = internet_checksum(packet).to_bytes(2, "big")
    return memoryview(packet)


def test_rfc_2236_2_1_types() -> None:
    assert (igmp.QUERY, igmp.REPORT_1, igmp.REPORT, igmp.LEAVE) == (0x11, 0x12, 0x16, 0x17)


def test_rfc_2236_2_report_bytes() -> None:
    """The checksum by hand: ~(0x1600 + 0xEF01 + 0x0203) = ~0x10704 folded = ~0x0705."""
    buffer = bytearray(8)
    igmp.Message(igmp.REPORT, GROUP4).emit(memoryview(buffer))
    assert buffer.hex() == "1600f8faef010203"
    assert igmp.parse(memoryview(buffer)) == igmp.Message(igmp.REPORT, GROUP4)


def test_rfc_2236_2_2_max_response_time_is_in_tenths_of_a_second() -> None:
    query = igmp.parse(with_checksum("11640000 00000000"))
    assert (query.type, query.group, query.version, query.response_time) == (igmp.QUERY, bytes(4), 2, 10 * SECOND)
    assert igmp.parse(with_checksum("11ff0000 ef010203")).response_time == 25_500 * MS


def test_rfc_2236_4_a_query_of_version_1_has_no_response_time() -> None:
    for longer in ("", "000000"):  # RFC 3376, 7.1: from 12 bytes on it is of version 3
        query = igmp.parse(with_checksum("11000000 00000000" + longer))
        assert (query.version, query.response_time) == (1, 10 * SECOND)
    assert igmp.parse(with_checksum("11000000 00000000 00000000")).version == 3


@pytest.mark.parametrize(("code", "tenths"), [("00", 0), ("7f", 127), ("80", 128), ("8f", 248), ("ff", 31744)])
def test_rfc_3376_4_1_1_a_query_of_version_3_counts_with_an_exponent(code: str, tenths: int) -> None:
    """7.1: it is one of at least 12 bytes. RFC 2236, 2.5: what it has behind the group is ignored."""
    query = igmp.parse(with_checksum(f"11{code}0000 ef010203 027d0001 0a000001"))
    assert (query.version, query.group, query.response_time) == (3, GROUP4, tenths * SECOND // 10)


def test_bad_igmp_messages_are_malformed() -> None:
    with pytest.raises(Malformed, match="igmp-short"):
        igmp.parse(memoryview(bytes.fromhex("1600f8faef0102")))
    with pytest.raises(Malformed, match="igmp-checksum"):
        igmp.parse(memoryview(bytes.fromhex("1600f8faef010204")))
    longer = with_checksum("16000000 ef010203 0001")  # RFC 2236, 2.3: the checksum is over the whole payload
    assert igmp.parse(longer).group == GROUP4
    with pytest.raises(Malformed, match="igmp-checksum"):
        igmp.parse(longer[:8])


def test_rfc_2710_3_report_and_query_bytes() -> None:
    assert mld.emit(mld.Message(icmpv6.LISTENER_REPORT, GROUP6)) == icmpv6.Message(131, 0, 0, GROUP6)
    message = icmpv6.Message(130, 0, 0x27100000, bytes(16))
    assert mld.emit(mld.Message(icmpv6.LISTENER_QUERY, bytes(16), 10_000)) == message
    query = mld.parse(message)
    assert (query.group, query.version, query.response_time) == (bytes(16), 1, 10 * SECOND)


@pytest.mark.parametrize(("code", "ms"), [(0x7FFF, 32767), (0x8000, 32768), (0xFFFF, 8387584)])
def test_rfc_3810_5_1_3_a_query_of_version_2_counts_with_an_exponent(code: int, ms: int) -> None:
    query = mld.parse(icmpv6.Message(130, 0, code << 16, GROUP6 + bytes(4)))
    assert (query.version, query.group, query.response_time) == (2, GROUP6, ms * MS)
    assert mld.parse(icmpv6.Message(130, 0, code << 16, GROUP6)).response_time == code * MS


def test_bad_mld_messages_are_malformed() -> None:
    with pytest.raises(Malformed, match="mld-short"):
        mld.parse(icmpv6.Message(131, 0, 0, GROUP6[:15]))
    with pytest.raises(Malformed, match="mld-type"):
        mld.parse(icmpv6.Message(143, 0, 0, GROUP6))


def test_rfc_2710_3_and_rfc_3590_4_messages_come_from_the_link() -> None:
    query, report = mld.Message(icmpv6.LISTENER_QUERY, bytes(16)), mld.Message(icmpv6.LISTENER_REPORT, GROUP6)
    mld.check(query, 1, LINK_LOCAL)
    mld.check(report, 1, LINK_LOCAL)
    mld.check(report, 1, bytes(16))
    for message, hop_limit, source, reason in (
        (query, 2, LINK_LOCAL, "mld-hop-limit"), (query, 1, bytes(16), "mld-source"),
        (report, 1, b"\x20" + bytes(15), "mld-source"),
    ):  # fmt: skip
        with pytest.raises(Malformed, match=reason):
            mld.check(message, hop_limit, source)


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_a_message_or_malformed(data: bytes) -> None:
    fixed = data
    if len(data) >= 8:
        fixed = bytes(with_checksum((data[:2] + b"\0\0" + data[4:]).hex()))
    try:
        message = igmp.parse(memoryview(fixed))
    except Malformed:
        assert len(data) < 8
    else:
        buffer = bytearray(8)
        message.emit(memoryview(buffer))
        assert (buffer[:2], buffer[4:]) == (fixed[:2], fixed[4:8])
