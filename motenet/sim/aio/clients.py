"""Opening TCP connections: one address, or the first of several that answers."""

import asyncio
from asyncio.staggered import staggered_race
from functools import partial
from itertools import chain, zip_longest

from motenet.core.errors import MotenetError
from motenet.sim.aio.errors import standard
from motenet.sim.aio.facade import Address
from motenet.sim.aio.names import Info, endpoint
from motenet.stack import NetworkStack
from motenet.stack.address import format_address
from motenet.stack.errors import AddressNotAvailable, HostUnreachable
from motenet.stack.sockets.tcp import TcpSocket
from motenet.stack.sockets.tcp.state import State

Local = tuple[str, int]
_OPENING = (State.SYN_SENT, State.SYN_RECEIVED)


async def connect_first(
    loop: asyncio.AbstractEventLoop,
    stack: NetworkStack,
    infos: list[Info],
    local: list[Address] | None,
    delay: float | None,
    all_errors: bool,
) -> TcpSocket:
    """A connection to the first address that answers; with a delay in seconds several are tried at once (RFC 8305).

    OSError, worded as asyncio does.
    """
    failures: list[Exception] = []

    async def attempt(info: Info) -> TcpSocket:
        try:
            return await connect(loop, stack, info[4], None if local is None else _source(local, info[4]))
        except OSError as error:
            failures.append(error)
            raise

    if delay is None:
        for info in infos:
            try:
                return await attempt(info)
            except OSError:
                continue
    else:
        winner = (await staggered_race([partial(attempt, info) for info in infos], delay, loop=loop))[0]
        if isinstance(winner, TcpSocket):
            return winner
    if all_errors:
        raise ExceptionGroup("create_connection failed", failures)
    if len({str(failure) for failure in failures}) == 1:
        raise failures[0]
    raise OSError(f"Multiple exceptions: {', '.join(map(str, failures))}")


def _source(local: list[Address], address: Address) -> Address:
    """The first of ours that is of the family. OSError."""
    for one in local:
        if len(one) == len(address):
            return one
    raise OSError(f"no matching local address with family {address[0]} found")


def check_ours(stack: NetworkStack, address: bytes) -> None:
    """AddressNotAvailable if no interface has it."""
    if not stack.node.routing.is_local(address):
        raise AddressNotAvailable(f"{format_address(address)} is not an address of this host")


def binding_failed(error: MotenetError, address: Address) -> OSError:
    """The error as asyncio words it for a local address."""
    usual = standard(error)
    text = f"error while attempting to bind on address {address!r}: {str(usual.strerror).lower()}"
    return OSError(usual.errno, text)


async def connect(
    loop: asyncio.AbstractEventLoop, stack: NetworkStack, address: Address, local: Address | None = None
) -> TcpSocket:
    """A connection to one address, from one of ours if that is given; or an OSError."""
    where, interface = endpoint(stack, address)
    if not 0 <= address[1] <= 0xFFFF:
        raise OverflowError("connect(): port must be 0-65535.")  # as Python's sockets have it
    source, source_port = (b"", 0) if local is None else (endpoint(stack, local)[0], local[1])
    try:
        if any(source):
            check_ours(stack, source)
        inner = stack.sockets.tcp_connect(where, address[1], source if any(source) else b"", source_port, interface)
    except AddressNotAvailable as error:
        raise (standard(error) if local is None else binding_failed(error, local)) from error
    except MotenetError as error:
        raise standard(error) from error
    doing = f"Connect call failed {tuple(address)}"
    changed = asyncio.Event()

    def wake() -> None:
        loop.call_soon(changed.set)

    inner.waker = wake
    try:
        while inner.state in _OPENING and not inner.soft_failure:
            changed.clear()
            await changed.wait()
        failure = inner.error
        if inner.state in _OPENING:  # Linux gives up at once when ICMP says that the host cannot be reached (tcp(7))
            failure = HostUnreachable(inner.soft_failure)
        if failure is not None:
            raise standard(failure, doing)
    except BaseException:
        inner.abort()
        inner.release()
        raise
    inner.waker = None
    return inner


def interleave(infos: list[Info], count: int) -> list[Info]:
    """The families in turn, the first one `count` addresses ahead (RFC 8305, 4: "First Address Family Count")."""
    first = infos[0][0]
    same = [info for info in infos if info[0] == first]
    others = [info for info in infos if info[0] != first]
    turns = chain.from_iterable(zip_longest(others, same[count:]))
    return same[:count] + [info for info in turns if info is not None]
