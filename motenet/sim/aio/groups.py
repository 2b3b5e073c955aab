"""A UDP socket's options: groups (RFC 3493, 5.2; ip(7), ipv6(7)), hop limits and broadcasts (socket(7))."""

import socket
import struct
from errno import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENODEV
from os import strerror
from typing import Any

from motenet.core.errors import ConfigurationError
from motenet.sim.aio.facade import Address, Facade
from motenet.stack import NetworkStack
from motenet.stack.sockets.udp import UdpSocket

_JOIN = {(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP): 4, (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP): 16}
_LEAVE = {(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP): 4, (socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP): 16}
"""For each, how long a group's address is."""
_GROUP_HOPS = {(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL), (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS)}
_HOPS = {(socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
_BROADCAST = (socket.SOL_SOCKET, socket.SO_BROADCAST)
_INDEX = struct.Struct("I")

Membership = tuple[bytes, str]
"""A group, and the interface that hears it."""


class DatagramFacade(Facade):
    """As a UDP socket; what it has joined it leaves when it is closed."""

    def __init__(self, stack: NetworkStack, inner: UdpSocket, local: Address, remote: Address | None) -> None:
        super().__init__(inner, local, remote)
        self._stack = stack
        self._socket = inner
        self._memberships: list[Membership] = []

    @property
    def may_broadcast(self) -> bool:
        """SO_BROADCAST; without it such datagrams are refused."""
        return bool(self.getsockopt(*_BROADCAST))

    def setsockopt(self, level: int, name: int, value: Any = None, length: int | None = None) -> None:
        """As Facade; OSError for groups that are none, joined twice, or not joined."""
        option = (level, name)
        if option in _JOIN:
            self._join(self._membership(value, _JOIN[option]))
        elif option in _LEAVE:
            self._leave(self._membership(value, _LEAVE[option]))
        else:
            super().setsockopt(level, name, value, length)
            number = value if isinstance(value, int) else int.from_bytes(value or b"", "little")
            if option in _GROUP_HOPS:
                self._socket.group_hop_limit = number
            elif option in _HOPS:
                self._socket.hop_limit = number

    def _membership(self, request: Any, length: int) -> Membership:
        """struct ip_mreq, ip_mreqn or ipv6_mreq: the group, and an interface by its address or its number."""
        data = bytes(request)
        group, where = data[:length], data[length:]
        if len(where) == 8:
            where = where[4:] if any(where[4:]) else where[:4]
            by_number = where == data[length + 4 :]
        else:
            by_number = length == 16
        if len(group) != length or len(where) != 4:
            raise OSError(EINVAL, strerror(EINVAL))
        interfaces = self._stack.interfaces
        if not any(where):
            return group, interfaces[0].name
        if by_number:
            found = [one for number, one in enumerate(interfaces, 1) if number == _INDEX.unpack(where)[0]]
        else:
            found = [one for one in interfaces if where in one.addressing.listening]
        if not found:
            raise OSError(ENODEV, strerror(ENODEV))
        return group, found[0].name

    def _join(self, membership: Membership) -> None:
        if membership in self._memberships:
            raise OSError(EADDRINUSE, strerror(EADDRINUSE))  # as ip(7)'s implementation has it
        try:
            self._stack.join_group(*membership)
        except ConfigurationError as error:
            raise OSError(EINVAL, strerror(EINVAL)) from error
        self._memberships.append(membership)

    def _leave(self, membership: Membership) -> None:
        if membership not in self._memberships:
            raise OSError(EADDRNOTAVAIL, strerror(EADDRNOTAVAIL))
        self._memberships.remove(membership)
        self._stack.leave_group(*membership)

    def close(self) -> None:
        while self._memberships:
            self._stack.leave_group(*self._memberships.pop())
        super().close()
