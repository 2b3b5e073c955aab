"""TLS by asyncio's SSLProtocol on emulated connections, beside the real loopback."""

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import pytest

EVERYWHERE = ["e1000", "rtl8139", "virtio-net", "real"]
BIG = 1 << 19


async def echo(reader: Any, writer: Any) -> None:
    """Answers line by line, in capitals, until the peer has ended."""
    with suppress(ConnectionError, ssl.SSLError):
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()
        await writer.wait_closed()


async def talk(net: Any, port: int, *lines: bytes, **options: Any) -> list[bytes]:
    reader, writer = await asyncio.open_connection(net.address, port, **options)
    answers = []
    for line in lines:
        writer.write(line)
        answers.append(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answers


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_ways_and_what_was_agreed_on(net: Any, authority: Any, version: ssl.TLSVersion) -> None:
    context, asked = authority.client(), []
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    server = authority.server()
    server.set_alpn_protocols(["http/1.1"])
    server.sni_callback = lambda ssl_object, name, context: asked.append(name)

    async def main() -> Any:
        port = await net.stream_server(echo, ssl=server)
        reader, writer = await asyncio.open_connection(net.address, port, ssl=context, server_hostname="bob.test")
        writer.write(b"hello\n")
        answer = await reader.readline()
        told = writer.get_extra_info("ssl_object")
        certificate = writer.get_extra_info("peercert")
        seen = [
            answer,
            told.version(),
            told.selected_alpn_protocol(),
            ("DNS", "bob.test") in certificate["subjectAltName"],
            writer.get_extra_info("cipher") == told.cipher(),
            writer.get_extra_info("sslcontext") is context,
            writer.get_extra_info("peername")[1] == port,
            writer.can_write_eof(),
        ]
        with pytest.raises(RuntimeError):
            writer.write_eof()
        writer.close()
        await writer.wait_closed()
        return seen

    name = "TLSv1.2" if version == ssl.TLSVersion.TLSv1_2 else "TLSv1.3"
    assert net.run(main()) == [b"HELLO\n", name, "http/1.1", True, True, True, True, False]
    assert asked == ["bob.test"]
    assert net.mistakes == []


def test_without_a_server_hostname_the_host_has_to_be_named(net: Any, authority: Any) -> None:
    async def main() -> Any:
        port = await net.stream_server(echo, ssl=authority.server())
        return await talk(net, port, b"a\n", b"b\n", ssl=authority.client())

    assert net.run(main()) == [b"A\n", b"B\n"]


# --- handshakes that fail


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
@pytest.mark.parametrize(
    ("name", "words"), [("eve.test", "Hostname mismatch"), ("", "unable to get local issuer certificate")]
)
def test_a_certificate_that_is_not_the_right_one(net: Any, authority: Any, name: str, words: str) -> None:
    async def main() -> Any:
        port = await net.stream_server(echo, ssl=authority.server())
        context = authority.client() if name else ssl.create_default_context()
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await talk(net, port, b"a\n", ssl=context, server_hostname=name or "bob.test")
        assert words in caught.value.verify_message
        return await talk(net, port, b"the next\n", ssl=authority.client())

    assert net.run(main()) == [b"THE NEXT\n"]


@pytest.mark.parametrize("given", [True, False])
def test_a_clients_certificate(net: Any, authority: Any, given: bool) -> None:
    server = authority.server()
    server.verify_mode = ssl.CERT_REQUIRED
    authority.ca.configure_trust(server)
    client, shown = authority.client(), []
    if given:
        authority.ca.issue_cert("alice@alice.test").configure_cert(client)

    async def handle(reader: Any, writer: Any) -> None:
        shown.extend(value for _, value in writer.get_extra_info("peercert")["subjectAltName"])
        await echo(reader, writer)

    async def main() -> Any:
        port = await net.stream_server(handle, ssl=server)
        try:
            return await talk(net, port, b"a\n", ssl=client)
        except (ssl.SSLError, ConnectionError) as error:
            return type(error)

    # in TLS 1.3 the client's handshake is done by then, and it finds an end or a reset
    found = net.run(main())
    assert found == [b"A\n"] if given else found == [b""] or issubclass(found, ssl.SSLError | ConnectionError)
    assert shown == (["alice@alice.test"] if given else [])


def test_a_handshake_timeout(net: Any, authority: Any) -> None:
    async def main() -> Any:
        server = net.Recorder()
        listening = await net.serve(lambda: server)
        with pytest.raises(ConnectionAbortedError) as caught:
            await asyncio.get_running_loop().create_connection(
                net.Recorder, *listening.sockets[0].getsockname(), ssl=authority.client(), ssl_handshake_timeout=0.1
            )
        await server.lost
        return str(caught.value), server.log[-1]

    words = "SSL handshake is taking longer than 0.1 seconds: aborting the connection"
    assert net.run(main()) == (words, None)


def test_a_server_ends_a_handshake_that_takes_too_long(net: Any, authority: Any) -> None:
    async def main() -> Any:
        made = net.Recorder()
        listening = await net.serve(lambda: made, ssl=authority.server(), ssl_handshake_timeout=0.1)
        near, client = await asyncio.get_running_loop().create_connection(
            net.Recorder, *listening.sockets[0].getsockname()
        )
        near.write(b"\x16")
        await client.lost
        return client.log[:2], made.log

    assert net.run(main()) == (["made", "eof"], [])


def test_a_peer_that_speaks_no_tls(net: Any, authority: Any) -> None:
    async def greet(reader: Any, writer: Any) -> None:
        writer.write(b"220 mail.test at your service\r\n")
        await reader.read(1)
        writer.close()

    async def main() -> Any:
        port = await net.stream_server(greet)
        with pytest.raises(ssl.SSLError) as caught:
            await talk(net, port, b"a\n", ssl=authority.client())
        return caught.value.reason

    assert net.run(main()) in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE")


def test_a_peer_that_leaves_in_the_handshake(net: Any, authority: Any) -> None:
    async def leave(reader: Any, writer: Any) -> None:
        await reader.read(10000)
        writer.close()

    async def main() -> Any:
        port = await net.stream_server(leave)
        with pytest.raises(ConnectionError) as caught:
            await talk(net, port, b"a\n", ssl=authority.client())
        return type(caught.value)

    assert net.run(main()) is ConnectionResetError


# --- ends


def test_a_peer_cut_off_without_close_notify(net: Any, authority: Any) -> None:
    """asyncio tells the protocol of an ordinary end; what it does is the oracle."""

    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        listening = await net.serve(lambda: server, ssl=authority.server())
        await asyncio.get_running_loop().create_connection(
            lambda: client, *listening.sockets[0].getsockname(), ssl=authority.client()
        )
        await server.made
        server.transport.write(b"the last words")
        await asyncio.sleep(0.05)
        server.transport.abort()
        await asyncio.gather(client.lost, server.lost)
        return client.log, bytes(client.data)

    assert net.run(main()) == (["made", "data", "eof", None], b"the last words")


def test_close_sends_all_and_close_notify(net: Any, authority: Any) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        listening = await net.serve(lambda: server, ssl=authority.server())
        near, _ = await asyncio.get_running_loop().create_connection(
            lambda: client, *listening.sockets[0].getsockname(), ssl=authority.client()
        )
        near.write(bytes(BIG))
        near.close()
        await asyncio.gather(client.lost, server.lost)
        return client.log[0], client.log[-1], server.log, len(server.data)

    assert net.run(main()) == ("made", None, ["made", "data", "eof", None], BIG)


def test_a_shutdown_timeout(net: Any, authority: Any) -> None:
    """The peer never answers close_notify."""

    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        listening = await net.serve(lambda: server, ssl=authority.server())
        near, _ = await asyncio.get_running_loop().create_connection(
            lambda: client, *listening.sockets[0].getsockname(), ssl=authority.client(), ssl_shutdown_timeout=0.1
        )
        await server.made
        server.transport._ssl_protocol._transport.pause_reading()
        near.close()
        await client.lost
        server.transport.abort()
        return client.log

    assert net.run(main()) == ["made", ("TimeoutError", None)]


# --- start_tls


@pytest.mark.parametrize("net", EVERYWHERE, indirect=True)
def test_start_tls_on_both_sides_in_mid_connection(net: Any, authority: Any) -> None:
    async def handle(reader: Any, writer: Any) -> None:
        writer.write(await reader.readline())
        await writer.start_tls(authority.server())
        await echo(reader, writer)

    async def main() -> Any:
        port = await net.stream_server(handle)
        reader, writer = await asyncio.open_connection(net.address, port)
        writer.write(b"plain\n")
        answers = [await reader.readline()]
        await writer.start_tls(authority.client(), server_hostname="bob.test")
        writer.write(b"secret\n")
        answers.append(await reader.readline())
        told = writer.get_extra_info("ssl_object") is not None
        writer.close()
        await writer.wait_closed()
        return answers, told

    assert net.run(main()) == ([b"plain\n", b"SECRET\n"], True)


def test_start_tls_that_fails_ends_the_connection(net: Any, authority: Any) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        client, server = net.Recorder(), net.Recorder()
        near, _ = await net.pair(client, server)
        with pytest.raises(ConnectionAbortedError):
            await loop.start_tls(
                near, client, authority.client(), server_hostname="bob.test", ssl_handshake_timeout=0.1
            )
        await server.lost
        with pytest.raises(TypeError):
            await loop.start_tls(near, client, None)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await loop.start_tls(asyncio.Transport(), client, authority.client())
        return near.is_closing(), server.log[-1]

    assert net.run(main()) == (True, None)


def test_start_tls_with_a_buffered_protocol(net: Any, authority: Any) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer, self.data = bytearray(1000), bytearray()

        def get_buffer(self, sizehint: int) -> memoryview:
            return memoryview(self.buffer)

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.buffer[:nbytes]

    async def handle(reader: Any, writer: Any) -> None:
        writer.write(b"go ahead")
        await writer.start_tls(authority.server())
        writer.write(bytes(range(256)) * 100)
        await reader.read()
        writer.close()

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        port = await net.stream_server(handle)
        buffered = Buffered()
        raw, plain = await loop.create_connection(net.Recorder, net.address, port)
        while not plain.data:
            await asyncio.sleep(0.001)
        secure = await loop.start_tls(raw, buffered, authority.client(), server_hostname="bob.test")
        while len(buffered.data) < 25600:
            await asyncio.sleep(0.001)
        secure.close()
        return bytes(buffered.data) == bytes(range(256)) * 100

    assert net.run(main())


# --- amounts


@pytest.mark.parametrize("net", [{"loss": 0.02, "delay": "1ms"}], indirect=True, ids=["loss"])
def test_a_lossy_link_changes_nothing_but_the_time(net: Any, authority: Any) -> None:
    data = bytes(range(256)) * 1000

    async def handle(reader: Any, writer: Any) -> None:
        writer.write(await reader.readexactly(len(data)))
        await writer.drain()
        writer.close()

    async def main() -> Any:
        port = await net.stream_server(handle, ssl=authority.server())
        reader, writer = await asyncio.open_connection(net.address, port, ssl=authority.client())
        writer.write(data)
        back = await reader.read(-1)
        writer.close()
        return back == data

    assert net.run(main())


def test_a_slow_reader_pauses_the_writer_through_tls(net: Any, authority: Any) -> None:
    async def main() -> Any:
        client, server = net.Recorder(), net.Recorder()
        listening = await net.serve(lambda: server, ssl=authority.server())
        near, _ = await asyncio.get_running_loop().create_connection(
            lambda: client, *listening.sockets[0].getsockname(), ssl=authority.client()
        )
        await server.made
        server.transport.pause_reading()
        while len(client.log) == 1:
            near.write(bytes(BIG))
            await asyncio.sleep(0.01)
        log = [*client.log]
        server.transport.resume_reading()
        while "resume" not in client.log:
            await asyncio.sleep(0.005)
        near.abort()
        await server.lost
        return log

    assert net.run(main()) == ["made", "pause"]
