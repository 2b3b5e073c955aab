"""What later RFCs put into neighbor discovery's messages: a router's preference (RFC 4191), a nonce (RFC 7527)."""

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA

from motenet.stack.wire import icmpv6, ndisc

TARGET = bytes.fromhex("fe80 0000 0000 0000 0000 0000 0000 0001")


@pytest.mark.parametrize(("field", "preference"), [(0b01, 1), (0b00, 0), (0b11, -1), (0b10, 0)])
def test_rfc_4191_2_1_the_preference_of_a_router(field: int, preference: int) -> None:
    data = bytes(ICMPv6ND_RA(prf=field, routerlifetime=1800, chlim=64))
    word = int.from_bytes(data[4:8], "big")
    record = ndisc.parse(icmpv6.Message(icmpv6.ROUTER_ADVERTISEMENT, 0, word, data[8:]))
    assert isinstance(record, ndisc.RouterAdvertisement)
    assert record.preference == preference
    if field != 0b10:
        assert ndisc.emit(record).word == word


def test_rfc_3971_5_3_2_a_nonce() -> None:
    message = ndisc.emit(ndisc.NeighborSolicitation(TARGET, nonce=b"\1\2\3\4\5\6"))
    assert message.payload == TARGET + bytes((14, 1, 1, 2, 3, 4, 5, 6))
    record = ndisc.parse(message)
    assert isinstance(record, ndisc.NeighborSolicitation)
    assert (record.nonce, record.source_mac) == (b"\1\2\3\4\5\6", b"")
