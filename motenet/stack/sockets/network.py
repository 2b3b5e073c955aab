"""What sockets ask of the node that they belong to, and tell it."""

from typing import Protocol

from motenet.stack.errors import NetworkUnreachable
from motenet.stack.sockets.dhcp import DhcpClient


class Network(Protocol):
    """Ways, neighbors and interfaces, as far as they are the sockets' business."""

    def check(self, interface: str) -> None:
        """ConfigurationError for a name that no interface has."""

    def source_for(self, destination: bytes, interface: str = "") -> bytes:
        """Our address on the way to a destination, by an interface or any. NetworkUnreachable if there is no way."""

    def path_for(self, destination: bytes, interface: str = "") -> tuple[int, int, int]:
        """TCP payload in bytes of a packet on that link, of one that gets there, of one that a card cuts (0: none)."""

    def is_broadcast(self, destination: bytes) -> bool:
        """Whether an address means all hosts of a network of ours."""

    def is_local(self, address: bytes) -> bool:
        """Whether a socket may have this address: one of ours, or a loopback address."""

    def is_neighbor(self, address: bytes, interface: str) -> bool:
        """Whether an address is in a network of an interface's link."""

    def confirm(self, destination: bytes) -> None:
        """TCP makes progress with it (RFC 4861, 7.3.1)."""

    def suspect(self, destination: bytes) -> None:
        """It does not answer TCP (RFC 9293, MUST-20)."""

    def lend(self, client: DhcpClient) -> None:
        """Wire a DHCP client with the interface that its leases are for."""


class NoNetwork:
    """Of a set of sockets without a node."""

    def check(self, interface: str) -> None: ...

    def source_for(self, destination: bytes, interface: str = "") -> bytes:
        raise NetworkUnreachable("this set of sockets belongs to no stack: give a source address")

    def path_for(self, destination: bytes, interface: str = "") -> tuple[int, int, int]:
        return 1460, 1460, 0

    def is_broadcast(self, destination: bytes) -> bool:
        return False

    def is_local(self, address: bytes) -> bool:
        return True

    def is_neighbor(self, address: bytes, interface: str) -> bool:
        return True

    def confirm(self, destination: bytes) -> None: ...

    def suspect(self, destination: bytes) -> None: ...

    def lend(self, client: DhcpClient) -> None: ...
