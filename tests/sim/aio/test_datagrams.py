"""Datagram endpoints (asyncio, "Datagram Transports", "Datagram Protocols"), here and on the real loopback."""

import asyncio
import errno
import socket
from typing import Any

import pytest

EVERYWHERE = ["e1000", "rtl8139", "virtio-net", "real"]


class Box(asyncio.DatagramProtocol):
    """Keeps what comes; `fails`: the method that raises."""

    def __init__(self, net: Any, fails: str = "") -> None:
        self.net, self.fails = net, fails
        self.log: list[Any] = []
        self.senders: list[Any] = []
        self.lost = asyncio.get_running_loop().create_future()

    def _tell(self, event: Any, method: str) -> None:
        self.log.append(event)
        if method == self.fails:
            raise self.net.Mistake(method)

    def connection_made(self, transport: Any) -> None:
        self._tell("made", "connection_made")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.senders.append(addr)
        self._tell(data, "datagram_received")

    def error_received(self, exc: Exception) -> None:
        self._tell(self.net.describe(exc), "error_received")

    def pause_writing(self) -> None:
        self.log.append("pause")

    def resume_writing(self) -> None:
        self.log.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        self._tell(self.net.describe(exc), "connection_lost")


async def bind(net: Any, box: Box, host: str = "", **options: Any) -> Any:
    """An endpoint on the server's machine."""
    loop = asyncio.get_running_loop()
    options.setdefault("local_addr", (host or net.address, 0))
    transport, _ = await net.there(loop.create_datagram_endpoint(lambda: box, **options))
    return transport


async def call(net: Any, box: Box, **options: Any) -> Any:
    """An endpoint on the client's machine."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: box, **options)
    return transport


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
@pytest.mark.parametrize("family", [4, 6])
def test_questions_and_answers(net: Any, family: int) -> None:
    host = net.address if family == 4 else net.address6

    async def main() -> None:
        server, client = Box(net), Box(net)
        there = await bind(net, server, host)
        name = there.get_extra_info("sockname")
        here = await call(net, client, remote_addr=name[:2])
        assert here.get_extra_info("peername") == name
        assert there.get_extra_info("peername") is None
        assert here.get_extra_info("socket").type == socket.SOCK_DGRAM
        here.sendto(b"one")
        here.sendto(bytearray(b"two"), name)
        here.sendto(memoryview(b"three"), None)
        while len(server.log) < 4:
            await asyncio.sleep(0.001)
        assert server.log == ["made", b"one", b"two", b"three"]
        assert set(server.senders) == {here.get_extra_info("sockname")}
        there.sendto(b"back", server.senders[0])
        while len(client.log) < 2:
            await asyncio.sleep(0.001)
        assert client.senders == [name]
        here.close()
        there.abort()
        assert here.is_closing()
        await asyncio.gather(client.lost, server.lost)
        assert [client.log, server.log[-1]] == [["made", b"back", None], None]
        here.sendto(b"ignored")

    net.run(main())


def test_a_connected_endpoint_is_told_that_nobody_listens(net: Any) -> None:
    """RFC 1122, 4.1.3.3: ICMP's errors go up to the application."""

    async def main() -> Any:
        server, client, other = Box(net), Box(net), Box(net)
        there = await bind(net, server)
        name = there.get_extra_info("sockname")
        there.close()
        await server.lost
        connected = await call(net, client, remote_addr=name)
        free = await call(net, other, local_addr=("0.0.0.0", 0))
        connected.sendto(b"x")
        free.sendto(b"x", name)
        while len(client.log) < 2:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        connected.close()
        free.close()
        return [*client.log], [*other.log]

    assert net.run(main()) == (["made", ("ConnectionRefusedError", errno.ECONNREFUSED)], ["made"])


def test_what_sendto_refuses(net: Any) -> None:
    async def main() -> Any:
        box = Box(net)
        endpoint = await call(net, box, remote_addr=(net.address, 9))
        with pytest.raises(ValueError, match="Invalid address: must be None or"):
            endpoint.sendto(b"x", (net.unused, 10))
        with pytest.raises(TypeError):
            endpoint.sendto("text")
        endpoint.sendto(bytes(65508))
        errors = box.log[1:]
        endpoint.close()
        return errors

    assert net.run(main()) == [("OSError", errno.EMSGSIZE)]


@pytest.mark.parametrize("size", [1, 1472, 1473, 9000, 65507])
def test_datagrams_of_all_sizes_arrive_whole(net: Any, size: int) -> None:
    """Beyond the MTU in fragments (RFC 791, 3.2)."""

    async def main() -> Any:
        server = Box(net)
        there = await bind(net, server)
        here = await call(net, Box(net), remote_addr=there.get_extra_info("sockname"))
        data = (bytes(range(256)) * 256)[:size]
        here.sendto(data)
        while len(server.log) < 2:
            await asyncio.sleep(0.001)
        here.close()
        there.close()
        return server.log[1] == data

    assert net.run(main())


WRONG: list[tuple[dict[str, Any], type[Exception], int | None]] = [
    ({}, ValueError, None),
    ({"local_addr": ("203.0.113.7", 0)}, OSError, errno.EADDRNOTAVAIL),
    ({"local_addr": "127.0.0.1"}, TypeError, None),
    ({"remote_addr": ("127.0.0.1", 1, 2)}, TypeError, None),
]


@pytest.mark.parametrize(("options", "kind", "number"), WRONG)
def test_what_cannot_be_bound(net: Any, options: Any, kind: type[Exception], number: int | None) -> None:
    async def main() -> None:
        with pytest.raises(kind) as caught:
            await call(net, Box(net), **options)
        assert getattr(caught.value, "errno", None) == number

    net.run(main())


def test_an_address_in_use(net: Any) -> None:
    async def main() -> Any:
        there = await bind(net, Box(net))
        with pytest.raises(OSError) as caught:
            await bind(net, Box(net), local_addr=there.get_extra_info("sockname"))
        there.close()
        return caught.value.errno

    assert net.run(main()) == errno.EADDRINUSE


def test_a_family_alone_makes_an_endpoint_at_a_free_port(net: Any) -> None:
    async def main() -> Any:
        server = Box(net)
        there = await bind(net, server)
        here = await call(net, Box(net), family=socket.AF_INET)
        here.sendto(b"x", there.get_extra_info("sockname"))
        while len(server.log) < 2:
            await asyncio.sleep(0.001)
        here.close()
        there.close()
        return [*server.log]

    assert net.run(main()) == ["made", b"x"]


@pytest.mark.parametrize("method", ["connection_made", "datagram_received", "connection_lost"])
def test_a_protocol_that_fails_gets_the_next_datagram(net: Any, method: str) -> None:
    async def main() -> Any:
        server = Box(net, fails=method)
        there = await bind(net, server)
        here = await call(net, Box(net), remote_addr=there.get_extra_info("sockname"))
        here.sendto(b"one")
        here.sendto(b"two")
        while len(server.log) < 3:
            await asyncio.sleep(0.001)
        here.close()
        there.close()
        await server.lost
        return server.log

    assert net.run(main()) == ["made", b"one", b"two", None]
    assert {net.describe(one["exception"]) for one in net.mistakes} == {("Mistake", None)}
    assert len(net.mistakes) == (2 if method == "datagram_received" else 1)


@pytest.mark.parametrize("net", EVERYWHERE[:3], indirect=True)
def test_what_finds_no_room_waits(net: Any) -> None:
    """asyncio: "the data argument … is buffered"; limits pause and resume the protocol."""

    async def main() -> Any:
        server, client = Box(net), Box(net)
        await asyncio.sleep(1)  # the cards negotiate
        there = await bind(net, server)
        here = await call(net, client, remote_addr=there.get_extra_info("sockname"))
        here.sendto(b"first")  # ARP's queue is short
        await asyncio.sleep(0.1)
        here.set_write_buffer_limits(high=20_000)
        limits = here.get_write_buffer_limits()
        for number in range(300):
            here.sendto(bytes([number & 0xFF]) * 1000)
        waiting = here.get_write_buffer_size()
        here.close()  # what was sent still goes out
        await client.lost
        await asyncio.sleep(0.1)
        there.close()
        return limits, waiting, client.log, len(server.log) - 2

    limits, waiting, log, received = net.run(main())
    assert limits == (5_000, 20_000)
    assert waiting > 20_000
    assert log == ["made", "pause", "resume", None]
    assert received == 300


@pytest.mark.parametrize("net", EVERYWHERE[:3], indirect=True)
def test_broadcast_has_to_be_allowed(net: Any) -> None:
    """socket(7), SO_BROADCAST: without it EACCES."""

    async def main() -> Any:
        server, allowed, other = Box(net), Box(net), Box(net)
        await asyncio.sleep(1)  # the cards negotiate
        there = await bind(net, server, local_addr=("0.0.0.0", 9999))
        here = await call(net, allowed, local_addr=("10.0.0.1", 0), allow_broadcast=True)
        not_here = await call(net, other, local_addr=("10.0.0.1", 0))
        for destination in ("255.255.255.255", "10.0.0.255"):
            here.sendto(destination.encode(), (destination, 9999))
            not_here.sendto(b"no", (destination, 9999))
        await asyncio.sleep(0.1)
        for endpoint in (there, here, not_here):
            endpoint.close()
        return server.log[1:3], allowed.log[:1], other.log[:3]

    refused = ("PermissionError", errno.EACCES)
    assert net.run(main()) == ([b"255.255.255.255", b"10.0.0.255"], ["made"], ["made", refused, refused])


@pytest.mark.parametrize("net", ["emulated"], indirect=True)
@pytest.mark.parametrize("family", [4, 6])
def test_groups_are_joined_by_socket_options(net: Any, family: int) -> None:
    """RFC 3493, 5.2; ip(7)."""
    group = "239.1.2.3" if family == 4 else "ff02::4321"
    request = socket.inet_pton(socket.AF_INET if family == 4 else socket.AF_INET6, group) + bytes(4)
    level = socket.IPPROTO_IP if family == 4 else socket.IPPROTO_IPV6
    join, leave, hops = (
        (socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP, socket.IP_MULTICAST_TTL)
        if family == 4
        else (socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP, socket.IPV6_MULTICAST_HOPS)
    )

    async def main() -> Any:
        await asyncio.sleep(1)
        server = Box(net)
        there = await bind(net, server, local_addr=("0.0.0.0" if family == 4 else "::", 5353))
        here = await call(net, Box(net), local_addr=("10.0.0.1" if family == 4 else "fd00::1", 0))
        here.get_extra_info("socket").setsockopt(level, hops, 5)
        sock = there.get_extra_info("socket")
        errors = []

        async def send(data: bytes) -> None:
            here.sendto(data, (group, 5353))
            await asyncio.sleep(0.01)

        def option(name: int, value: bytes) -> None:
            try:
                sock.setsockopt(level, name, value)
            except OSError as error:
                errors.append(error.errno)

        await send(b"before")
        option(join, request)
        option(join, request)
        await asyncio.sleep(0.01)
        await send(b"joined")
        option(leave, request)
        option(leave, request)
        await send(b"left")
        option(join, request[:-4] + b"\7\7\7\7")
        option(join, bytes(len(request)))
        option(join, b"")
        option(join, request)
        there.close()
        await server.lost
        joined = [request[:-4] in one.addressing.groups for one in net.bob.stack.interfaces]
        here.close()
        return server.log, errors, joined

    errors = [errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENODEV, errno.EINVAL, errno.EINVAL]
    assert net.run(main()) == (["made", b"joined", None], errors, [False])
