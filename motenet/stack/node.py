"""The node: all that the interfaces of one stack share, and the poll that moves packets to and from the sockets."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Component
from motenet.core.trace import HasNow, Watched
from motenet.core.units import MS, SECOND
from motenet.stack.address import format_address
from motenet.stack.addressing import BROADCAST
from motenet.stack.delivery import Delivery
from motenet.stack.errors import NetworkUnreachable
from motenet.stack.forwarding import Forwarding
from motenet.stack.icmp import Icmp
from motenet.stack.output import Output
from motenet.stack.phy import Device
from motenet.stack.reassembly import Reassembly
from motenet.stack.routing import Routing
from motenet.stack.searches import Held
from motenet.stack.sockets.dhcp import DhcpClient
from motenet.stack.sockets.set import SocketSet
from motenet.stack.sockets.table import AnySocket
from motenet.stack.sockets.tcp.listener import TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.wire import ipv4, ipv6, tcp

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

FULL_RETRY = MS
"""When to try again after a device was full, should its driver not call for a poll before."""
DOWN_RETRY = SECOND
"""The same while there is no carrier, without which no room comes: only the sockets' own timers need it."""

Ports = Sequence[tuple["Interface", Device]]
"""The interfaces that have a device of their own, with it."""


class Node(Watched):
    """Sockets, routing, reassembly, ICMP and forwarding (RFC 8200, 2: "a device that implements IPv6")."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "retry_at", "now", "source_routes")

    def __init__(self, clock: HasNow, stream: Stream) -> None:
        super().__init__(clock, "node")
        self.interfaces: list[Interface] = []
        self.routing = Routing(clock, self.interfaces)
        self.sockets = SocketSet(clock, stream, self)
        self.output = Output(clock, self.routing)
        self.reassembly = Reassembly(clock)
        self.icmp = Icmp(clock, self.routing, self.sockets, self.output)
        self.delivery = Delivery(clock, self.sockets, self.output, self.icmp)
        self.forwarding = Forwarding(clock, self.routing, self.output, self.icmp)
        self.now = 0
        """The time of the poll that runs, or of the last one."""
        self.retry_at = 0
        """When to try again after a device was full; 0: none is."""
        self.source_routes = False
        """Take packets that have come by a source route, and send answers by its reverse (RFC 9293, 3.9.2.1)."""

    def parts(self) -> Iterable[Component]:
        return (
            *self.interfaces, self.routing, self.reassembly, self.output, self.icmp, self.delivery, self.forwarding,
            self.sockets,
        )  # fmt: skip

    def join(self, interface: "Interface") -> None:
        """Another interface is made."""
        self.interfaces.append(interface)
        interface.route(self.forwarding.enabled)
        for one in self.interfaces:
            one.alone = len(self.interfaces) == 1
        self.routing.forget()

    def interface(self, name: str) -> "Interface | None":
        """The interface of that name."""
        return next((one for one in self.interfaces if one.name == name), None)

    # --- what sockets ask for, and tell (Network)

    def source_for(self, destination: bytes, interface: str = "") -> bytes:
        """Our address on the way to a destination. NetworkUnreachable if there is no way, ConfigurationError."""
        way = self.routing.way(destination, interface)
        if way is None:
            self.check(interface)
            raise NetworkUnreachable(
                f"no route leads to {format_address(destination)}: add an address of its network, or a gateway"
            )
        return way.source

    def check(self, interface: str) -> None:
        """ConfigurationError for a name that no interface has; empty is any."""
        if interface != "" and self.interface(interface) is None:
            known = ", ".join(one.name for one in self.interfaces)
            raise ConfigurationError(f"there is no interface {interface!r}; this stack has {known}")

    def path_for(self, destination: bytes, interface: str = "") -> tuple[int, int, int]:
        """TCP payload in bytes of a packet on that link, of one that gets there, and of one that the card cuts."""
        way = self.routing.way(destination, interface)
        six = len(destination) == 16
        headers = (ipv6.HEADER_LENGTH if six else ipv4.HEADER_LENGTH) + tcp.HEADER_LENGTH
        if way is None:
            return 1500 - headers, 1500 - headers, 0
        segmented = 0 if way.local else way.interface.max_segmented[len(destination)]
        return way.link_mtu - headers, way.mtu - headers, segmented

    def is_broadcast(self, destination: bytes) -> bool:
        """Whether an address means all hosts of a network of ours."""
        return any(one.addressing.listening.get(destination) == BROADCAST for one in self.interfaces)

    def is_local(self, address: bytes) -> bool:
        """Whether a socket may have this address: one of ours, or a loopback address."""
        return self.routing.is_local(address)

    def is_neighbor(self, address: bytes, interface: str) -> bool:
        """Whether an address is in a network of an interface's link."""
        link = self.interface(interface)
        return link is not None and link.addressing.is_neighbor(address)

    def suspect(self, destination: bytes) -> None:
        """It does not answer TCP: the neighbor on the way is probed (RFC 9293, MUST-20)."""
        way = self.routing.way(destination)
        if way is not None:
            way.interface.neighbors.suspect(way.hop, self.now)

    def confirm(self, destination: bytes) -> None:
        """TCP makes progress with it: the neighbor on the way is alive (RFC 4861, 7.3.1)."""
        way = self.routing.way(destination)
        if way is not None:
            way.interface.neighbors.confirm(way.hop, self.now)

    def lend(self, client: DhcpClient) -> None:
        """A DHCP client's leases are for its interface."""
        interface = self.interface(client.interface)
        if interface is not None:
            interface.leasing.use(client)

    # --- poll

    def poll(self, now: int, ports: Ports) -> bool:
        """Receive what has come, send what is due. Says whether anything was received or sent."""
        interfaces = self.interfaces
        before = sum(one.ingress.frames + one.link.frames for one in interfaces)
        self.now = self.output.now = now
        self.sockets.polling = True
        self.retry_at = 0
        for interface, device in ports:
            interface.begin(now, device)
        self._receive_looped()
        for interface, device in ports:
            interface.receive(now, device)
        self._expire(now)
        self._dispatch(now)
        for interface in interfaces:
            for handle in interface.ask(now):
                self.sockets.mark(handle)
            interface.unreachable.clear()
            if interface.link.full:
                self.retry_at = now + (FULL_RETRY if interface.link_up else DOWN_RETRY)
        self.sockets.polling = False
        return sum(one.ingress.frames + one.link.frames for one in interfaces) != before

    def poll_at(self, now: int) -> int | None:
        """When `poll` next has work, in ns; None if only a frame or an application can make some."""
        if self.output.looped or any(one.more for one in self.interfaces):
            return now
        sockets_at = self.sockets.poll_at(now)
        if self.retry_at and (sockets_at == now or any(one.link.backlog for one in self.interfaces)):
            sockets_at = max(self.retry_at, now)
        times = [sockets_at, self.reassembly.poll_at(), self.routing.poll_at()]
        times += [one.next_at() for one in self.interfaces]
        return min((time for time in times if time is not None), default=None)

    def _receive_looped(self) -> None:
        looped = self.output.looped
        for _ in range(len(looped)):
            name, frame = looped.popleft()
            interface = self.interface(name)
            if interface is not None:
                interface.ingress.looped(frame)

    def _expire(self, now: int) -> None:
        """What has waited in vain, and what has had its time."""
        if self.reassembly.partials:
            for datagram in self.reassembly.expired(now):
                self.reassembly.drop("reassembly-timeout")
                self.icmp.reassembly_expired(datagram)
        at = self.routing.poll_at()
        if at is not None and at <= now and self.routing.expire(now):
            self.sockets.refit()
        for interface in self.interfaces:
            for address, resolution in interface.expire(now):
                interface.unreachable[address] = None
                interface.lose(address)
                for packet in resolution.packets:
                    interface.neighbors.drop("neighbor-unreachable")
                    self._undeliverable(packet)
                for handle in resolution.sockets:
                    socket = self.sockets.get(handle)
                    if isinstance(socket, TcpSocket):
                        socket.unreachable("host")
                    self.sockets.mark(handle)

    def _undeliverable(self, packet: Held) -> None:
        """RFC 1122, 2.4; RFC 4861, 7.2.2: what the link layer finds unreachable is reported as ICMP would."""
        source, destination, protocol, _, _, complete, _, payload = packet
        if complete:
            self.forwarding.undeliverable(payload)
        else:
            self.icmp.report("host", ipv4.Quote(source, destination, protocol, payload))

    def _dispatch(self, now: int) -> None:
        sockets, output = self.sockets, self.output
        for handle in sockets.take_ready(now):
            socket = sockets.get(handle)
            if socket is None:
                continue
            if self._is_full():
                sockets.mark(handle)
                continue
            output.stalled = output.lost = None
            if isinstance(socket, TcpSocket):
                socket.dispatch(now, partial(output.send_for, socket))
            elif isinstance(socket, DhcpClient):
                socket.dispatch(now, partial(output.send, keep=False))  # a RELEASE gives its source back
            elif not isinstance(socket, TcpListener):
                socket.dispatch(now, output.send)
            if output.stalled is not None:
                interface, hop = output.stalled
                interface.neighbors.park(hop, handle, now)
            if output.lost is not None:
                _tell_no_route(socket, output.lost)
            sockets.settle(handle, now, output.stalled is not None)

    def _is_full(self) -> bool:
        """No device takes anything now. (Without a carrier sockets go on: their own timers have to.)"""
        return all(one.link.full and one.link_up for one in self.interfaces)


def _tell_no_route(socket: AnySocket, destination: bytes) -> None:
    if isinstance(socket, TcpSocket):
        socket.unreachable("network")
    elif not isinstance(socket, TcpListener):
        socket.fail("network", destination, 0)
