"""StreamReader and StreamWriter (asyncio, "Streams"), here and on the real loopback."""

import asyncio
from typing import Any

import pytest

EVERYWHERE = ["e1000", "rtl8139", "virtio-net", "real"]


async def opened(net: Any, *pieces: bytes, **options: Any) -> Any:
    """A reader of a connection by which these pieces come, one after the other, and then the end."""

    async def handle(reader: Any, writer: Any) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        writer.close()

    port = await net.stream_server(handle)
    return await asyncio.open_connection(net.address, port, **options)


async def result(call: Any) -> Any:
    """What a coroutine gives, or what its exception tells."""
    try:
        return await call
    except asyncio.IncompleteReadError as error:
        return "incomplete", error.partial, error.expected
    except asyncio.LimitOverrunError as error:
        return "overrun", error.consumed
    except ValueError as error:
        return "value", str(error)


READS: list[tuple[str, list[bytes], Any]] = [
    ("read(4)", [b"ab", b"cd"], [b"ab", b"cd", b""]),
    ("read(1)", [b"ab"], [b"a", b"b", b""]),
    ("read(0)", [b"ab"], [b"", b"", b""]),
    ("read()", [b"ab", b"cd"], [b"abcd", b"", b""]),
    ("readline()", [b"a\nb", b"c\n", b"rest"], [b"a\n", b"bc\n", b"rest"]),
    ("readline()", [b"12345678901\n", b"ok\n"], [("value",), b"ok\n", b""]),
    ("readexactly(3)", [b"ab", b"cd"], [b"abc", ("incomplete", b"d", 3), ("incomplete", b"", 3)]),
    ("readexactly(0)", [b"a"], [b"", b"", b""]),
    ("readexactly(-1)", [b"a"], [("value", "readexactly size can not be less than zero")] * 3),
    ("readuntil(b'--')", [b"one-", b"-two--"], [b"one--", b"two--", ("incomplete", b"", None)]),
    ("readuntil(b'--')", [b"one"], [("incomplete", b"one", None)] + [("incomplete", b"", None)] * 2),
    ("readuntil(b'--')", [b"123456789012"], [("overrun", 11)] * 3),
    ("readuntil(b'')", [b"x"], [("value", "Separator should be at least one-byte string")] * 3),
]


@pytest.mark.parametrize(("call", "pieces", "expected"), READS)
def test_reading(net: Any, call: str, pieces: list[bytes], expected: list[Any]) -> None:
    """With a limit of 10 bytes."""

    async def main() -> Any:
        async def handle(reader: Any, writer: Any) -> None:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.002)
            await reader.read()
            writer.close()

        port = await net.stream_server(handle)
        reader, writer = await asyncio.open_connection(net.address, port, limit=10)
        writer.write_eof()
        found = []
        for _ in range(3):
            await asyncio.sleep(0.0005)
            name, _, rest = call.partition("(")
            argument = eval("(" + rest[:-1] + ",)" if rest != ")" else "()")
            found.append(await result(getattr(reader, name)(*argument)))
        writer.close()
        return found

    for one, want in zip(net.run(main()), expected, strict=True):
        assert (one[: len(want)] if isinstance(want, tuple) else one) == want


def test_iterating_over_lines_and_the_end(net: Any) -> None:
    async def main() -> Any:
        reader, writer = await opened(net, b"one\ntwo\n", b"three")
        found = reader.at_eof(), [line async for line in reader], reader.at_eof()
        writer.close()
        return found

    assert net.run(main()) == (False, [b"one\n", b"two\n", b"three"], True)


def test_two_who_wait_for_one_reader(net: Any) -> None:
    async def main() -> None:
        reader, writer = await opened(net)
        first = asyncio.create_task(reader.read(1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="called while another coroutine is already waiting"):
            await reader.read(1)
        await first
        writer.close()

    net.run(main())


def test_a_reset_is_the_readers_exception(net: Any) -> None:
    async def handle(reader: Any, writer: Any) -> None:
        await reader.read(1)
        await asyncio.sleep(0.05)  # the rest comes, and stays unread
        writer.close()

    async def main() -> Any:
        port = await net.stream_server(handle)
        reader, writer = await asyncio.open_connection(net.address, port)
        writer.write(b"two bytes or more" * 200_000)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert isinstance(reader.exception(), ConnectionResetError)
        with pytest.raises(ConnectionResetError):
            await reader.readline()
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()

    net.run(main())


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
def test_a_reader_that_is_full_stops_the_peer_and_goes_on_later(net: Any) -> None:
    """The limit bounds what a reader holds: it pauses the transport at twice that, and the peer's drain() waits."""
    amount = 1 << 20
    sent: list[int] = []

    async def handle(reader: Any, writer: Any) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(1, 7, 32768)  # SO_SNDBUF
        for number in range(amount >> 16):
            writer.write(bytes(65536))
            await writer.drain()
            sent.append(number)
        writer.close()

    async def main() -> Any:
        port = await net.stream_server(handle)
        reader, writer = await asyncio.open_connection(net.address, port, limit=1000)
        writer.get_extra_info("socket").setsockopt(1, 8, 32768)
        await asyncio.sleep(0.2 if net.real else 1)
        stopped = len(sent) < amount >> 16
        held = len(reader._buffer)
        total = 0
        while data := await reader.read(100_000):
            total += len(data)
        writer.close()
        return stopped, held < 1 << 19, total

    assert net.run(main()) == (True, True, amount)


def test_concurrent_drains(net: Any) -> None:
    """Python 3.10.? and later: several may wait at once (bpo-29930)."""

    async def handle(reader: Any, writer: Any) -> None:
        await asyncio.sleep(0.05)
        await reader.read()
        writer.close()

    async def main() -> Any:
        port = await net.stream_server(handle)
        _, writer = await asyncio.open_connection(net.address, port)
        writer.transport.set_write_buffer_limits(0)
        writer.get_extra_info("socket").setsockopt(1, 7, 32768)  # SO_SNDBUF
        writer.write(bytes(1 << 20))
        await asyncio.gather(*(writer.drain() for _ in range(3)))
        writer.close()
        await writer.wait_closed()
        return writer.is_closing()

    assert net.run(main())


def test_a_handler_that_fails_is_told(net: Any) -> None:
    async def handle(reader: Any, writer: Any) -> None:
        try:
            raise net.Mistake("handler")
        finally:
            writer.close()

    async def main() -> Any:
        port = await net.stream_server(handle)
        reader, writer = await asyncio.open_connection(net.address, port)
        data = await reader.read()
        writer.close()
        await asyncio.sleep(0.01)
        return data

    assert net.run(main()) == b""
    if not net.real:
        net.world.run("1ms")
    assert [net.describe(one["exception"]) for one in net.mistakes] in ([("Mistake", None)], []), "3.11 logs it later"


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_half_close_by_streams(net: Any, end: str) -> None:
    async def handle(reader: Any, writer: Any) -> None:
        question = await reader.read()
        writer.write(question[::-1])
        writer.close()
        await writer.wait_closed()

    async def main() -> Any:
        port = await net.stream_server(handle)
        reader, writer = await asyncio.open_connection(net.address, port)
        writer.writelines([b"abc", b"def"])
        getattr(writer, end)()
        if end == "close":
            assert writer.is_closing()
            await writer.wait_closed()
            return b"fedcba"
        answer = await reader.read()
        writer.close()
        return answer

    assert net.run(main()) == b"fedcba"


def test_many_connections_at_once(net: Any) -> None:
    async def handle(reader: Any, writer: Any) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async def ask(port: int, number: int) -> bytes:
        reader, writer = await asyncio.open_connection(net.address, port)
        writer.write(b"number %d\n" % number)
        data: bytes = await reader.read()
        writer.close()
        return data

    async def main() -> Any:
        port = await net.stream_server(handle)
        return await asyncio.gather(*(ask(port, number) for number in range(40)))

    assert net.run(main()) == [b"NUMBER %d\n" % number for number in range(40)]
