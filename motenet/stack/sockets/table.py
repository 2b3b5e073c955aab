"""The table of a node's sockets: who a packet is for, and who has something to do."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Component, Plain
from motenet.core.trace import HasNow, Watched
from motenet.stack.errors import AddressInUse, BadHandle, StackError
from motenet.stack.sockets.datagram import DatagramSocket
from motenet.stack.sockets.dhcp import DhcpClient
from motenet.stack.sockets.dns import DnsClient
from motenet.stack.sockets.icmp import IcmpSocket
from motenet.stack.sockets.network import Network, NoNetwork
from motenet.stack.sockets.raw import RawSocket
from motenet.stack.sockets.rows import row
from motenet.stack.sockets.schedule import Schedule
from motenet.stack.sockets.socket import Socket
from motenet.stack.sockets.tcp.control_block import CAPACITY
from motenet.stack.sockets.tcp.listener import TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.udp import UdpSocket

Ports = tuple[bytes, int, bytes, int]
"""A TCP connection's name: local address and port, remote address and port."""

EVERY = b""
"""Stands for all of our addresses."""

AnySocket = TcpSocket | TcpListener | UdpSocket | IcmpSocket | RawSocket | DnsClient

_MAKERS: dict[str, Callable[[HasNow], AnySocket]] = {
    TcpListener.kind: TcpListener,
    UdpSocket.kind: UdpSocket,
    IcmpSocket.kind: IcmpSocket,
    RawSocket.kind: RawSocket,
    DnsClient.kind: DnsClient,
}


class SocketTable(Watched):
    """What SocketSet is, but for opening sockets: who is in it, what is for whom, and who has something to do."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "next_handle")

    def __init__(self, clock: HasNow, stream: Stream, network: Network | None = None) -> None:
        super().__init__(clock, "sockets")
        self.stream = stream
        self.network: Network = NoNetwork() if network is None else network
        self.schedule = Schedule()
        self.kick: Callable[[], None] | None = None
        """Tells the host that a socket became ready outside a poll."""
        self.polling = False
        self.next_handle = 1
        self.tcp: dict[Ports, TcpSocket] = {}
        self.listeners: dict[tuple[bytes, int], TcpListener] = {}
        self.udp: dict[tuple[bytes, int], UdpSocket] = {}
        self.icmp: dict[int, IcmpSocket] = {}
        self.raw: dict[int, RawSocket] = {}
        self.dhcp: dict[str, DhcpClient] = {}
        """Interface -> its DHCP client."""
        self.dns: dict[str, DnsClient] = {}
        """The one DNS client, if there is one."""
        self._sockets: dict[int, AnySocket] = {}
        self._keys: dict[int, Any] = {}  # handle -> its key in the table of its kind, as long as it is there
        self._tables: dict[str, dict[Any, Any]] = {
            TcpSocket.kind: self.tcp,
            TcpListener.kind: self.listeners,
            UdpSocket.kind: self.udp,
            IcmpSocket.kind: self.icmp,
            RawSocket.kind: self.raw,
            DhcpClient.kind: self.dhcp,
            DnsClient.kind: self.dns,
        }
        # also sockets that were removed, while somebody holds them: a snapshot may bring them back
        self._objects: WeakValueDictionary[int, AnySocket] = WeakValueDictionary()

    # --- the set

    def parts(self) -> Iterable[Component]:
        return (self.schedule, *self._sockets.values())

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[tuple[int, AnySocket]]:
        return iter(list(self._sockets.items()))

    def __contains__(self, handle: int) -> bool:
        return handle in self._sockets

    def get(self, handle: int) -> AnySocket | None:
        """A socket by its handle; None if it is not here any more."""
        return self._sockets.get(handle)

    def add(self, socket: AnySocket) -> int:
        """Take a socket that is bound, connected or listening; returns its handle. AddressInUse, StackError."""
        if not isinstance(socket, Socket):
            raise ConfigurationError(f"{socket!r} is no socket: give one, such as a UdpSocket that is bound")
        if socket.in_set:
            raise StackError("a set of sockets has this one already: remove it there first, or make another one")
        key = socket.key
        if key is None:
            raise ConfigurationError("bind, connect or listen first: the set has to know what is for this socket")
        other = self._tables[socket.kind].get(key)
        if other is not None and not other.finished:
            known = row(other, self.clock.now)
            raise AddressInUse(f"{known['kind']} {known['local']} is there already: close that, or take another port")
        handle = self.next_handle
        self.next_handle += 1
        self._attach(handle, socket, key)
        if socket.poll_at(self.clock.now) is not None:
            self.mark(handle)
        return handle

    def remove(self, handle: int) -> AnySocket:
        """Forget a socket at once, whatever state it is in. BadHandle if it is not here any more."""
        if not isinstance(handle, int) or handle not in self._sockets:
            raise BadHandle(f"{handle!r} is no socket's handle here: it is finished, or another stack's")
        self._unlist(handle)
        socket = self._sockets.pop(handle)
        self.schedule.forget(handle)
        socket.detach()
        return socket

    def _unlist(self, handle: int) -> None:
        """No packet is for this socket any more."""
        if handle in self._keys:
            table, key = self._tables[self._sockets[handle].kind], self._keys.pop(handle)
            if table.get(key) is self._sockets[handle]:
                del table[key]

    def _tcp_socket(self, buffer: int = CAPACITY) -> TcpSocket:
        return TcpSocket(self.clock, self.stream, receive_capacity=buffer, send_capacity=buffer)

    def _attach(self, handle: int, socket: AnySocket, key: Any) -> None:
        """All wiring of a socket is made here."""
        socket.ready = partial(self.mark, handle)
        socket.watch = self.watch
        socket.place(f"{self.path}/{handle}")
        if isinstance(socket, TcpSocket):
            if socket.remote[0]:  # a snapshot fills in the others
                socket.mss_limit, socket.path_limit, socket.max_segmented = self._path_of(socket)
            socket.find, socket.listens = self.find, self.listener
            socket.suspect, socket.confirm = self.network.suspect, self.network.confirm
        elif isinstance(socket, TcpListener):
            socket.spawn, socket.adopt, socket.find = self._tcp_socket, self._adopt, self.find
        elif isinstance(socket, DhcpClient):
            socket.interface = key
            self.network.lend(socket)
        if isinstance(socket, DatagramSocket):
            socket.check_interface, socket.is_local = self.network.check, self.network.is_local
        self._sockets[handle] = socket
        self._objects[handle] = socket
        if key is not None:
            self._keys[handle] = key
            self._tables[socket.kind][key] = socket

    def _path_of(self, socket: TcpSocket) -> tuple[int, int, int]:
        """As the network's `path_for`. No card cuts up packets that have a source route."""
        link, path, segmented = self.network.path_for(socket.first_hop, socket.interface)
        return link, path, 0 if socket.source_route else segmented

    def _adopt(self, socket: TcpSocket) -> None:
        self.add(socket)

    # --- who it is for

    def find(self, path: str) -> AnySocket | None:
        """The socket with this path; None if it is not here any more."""
        socket = self._sockets.get(int(path.rpartition("/")[2]))
        return socket if socket is not None and socket.path == path else None

    def listener(self, address: bytes, port: int) -> TcpListener | None:
        """Who listens at this address and port."""
        found = self.listeners.get((address, port))
        return self.listeners.get((EVERY, port)) if found is None else found

    def udp_socket(self, address: bytes, port: int) -> UdpSocket | None:
        """Who receives datagrams at this address and port."""
        found = self.udp.get((address, port))
        return self.udp.get((EVERY, port)) if found is None else found

    # --- who has something to do

    def mark(self, handle: int) -> None:
        """A socket has something to dispatch, or its timer has changed."""
        ready = self.schedule.ready
        if handle not in ready:
            ready[handle] = None
            if self.kick is not None and not self.polling:
                self.kick()

    def take_ready(self, now: int) -> list[int]:
        """The sockets to dispatch now, in order; each is to be given back by `settle` or `mark`."""
        return self.schedule.take(now)

    def settle(self, handle: int, now: int, parked: bool = False) -> None:
        """A socket has been dispatched: when is it to be again? `parked`: not before its neighbor is known."""
        socket = self._sockets.get(handle)
        if socket is None:
            return
        if socket.finished:
            self._retire(handle, socket)
            return
        at = socket.poll_at(now)
        if at is None:
            return
        if at <= now:
            if not parked:
                self.schedule.ready[handle] = None
        else:
            self.schedule.wait(handle, at)

    def _retire(self, handle: int, socket: AnySocket) -> None:
        if isinstance(socket, TcpSocket) and not socket.orphan:
            self._unlist(handle)
            self.schedule.ready.pop(handle, None)
        else:
            self.remove(handle)

    def poll_at(self, now: int) -> int | None:
        """When a socket next has something to dispatch, in ns."""
        return self.schedule.next_at(now)

    def refit(self, remote: bytes = b"") -> None:
        """Paths have changed, to one destination or to all: connections learn what fits into a packet now."""
        for socket in self.tcp.values():
            if not remote or socket.remote[0] == remote:
                _, limit, socket.max_segmented = self._path_of(socket)
                if limit != socket.path_limit:
                    socket.path_mss(limit)

    def rows(self) -> list[dict[str, Any]]:
        """All sockets, for people: handle, kind, local and remote address and port, state, bytes queued, timer."""
        return [{"handle": handle, **row(socket, self.clock.now)} for handle, socket in self._sockets.items()]

    # --- state

    def save(self) -> Plain:
        members = {handle: (socket.kind, self._keys.get(handle)) for handle, socket in self._sockets.items()}
        return super().save() | {"members": members}

    def load(self, state: Plain) -> None:
        """Sockets of the snapshot are the same objects as then, as far as they are still held; `parts` loads them."""
        before = dict(self._sockets)
        for table in self._tables.values():
            table.clear()
        self._sockets.clear()
        self._keys.clear()
        super().load(state)
        for handle, (kind, key) in state["members"].items():
            socket = before.pop(handle, None) or self._objects.get(handle)
            if socket is None or socket.kind != kind:
                socket = self._make(kind)
            self._attach(handle, socket, key)
        for socket in before.values():
            socket.undo()

    def _make(self, kind: str) -> AnySocket:
        if kind == TcpSocket.kind:
            return self._tcp_socket()
        if kind == DhcpClient.kind:
            return DhcpClient(self.clock, self.stream)
        return _MAKERS[kind](self.clock)
