"""What differs between the tests over IPv4 and those over IPv6."""

import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Addresses of the networks that RFC 2544 and RFC 4193 set aside, and the words that programs want."""

    version: int
    kernel: str
    ours: str
    prefix: int
    socket: int
    header: int
    """Bytes of an IP header."""

    def __str__(self) -> str:
        return f"IPv{self.version}"

    def cidr(self, address: str) -> str:
        """With its network."""
        return f"{address}/{self.prefix}"

    @property
    def packed(self) -> bytes:
        """The kernel's address."""
        return socket.inet_pton(self.socket, self.kernel)


IPV4 = Family(4, "198.18.77.1", "198.18.77.2", 24, socket.AF_INET, 20)
IPV6 = Family(6, "fd77::1", "fd77::2", 64, socket.AF_INET6, 40)
FAMILIES = (IPV4,)
