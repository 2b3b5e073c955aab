"""Names and addresses as Python's sockets have them: getaddrinfo by the emulated DNS client."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from motenet.core.errors import ConfigurationError
from motenet.sim.aio.errors import standard
from motenet.sim.aio.facade import Address, family_of, socket_address
from motenet.stack import NetworkStack
from motenet.stack.address import (
    ANY,
    ANY6,
    format_address,
    format_scoped,
    is_link_local,
    parse_address,
    parse_scoped,
)
from motenet.stack.errors import DnsError

Info = tuple[socket.AddressFamily, socket.SocketKind, int, str, Address]
"""(family, type, protocol, canonical name, address): one way to reach somebody."""

SERVICES = {
    "echo": 7, "discard": 9, "daytime": 13, "chargen": 19, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "time": 37,
    "domain": 53, "http": 80, "pop3": 110, "ntp": 123, "imap": 143, "https": 443, "imaps": 993,
}  # fmt: skip
"""Services that have a name (IANA's registry); a machine here has no /etc/services."""

_KINDS: tuple[tuple[socket.SocketKind, int], ...] = (
    (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    (socket.SOCK_RAW, 0),
)
_FAMILIES = {socket.AF_UNSPEC: None, socket.AF_INET: 4, socket.AF_INET6: 6}


async def look_up(
    loop: asyncio.AbstractEventLoop,
    stack: NetworkStack,
    host: bytes | str | None,
    port: bytes | str | int | None,
    family: int = 0,
    kind: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[Info]:
    """getaddrinfo(3) on a host: those to be tried first first. socket.gaierror; UnicodeError for what is no name.

    A name's letters beyond ASCII are written as Python's sockets write them (RFC 3490).
    """
    if family not in _FAMILIES:
        raise socket.gaierror(socket.EAI_FAMILY, "ai_family not supported")
    name = (host.encode("idna") if isinstance(host, str) else host or b"").decode("ascii")
    number = _port(port, flags)
    if host is None and (port is None or port in ("", b"")):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if host is None:
        found = [(ANY, 0), (ANY6, 0)] if flags & socket.AI_PASSIVE else [(ANY6[:15] + b"\1", 0), (b"\x7f\0\0\1", 0)]
    else:
        found = _numeric(stack, name)
        if not found:
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            version = _FAMILIES[socket.AddressFamily(family)]
            found = [(address, 0) for address in await resolve(loop, stack, name, version)]
    kinds = [(one, protocol) for one, protocol in _KINDS if kind in (0, one) and proto in (0, protocol)]
    if not kinds:
        raise socket.gaierror(socket.EAI_SOCKTYPE, "ai_socktype not supported")
    infos: list[Info] = [
        (family_of(address), one, protocol, "", socket_address(address, number, scope))
        for address, scope in found
        if family in (socket.AF_UNSPEC, family_of(address))
        for one, protocol in kinds
    ]
    if not infos:
        raise socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported")
    if flags & socket.AI_CANONNAME:
        infos[0] = (*infos[0][:3], name, infos[0][4])  # getaddrinfo(3): in the first alone
    return infos


def name_of(stack: NetworkStack, address: Sequence[Any], flags: int = 0) -> tuple[str, str]:
    """getnameinfo(3): an address as text, and its port's service. socket.gaierror.

    Hosts are always numeric: the stack's DNS client asks for addresses alone.
    """
    try:
        where, interface = endpoint(stack, address)
    except ConfigurationError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    if flags & socket.NI_NAMEREQD:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    services = {} if flags & socket.NI_NUMERICSERV else {number: name for name, number in SERVICES.items()}
    host = format_scoped(where, interface) if is_link_local(where) else format_address(where)
    return host, services.get(address[1], str(address[1]))


async def resolve(
    loop: asyncio.AbstractEventLoop, stack: NetworkStack, name: str, family: int | None = None
) -> list[bytes]:
    """A name's addresses by the stack's DNS client. socket.gaierror."""
    try:
        query = stack.dns.start_query(name, family)
    except DnsError as error:
        raise standard(error) from None
    if not query.done:
        done = loop.create_future()

        def wake() -> None:
            loop.call_soon(_set, done)

        query.waker = wake
        try:
            await done
        finally:
            query.waker = None
            query.cancel()
    if query.error is not None:
        raise standard(query.error) from query.error
    return query.addresses


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _numeric(stack: NetworkStack, text: str) -> list[tuple[bytes, int]]:
    """The address and its scope, if it is written as one."""
    try:
        address, interface = parse_scoped(text)
    except ConfigurationError:
        return []
    return [(address, scope_of(stack, interface))]


def scope_of(stack: NetworkStack, interface: str) -> int:
    """The number of an interface, as sockets have it: they count from 1; 0 for none. Numbers pass."""
    if interface.isdigit():
        return int(interface)
    return next((number for number, one in enumerate(stack.interfaces, 1) if one.name == interface), 0)


def endpoint(stack: NetworkStack, address: Sequence[Any]) -> tuple[bytes, str]:
    """The address and the interface of a socket's address."""
    scope = address[3] if len(address) == 4 else 0
    text, _, zone = str(address[0]).partition("%")
    scope = scope or scope_of(stack, zone)
    interfaces = stack.interfaces
    return parse_address(text), interfaces[scope - 1].name if 0 < scope <= len(interfaces) else ""


def _port(port: bytes | str | int | None, flags: int) -> int:
    """A port by its number or its service's name. socket.gaierror."""
    text = port.decode("ascii") if isinstance(port, bytes) else port
    if isinstance(text, int):
        return text
    if not text:
        return 0
    if text.isdigit():
        return int(text)
    if flags & socket.AI_NUMERICSERV:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if text not in SERVICES:
        raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
    return SERVICES[text]
