"""What an application may ask of a stack and wait for: the verbs let the world run, in virtual time."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from motenet.core.errors import ConfigurationError
from motenet.core.trace import Watched
from motenet.core.units import duration, format_duration
from motenet.doors import NetworkDriver
from motenet.stack.address import format_address, parse_scoped
from motenet.stack.errors import DnsTimeout, HostUnreachable, TimedOut
from motenet.stack.node import Node
from motenet.stack.sockets.dhcp import DhcpClient, Lease
from motenet.stack.sockets.dns import DnsClient
from motenet.stack.sockets.set import SocketSet
from motenet.stack.sockets.tcp.connection import CAPACITY
from motenet.stack.sockets.tcp.listener import BACKLOG, TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.tcp.state import State
from motenet.stack.sockets.udp import UdpSocket

Duration = str | int
"""A time span: "50us", or integer nanoseconds."""

_OPENING = (State.SYN_SENT, State.SYN_RECEIVED)
_CLOSED = (State.FIN_WAIT_2, State.TIME_WAIT, State.CLOSED)


class Verbs(Watched, ABC):
    """The verbs of NetworkStack, which has the rest. One that is called inside an event raises BlockingInsideWorld."""

    node: Node
    _woken = False

    @property
    @abstractmethod
    def drivers(self) -> list[NetworkDriver]:
        """The drivers of our cards."""

    @property
    @abstractmethod
    def is_link_up(self) -> bool:
        """Whether any card has a carrier, now."""

    @property
    @abstractmethod
    def dns(self) -> DnsClient:
        """The DNS client."""

    @abstractmethod
    def poll(self, now: int) -> bool:
        """Receive what has come and send what is due; `now` in ns."""

    @abstractmethod
    def poll_at(self, now: int) -> int | None:
        """When to call `poll` next, in ns."""

    @property
    def sockets(self) -> SocketSet:
        """All sockets; opening, using and closing them here never blocks."""
        return self.node.sockets

    @property
    def kick(self) -> Callable[[], None] | None:
        """Wiring: called when an application has made a socket ready, so that the host polls; None: no host."""
        return self.sockets.kick

    @kick.setter
    def kick(self, kick: Callable[[], None] | None) -> None:
        self.sockets.kick = kick

    def ping(
        self, address: str | bytes, count: int = 3, interval: Duration = "1s", timeout: Duration = "1s", size: int = 56
    ) -> list[int | None]:
        """Send `count` echo requests with `size` bytes, one each `interval`. Returns the round-trip times in ns.

        None stands for one that was not answered within `timeout`. NetworkUnreachable if no route leads there. On a
        router "fe80::1%eth1" says which link is meant; so for `tcp_connect`.
        """
        self._check_top_level()
        if size < 0:
            raise ConfigurationError(f"size={size}: an echo request carries 0 bytes or more")
        destination, interface = parse_scoped(address)
        self.node.source_for(destination, interface)
        self._wait(lambda: self.is_link_up, self._deadline(timeout))  # a card just started negotiates first
        data = bytes(value & 0xFF for value in range(size))
        socket = self.sockets.icmp_bind()
        socket.interface = interface
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
        client = self.dns
        query = client.start_query(name, family)
        if not self._wait(lambda: query.done, self._deadline(timeout)):
            query.cancel()
            raise DnsTimeout(f"{name} was not found within {format_duration(duration(timeout))}: check the servers")
        if query.error is not None:
            raise query.error
        return [format_address(address) for address in query.addresses]

    def tcp_connect(
        self, address: str | bytes, port: int, timeout: Duration = "10s", *, buffer: str | int = CAPACITY
    ) -> TcpSocket:
        """A connection that is established. ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut.

        `buffer` ("1MiB"): what each direction holds, and with it the largest window.
        """
        self._check_top_level()
        destination, interface = parse_scoped(address)
        socket = self.sockets.tcp_connect(destination, port, interface=interface, buffer=buffer)
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

    def _dhcp_client(self, interface: str) -> DhcpClient:
        """That of an interface, or of the first; ConfigurationError if there is no such interface."""
        self.node.check(interface)
        return self.sockets.dhcp_client(interface or self.node.interfaces[0].name)

    def _deadline(self, timeout: Duration) -> int:
        return self.clock.now + duration(timeout)

    def _check_top_level(self) -> None:
        """BlockingInsideWorld if an event is running: a clock that may not wait says so."""
        self.drivers[0].clock.wait(_always, self.clock.now)

    def _wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        """Let the world run until `ready()`, or until `deadline` in ns. Without a host we poll ourselves."""
        clock = self.drivers[0].clock
        if self.kick is not None:
            return clock.wait(ready, deadline)
        for driver in self.drivers:
            if driver.wake is None:
                driver.wake = self._driver_wakes
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


def _always() -> bool:
    return True


def _never() -> bool:
    return False
