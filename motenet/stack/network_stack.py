"""A TCP/IP stack on a driver: what a host's applications use."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from motenet.core.rng import Stream
from motenet.core.state import Component, walk
from motenet.core.trace import Watched
from motenet.core.units import duration, format_duration
from motenet.doors import Capabilities, NetworkDriver
from motenet.stack.address import Cidr, format_address, format_mac, parse_address
from motenet.stack.errors import HostUnreachable, TimedOut
from motenet.stack.interface import Interface
from motenet.stack.phy import DeviceWrapper, MulticastFilter
from motenet.stack.routes import DEFAULT
from motenet.stack.sockets.set import SocketSet
from motenet.stack.sockets.tcp.connection import CAPACITY
from motenet.stack.sockets.tcp.listener import BACKLOG, TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.tcp.state import State
from motenet.stack.sockets.udp import UdpSocket

Duration = str | int

_OPENING = (State.SYN_SENT, State.SYN_RECEIVED)
_CLOSED = (State.FIN_WAIT_2, State.TIME_WAIT, State.CLOSED)


class NetworkStack(Watched):
    """IPv4 on one card. `poll` and `poll_at` drive it; `sockets` never blocks; the verbs block in virtual time.

    `address` is "10.0.0.1/24" or several of these, usable at once; `gateway` is the default router's address.
    A verb called inside an event raises BlockingInsideWorld.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "link_up", "filtered")

    def __init__(
        self,
        driver: NetworkDriver,
        address: str | Cidr | Sequence[str | Cidr] = (),
        gateway: str | None = None,
        *,
        seed: int = 0,
        name: str = "stack",
    ) -> None:
        super().__init__(driver.clock, name)
        self.driver = driver
        self.device = DeviceWrapper(driver)
        self.stream = Stream(seed, f"{name}/random")
        self.interface = Interface(driver.clock, self.stream)
        self.link_up = False
        """The link, as of the last poll."""
        self.filtered: list[bytes] = []
        """The Ethernet groups that the card has been told to let pass."""
        self._filter = driver if isinstance(driver, MulticastFilter) else None
        self._capabilities: Capabilities | None = None
        self._woken = False
        for one in (address,) if isinstance(address, str | Cidr) else address:
            self.add_address(one)
        if gateway is not None:
            self.add_route(DEFAULT, gateway)
        self.place(name)

    def parts(self) -> Iterable[Component]:
        return (self.stream, self.interface)

    # --- driving it

    @property
    def kick(self) -> Callable[[], None] | None:
        """Wiring: called when an application has made a socket ready, so that the host polls; None: no host."""
        return self.sockets.kick

    @kick.setter
    def kick(self, kick: Callable[[], None] | None) -> None:
        self.sockets.kick = kick

    def poll(self, now: int) -> bool:
        """Receive what has come and send what is due; `now` in ns. Says whether there was anything."""
        driver = self.driver
        self.device.begin()
        self._look_at_card(driver)
        worked = self.interface.poll(now, self.device)
        self.device.flush()
        return worked

    def poll_at(self, now: int) -> int | None:
        """When to call `poll` next, in ns, unless driver or application call for it earlier; None: only then."""
        return self.interface.poll_at(now)

    def _look_at_card(self, driver: NetworkDriver) -> None:
        mac, capabilities = driver.mac_address, driver.capabilities
        if mac != self.interface.egress.mac or capabilities is not self._capabilities:
            self._capabilities = capabilities
            self.interface.adopt(mac, capabilities)
        link_up = driver.is_link_up
        self.interface.link_up = link_up
        if link_up != self.link_up:
            self.link_up = link_up
            self.changed("link", "up" if link_up else "down")
        groups = list(self.interface.addressing.macs)
        if self._filter is not None and groups != self.filtered:
            self.filtered = groups
            self._filter.set_multicast(groups)

    # --- configuration

    @property
    def sockets(self) -> SocketSet:
        """All sockets; opening, using and closing them here never blocks."""
        return self.interface.sockets

    @property
    def mac_address(self) -> bytes:
        """The card's six bytes; DriverError before it was started."""
        return self.driver.mac_address

    @property
    def is_link_up(self) -> bool:
        """Whether there is a carrier, now."""
        return self.driver.is_link_up

    @property
    def addresses(self) -> list[Cidr]:
        """Our addresses with their networks, in the order in which they were given."""
        return list(self.interface.addressing.cidrs)

    def add_address(self, address: str | Cidr) -> None:
        """Have another address, usable at once. ConfigurationError if no host can have it."""
        self.interface.addressing.add(address)

    def remove_address(self, address: str | bytes) -> None:
        """Give up an address; sockets that use it find out as their peers stop answering."""
        self.interface.addressing.remove(parse_address(address))

    def announce(self) -> None:
        """Tell all neighbors our addresses (RFC 5227, 2.3), as after a change of card; goes out with the next poll."""
        for cidr in self.addresses:
            self.interface.egress.announce(cidr.address)
        if self.kick is not None:
            self.kick()

    def add_route(self, network: str | Cidr, gateway: str | bytes) -> None:
        """Send what is for a network ("10.1.0.0/16") by way of a neighbor, in place of a route to the same network."""
        self.interface.addressing.add_route(Cidr.parse(network), parse_address(gateway))

    def remove_route(self, network: str | Cidr) -> None:
        """Forget the route to exactly this network."""
        self.interface.addressing.remove_route(Cidr.parse(network))

    def join_group(self, group: str | bytes) -> None:
        """Listen to a multicast group, until `leave_group` was called as often."""
        self.interface.addressing.join(parse_address(group))

    def leave_group(self, group: str | bytes) -> None:
        """Take back one `join_group`."""
        self.interface.addressing.leave(parse_address(group))

    # --- the verbs that block in virtual time

    def ping(
        self, address: str | bytes, count: int = 3, interval: Duration = "1s", timeout: Duration = "1s", size: int = 56
    ) -> list[int | None]:
        """Send `count` echo requests with `size` bytes, one each `interval`. Returns the round-trip times in ns.

        None stands for one that was not answered within `timeout`. NetworkUnreachable if no route leads there.
        """
        self._check_top_level()
        destination = parse_address(address)
        self.interface.source_for(destination)
        self._wait(lambda: self.is_link_up, self._deadline(timeout))  # a card just started negotiates first
        data = bytes(value & 0xFF for value in range(size))
        socket = self.sockets.icmp_bind()
        times: list[int | None] = []
        try:
            for sequence in range(1, count + 1):
                started = self.clock.now
                socket.send_echo(destination, sequence, data)
                self._wait(lambda: socket.can_receive or bool(socket.failures), started + duration(timeout))
                socket.failures.clear()
                reply = socket.receive()
                while reply is not None and reply.sequence != sequence:
                    reply = socket.receive()
                times.append(None if reply is None else reply.time - started)
                if sequence < count:
                    self._wait(_never, started + duration(interval))
        finally:
            socket.close()
        return times

    def tcp_connect(
        self, address: str | bytes, port: int, timeout: Duration = "10s", *, buffer: str | int = CAPACITY
    ) -> TcpSocket:
        """A connection that is established. ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut.

        `buffer` ("1MiB"): what each direction holds, and with it the largest window.
        """
        self._check_top_level()
        socket = self.sockets.tcp_connect(address, port, buffer=buffer)
        what = f"{format_address(socket.remote[0])} port {port}"
        self._wait(lambda: socket.state not in _OPENING or socket.soft_failure != "", self._deadline(timeout))
        if socket.error is not None:
            error = socket.error
            socket.release()
            raise error
        if socket.state in _OPENING:
            failure = socket.soft_failure
            socket.abort()
            socket.release()
            if failure:
                raise HostUnreachable(
                    f"{what} cannot be reached ({failure}): check the address, the cable and the peer"
                )
            raise TimedOut(f"{what} has not answered within {format_duration(duration(timeout))}")
        return socket

    def tcp_listen(
        self, port: int, address: str | bytes = b"", backlog: int = BACKLOG, *, buffer: str | int = CAPACITY
    ) -> TcpListener:
        """A listener; its connections have such buffers. AddressInUse if there is one already."""
        return self.sockets.tcp_listen(port, address, backlog, buffer)

    def tcp_accept(self, listener: TcpListener, timeout: Duration = "10s") -> TcpSocket:
        """The next connection to a listener. TimedOut if none comes."""
        self._check_top_level()
        self._wait(lambda: listener.can_accept, self._deadline(timeout))
        socket = listener.accept()
        if socket is None:
            raise TimedOut(
                f"nobody has connected to port {listener.local[1]} within {format_duration(duration(timeout))}"
            )
        return socket

    def tcp_send(self, socket: TcpSocket, data: bytes, timeout: Duration = "60s") -> None:
        """Hand all of `data` to a connection. TimedOut if its buffer stays full; the connection's errors."""
        self._check_top_level()
        view, deadline = memoryview(data), self._deadline(timeout)
        while True:
            view = view[socket.send(view) :]
            if not view:
                return
            if not self._wait(lambda: socket.can_send or not socket.may_send, deadline):
                raise TimedOut(f"{len(view)} of {len(data)} bytes could not be sent: the peer does not take them")

    def tcp_receive(self, socket: TcpSocket, size: int = 65536, timeout: Duration = "60s") -> bytes:
        """Up to `size` bytes, once there are some; none: the peer has closed. TimedOut; the connection's errors."""
        self._check_top_level()
        if not self._wait(lambda: socket.can_recv or not socket.may_recv, self._deadline(timeout)):
            raise TimedOut(f"the peer has sent nothing within {format_duration(duration(timeout))}")
        return socket.recv(size)

    def tcp_close(self, socket: TcpSocket, timeout: Duration = "60s") -> None:
        """Close a connection, and wait until the peer has all that was sent. TimedOut, after which it is aborted."""
        self._check_top_level()
        socket.close()
        done = self._wait(lambda: socket.state in _CLOSED, self._deadline(timeout))
        if not done:
            socket.abort()
        error = socket.error
        socket.release()
        if not done:
            raise TimedOut(f"the peer has not taken all within {format_duration(duration(timeout))}; now it is reset")
        if error is not None:
            raise error

    def udp_socket(self, port: int = 0, address: str | bytes = b"") -> UdpSocket:
        """A UDP socket at a port (0: a free one). AddressInUse."""
        return self.sockets.udp_bind(port, address)

    def _deadline(self, timeout: Duration) -> int:
        return self.clock.now + duration(timeout)

    def _check_top_level(self) -> None:
        """BlockingInsideWorld if an event is running: a clock that may not wait says so."""
        self.driver.clock.wait(_always, self.clock.now)

    def _wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        """Let the world run until `ready()`, or until `deadline` in ns. Without a host we poll ourselves."""
        clock = self.driver.clock
        if self.kick is not None:
            return clock.wait(ready, deadline)
        if self.driver.wake is None:
            self.driver.wake = self._driver_wakes
        while True:
            self._woken = False
            self.poll(clock.now)
            if ready():
                return True
            if clock.now >= deadline:
                return False
            at = self.poll_at(clock.now)
            clock.wait(self._is_woken, deadline if at is None else min(at, deadline))

    def _driver_wakes(self) -> None:
        self._woken = True

    def _is_woken(self) -> bool:
        return self._woken

    # --- looking at it

    @property
    def statistics(self) -> dict[str, int]:
        """Frames and bytes each way, datagrams fragmented, echoes answered, ICMP errors sent, all drops."""
        face = self.interface
        return {
            "rx_frames": face.ingress.frames,
            "rx_bytes": face.ingress.bytes,
            "tx_frames": face.egress.frames,
            "tx_bytes": face.egress.bytes,
            "fragmented": face.egress.fragmented,
            "echoes": face.icmp.echoes,
            "icmp_errors": face.icmp.errors,
            "drops": sum(self.drop_reasons.values()),
        }

    @property
    def drop_reasons(self) -> dict[str, int]:
        """How often something was dropped in any part of the stack, by reason."""
        counts: dict[str, int] = {}
        for part in walk(self):
            if isinstance(part, Watched):
                for reason, count in part.drops.items():
                    counts[reason] = counts.get(reason, 0) + count
        return counts

    def list_sockets(self) -> list[dict[str, Any]]:
        """One row a socket: handle, kind, local, remote, state, receive_queue, send_queue (bytes)."""
        return self.sockets.rows()

    def list_neighbors(self) -> list[dict[str, Any]]:
        """One row a neighbor: address, mac, state, and expires_in (ns or None)."""
        rows = self.interface.neighbors.rows(self.clock.now)
        return [row | {"address": format_address(row["address"]), "mac": format_mac(row["mac"])} for row in rows]

    def list_routes(self) -> list[dict[str, Any]]:
        """One row a route: network, and gateway (None: on the link); our own networks first."""
        own = [{"network": str(Cidr(cidr.network, cidr.prefix)), "gateway": None} for cidr in self.addresses]
        rows = self.interface.addressing.routes.rows()
        return own + [row | {"gateway": row["gateway"] and format_address(row["gateway"])} for row in rows]


def _always() -> bool:
    return True


def _never() -> bool:
    return False
