"""create_connection and sock_connect: refusals, several addresses, happy eyeballs; errors as asyncio words them."""

import asyncio
import errno
import socket
import sys
from typing import Any

import pytest

import motenet


async def free_port(net: Any) -> int:
    server = await net.serve(net.Recorder)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("net", ["e1000", "rtl8139", "virtio-net", "real"], indirect=True)
def test_a_refusal_and_its_words(net: Any, family: int) -> None:
    async def main() -> None:
        port = await free_port(net)
        host, rest = (net.address, ()) if family == 4 else (net.address6, (0, 0))
        with pytest.raises(ConnectionRefusedError) as caught:
            await asyncio.open_connection(host, port)
        assert caught.value.errno == errno.ECONNREFUSED
        assert str(caught.value) == f"[Errno 111] Connect call failed {(host, port, *rest)}"

    net.run(main())


WRONG: list[dict[str, Any]] = [
    {},
    {"host": "127.0.0.1", "port": 1, "server_hostname": "x"},
    {"host": "127.0.0.1", "port": 1, "ssl_handshake_timeout": 1},
    {"host": "127.0.0.1", "port": 1, "ssl_shutdown_timeout": 1},
    {"port": 1, "ssl": True},
    {"host": "", "port": 1, "ssl": True},
]


@pytest.mark.parametrize("options", WRONG)
def test_what_create_connection_refuses(net: Any, options: dict[str, Any]) -> None:
    async def main() -> None:
        with pytest.raises(ValueError):
            await asyncio.get_running_loop().create_connection(net.Recorder, **options)

    net.run(main())


def test_host_and_sock_do_not_go_together(net: Any) -> None:
    async def main() -> None:
        with socket.socket() as sock, pytest.raises(ValueError):
            await asyncio.get_running_loop().create_connection(net.Recorder, "127.0.0.1", 1, sock=sock)

    net.run(main())


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_a_port_that_is_none(net: Any, port: int) -> None:
    async def main() -> None:
        with pytest.raises(OverflowError):
            await asyncio.open_connection(net.address, port)

    net.run(main())


def test_the_local_address(net: Any) -> None:
    own = "127.0.0.1" if net.real else "10.0.0.1"

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        server = await net.serve(net.Recorder)
        where = server.sockets[0].getsockname()
        near, _ = await loop.create_connection(net.Recorder, *where, local_addr=(own, 0))
        name = near.get_extra_info("sockname")
        failures = []
        for local in (("203.0.113.7", 0), name):
            with pytest.raises(OSError) as caught:
                await loop.create_connection(net.Recorder, *where, local_addr=local)
            failures.append(caught.value.errno)
        near.abort()
        return name[0] == own, failures

    assert net.run(main()) == (True, [errno.EADDRNOTAVAIL, errno.EADDRINUSE])


@pytest.mark.parametrize("net", ["emulated"], indirect=True)  # a real socket is garbage some time
def test_a_factory_that_fails_ends_the_connection(net: Any) -> None:
    async def main() -> Any:
        peer = net.Recorder()
        server = await net.serve(lambda: peer)

        def fail() -> Any:
            raise net.Mistake("factory")

        with pytest.raises(net.Mistake):
            await asyncio.get_running_loop().create_connection(fail, *server.sockets[0].getsockname())
        async with asyncio.timeout(1):
            await peer.lost
        return None

    net.run(main())


def test_an_exception_in_connection_made_is_told_and_the_connection_is_there(net: Any) -> None:
    async def main() -> Any:
        client = net.Recorder(fails="connection_made")
        near, _ = await net.pair(client, net.Recorder())
        seen = near.is_closing(), [*client.log]
        near.abort()
        return seen

    assert net.run(main()) == (False, ["made"])
    assert [net.describe(one["exception"]) for one in net.mistakes] == [("Mistake", None)]


def test_sock_connect_makes_a_connection_of_a_socket(net: Any) -> None:
    """What aiohttp does: it makes the socket, asyncio connects it, then makes the transport."""

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        peer = net.Recorder()
        server = await net.serve(lambda: peer)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        near, client = await loop.create_connection(net.Recorder, sock=sock)
        near.write(b"data")
        near.close()
        await peer.lost
        other, port = socket.socket(), await free_port(net)
        other.setblocking(False)
        with other, pytest.raises(ConnectionRefusedError):
            await loop.sock_connect(other, (net.address, port))
        return bytes(peer.data), client.log[0]

    assert net.run(main()) == (b"data", "made")


# --- what the loopback cannot show


class Bench:
    """alice at bob, whose addresses DNS tells; what is at fd00::9 and 10.0.0.9 never answers."""

    def __init__(self) -> None:
        self.world = motenet.World(seed=2)
        self.alice = self.world.host("alice", address=["10.0.0.1/24", "fd00::1/64"])
        self.bob = self.world.host("bob", address=["10.0.0.2/24", "10.0.0.3/24", *(f"fd00::{n}/64" for n in "234")])
        self.world.link(self.alice, self.bob, delay="1ms")
        self.world.run("1s")  # the cards negotiate

    def knows(self, *addresses: str) -> None:
        self.alice.stack.dns.add_host("bob.test", *addresses)

    def connect(self, **options: Any) -> Any:
        """The peer's address, and the seconds that the connection took."""
        server = self.bob.run(asyncio.start_server(lambda r, w: w.close(), port=80))
        start = self.world.now

        async def main() -> Any:
            _, writer = await asyncio.open_connection("bob.test", 80, **options)
            writer.close()
            return writer.get_extra_info("peername")[0]

        try:
            found = self.alice.run(main())
            return found, (self.world.now - start) / 1e9
        finally:
            server.close()
            self.world.close()


def test_happy_eyeballs_does_not_wait_for_the_first_address() -> None:
    """RFC 8305, 5: the next attempt begins after the Connection Attempt Delay."""
    bench = Bench()
    bench.knows("fd00::9", "10.0.0.2")
    peer, took = bench.connect(happy_eyeballs_delay=0.25)
    assert peer == "10.0.0.2"
    assert 0.25 < took < 0.26


def test_without_it_addresses_are_tried_in_turn() -> None:
    bench = Bench()
    bench.knows("fd00::9", "10.0.0.2")
    peer, took = bench.connect()
    assert peer == "10.0.0.2"
    assert 1 < took < 4, "neighbor discovery gives up after three seconds (RFC 4861, 10)"


def test_an_attempt_that_fails_at_once_is_followed_at_once() -> None:
    bench = Bench()
    bench.knows("fd99::9", "10.0.0.2")  # no route leads to the first
    peer, took = bench.connect(happy_eyeballs_delay=0.25)
    assert peer == "10.0.0.2"
    assert took < 0.01


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({}, "6 6 6 4 4"),
        ({"interleave": 1}, "6 4 6 4 6"),
        ({"interleave": 2}, "6 6 4 6 4"),
        ({"happy_eyeballs_delay": 0.1}, "6 4 6 4 6"),
        ({"happy_eyeballs_delay": 0.1, "interleave": 0}, "6 6 6 4 4"),
    ],
)
def test_the_families_take_turns(options: dict[str, Any], order: str) -> None:
    """asyncio: `interleave` is the "First Address Family Count" of RFC 8305, 1 if a delay is given."""
    bench = Bench()
    asked = []

    async def main() -> None:
        infos = [(f, socket.SOCK_STREAM, 6, "", (a, 9)) for f, a in FAMILIES]
        loop = bench.world.loop
        loop.getaddrinfo = lambda *a, **o: give(infos)  # type: ignore[method-assign]
        with pytest.raises(OSError, match="Multiple exceptions") as caught:
            await asyncio.open_connection("bob.test", 9, **options)
        asked.extend("6" if ":" in part else "4" for part in str(caught.value).split("failed")[1:])

    bench.alice.run(main())
    assert " ".join(asked) == order
    bench.world.close()


FAMILIES = [(socket.AF_INET6, f"fd00::{n}") for n in "234"] + [(socket.AF_INET, f"10.0.0.{n}") for n in "23"]


async def give(value: Any) -> Any:
    return value


UNREACHABLE = [
    ("10.0.0.9", "[Errno 113] Connect call failed ('10.0.0.9', 80)", 1, 4),
    ("10.9.0.9", "[Errno 101] Network is unreachable", 0, 0),
]


@pytest.mark.parametrize(("host", "words", "least", "most"), UNREACHABLE)
def test_unreachable(host: str, words: str, least: int, most: int) -> None:
    """Linux: connect() itself fails where no route leads, and later where nobody answers ARP."""
    bench = Bench()

    async def main() -> Any:
        with pytest.raises(OSError) as caught:
            await asyncio.open_connection(host, 80)
        return str(caught.value)

    assert bench.alice.run(main()) == words
    assert least <= bench.world.now / 1e9 - 1 <= most
    bench.world.close()


def test_a_timeout_ends_an_attempt_and_leaves_nothing() -> None:
    bench = Bench()

    async def main() -> None:
        async with asyncio.timeout(0.5):
            await asyncio.open_connection("10.0.0.9", 80)

    with pytest.raises(TimeoutError):
        bench.alice.run(main())
    assert bench.world.now == 1_500_000_000
    assert not bench.world.loop.busy
    bench.world.run("1ms")
    assert not bench.alice.stack.sockets.tcp


def test_coroutines_without_a_host_have_no_network() -> None:
    world = motenet.World()
    with pytest.raises(motenet.core.errors.ConfigurationError, match=r"host\.spawn"):
        world.run(until=asyncio.open_connection("10.0.0.1", 80))


@pytest.mark.parametrize("net", ["emulated", *(["real"] if sys.version_info >= (3, 12) else [])], indirect=True)
def test_all_errors(net: Any) -> None:
    """Python 3.12: "If all_errors is true … raises an ExceptionGroup with all exceptions"."""

    async def main() -> None:
        loop, port = asyncio.get_running_loop(), await free_port(net)
        with pytest.raises(ExceptionGroup) as caught:
            await loop.create_connection(net.Recorder, net.address, port, all_errors=True)  # type: ignore[call-arg]
        assert [type(error) for error in caught.value.exceptions] == [ConnectionRefusedError]

    net.run(main())
