"""What the rooms' check of their captures notices, and what it has to bear with."""

import sys
from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4
from room import BULK, WRONG, tshark

pytestmark = pytest.mark.needs("tshark")

V4, V6 = IP(src="198.18.77.2", dst="198.18.77.1"), IPv6(src="fd77::2", dst="fd77::1")
SEGMENT, DATAGRAM = TCP(dport=BULK) / Raw(b"data"), UDP(dport=BULK) / Raw(b"data")
QUESTION = bytes(DNS(qd=DNSQR(qname="example.test")))[:-3]
WRONGS = {
    "IPv4's sum": IP(src="198.18.77.2", dst="198.18.77.1", chksum=1) / SEGMENT,
    "TCP's sum": V4 / TCP(dport=BULK, chksum=1) / Raw(b"data"),
    "TCP's sum over IPv6": V6 / TCP(dport=BULK, chksum=1) / Raw(b"data"),
    "UDP's sum": V4 / UDP(dport=BULK, chksum=1) / Raw(b"data"),
    "UDP over IPv6 without a sum": V6 / UDP(dport=BULK, chksum=0) / Raw(b"data"),
    "ICMP's sum": V4 / ICMP(chksum=1),
    "an ICMP error's sum": V4 / ICMP(type=3, code=4, chksum=1) / IPerror(bytes(V4 / SEGMENT)),
    "ICMPv6's sum": V6 / ICMPv6EchoRequest(cksum=1),
    "a question that ends too early": V4 / UDP(sport=4000, dport=53) / Raw(QUESTION),
    "a segment whose header is longer than it": V4 / TCP(dport=BULK, dataofs=9),
}
RIGHTS = {
    "a segment": V4 / SEGMENT,
    "a datagram over IPv6": V6 / DATAGRAM,
    "a quoted part of a segment": V4 / ICMP(type=3, code=4) / Raw(bytes(V4 / TCP() / Raw(bytes(1000)))[:548]),
}


def complaints(folder: Path, packet: Packet) -> list[str]:
    file = folder / "one.pcap"
    wrpcap(str(file), [Ether(src="52:54:00:00:01:01", dst="02:00:00:00:00:01") / packet])
    return tshark(file, "-Y", WRONG)


@pytest.mark.parametrize("name", WRONGS)
def test_a_wrong_packet_is_noticed(name: str, tmp_path: Path) -> None:
    assert len(complaints(tmp_path, WRONGS[name])) == 1


@pytest.mark.parametrize("name", RIGHTS)
def test_a_right_packet_is_not(name: str, tmp_path: Path) -> None:
    assert complaints(tmp_path, RIGHTS[name]) == []


@pytest.mark.parametrize(("source", "found"), [(IPV4.kernel, 0), (IPV4.ours, 1)])
def test_linuxs_other_form_of_zero_is_borne_with(source: str, found: int, tmp_path: Path) -> None:
    """A segment whose sum is 0, with 0xffff in its place: the kernel may, we may not."""
    packet = IP(src=source, dst="198.18.77.9") / TCP(dport=BULK, chksum=0) / Raw(b"\0\0")
    rest = IP(bytes(IP(src=source, dst="198.18.77.9") / TCP(dport=BULK) / Raw(b"\0\0")))[TCP].chksum
    packet[Raw].load = rest.to_bytes(2, "big")
    packet[TCP].chksum = 0xFFFF
    assert len(complaints(tmp_path, packet)) == found
