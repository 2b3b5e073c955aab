"""Servers (asyncio, "Server objects", "Creating network servers"), here and on the real loopback."""

import asyncio
import errno
import sys
from contextlib import suppress
from typing import Any

import pytest

SINCE_312 = sys.version_info >= (3, 12)
SINCE_313 = sys.version_info >= (3, 13)


async def connect(net: Any, server: Any, host: str = "") -> tuple[Any, Any]:
    """A client of a server: its transport and protocol."""
    port = server.sockets[0].getsockname()[1]
    found: tuple[Any, Any] = await asyncio.get_running_loop().create_connection(net.Recorder, host or net.address, port)
    return found


@pytest.mark.parametrize("net", ["e1000", "rtl8139", "virtio-net", "real"], indirect=True)
def test_a_servers_life(net: Any) -> None:
    async def main() -> Any:
        peers: list[Any] = []

        def factory() -> Any:
            peers.append(net.Recorder())
            return peers[-1]

        server = await net.serve(factory)
        seen: list[Any] = [server.is_serving(), len(server.sockets), server.get_loop() is asyncio.get_running_loop()]
        name = server.sockets[0].getsockname()
        near, client = await connect(net, server)
        while not peers:
            await asyncio.sleep(0.001)
        server.close()
        server.close()
        seen += [server.is_serving(), server.sockets]
        try:
            await asyncio.get_running_loop().create_connection(net.Recorder, *name)
        except OSError as error:
            seen += [type(error).__name__, error.errno, str(error) == f"[Errno 111] Connect call failed {name}"]
        near.write(b"the connection stays")
        near.close()
        await peers[0].lost
        await server.wait_closed()
        return seen, bytes(peers[0].data), name[0] == net.address, name[1] > 0, client.log

    seen = [True, 1, True, False, (), "ConnectionRefusedError", errno.ECONNREFUSED, True]
    assert net.run(main()) == (seen, b"the connection stays", True, True, ["made", None])


def test_port_zero_is_a_free_port_each_time(net: Any) -> None:
    async def main() -> Any:
        servers = [await net.serve(net.Recorder) for _ in range(3)]
        return {server.sockets[0].getsockname()[1] for server in servers}

    assert len(net.run(main())) == 3


def test_several_hosts(net: Any) -> None:
    async def main() -> Any:
        server = await net.serve(net.Recorder, [net.address, net.address6])
        families = []
        for sock in server.sockets:
            near, client = await asyncio.get_running_loop().create_connection(net.Recorder, *sock.getsockname()[:2])
            families.append(len(near.get_extra_info("peername")))
            near.close()
            await client.lost
        return sorted(families)

    assert net.run(main()) == [2, 4]


@pytest.mark.parametrize("host", [None, ""])
def test_a_server_at_every_address_takes_both_families(net: Any, host: str | None) -> None:
    async def main() -> Any:
        server = await net.there(asyncio.get_running_loop().create_server(net.Recorder, host, 34567))
        net.servers.append(server)
        lengths = []
        for address in (net.address, net.address6):
            near, client = await asyncio.get_running_loop().create_connection(net.Recorder, address, 34567)
            lengths.append(len(near.get_extra_info("peername")))
            near.close()
            await client.lost
        return lengths, server.is_serving()

    assert net.run(main()) == ([2, 4], True)


def test_an_address_in_use_or_not_ours(net: Any) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        first = await net.serve(net.Recorder)
        port = first.sockets[0].getsockname()[1]
        errors = []
        for host, number in ((net.address, port), ("203.0.113.7", 80)):
            with pytest.raises(OSError) as caught:
                await net.there(loop.create_server(net.Recorder, host, number))
            errors.append(caught.value.errno)
            assert str((host, number)) in str(caught.value)
        first.close()
        again = await net.serve(net.Recorder, net.address, port)  # now it is free
        return errors, again.is_serving()

    (in_use, not_ours), again = net.run(main())
    assert (in_use, again) == (errno.EADDRINUSE, True)
    assert not_ours == errno.EADDRNOTAVAIL or (net.real and SINCE_313), "from then on it tells of all, without a number"


def test_if_one_address_fails_none_listens(net: Any) -> None:
    async def main() -> None:
        first = await net.serve(net.Recorder, net.address, 34568)
        with pytest.raises(OSError):
            await net.serve(net.Recorder, [net.address6, net.address], 34568)
        first.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.get_running_loop().create_connection(net.Recorder, net.address6, 34568)

    net.run(main())


WRONG: list[tuple[dict[str, Any], type[Exception]]] = [
    ({}, ValueError),
    ({"host": "h", "port": 1, "ssl": True}, TypeError),
    ({"host": "h", "port": 1, "ssl_handshake_timeout": 1}, ValueError),
    ({"host": "h", "port": 1, "ssl_shutdown_timeout": 1}, ValueError),
]


@pytest.mark.parametrize(("options", "kind"), WRONG)
def test_what_create_server_refuses(net: Any, options: dict[str, Any], kind: type[Exception]) -> None:
    async def main() -> None:
        with pytest.raises(kind):
            await asyncio.get_running_loop().create_server(net.Recorder, **options)

    net.run(main())


# --- serve_forever


def test_serve_forever_is_cancelled_by_close_and_closes_when_cancelled(net: Any) -> None:
    async def main() -> Any:
        seen = []
        for end in ("close", "cancel"):
            server = await net.serve(net.Recorder, start_serving=False)
            seen.append(server.is_serving())
            forever = asyncio.create_task(server.serve_forever())
            await asyncio.sleep(0.01)
            seen.append(server.is_serving())
            with pytest.raises(RuntimeError, match="already being awaited"):
                await server.serve_forever()
            server.close() if end == "close" else forever.cancel()
            with pytest.raises(asyncio.CancelledError):
                await forever
            seen.append(server.is_serving())
            with pytest.raises(RuntimeError, match="is closed"):
                await server.serve_forever()
        return seen

    assert net.run(main()) == [False, True, False] * 2


def test_a_server_is_a_context_manager(net: Any) -> None:
    async def main() -> Any:
        async with await net.serve(net.Recorder, start_serving=False) as server:
            await server.start_serving()
            await server.start_serving()
            during = server.is_serving()
        return during, server.is_serving(), server.sockets

    assert net.run(main()) == (True, False, ())


# --- the connections of a server


@pytest.mark.parametrize("net", ["emulated", *(["real"] if SINCE_312 else [])], indirect=True)
def test_wait_closed_waits_for_the_last_connection(net: Any) -> None:
    """asyncio: "Wait until the close() method completes and all active connections have finished"."""

    async def main() -> Any:
        peer = net.Recorder()
        server = await net.serve(lambda: peer)
        near, _ = await connect(net, server)
        await peer.made
        waiting = asyncio.create_task(server.wait_closed())
        await asyncio.sleep(0.02)
        seen = [waiting.done()]
        server.close()
        await asyncio.sleep(0.02)
        seen.append(waiting.done())
        near.close()
        await waiting
        await server.wait_closed()
        return seen, peer.log

    assert net.run(main()) == ([False, False], ["made", "eof", None])


@pytest.mark.parametrize("net", ["emulated", *(["real"] if SINCE_313 else [])], indirect=True)
@pytest.mark.parametrize("verb", ["close_clients", "abort_clients"])
def test_a_server_ends_its_connections(net: Any, verb: str) -> None:
    async def main() -> Any:
        peers = [net.Recorder(), net.Recorder()]
        left = [*peers]
        server = await net.serve(left.pop)
        clients = [(await connect(net, server))[1] for _ in peers]
        await asyncio.gather(*(peer.made for peer in peers))
        server.close()
        getattr(server, verb)()
        await server.wait_closed()
        await asyncio.gather(*(client.lost for client in clients))
        return [peer.log for peer in peers], [client.log for client in clients]

    assert net.run(main()) == ([["made", None]] * 2, [["made", "eof", None]] * 2)


@pytest.mark.parametrize("net", ["emulated"], indirect=True)  # a real socket is garbage some time
def test_a_factory_that_fails_costs_one_connection(net: Any) -> None:
    async def main() -> Any:
        peers: list[Any] = [net.Recorder()]
        server = await net.serve(lambda: peers.pop(0) if peers[1:] else peers.append(peers[0]) or 1 / 0)
        (_, first), (near, second) = await asyncio.gather(connect(net, server), connect(net, server))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wait([first.lost, second.lost], return_when="FIRST_COMPLETED"), 1)
        ended = [client.lost.done() for client in (first, second)]
        near.close()
        return sorted(ended)

    assert net.run(main()) == [False, True]


def test_accepted_connections_are_on_the_hosts_stack(net: Any) -> None:
    """What a server's protocol opens leaves from the server's machine."""
    if net.real:
        pytest.skip("there is one machine only")

    async def main() -> Any:
        target = await asyncio.get_running_loop().create_server(net.Recorder, "10.0.0.1", 80)  # on alice
        found = asyncio.get_running_loop().create_future()

        async def handle(reader: Any, writer: Any) -> None:
            _, back = await asyncio.open_connection("10.0.0.1", 80)
            found.set_result(back.get_extra_info("sockname")[0])
            back.close()
            writer.close()

        port = await net.stream_server(handle)
        _, writer = await asyncio.open_connection("10.0.0.2", port)
        name = await found
        writer.close()
        target.close()
        return name

    assert net.run(main()) == "10.0.0.2"


def test_a_server_that_does_not_serve_yet_lets_connections_wait() -> None:
    """Here the port is open from the beginning: the first ones wait in the backlog."""
    import motenet

    world = motenet.World(seed=1)
    host = world.host("h", address="10.0.0.1/24")

    async def main() -> Any:
        accepted: list[Any] = []
        server = await asyncio.start_server(lambda r, w: accepted.append(w), "10.0.0.1", 80, start_serving=False)
        _, writer = await asyncio.open_connection("10.0.0.1", 80)
        await asyncio.sleep(1)
        before = len(accepted)
        await server.start_serving()
        await asyncio.sleep(1)
        writer.close()
        accepted[0].close()
        server.close()
        return before, len(accepted)

    assert host.run(main()) == (0, 1)
    world.close()
