"""Addresses: bytes of length 4 (IPv4), 16 (IPv6) or 6 (Ethernet) inside; text only at the edges."""

from dataclasses import dataclass
from ipaddress import ip_address

from motenet.core.errors import ConfigurationError

ANY = b"\0\0\0\0"
"""0.0.0.0: this host on this network, as a source before it has an address (RFC 1122, 3.2.1.3 a)."""

ANY6 = b"\0" * 16
"""::, the same for IPv6 (RFC 4291, 2.5.2)."""

LIMITED_BROADCAST = b"\xff\xff\xff\xff"
"""255.255.255.255: all hosts on this network (RFC 1122, 3.2.1.3 c)."""

LOOPBACK = {4: b"\x7f\0\0\1", 16: bytes(15) + b"\1"}
"""127.0.0.1 and ::1: this host, for itself alone (RFC 1122, 3.2.1.3 g; RFC 4291, 2.5.3); by an address's length."""

ALL_HOSTS = b"\xe0\0\0\1"
"""224.0.0.1, to which every host belongs for ever (RFC 1112, 4)."""
ALL_ROUTERS = b"\xe0\0\0\2"
"""224.0.0.2, to which every router belongs, and where IGMP's Leave Group goes (RFC 2236, 3)."""
ALL_NODES6 = bytes.fromhex("ff02 0000 0000 0000 0000 0000 0000 0001")
ALL_ROUTERS6 = bytes.fromhex("ff02 0000 0000 0000 0000 0000 0000 0002")
"""RFC 4291, 2.7.1 and 2.8: what each IPv6 node, and each router, is required to recognize;
Multicast Listener Done goes to the routers (RFC 2710, 3)."""

_MAPPED = bytes(10) + b"\xff\xff"
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")


def parse_address(text: str | bytes) -> bytes:
    """ "10.0.0.1" or "fd00::1" as bytes; bytes of 4 or 16 pass. ConfigurationError for anything else."""
    if isinstance(text, bytes) and len(text) in (4, 16):
        return text
    try:
        if not isinstance(text, str) or "%" in text:
            raise ValueError
        return ip_address(text).packed
    except ValueError:
        raise ConfigurationError(f"{text!r} is not an IP address; write it like '10.0.0.1' or 'fd00::1'") from None


def parse_scoped(text: str | bytes) -> tuple[bytes, str]:
    """ "fe80::1%eth1": the address, and the interface on whose link it lies, empty if it is not said (RFC 4007, 11)."""
    if isinstance(text, str):
        address, _, interface = text.partition("%")
        return parse_address(address), interface
    return parse_address(text), ""


def format_address(address: bytes) -> str:
    """An IP address for people; the empty one, which stands for every address, is "*"."""
    return str(ip_address(address)) if address else "*"


def format_scoped(address: bytes, interface: str) -> str:
    """The same with the interface on whose link it lies, unless that is empty (RFC 4007, 11)."""
    return format_address(address) + (f"%{interface}" if interface else "")


def format_endpoint(address: bytes, port: int) -> str:
    """A peer in a sentence: "10.0.0.2 port 80"."""
    return f"{format_address(address)} port {port}"


def check_port(port: int) -> int:
    """The port, if it names one; else ConfigurationError."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= 0xFFFF:
        raise ConfigurationError(f"{port!r} is not a port: it is a number from 1 to 65535")
    return port


def format_mac(mac: bytes) -> str:
    """An Ethernet address for people: "52:54:00:12:34:56"."""
    return mac.hex(":")


@dataclass(frozen=True, slots=True)
class Cidr:
    """An address and how many of its leading bits name the network."""

    address: bytes
    prefix: int

    @classmethod
    def parse(cls, text: "str | Cidr") -> "Cidr":
        """ "10.0.0.1/24". ConfigurationError names what is wrong."""
        if isinstance(text, Cidr):
            return text
        head, slash, length = text.partition("/") if isinstance(text, str) else ("", "", "")
        if not slash:
            raise ConfigurationError(f"{text!r} is not an address with its network; write it like '10.0.0.1/24'")
        address = parse_address(head)
        if not (length.isascii() and length.isdigit()) or int(length) > 8 * len(address):
            raise ConfigurationError(f"{text!r}: the prefix length is a number from 0 to {8 * len(address)}")
        return cls(address, int(length))

    @property
    def mask(self) -> int:
        """The network's bits set, as an integer."""
        bits = 8 * len(self.address)
        return (1 << bits) - (1 << bits - self.prefix)

    @property
    def network(self) -> bytes:
        """The network's own address: all host bits zero."""
        return (int.from_bytes(self.address, "big") & self.mask).to_bytes(len(self.address), "big")

    @property
    def broadcast(self) -> bytes | None:
        """The directed broadcast address (RFC 1122, 3.2.1.3 d); None for IPv6, /31 (RFC 3021) and /32."""
        if len(self.address) != 4 or self.prefix > 30:
            return None
        host = 0xFFFF_FFFF ^ self.mask
        return (int.from_bytes(self.address, "big") | host).to_bytes(4, "big")

    def contains(self, address: bytes) -> bool:
        """Whether the address is in this network."""
        if len(address) != len(self.address):
            return False
        return (int.from_bytes(address, "big") ^ int.from_bytes(self.address, "big")) & self.mask == 0

    def __str__(self) -> str:
        return f"{format_address(self.address)}/{self.prefix}"


def is_multicast(address: bytes) -> bool:
    """RFC 1112, 4: class D, 224.0.0.0/4; RFC 4291, 2.7: ff00::/8."""
    return address[0] & 0xF0 == 0xE0 if len(address) == 4 else address[0] == 0xFF


def is_loopback(address: bytes) -> bool:
    """RFC 1122, 3.2.1.3 g: 127.0.0.0/8 must not appear outside a host; RFC 4291, 2.5.3: ::1."""
    return address[0] == 127 if len(address) == 4 else address == b"\0" * 15 + b"\1"


def is_mapped(address: bytes) -> bool:
    """RFC 4291, 2.5.5.2: ::ffff:0:0/96 is how programs write IPv4; none travels, and Linux drops such sources."""
    return address.startswith(_MAPPED)


def is_unspecified(address: bytes) -> bool:
    """RFC 1122, 3.2.1.3 a: 0.0.0.0; RFC 4291, 2.5.2: "::", the absence of an address."""
    return not any(address)


def is_link_local(address: bytes) -> bool:
    """RFC 3927, 2.1: 169.254.0.0/16; RFC 4291, 2.5.6: fe80::/10. A router never forwards these."""
    if len(address) == 4:
        return address[:2] == b"\xa9\xfe"
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_single_host(address: bytes) -> bool:
    """Whether it may name one other host: no group, not loopback, not "this network" (RFC 1122, 3.2.1.3; RFC 4291)."""
    if len(address) == 4:
        return 0 < address[0] < 0xE0 and address[0] != 127
    return address[0] != 0xFF and not is_unspecified(address) and not is_loopback(address)


def check_host_address(cidr: Cidr) -> Cidr:
    """The address, if an interface can have it; else ConfigurationError."""
    if not is_single_host(cidr.address) or cidr.address == cidr.broadcast or is_mapped(cidr.address):
        raise ConfigurationError(f"{cidr} cannot be a host's address: it is a group's, a broadcast or reserved")
    if len(cidr.address) == 4 and cidr.prefix < 31 and cidr.address == cidr.network:
        raise ConfigurationError(f"{cidr} is the network itself; a host's address has bits of its own")
    return cidr


def solicited_node(address: bytes) -> bytes:
    """The group in which an IPv6 address is asked for: ff02::1:ff and its last 24 bits (RFC 4291, 2.7.1)."""
    return _SOLICITED_NODE + address[13:]


def multicast_mac(group: bytes) -> bytes:
    """The Ethernet group of an IP group.

    RFC 1112, 6.4: 01-00-5E and the low 23 bits; RFC 2464, 7: 33-33 and the low 32 bits.
    """
    if len(group) == 4:
        return bytes((0x01, 0x00, 0x5E, group[1] & 0x7F, group[2], group[3]))
    return b"\x33\x33" + group[12:]
