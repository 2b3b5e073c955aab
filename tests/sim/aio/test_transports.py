"""Transports and protocols (asyncio, "Transports and Protocols"; PEP 3156), here and on the real loopback."""

import asyncio
import contextvars
import errno
import socket
import struct
from typing import Any

import pytest

EVERYWHERE = ["e1000", "rtl8139", "virtio-net", "real"]
BIG = 1 << 20
"""More than the buffers of a connection hold, once `squeeze` has made a real one's small."""


def squeeze(*transports: Any) -> None:
    for transport in transports:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 32768)


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.002)


# --- how a connection begins, goes on and ends


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
def test_callbacks_come_in_their_order_each_once(net: Any) -> None:
    async def main() -> list[Any]:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        near.write(b"ping")
        await until(lambda: server.data)
        far.write(b"pong")
        await until(lambda: client.data)
        near.close()
        near.close()
        near.abort()
        await asyncio.gather(client.lost, server.lost)
        return [client.log, server.log]

    assert net.run(main()) == [["made", "data", None], ["made", "data", "eof", None]]
    assert net.mistakes == []


def test_data_that_is_there_already_comes_after_connection_made(net: Any) -> None:
    class Greeter(net.Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.write(b"hello")
            transport.close()

    async def main() -> Any:
        client = net.Recorder()
        await net.pair(client, Greeter())
        await client.lost
        return client.log, client.data

    assert net.run(main()) == (["made", "data", "eof", None], b"hello")


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
def test_eof_received_keeps_our_direction_open_if_it_is_true(net: Any) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder(keeps=True)
        near, far = await net.pair(client, server)
        assert near.can_write_eof()
        near.write(b"question")
        near.write_eof()
        near.write_eof()
        with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof"):
            near.write(b"more")
        await until(lambda: "eof" in server.log)
        assert not far.is_closing()
        far.write(bytes(100_000))
        far.close()
        await asyncio.gather(client.lost, server.lost)
        return client.log, len(client.data), server.log

    assert net.run(main()) == (["made", "data", "eof", None], 100_000, ["made", "data", "eof", None])


def test_write_eof_goes_out_behind_what_waits(net: Any) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        squeeze(near, far)
        near.write(bytes(BIG))
        near.write_eof()
        assert near.get_write_buffer_size() > 0
        await asyncio.gather(client.lost, server.lost)
        return len(server.data), server.log[-2:], client.log

    assert net.run(main()) == (BIG, ["eof", None], ["made", "pause", "resume", "eof", None])


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
def test_close_sends_what_waits_and_abort_does_not(net: Any) -> None:
    async def main(end: str) -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        squeeze(near, far)
        far.pause_reading()
        near.write(bytes(BIG))
        getattr(near, end)()
        closing = near.is_closing()
        near.write(b"x")  # behind abort() this is lost without a word; behind close() it still goes
        far.resume_reading()
        await asyncio.gather(client.lost, server.lost)
        return closing, client.log, len(server.data) == BIG + 1

    assert net.run(main("close")) == (True, ["made", "pause", "resume", None], True)
    assert net.run(main("abort")) == (True, ["made", "pause", None], False)


def test_linger_of_zero_makes_close_a_reset(net: Any) -> None:
    """socket(7), SO_LINGER."""

    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, _ = await net.pair(client, server)
        near.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        near.close()
        await asyncio.gather(client.lost, server.lost)
        return client.log, server.log

    assert net.run(main()) == (["made", None], ["made", ("ConnectionResetError", errno.ECONNRESET)])


def test_a_close_with_data_unread_is_a_reset(net: Any) -> None:
    """RFC 1122, 4.2.2.13: "such a connection SHOULD be reset, to show that data was lost"."""

    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        far.pause_reading()
        near.write(b"nobody reads this")
        await asyncio.sleep(0.05)
        far.close()
        await asyncio.gather(client.lost, server.lost)
        return client.log, server.log

    assert net.run(main()) == (["made", ("ConnectionResetError", errno.ECONNRESET)], ["made", None])


def test_a_reset_reaches_who_writes_even_if_he_does_not_read(net: Any) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        near.pause_reading()
        far.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        await server.lost
        await asyncio.sleep(0.02)
        assert not client.lost.done()
        near.write(b"is anybody there?")
        await client.lost
        near.write(b"ignored")
        return client.log

    assert net.run(main()) == ["made", ("ConnectionResetError", errno.ECONNRESET)]


# --- exceptions in a protocol

FAILURES = [
    # method, what the failing side is told, whether the error itself is what connection_lost gets
    ("connection_made", ["made", "data", "eof", None]),
    ("data_received", ["made", "data", ("Mistake", None)]),
    ("eof_received", ["made", "data", "eof", ("Mistake", None)]),
    ("connection_lost", ["made", "data", "eof", None]),
]


@pytest.mark.parametrize(("method", "log"), FAILURES)
def test_an_exception_in_a_protocol(net: Any, method: str, log: list[Any]) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder(fails=method)
        near, _ = await net.pair(client, server)
        near.write(b"data")
        await until(lambda: server.data)
        near.write_eof()
        await asyncio.gather(client.lost, server.lost)
        await asyncio.sleep(0.01)
        return server.log

    assert net.run(main()) == log
    assert [net.describe(one["exception"]) for one in net.mistakes] == [("Mistake", None)]


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
def test_an_exception_in_flow_control_is_told_and_the_connection_goes_on(net: Any, method: str) -> None:
    async def main() -> Any:
        client, server = net.Recorder(fails=method), net.Recorder()
        near, far = await net.pair(client, server)
        squeeze(near, far)
        near.write(bytes(BIG))
        near.close()
        await asyncio.gather(client.lost, server.lost)
        return client.log, len(server.data)

    assert net.run(main()) == (["made", "pause", "resume", None], BIG)
    assert [(one["message"], str(one["exception"])) for one in net.mistakes] == [
        (f"protocol.{method}() failed", method)
    ]


# --- flow control

LIMITS = [
    ({}, (16384, 65536)),
    ({"high": 1000}, (250, 1000)),
    ({"low": 1000}, (1000, 4000)),
    ({"high": 0}, (0, 0)),
    ({"high": 5, "low": 5}, (5, 5)),
    ({"high": 1, "low": 2}, ValueError),
    ({"high": 1, "low": -1}, ValueError),
]


@pytest.mark.parametrize(("limits", "expected"), LIMITS)
def test_write_buffer_limits(net: Any, limits: dict[str, int], expected: Any) -> None:
    async def main() -> Any:
        near, _ = await net.pair(net.Recorder(), net.Recorder())
        try:
            near.set_write_buffer_limits(**limits)
        except ValueError:
            return ValueError
        finally:
            near.abort()
        return near.get_write_buffer_limits()

    assert net.run(main()) == expected


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
def test_a_slow_reader_pauses_the_writer(net: Any) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        squeeze(near, far)
        far.pause_reading()
        await asyncio.sleep(0.02)
        seen = [near.is_reading(), far.is_reading()]
        near.write(bytes(BIG))
        seen.append(client.log[-1])  # pause_writing() comes inside write()
        await asyncio.sleep(0.1)
        seen += [client.log[-1], len(server.data), near.get_write_buffer_size() > 65536]
        far.resume_reading()
        far.resume_reading()
        await until(lambda: len(server.data) == BIG)
        await until(lambda: "resume" in client.log)
        seen += [far.is_reading(), near.get_write_buffer_size() <= 16384]
        near.abort()
        await client.lost
        return seen

    assert net.run(main()) == [True, False, "pause", "pause", 0, True, True, True]


def test_limits_set_while_data_waits_pause_at_once(net: Any) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        squeeze(near, far)
        near.set_write_buffer_limits(high=2 * BIG)
        far.pause_reading()
        near.write(bytes(BIG))
        log = [*client.log]
        near.set_write_buffer_limits(high=0)
        near.abort()
        return log, client.log[:2]

    assert net.run(main()) == (["made"], ["made", "pause"])


def test_pausing_in_connection_made_holds_all_data_back(net: Any) -> None:
    class Shy(net.Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    async def main() -> Any:
        client, server = net.Recorder(), Shy()
        near, far = await net.pair(client, server)
        near.write(b"data")
        near.close()
        await asyncio.sleep(0.05)
        before = [*server.log]
        far.resume_reading()
        await server.lost
        return before, server.log

    assert net.run(main()) == (["made"], ["made", "data", "eof", None])


# --- what may be written, and what a transport tells


def test_what_can_be_written(net: Any) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, _ = await net.pair(client, server)
        buffer = bytearray(b"two")
        near.write(b"one")
        near.write(buffer)
        buffer[:] = b"xxx"  # write() has taken its bytes
        near.write(memoryview(b"three"))
        near.write(memoryview(bytearray(8)).cast("I"))
        near.write(b"")
        near.writelines([b"four", bytearray(b"five"), memoryview(b"six")])
        near.writelines([])
        wrong = []
        for data in ("text", 7, None):
            try:
                near.write(data)
            except TypeError as error:
                wrong.append(str(error))
        near.close()
        await server.lost
        return bytes(server.data), len(wrong)

    assert net.run(main()) == (b"onetwothree" + bytes(8) + b"fourfivesix", 3)


@pytest.mark.parametrize("family", [4, 6])
def test_extra_info(net: Any, family: int) -> None:
    host = net.address if family == 4 else net.address6

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = net.Recorder()
        listening = await net.serve(lambda: server, host)
        name = listening.sockets[0].getsockname()
        near, _ = await loop.create_connection(net.Recorder, host, name[1])
        await server.made
        far = server.transport
        assert near.get_extra_info("peername") == name == far.get_extra_info("sockname")
        assert near.get_extra_info("sockname") == far.get_extra_info("peername")
        assert len(name) == (2 if family == 4 else 4)
        assert near.get_extra_info("no such thing") is None
        assert near.get_extra_info("no such thing", 7) == 7
        sock = near.get_extra_info("socket")
        assert sock.family == (socket.AF_INET if family == 4 else socket.AF_INET6)
        assert (sock.type, sock.proto) == (socket.SOCK_STREAM, socket.IPPROTO_TCP)
        assert (sock.getpeername(), sock.getsockname()) == (name, near.get_extra_info("sockname"))
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1, "since Python 3.6"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert (sock.gettimeout(), sock.fileno() >= 0) == (0, True)
        sock.setblocking(False)
        with pytest.raises(ValueError):
            sock.setblocking(True)
        near.close()
        listening.close()
        await server.lost
        assert near.get_extra_info("peername") == name, "still told of a connection that is closed"

    net.run(main())


# --- changing the protocol


def test_set_protocol_in_mid_connection(net: Any) -> None:
    async def main() -> Any:
        client, first, second = net.Recorder(), net.Recorder(), net.Recorder()
        near, far = await net.pair(client, first)
        near.write(b"one")
        await until(lambda: first.data)
        assert far.get_protocol() is first
        far.set_protocol(second)
        second.log.append("set")
        assert far.get_protocol() is second
        near.write(b"two")
        near.close()
        await second.lost
        return first.log, bytes(first.data), second.log, bytes(second.data)

    assert net.run(main()) == (["made", "data"], b"one", ["set", "data", "eof", None], b"two")


class Filling(asyncio.BufferedProtocol):
    """Takes data into a small buffer of its own."""

    def __init__(self, size: int) -> None:
        self.buffer, self.data, self.log, self.transport = bytearray(size), bytearray(), [], None

    def connection_made(self, transport: Any) -> None:
        self.lost = asyncio.get_running_loop().create_future()
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        self.log.append(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.buffer)
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.log.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
def test_a_buffered_protocol_gives_the_buffer(net: Any) -> None:
    async def main() -> Any:
        server = Filling(100)
        near, _ = await net.pair(net.Recorder(), server)
        near.write(bytes(range(250)) * 40)
        near.close()
        lost = await server.lost
        return bytes(server.data) == bytes(range(250)) * 40, set(server.log), lost

    assert net.run(main()) == (True, {-1, "eof"}, None)


def test_a_buffer_without_room_is_a_mistake(net: Any) -> None:
    async def main() -> Any:
        server = Filling(0)
        near, _ = await net.pair(net.Recorder(), server)
        near.write(b"data")
        return type(await server.lost)

    assert net.run(main()) is RuntimeError
    assert len(net.mistakes) == 1


def test_from_a_protocol_to_a_buffered_one_and_back(net: Any) -> None:
    async def main() -> Any:
        first, second, third = net.Recorder(), Filling(10), net.Recorder()
        near, far = await net.pair(net.Recorder(), first)
        second.connection_made(far)
        third.log.append("set")
        for protocol, data in ((first, b"one"), (second, b"a longer two"), (third, b"three")):
            far.set_protocol(protocol)
            near.write(data)
            await until(lambda one=protocol, data=data: len(one.data) == len(data))
        near.close()
        await third.lost
        return [bytes(one.data) for one in (first, second, third)]

    assert net.run(main()) == [b"one", b"a longer two", b"three"]


def test_protocols_are_called_in_their_creators_context(net: Any) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    class Asking(net.Recorder):
        def _tell(self, event: Any, method: str) -> None:
            super()._tell((event, who.get()), method)

    async def main() -> Any:
        who.set("server")
        client, server = Asking(), Asking()
        listening = await net.serve(lambda: server)

        async def connect() -> None:
            who.set("client")
            loop = asyncio.get_running_loop()
            near, _ = await loop.create_connection(lambda: client, *listening.sockets[0].getsockname())
            near.write(b"data")
            near.close()

        await asyncio.create_task(connect())
        await asyncio.gather(client.lost, server.lost)
        listening.close()
        return {name for _, name in client.log}, {name for _, name in server.log}

    assert net.run(main()) == ({"client"}, {"server"})


# --- sendfile


@pytest.mark.parametrize(("offset", "count", "size"), [(0, None, 700_000), (10, 20, 20), (699_990, 100, 10), (5, 0, 0)])
def test_sendfile(net: Any, tmp_path: Any, offset: int, count: int | None, size: int) -> None:
    content = bytes(range(250)) * 2800
    path = tmp_path / "file"
    path.write_bytes(content)
    if count == 0:
        pytest.skip("the real one refuses a count of zero") if net.real else None

    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, _ = await net.pair(client, server)
        near.write(b"head,")
        with path.open("rb") as file:
            sent = await asyncio.get_running_loop().sendfile(near, file, offset, count)
            position = file.tell()
        near.write(b",tail")
        near.close()
        await server.lost
        return sent, position, bytes(server.data)

    assert net.run(main()) == (size, offset + size, b"head," + content[offset : offset + size] + b",tail")


def test_sendfile_while_the_protocol_is_paused_resumes_it_afterwards(net: Any, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(BIG))

    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        squeeze(near, far)
        far.pause_reading()
        near.write(bytes(BIG))
        before = [*client.log]
        asyncio.get_running_loop().call_later(0.05, far.resume_reading)
        with path.open("rb") as file:
            await asyncio.get_running_loop().sendfile(near, file)
        await until(lambda: "resume" in client.log)
        near.close()
        await server.lost
        return before, client.log[:3], len(server.data)

    assert net.run(main()) == (["made", "pause"], ["made", "pause", "resume"], 2 * BIG)


def test_sendfile_to_a_peer_that_leaves(net: Any, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(4 * BIG))

    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        near, far = await net.pair(client, server)
        squeeze(near, far)
        far.pause_reading()
        asyncio.get_running_loop().call_later(0.05, far.abort)
        with path.open("rb") as file:
            with pytest.raises(ConnectionError):
                await asyncio.get_running_loop().sendfile(near, file)
            await client.lost
            with pytest.raises(RuntimeError, match="closing"):
                await asyncio.get_running_loop().sendfile(near, file)

    net.run(main())
