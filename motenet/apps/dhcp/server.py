"""A DHCP server on a host's stack: the service at UDP port 67."""

from collections.abc import Iterable
from typing import Any, ClassVar

from motenet.apps.dhcp.service import Service
from motenet.apps.dhcp.subnet import Subnet
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.stack import NetworkStack
from motenet.stack.address import LIMITED_BROADCAST, Cidr
from motenet.stack.errors import QueueFull
from motenet.stack.wire import Malformed, dhcpv4


class DhcpServer(Watched):
    """Gives addresses to hosts (RFC 2131). Put it among a host's applications, and snapshots carry it.

    The host needs an address of its own in each subnet that it serves directly, by whatever interface; others are
    served by way of relay agents. Everything happens in events: one serves for all messages that came until then.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "posted")

    def __init__(self, stack: NetworkStack, *subnets: Subnet) -> None:
        if not subnets:
            raise ConfigurationError("a DHCP server needs something to give: DhcpServer(stack, Subnet(...))")
        super().__init__(stack.clock, f"{stack.path}/dhcp")
        self.service = Service(stack.clock, subnets)
        self.posted = False
        """An event is under way."""
        self.socket = stack.sockets.udp_bind(dhcpv4.SERVER_PORT)
        self.socket.waker = self._wake
        self._stack = stack
        self._post = stack.driver.clock.post
        self.place(self.path)

    def parts(self) -> Iterable[Component]:
        return (self.service,)

    def close(self) -> None:
        """Serve no more; leases stay as they are."""
        self.socket.waker = None
        self.socket.close()

    def rows(self) -> list[dict[str, Any]]:
        """One row a lease: subnet, address, client, host_name, state, and expires_in (ns, or None: never)."""
        now = self.clock.now
        return [{"subnet": str(pool.subnet), **row} for pool in self.service.pools for row in pool.rows(now)]

    def _own(self, interface: str) -> tuple[list[Cidr], list[Cidr]]:
        """Our IPv4 addresses on an interface, and all others."""
        here: list[Cidr] = []
        elsewhere: list[Cidr] = []
        for one in self._stack.interfaces:
            ours = here if one.name == interface else elsewhere
            ours += [cidr for cidr in one.addressing.cidrs if len(cidr.address) == 4]
        return here, elsewhere

    def _wake(self) -> None:
        if not self.posted and self.socket.can_receive:
            self.posted = True
            self._post(self._serve)

    def _serve(self, _: None) -> None:
        self.posted = False
        while (datagram := self.socket.receive()) is not None:
            try:
                message = dhcpv4.parse(datagram.data)
            except Malformed as malformed:
                self.drop(malformed.reason)
                continue
            here, elsewhere = self._own(datagram.interface)
            reply = self.service.answer(message, datagram.destination, here, self.clock.now, elsewhere)
            if reply is not None:
                where = datagram.interface if reply.address == LIMITED_BROADCAST else ""
                try:
                    self.socket.send_to(reply.emit(), reply.address, reply.port, interface=where)
                except QueueFull:
                    self.drop("queue-full")
