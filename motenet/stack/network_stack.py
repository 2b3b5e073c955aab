"""A TCP/IP stack on one driver or several: what a host's applications use."""

from motenet.core.units import duration, format_duration
from motenet.stack.address import format_address
from motenet.stack.errors import MessageTooLong, TimedOut
from motenet.stack.sockets.dhcp import DhcpClient, Lease
from motenet.stack.sockets.icmp import MAXIMUM_PAYLOAD
from motenet.stack.sockets.udp import UdpSocket
from motenet.stack.streams import StreamVerbs
from motenet.stack.waiting import Duration, check_least


class NetworkStack(StreamVerbs):
    """IPv4 and IPv6 on a card, or on several. `poll` and `poll_at` drive it; `sockets` never blocks.

    `address` is "10.0.0.1/24", "fd00::1/64" or several of these, usable at once; "auto" asks the link's routers for
    addresses (SLAAC), "dhcp" asks a DHCP server. `gateway` is the default router's address, or one of each family.
    The verbs (`ping`, `tcp_connect` ...) block in virtual time; inside an event they raise BlockingInsideWorld.
    """

    def ping(
        self, host: str | bytes, count: int = 3, interval: Duration = "1s", timeout: Duration = "1s", size: int = 56
    ) -> list[int | None]:
        """Send `count` echo requests with `size` bytes, one each `interval`. Returns the round-trip times in ns.

        None stands for one that was not answered within `timeout`. `host` is an address, or a name of whose addresses
        the first is taken. NetworkUnreachable if no route leads there, MessageTooLong; the errors of `dns_resolve`.
        On a router "fe80::1%eth1" says which link is meant; so for `tcp_connect`.
        """
        self._check_top_level()
        check_least("count", count, 0, "give how many echo requests to send, 0 or more")
        check_least("size", size, 0, "an echo request carries 0 bytes or more")
        if size > MAXIMUM_PAYLOAD:
            raise MessageTooLong(f"{size} bytes do not fit into an echo request: {MAXIMUM_PAYLOAD} do")
        destination, interface = self._look_up(host, "30s")[0]
        self.node.source_for(destination, interface)
        self._wait(lambda: self.is_link_up, self._deadline(timeout))  # a card just started negotiates first
        data = bytes(value & 0xFF for value in range(size))
        socket = self.sockets.icmp_bind()
        socket.interface = interface
        times: list[int | None] = []
        try:
            for number in range(1, count + 1):
                started, sequence = self.clock.now, number & 0xFFFF
                socket.send_echo(destination, sequence, data)
                self._wait(lambda: socket.can_receive or bool(socket.failures), started + duration(timeout))
                socket.failures.clear()
                reply = socket.receive()
                while reply is not None and reply.sequence != sequence:
                    reply = socket.receive()
                times.append(None if reply is None else reply.time - started)
                if number < count:
                    self._wait(_never, started + duration(interval))
        finally:
            socket.close()
        return times

    def dhcp_acquire(self, timeout: Duration = "60s", interface: str = "") -> Lease:
        """Get an address from a DHCP server, and keep it up; returns the lease once nobody else is found to use it.

        TimedOut if no server gives one in time; it is asked on. RFC 5227's proof takes five to seven seconds.
        """
        self._check_top_level()
        client = self._dhcp_client(interface)
        client.acquire()
        if not self._wait(lambda: client.is_bound, self._deadline(timeout)) or client.lease is None:
            raise TimedOut(
                f"no DHCP server has given an address within {format_duration(duration(timeout))} "
                f"(now {client.state}): check the cable and the server"
            )
        return client.lease

    def dhcp_release(self, interface: str = "") -> None:
        """Give the address back to the DHCP server."""
        self._dhcp_client(interface).release()

    def dns_resolve(self, name: str, family: int | None = None, timeout: Duration = "30s") -> list[str]:
        """The addresses of a host, as text, those to be tried first first; `family` 4 or 6 leaves out the others.

        NameNotFound, NoAddress, DnsFailure, BadName; DnsTimeout, also if the servers need longer than `timeout`.
        """
        self._check_top_level()
        return [format_address(address) for address in self._query(name, family, timeout)]

    def udp_socket(self, port: int = 0, address: str | bytes = b"") -> UdpSocket:
        """A UDP socket at a port (0: a free one). AddressInUse."""
        return self.sockets.udp_bind(port, address)

    def _dhcp_client(self, interface: str) -> DhcpClient:
        """That of an interface, or of the first; ConfigurationError if there is no such interface."""
        self.node.check(interface)
        return self.sockets.dhcp_client(interface or self.node.interfaces[0].name)


def _never() -> bool:
    return False
