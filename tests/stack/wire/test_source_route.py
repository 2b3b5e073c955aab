"""IPv4's source routes, beside Scapy's (RFC 791, 3.1; RFC 1122, 3.2.1.8 (c))."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_SSRR

from motenet.stack.wire import source_route

S, G1, G2, G3, D = (bytes((10, 0, number, 1)) for number in range(5))
addresses = st.binary(min_size=4, max_size=4)


def text(address: bytes) -> str:
    return ".".join(map(str, address))


def header(*options: object) -> memoryview:
    return memoryview(bytes(IP(src=text(S), dst=text(D), options=list(options))))


@given(gateways=st.lists(addresses, min_size=1, max_size=source_route.LONGEST), destination=addresses)
def test_scapy_reads_the_option_that_we_emit(gateways: list[bytes], destination: bytes) -> None:
    data = source_route.emit(gateways, destination)
    assert len(data) == source_route.length(gateways) <= 40
    packet = IP(bytes((0x45 + len(data) // 4,)) + bytes(19) + data)
    option = packet.options[0]
    assert isinstance(option, IPOption_LSRR)
    assert (option.length, option.pointer) == (3 + 4 * len(gateways), 4)
    assert option.routers == [text(address) for address in (*gateways[1:], destination)]


def test_without_gateways_there_is_no_option() -> None:
    assert source_route.length([]) == 0


@pytest.mark.parametrize("option", [IPOption_LSRR, IPOption_SSRR])
def test_the_way_back_is_the_recorded_route_reversed(option: type) -> None:
    recorded = option(pointer=16, routers=[text(G1), text(G2), text(G3)])
    assert source_route.way_back(header(IPOption_NOP(), recorded), S) == (G3, G2, G1)


def test_rfc_1122_3_2_1_8_the_sender_is_not_a_gateway_on_the_way_back() -> None:
    """Case (B): some senders put themselves first."""
    recorded = IPOption_LSRR(pointer=12, routers=[text(S), text(G2)])
    assert source_route.way_back(header(recorded), S) == (G2,)


@pytest.mark.parametrize(
    "options",
    [
        [],
        [IPOption_NOP()],
        [IPOption_LSRR(pointer=8, routers=[text(G1), text(G2)])],  # not complete
        [IPOption_RR(pointer=8, routers=[text(G1)])],
        [IPOption_LSRR(pointer=8, routers=[])],
    ],
)
def test_what_is_no_complete_route_leads_nowhere(options: list[object]) -> None:
    assert source_route.way_back(header(*options), S) == ()


@given(st.binary(max_size=40), addresses)
def test_any_option_that_is_not_cut_is_read(data: bytes, source: bytes) -> None:
    """Whole addresses come out, whatever the option says."""
    option = bytes((131, 2 + len(data))) + data
    whole = bytes(20) + option + bytes(-len(option) % 4)
    assert all(len(one) == 4 for one in source_route.way_back(memoryview(whole), source))
