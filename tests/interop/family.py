"""What differs between the tests over IPv4 and those over IPv6."""

import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A row of networks that RFC 2544 and RFC 4193 set aside; the kernel and our first host are in the first."""

    version: int
    network: str
    prefix: int
    socket: int
    header: int
    """Bytes of an IP header."""

    def __str__(self) -> str:
        return f"IPv{self.version}"

    def at(self, network: int, host: int) -> str:
        """An address in one of the networks."""
        return self.network.format(77 + network, host)

    @property
    def kernel(self) -> str:
        return self.at(0, 1)

    @property
    def ours(self) -> str:
        return self.at(0, 2)

    def cidr(self, address: str) -> str:
        """With its network."""
        return f"{address}/{self.prefix}"

    def packed(self, address: str) -> bytes:
        return socket.inet_pton(self.socket, address)


IPV4 = Family(4, "198.18.{}.{}", 24, socket.AF_INET, 20)
IPV6 = Family(6, "fd{}::{}", 64, socket.AF_INET6, 40)
FAMILIES = (IPV4, IPV6)
