"""The interface: one device, its addresses, its sockets; `poll` moves packets between them (smoltcp's shape)."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from motenet.core.rng import Stream
from motenet.core.state import Component
from motenet.core.trace import HasNow, Watched
from motenet.core.units import MS, SECOND
from motenet.doors import Capabilities
from motenet.stack.address import format_address
from motenet.stack.addressing import Addressing
from motenet.stack.egress import Egress
from motenet.stack.errors import NetworkUnreachable
from motenet.stack.icmp import IcmpResponder
from motenet.stack.ingress import Ingress
from motenet.stack.neighbor import Held, NeighborCache
from motenet.stack.phy import Device
from motenet.stack.reassembly import Reassembly
from motenet.stack.sockets.set import AnySocket, SocketSet
from motenet.stack.sockets.tcp.listener import TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.wire import ethernet, ipv4, tcp

FRAME_BUDGET = 256
"""Frames taken in one poll; if more wait, `poll_at` says that the next poll is due at once."""

FULL_RETRY = MS
"""When to try again after the device was full, should the driver not call for a poll before."""
DOWN_RETRY = SECOND
"""The same while there is no carrier, without which no room comes: only the sockets' own timers need it."""

_HEADERS = ipv4.HEADER_LENGTH + tcp.HEADER_LENGTH
_LARGEST_HEADERS = ipv4.HEADER_LENGTH + 60
"""With all options that TCP can have (RFC 9293, 3.1: the data offset has four bits)."""


class Interface(Watched):
    """Ethernet and IPv4 on one device. All times are integer nanoseconds."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "retry_at", "more")

    def __init__(self, clock: HasNow, stream: Stream) -> None:
        super().__init__(clock, "interface")
        self.addressing = Addressing()
        self.neighbors = NeighborCache(clock)
        self.reassembly = Reassembly(clock)
        self.sockets = SocketSet(clock, stream)
        self.egress = Egress(clock, self.addressing, self.neighbors, stream)
        self.icmp = IcmpResponder(clock, self.addressing, self.sockets, self.egress)
        self.ingress = Ingress(
            clock, self.addressing, self.neighbors, self.reassembly, self.sockets, self.egress, self.icmp
        )
        self.retry_at = 0
        """When to try again after the device was full; 0: it is not."""
        self.more = False
        """The last poll has left frames in the device."""
        self.link_up = True
        """Whether there is a carrier, as the stack has found before this poll."""
        self.sockets.source_for = self.source_for
        self.sockets.suspect = self._suspect

    def parts(self) -> Iterable[Component]:
        return (
            self.addressing, self.neighbors, self.reassembly, self.egress, self.icmp, self.ingress, self.sockets,
        )  # fmt: skip

    def adopt(self, mac: bytes, capabilities: Capabilities) -> None:
        """Take the device's Ethernet address and what it can do."""
        self.egress.mac = self.ingress.mac = mac
        self.egress.adopt(capabilities)
        largest = min(capabilities.max_segmented - ethernet.HEADER_LENGTH, ipv4.MAXIMUM_LENGTH) - _LARGEST_HEADERS
        self.sockets.limit(capabilities.mtu - _HEADERS, max(largest, 0))

    def source_for(self, destination: bytes) -> bytes:
        """Our address on the way to a destination. NetworkUnreachable if there is no way."""
        way = self.addressing.way(destination)
        if way is None:
            raise NetworkUnreachable(
                f"no route leads to {format_address(destination)}: add an address of its network, or a gateway"
            )
        return way.source

    def _suspect(self, destination: bytes) -> None:
        way = self.addressing.way(destination)
        if way is not None:
            self.neighbors.suspect(way.hop, self.egress.now)

    # --- poll

    def poll(self, now: int, device: Device) -> bool:
        """Receive what has come, send what is due. Says whether anything was received or sent."""
        before = self.ingress.frames + self.egress.frames
        self.sockets.polling = True
        self.retry_at = 0
        self.egress.begin(now, device)
        self.ingress.now = now
        self._receive(now, device)
        if self.reassembly.partials or self.neighbors.unresolved:
            self._expire(now)
        self._dispatch(now)
        self._ask_neighbors(now)
        self.egress.unreachable.clear()
        if self.egress.full:
            self.retry_at = now + (FULL_RETRY if self.link_up else DOWN_RETRY)
        self.sockets.polling = False
        return self.ingress.frames + self.egress.frames != before

    def poll_at(self, now: int) -> int | None:
        """When `poll` next has work, in ns; None if only a frame or an application can make some."""
        if self.more or self.egress.looped:
            return now
        sockets_at = self.sockets.poll_at(now)
        if self.egress.backlog or (self.retry_at and sockets_at == now):
            sockets_at = max(self.retry_at, now)
        times = (sockets_at, self.neighbors.poll_at(), self.reassembly.poll_at())
        return min((time for time in times if time is not None), default=None)

    def _receive(self, now: int, device: Device) -> None:
        frame, looped = self.ingress.frame, self.egress.looped
        for _ in range(len(looped)):
            self.ingress.looped(looped.popleft())
        for _ in range(FRAME_BUDGET):
            tokens = device.receive(now)
            if tokens is None:
                self.more = False
                return
            tokens[0].consume(frame)
        self.more = True

    def _expire(self, now: int) -> None:
        """What has waited in vain: datagrams for their fragments, packets and sockets for a neighbor."""
        for datagram in self.reassembly.expired(now):
            self.reassembly.drop("reassembly-timeout")
            self.icmp.reassembly_expired(now, datagram)
        for address, resolution in self.neighbors.failed(now):
            self.egress.unreachable[address] = None
            for packet in resolution.packets:
                self.neighbors.drop("neighbor-unreachable")
                self._undeliverable(packet)
            for handle in resolution.sockets:
                socket = self.sockets.get(handle)
                if isinstance(socket, TcpSocket):
                    socket.unreachable("host")
                self.sockets.mark(handle)

    def _undeliverable(self, packet: Held) -> None:
        """RFC 1122, 2.4: what the link layer finds unreachable is reported as ICMP would."""
        source, destination, protocol, _, _, payload = packet
        self.icmp.report("host", ipv4.Quote(source, destination, protocol, payload))

    def _dispatch(self, now: int) -> None:
        sockets, egress = self.sockets, self.egress
        for handle in sockets.take_ready(now):
            socket = sockets.get(handle)
            if socket is None:
                continue
            if egress.full and self.link_up:
                sockets.mark(handle)
                continue
            egress.stalled = egress.lost = None
            if isinstance(socket, TcpSocket):
                socket.dispatch(now, partial(egress.send_for, socket))
            elif not isinstance(socket, TcpListener):
                socket.dispatch(now, egress.send)
            if egress.stalled is not None:
                self.neighbors.park(egress.stalled, handle, now)
            if egress.lost is not None:
                self._tell_no_route(socket, egress.lost)
            sockets.settle(handle, now, egress.stalled is not None)

    def _tell_no_route(self, socket: AnySocket, destination: bytes) -> None:
        if isinstance(socket, TcpSocket):
            socket.unreachable("network")
        elif not isinstance(socket, TcpListener):
            socket.fail("network", destination, 0)

    def _ask_neighbors(self, now: int) -> None:
        asked, released = self.neighbors.due(now)
        for address, mac in asked:
            self.egress.solicit(address, mac)
        for handle in released:
            self.sockets.mark(handle)
