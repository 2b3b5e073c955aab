"""TLS by blocking verbs: handshakes on every card, transfers, closing by RFC 8446 and RFC 5246, and mistakes."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from random import Random
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

import motenet
from motenet.core.errors import BlockingInsideWorld, ConfigurationError, SnapshotError
from motenet.core.trace import FramePassed
from motenet.core.units import MS, SECOND
from motenet.sim.tls import Tls, TlsSocket
from motenet.stack import errors

IPV4, IPV6 = "10.0.0.2", "fd00::2"
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


class Authority:
    """A certificate authority; `server` is a context with a certificate of it, `client` one that trusts it."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.certificate = self.ca.issue_cert("bob.test", IPV4, IPV6)

    def server(self, version: str = "", certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        (certificate or self.certificate).configure_cert(context)
        return _bound(context, version)

    def client(self, version: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return _bound(context, version)


def _bound(context: ssl.SSLContext, version: str) -> ssl.SSLContext:
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Pair:
    """Two hosts on a link, and a connection between them."""

    def __init__(self, nic: str = "e1000", **link: Any) -> None:
        self.world = motenet.World(seed=7)
        self.alice = self.world.host("alice", nic=nic, address=["10.0.0.1/24", "fd00::1/64"]).stack
        self.bob = self.world.host("bob", nic=nic, address=["10.0.0.2/24", "fd00::2/64"]).stack
        self.world.link(self.world.hosts["alice"], self.world.hosts["bob"], **({"delay": "1ms"} | link))
        self.alice.dns.add_host("bob.test", IPV6, IPV4)

    def connect(self, authority: Authority, host: str = "bob.test", version: str = "", **options: Any) -> Any:
        listener = self.bob.tls_listen(443, authority.server(version), **options)
        client = self.alice.tls_connect(host, 443, context=authority.client(version), **options)
        return client, self.bob.tls_accept(listener)

    def transfer(self, sender: Any, receiver: Any, data: bytes, limit: int = 600 * SECOND) -> bytes:
        """All of `data` through a connection, by calls that do not block, as much as there is room for at a time."""
        view, got, end = memoryview(data), bytearray(), self.world.now + limit
        while len(got) < len(data):
            if view:
                view = view[sender.send(view) :]
            assert self.world.clock.wait(lambda: receiver.can_recv, end), "it stands still"
            got += receiver.recv(1 << 20)
        return bytes(got)

    def settle(self, duration: str = "90s") -> list[Any]:
        """Let time pass; what is left of the connections on both sides."""
        self.world.run(duration)
        return [row for stack in (self.alice, self.bob) for row in stack.list_sockets() if row["kind"] == "tcp"]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def resets(pair: Pair) -> list[bytes]:
    """The TCP resets that pass a pair's link from now on."""
    seen: list[bytes] = []

    def look(event: Any) -> None:
        if isinstance(event, FramePassed):
            packet = Ether(event.frame)
            if TCP in packet and packet[TCP].flags.R:
                seen.append(event.frame)

    pair.world.watch(look, *pair.world.links)
    return seen


# --- handshake and data


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("host", [IPV4, IPV6, "bob.test"])
@pytest.mark.parametrize("nic", ["e1000", "rtl8139", "virtio-net"])
def test_a_conversation_on_a_link_that_loses_two_in_a_hundred(
    authority: Authority, nic: str, host: str, version: str
) -> None:
    pair = Pair(nic, bandwidth="100Mbit/s", loss=0.02)
    seen = resets(pair)
    client, server = pair.connect(authority, host, version)
    assert (client.version, server.version) == (version, version)
    assert client.cipher == server.cipher
    assert client.cipher[2] >= 128
    names = [value for _, value in client.peer_certificate["subjectAltName"]]
    assert (names[:2], server.peer_certificate) == (["bob.test", IPV4], None)
    data = Random(1).randbytes(50_000)
    assert pair.transfer(client, server, data) == data
    assert pair.transfer(server, client, data[::-1]) == data[::-1]
    pair.alice.tcp_close(client)
    assert pair.bob.tcp_receive(server) == b""
    pair.bob.tcp_close(server)
    assert pair.settle() == []
    assert seen == []  # a close in good order has no reset in it


def test_data_larger_than_the_windows_by_far(authority: Authority) -> None:
    pair = Pair(bandwidth="100Mbit/s")
    client, server = pair.connect(authority, buffer="8KiB")
    data = Random(2).randbytes(1 << 18)
    assert pair.transfer(client, server, data) == data
    pair = Pair(bandwidth="1Gbit/s")
    client, server = pair.connect(authority, buffer="1MiB")
    data = Random(3).randbytes(3 << 20)
    assert pair.transfer(server, client, data) == data


def test_who_does_not_read_stops_the_sender(authority: Authority, pair: Pair) -> None:
    client, server = pair.connect(authority, buffer="32KiB")
    with pytest.raises(errors.TimedOut, match=r"bytes could not be sent: fd00::2 port 443 does not take them"):
        pair.alice.tcp_send(client, bytes(1 << 20), timeout="5s")
    got = 0
    while pair.world.clock.wait(lambda: server.can_recv, pair.world.now + SECOND):
        got += len(pair.bob.tcp_receive(server, 1 << 20))
        assert got < (1 << 18)
    # TCP's two buffers, as much decrypted, and a record or two on the way
    assert 3 * (32 << 10) <= got <= 3 * (32 << 10) + 4 * (16 << 10)
    pair.bob.tcp_send(server, b"still here")
    assert pair.alice.tcp_receive(client) == b"still here"


def test_both_directions_at_once_by_what_wakes_the_application(authority: Authority, pair: Pair) -> None:
    client, server = pair.connect(authority, buffer="16KiB")
    waiting = bytearray()

    def echo() -> None:
        waiting.extend(server.recv(1 << 20) if server.can_recv else b"")
        if waiting and server.may_send:
            del waiting[: server.send(bytes(waiting))]

    server.waker = echo
    data = Random(4).randbytes(200_000)
    assert pair.transfer(client, client, data) == data


def test_asyncio_and_the_verbs_understand_each_other(authority: Authority, pair: Pair) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(echo, port=443, ssl=authority.server())
        await server.serve_forever()

    serving = pair.world.hosts["bob"].spawn(serve())
    client = pair.alice.tls_connect("bob.test", 443, context=authority.client())
    data = Random(5).randbytes(300_000)
    assert pair.transfer(client, client, data) == data
    started = pair.world.now
    pair.alice.tcp_close(client)
    assert 2 * MS <= pair.world.now - started < SECOND  # its close_notify has come
    serving.cancel()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed(authority: Authority, pair: Pair, version: str) -> None:
    listener = pair.bob.tls_listen(443, authority.server(version))
    context, session = authority.client(version), None
    for reused in (False, True, True):
        client = pair.alice.tls_connect("bob.test", 443, context=context, session=session)
        server = pair.bob.tls_accept(listener)
        assert client.ssl_object.session_reused is reused
        pair.bob.tcp_send(server, b"x")  # TLS 1.3: the tickets come ahead of it (RFC 8446, 4.6.1)
        assert pair.alice.tcp_receive(client) == b"x"
        session = client.ssl_object.session
        assert session.has_ticket
        pair.alice.tcp_close(client)
        pair.bob.tcp_close(server)


def test_a_client_that_shows_a_certificate(authority: Authority, pair: Pair) -> None:
    wants = authority.server()
    wants.verify_mode = ssl.CERT_REQUIRED
    authority.ca.configure_trust(wants)
    listener = pair.bob.tls_listen(443, wants)
    shows = authority.client()
    authority.ca.issue_cert("alice.test").configure_cert(shows)
    pair.alice.tls_connect("bob.test", 443, context=shows)
    assert ("DNS", "alice.test") in (pair.bob.tls_accept(listener).peer_certificate or {})["subjectAltName"]
    # RFC 8446, 4.4.2.4: who shows none learns of it by an alert, in TLS 1.3 after its own handshake is done
    refused = pair.alice.tls_connect("bob.test", 443, context=authority.client("TLSv1.3"))
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        pair.alice.tcp_receive(refused)
    with pytest.raises(errors.TimedOut, match="nobody has connected to port 443"):
        pair.bob.tls_accept(listener, timeout="1s")
    assert [type(error) for error in listener.failures] == [ssl.SSLError]
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        pair.alice.tls_connect("bob.test", 443, context=authority.client("TLSv1.2"))


# --- whom not to trust


@pytest.mark.parametrize("version", VERSIONS)
def test_certificates_that_are_not_good(authority: Authority, pair: Pair, version: str) -> None:
    listener = pair.bob.tls_listen(443, authority.server(version))
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate") as caught:
        pair.alice.tls_connect("bob.test", 443, context=Authority().client(version))
    assert caught.value.verify_code == 20  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        pair.alice.tls_connect("bob.test", 443, context=authority.client(version), server_hostname="carol.test")
    pair.alice.dns.add_host("carol.test", IPV4)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'carol\.test'"):
        pair.alice.tls_connect("carol.test.", 443, context=authority.client(version))
    pair.bob.add_address("10.0.0.3/24")
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        pair.alice.tls_connect(bytes((10, 0, 0, 3)), 443, context=authority.client(version))
    pair.world.run("1s")
    assert len(listener.failures) == 4
    assert all(isinstance(error, ssl.SSLError) and "ALERT" in str(error.reason) for error in listener.failures)
    assert pair.settle() == []


def test_a_certificate_whose_time_is_over(authority: Authority, pair: Pair) -> None:
    old = authority.ca.issue_cert("bob.test", not_before=datetime(2001, 1, 1), not_after=datetime(2002, 2, 2))
    pair.bob.tls_listen(443, authority.server(certificate=old))
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        pair.alice.tls_connect("bob.test", 443, context=authority.client())


def test_nobody_shakes_hands(authority: Authority, pair: Pair) -> None:
    context = authority.client()
    with pytest.raises(ConnectionRefusedError, match=r"10\.0\.0\.2 port 443 refused the connection"):
        pair.alice.tls_connect(IPV4, 443, context=context)
    pair.bob.tcp_listen(443)
    started = pair.world.now
    with pytest.raises(
        errors.TimedOut, match=r"10\.0\.0\.2 port 443 has not finished the TLS handshake within 2\.000 s"
    ):
        pair.alice.tls_connect(IPV4, 443, context=context, timeout="2s")
    assert pair.world.now - started == 2 * SECOND
    pair.world.run("1s")
    assert [row["kind"] for row in pair.alice.list_sockets()] == ["dns"]


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (lambda tcp: tcp.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ssl.SSLError, r"^\[SSL"),
        (lambda tcp: tcp.close(), ssl.SSLEOFError, "EOF occurred in violation of protocol"),
        (lambda tcp: tcp.abort(), ConnectionResetError, "fd00::2 port 443 reset the connection"),
    ],
)
def test_a_peer_that_speaks_no_tls(
    authority: Authority, pair: Pair, answer: Any, error: type[Exception], text: str
) -> None:
    listener = pair.bob.tcp_listen(443)
    listener.waker = lambda: answer(listener.accept()) if listener.can_accept else None
    with pytest.raises(error, match=text):
        pair.alice.tls_connect("bob.test", 443, context=authority.client())
    assert pair.world.now < 5 * SECOND


# --- the end


def test_a_stream_that_was_cut_off_is_told_from_one_that_has_ended(authority: Authority, pair: Pair) -> None:
    """RFC 8446, 6.1: without a close_notify somebody else may have closed the connection."""
    client, server = pair.connect(authority)
    pair.bob.tcp_send(server, b"half a sent")
    server.tcp.close()
    pair.world.run("1s")
    assert pair.alice.tcp_receive(client) == b"half a sent"
    for _ in range(2):
        with pytest.raises(ssl.SSLEOFError, match="EOF occurred in violation of protocol"):
            pair.alice.tcp_receive(client)
    with pytest.raises(ssl.SSLEOFError):
        pair.alice.tcp_send(client, b"x")
    with pytest.raises(ssl.SSLEOFError):
        pair.alice.tcp_close(client)


def test_a_reset_in_mid_stream(authority: Authority, pair: Pair) -> None:
    client, server = pair.connect(authority, IPV4)
    pair.bob.tcp_send(server, b"the last word")
    pair.world.run("1s")
    server.abort()
    pair.world.run("1s")
    assert pair.alice.tcp_receive(client) == b"the last word"
    with pytest.raises(ConnectionResetError, match=r"10\.0\.0\.2 port 443 reset the connection"):
        pair.alice.tcp_receive(client)
    with pytest.raises(ConnectionAbortedError):
        pair.bob.tcp_send(server, b"x")


@pytest.mark.parametrize("version", VERSIONS)
def test_close_notify_is_answered_at_once(authority: Authority, pair: Pair, version: str) -> None:
    """RFC 5246, 7.2.1: "MUST respond with a close_notify alert of its own"; no application has to."""
    client, server = pair.connect(authority, version=version)
    pair.alice.tcp_send(client, b"that is all")
    started = pair.world.now
    pair.alice.tcp_close(client)
    assert 2 * MS <= pair.world.now - started < 100 * MS
    assert pair.bob.tcp_receive(server) == b"that is all"
    assert pair.bob.tcp_receive(server) == b""
    for end in (client, server):
        with pytest.raises(BrokenPipeError, match=r"TLS with fd00::\d port \d+ was closed"):
            end.send(b"x")
    pair.bob.tcp_close(server)
    assert pair.settle() == []


class Manual:
    """A server's TLS by hand: it says what it is told to say, when it is told."""

    def __init__(self, pair: Pair, context: ssl.SSLContext) -> None:
        self.listener = pair.bob.tcp_listen(443)
        self.listener.waker = self.accept
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.tcp: Any = None

    def accept(self) -> None:
        if self.tcp is None and self.listener.can_accept:
            self.tcp = self.listener.accept()
            self.tcp.waker = self.shake_hands

    def shake_hands(self) -> None:
        self.try_to(self.tls.do_handshake)

    def try_to(self, what: Callable[[], Any]) -> None:
        if self.tcp.can_recv:
            self.incoming.write(self.tcp.recv(1 << 16))
        with suppress(ssl.SSLWantReadError):
            what()
        if self.outgoing.pending:
            self.tcp.send(self.outgoing.read())


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_changed_on_its_way_is_not_believed(authority: Authority, pair: Pair, version: str) -> None:
    """RFC 5246, 7.2.2, and RFC 8446, 5.2: bad_record_mac, and the connection ends."""
    client, server = pair.connect(authority, version=version)
    record = bytes.fromhex("170303 0040") + bytes(64)
    server.tcp.send(record)
    with pytest.raises(ssl.SSLError, match="bad record mac"):
        pair.alice.tcp_receive(client)
    with pytest.raises(ssl.SSLError, match="bad record mac"):  # the alert says so
        pair.bob.tcp_receive(server)
    client.release()
    server.release()
    assert pair.settle() == []


def test_closing_waits_for_the_peers_close_notify(authority: Authority, pair: Pair) -> None:
    manual = Manual(pair, authority.server())
    client = pair.alice.tls_connect("bob.test", 443, context=authority.client())
    pair.world.run("1s")
    manual.tcp.waker = None
    started = pair.world.now
    pair.world.clock.at(started + 3 * SECOND, lambda _: manual.try_to(manual.tls.unwrap))
    pair.alice.tcp_close(client)
    assert 3 * SECOND < pair.world.now - started < 4 * SECOND


def test_a_fin_will_do_for_an_answer(authority: Authority, pair: Pair) -> None:
    manual = Manual(pair, authority.server())
    client = pair.alice.tls_connect("bob.test", 443, context=authority.client())
    pair.world.clock.at(pair.world.now + 3 * SECOND, lambda _: manual.tcp.close())
    pair.alice.tcp_close(client)
    assert client.error is None


def test_a_peer_that_never_answers_is_reset_in_the_end(authority: Authority, pair: Pair) -> None:
    manual = Manual(pair, authority.server())
    client = pair.alice.tls_connect("bob.test", 443, context=authority.client())
    started = pair.world.now
    with pytest.raises(errors.TimedOut, match="has not taken all within 5"):
        pair.alice.tcp_close(client, timeout="5s")
    assert pair.world.now - started == 5 * SECOND
    pair.world.run("1s")
    assert isinstance(manual.tcp.error, ConnectionResetError)


def test_who_lets_go_without_waiting_resets_nobody(authority: Authority, pair: Pair) -> None:
    seen = resets(pair)
    client, server = pair.connect(authority)
    pair.bob.tcp_send(server, bytes(50_000))
    client.send(b"the last word")
    client.release()
    pair.world.run("1s")
    assert server.recv(100) == b"the last word"
    pair.bob.tcp_close(server)
    assert (pair.settle(), seen) == ([], [])


def test_who_lets_go_of_a_peer_that_never_closes_is_free_after_a_while(authority: Authority, pair: Pair) -> None:
    manual = Manual(pair, authority.server())
    client = pair.alice.tls_connect("bob.test", 443, context=authority.client())
    client.release()
    pair.world.run("30s")
    assert [row["state"] for row in pair.alice.list_sockets() if row["kind"] == "tcp"] == ["FIN-WAIT-2"]
    pair.world.run("40s")
    assert [row for row in pair.alice.list_sockets() if row["kind"] == "tcp"] == []
    assert manual.tcp.error is None


def test_who_lets_go_of_a_peer_that_never_stops_is_free_as_soon(authority: Authority) -> None:
    """Linux, tcp_fin_timeout: a minute after our FIN was acknowledged, whatever comes meanwhile."""
    pair = Pair(bandwidth="100kbit/s")
    manual = Manual(pair, authority.server())
    client = pair.alice.tls_connect("bob.test", 443, context=authority.client())
    unsent = bytearray()

    def talk() -> None:
        while manual.tcp.can_send:
            if not unsent:
                manual.tls.write(bytes(1000))
                unsent.extend(manual.outgoing.read())
            del unsent[: manual.tcp.send(bytes(unsent))]

    pair.world.run("100ms")  # the client has shaken hands; now the server has
    manual.tcp.waker = talk
    talk()
    client.tcp.user_timeout = None
    client.release()
    assert client.tcp.user_timeout is not None
    pair.world.run("30s")
    assert [row["state"] for row in pair.alice.list_sockets() if row["kind"] == "tcp"] == ["FIN-WAIT-2"]
    pair.world.run("40s")
    assert [row for row in pair.alice.list_sockets() if row["kind"] == "tcp"] == []


# --- the server's side


def test_accepting_on_a_plain_listener(authority: Authority, pair: Pair) -> None:
    listener = pair.bob.tcp_listen(443)
    tcp = pair.alice.sockets.tcp_connect(IPV4, 443)
    client = TlsSocket(tcp, authority.client(), server_hostname="bob.test")  # its hello waits until TCP is there
    server = pair.bob.tls_accept(listener, authority.server())
    pair.bob.tcp_send(server, b"welcome")
    assert pair.alice.tcp_receive(client) == b"welcome"
    TlsSocket(pair.alice.sockets.tcp_connect(IPV4, 443), Authority().client(), server_hostname="bob.test")
    with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
        pair.bob.tls_accept(listener, authority.server())
    pair.alice.tcp_connect(IPV4, 443)  # and says nothing
    with pytest.raises(errors.TimedOut, match=r"10\.0\.0\.1 port \d+ has not finished the TLS handshake"):
        pair.bob.tls_accept(listener, authority.server(), timeout="3s")
    with pytest.raises(errors.TimedOut, match="nobody has connected to port 443"):
        pair.bob.tls_accept(listener, authority.server(), timeout="3s")


def test_who_never_shakes_hands_makes_way(authority: Authority, pair: Pair) -> None:
    listener = pair.bob.tls_listen(443, authority.server(), backlog=4)
    idle = [pair.alice.tcp_connect(IPV4, 443) for _ in range(6)]
    pair.world.run("1s")
    client = pair.alice.tls_connect(IPV4, 443, context=authority.client())
    assert pair.bob.tls_accept(listener).remote == client.tcp.local
    assert [isinstance(one.error, ConnectionResetError) for one in idle] == [True] * 3 + [False] * 3
    waiting = [pair.alice.tls_connect(IPV4, 443, context=authority.client()) for _ in range(4)]
    listener.close()
    pair.world.run("1s")
    assert all(isinstance(one.error, ConnectionResetError) for one in waiting)
    with pytest.raises(ConnectionRefusedError):
        pair.alice.tls_connect(IPV4, 443, context=authority.client())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4), st.booleans())
def test_whatever_a_client_says_no_event_raises(authority: Authority, pieces: list[bytes], begin: bool) -> None:
    pair = Pair()
    listener = pair.bob.tls_listen(443, authority.server())
    client = pair.alice.tcp_connect(IPV4, 443)
    if begin:
        client.send(bytes.fromhex("16030100"))  # a record of the handshake (RFC 8446, 5.1)
    for piece in pieces:
        client.send(piece)
        pair.world.run("1s")
    client.close()
    pair.world.run("1s")
    assert [isinstance(error, ssl.SSLError) for error in listener.failures] == [True]
    assert not listener.can_accept


# --- mistakes, and what a snapshot cannot carry


def test_a_stack_without_a_host_says_how_to_have_tls(authority: Authority, pair: Pair) -> None:
    bare = motenet.NetworkStack(motenet.World().host("carol", address="10.0.0.9/24").driver, address="10.0.0.9/24")
    for verb in (
        lambda: bare.tls_connect(IPV4, 443, context=authority.client()),
        lambda: bare.tls_listen(443, authority.server()),
        lambda: bare.tls_accept(bare.tcp_listen(80), authority.server()),
    ):
        with pytest.raises(ConfigurationError, match=r"stack\.tls = motenet\.sim\.tls\.Tls\(\)"):
            verb()
    bare.tls = Tls()
    bare.tls_listen(443, authority.server())


def test_contexts_and_names_that_do_not_suit(authority: Authority, pair: Pair) -> None:
    alice, listener = pair.alice, pair.bob.tcp_listen(443)
    now = pair.world.now
    checking = authority.server()
    checking.verify_mode, checking.check_hostname = ssl.CERT_REQUIRED, True
    for verb, text in (
        (lambda: alice.tls_connect(IPV4, 443, context="secret"), "give an ssl.SSLContext"),
        (lambda: alice.tls_connect(IPV4, 443, context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), "not for a client"),
        (lambda: alice.tls_listen(443, None), "has its certificate"),
        (lambda: alice.tls_listen(443, authority.client()), r"not for a server; .*CLIENT_AUTH"),
        (lambda: pair.bob.tls_accept(listener), "has its certificate"),
        (lambda: alice.tls_listen(443, checking), "check_hostname is for a client"),
        (lambda: alice.tls_connect(IPV4, 70_000, context=authority.client()), "is not a port"),
        (lambda: alice.tls_connect(IPV4, 443, context=authority.client(), buffer=0), "buffer=0"),
    ):
        with pytest.raises(ConfigurationError, match=text):
            verb()
    assert pair.world.now == now
    assert [row["kind"] for row in alice.list_sockets()] == ["dns"]
    for name in ("", ".bob"):
        with pytest.raises(ConfigurationError, match="server_hostname"):
            alice.tls_connect(IPV4, 443, context=authority.client(), server_hostname=name)


def test_inside_an_event_the_verbs_refuse(authority: Authority, pair: Pair) -> None:
    listener, caught = pair.bob.tls_listen(443, authority.server()), []

    def event(_: object) -> None:
        for verb in (
            lambda: pair.alice.tls_connect("nobody.test", 443, context=authority.client()),
            lambda: pair.bob.tls_accept(listener),
        ):
            with pytest.raises(BlockingInsideWorld):
                verb()
            caught.append(len(pair.alice.dns.queries))

    pair.world.clock.after(SECOND, event)
    pair.world.run("2s")
    assert caught == [0, 0]


def test_no_snapshot_carries_tls(authority: Authority, pair: Pair) -> None:
    listener = pair.bob.tls_listen(443, authority.server())
    before = pair.world.snapshot()
    client = pair.alice.tls_connect("bob.test", 443, context=authority.client())
    server = pair.bob.tls_accept(listener)
    pair.alice.tcp_send(client, b"unread")
    pair.world.run("10ms")
    assert server.recv(-1) == server.recv(0) == b""
    with pytest.raises(SnapshotError, match=r"no snapshot can carry TLS: .*TLSv1\.3 with fd00::2 port 443"):
        pair.world.snapshot()
    pair.world.restore(before)
    for stack, end in ((pair.alice, client), (pair.bob, server)):
        with pytest.raises(ConnectionAbortedError, match="restored to before this connection"):
            stack.tcp_receive(end)
        end.release()
    client, server = pair.alice.tls_connect("bob.test", 443, context=authority.client()), pair.bob.tls_accept(listener)
    pair.alice.tcp_close(client)
    assert pair.bob.tcp_receive(server) == b""
    pair.bob.tcp_close(server)
    assert pair.world.snapshot() is not None


def test_a_listener_that_was_restored_has_room_again(authority: Authority, pair: Pair) -> None:
    listener = pair.bob.tls_listen(443, authority.server(), backlog=2)
    before = pair.world.snapshot()
    for _ in range(2):
        pair.alice.tls_connect(IPV4, 443, context=authority.client())
        pair.alice.tls_connect(IPV4, 443, context=authority.client())
        pair.world.run("1s")
        pair.world.restore(before)
        assert not listener.can_accept
    client = pair.alice.tls_connect(IPV4, 443, context=authority.client())
    assert pair.bob.tls_accept(listener).remote == client.tcp.local
