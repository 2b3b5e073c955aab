"""getaddrinfo and getnameinfo: numeric questions beside the operating system's own; names by a DNS server on a host."""

import asyncio
import socket
from typing import Any

import dns.rcode
import pytest

import motenet
from motenet.apps.dns import DnsServer, faults

STREAM: dict[str, Any] = {"type": socket.SOCK_STREAM}

QUESTIONS: list[tuple[Any, Any, dict[str, Any]]] = [
    ("127.0.0.1", 80, {}),
    ("127.0.0.1", "80", STREAM),
    (b"127.0.0.1", b"80", STREAM),
    ("127.0.0.1", None, STREAM),
    ("127.0.0.1", "", STREAM),
    ("::1", 80, {}),
    ("::1", 80, {"proto": socket.IPPROTO_UDP}),
    ("127.0.0.1", 80, {"family": socket.AF_INET, "type": socket.SOCK_DGRAM}),
    ("::1", 80, {"family": socket.AF_INET}),
    ("127.0.0.1", 80, {"family": socket.AF_INET6}),
    ("127.0.0.1", 80, {"family": 77}),
    ("127.0.0.1", 80, {"type": 77}),
    ("127.0.0.1", 80, {"type": socket.SOCK_DGRAM, "proto": socket.IPPROTO_TCP}),
    ("127.0.0.1", 80, {"flags": socket.AI_CANONNAME}),
    ("127.0.0.1", "nosuchservice", {}),
    ("127.0.0.1", "http", {"flags": socket.AI_NUMERICSERV}),
    ("some.name", 80, {"flags": socket.AI_NUMERICHOST}),
    ("", 80, {}),
    (None, 80, {}),
    (None, 80, {"flags": socket.AI_PASSIVE}),
    (None, None, {}),
    ("a..b", 80, {}),
    ("x" * 64, 80, {}),
]


def outcome(ask: Any) -> Any:
    try:
        return ask()
    except (OSError, UnicodeError) as error:
        return type(error).__name__, getattr(error, "errno", None), str(error) if isinstance(error, OSError) else ""


@pytest.fixture(scope="module")
def alone() -> Any:
    """A host that knows no DNS server."""
    world = motenet.World(seed=1)
    yield world.host("alice", address=["10.0.0.1/24", "fd00::1/64"])
    world.close()


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_getaddrinfo_is_the_operating_systems(alone: Any, question: tuple[Any, Any, dict[str, Any]]) -> None:
    host, port, options = question

    async def ask() -> Any:
        return await asyncio.get_running_loop().getaddrinfo(host, port, **options)

    assert outcome(lambda: alone.run(ask())) == outcome(lambda: socket.getaddrinfo(host, port, **options))


NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
ADDRESSES: list[tuple[tuple[Any, ...], int]] = [
    (("127.0.0.1", 80), NUMERIC),
    (("::1", 80), NUMERIC),
    (("::1", 80, 0, 0), NUMERIC),
    (("no address", 80), NUMERIC),
    (("192.0.2.1", 80), socket.NI_NAMEREQD),
]


@pytest.mark.parametrize(("address", "flags"), ADDRESSES)
def test_getnameinfo_is_the_operating_systems(alone: Any, address: tuple[Any, ...], flags: int) -> None:
    async def ask() -> Any:
        return await asyncio.get_running_loop().getnameinfo(address, flags)

    assert outcome(lambda: alone.run(ask())) == outcome(lambda: socket.getnameinfo(address, flags))


def test_services_and_scopes(alone: Any) -> None:
    """Services are those of IANA's registry that machines know best; scopes count a host's interfaces from 1."""

    async def ask() -> Any:
        loop = asyncio.get_running_loop()
        https = await loop.getaddrinfo("10.0.0.2", "https", **STREAM)
        scoped = await loop.getaddrinfo("fe80::2%eth0", 80, **STREAM)
        numbered = await loop.getaddrinfo("fe80::2%1", 80, **STREAM)
        back = [await loop.getnameinfo(info[0][4]) for info in (https, scoped)]
        return https[0][4], scoped[0][4], numbered[0][4], back

    assert alone.run(ask()) == (
        ("10.0.0.2", 443),
        ("fe80::2", 80, 0, 1),
        ("fe80::2", 80, 0, 1),
        [("10.0.0.2", "https"), ("fe80::2%eth0", "http")],
    )


def test_localhost_needs_no_server(alone: Any) -> None:
    """RFC 6761, 6.3."""

    async def ask() -> Any:
        infos = await asyncio.get_running_loop().getaddrinfo("localhost", 1, **STREAM)
        return sorted(info[4][0] for info in infos)

    assert alone.run(ask()) == ["127.0.0.1", "::1"]


# --- names


class Named:
    """A client, and a host with a DNS server."""

    def __init__(self) -> None:
        self.world = motenet.World(seed=4)
        self.alice = self.world.host("alice", address=["10.0.0.1/24", "fd00::1/64"])
        bob = self.world.host("bob", address=["10.0.0.2/24", "fd00::2/64"])
        self.world.link(self.alice, bob, delay="1ms")
        zone = {"bob": ["10.0.0.2", "fd00::2"], "four": "10.0.0.4", "six": "fd00::6", "www": "CNAME bob"}
        self.server = DnsServer(bob.stack, {"test": zone})
        bob.applications.append(self.server)
        self.alice.stack.dns.use_servers(["10.0.0.2"])
        self.alice.stack.dns.use_search(["test"])
        self.world.run("1s")

    def ask(self, name: str, **options: Any) -> Any:
        async def main() -> Any:
            infos = await asyncio.get_running_loop().getaddrinfo(name, 80, **(STREAM | options))
            return [info[4][0] for info in infos]

        try:
            return self.alice.run(main())
        finally:
            assert not self.world.loop.busy


@pytest.fixture
def named() -> Any:
    found = Named()
    yield found
    found.world.close()


FOUND = [
    ("bob.test", {}, ["fd00::2", "10.0.0.2"]),
    ("bob.test", {"family": socket.AF_INET}, ["10.0.0.2"]),
    ("bob.test", {"family": socket.AF_INET6}, ["fd00::2"]),
    ("four.test", {}, ["10.0.0.4"]),
    ("www.test.", {}, ["fd00::2", "10.0.0.2"]),
    ("four", {}, ["10.0.0.4"]),
]


@pytest.mark.parametrize(("name", "options", "addresses"), FOUND)
def test_names_are_looked_up(named: Named, name: str, options: dict[str, Any], addresses: list[str]) -> None:
    assert named.ask(name, **options) == addresses


FAILURES: list[tuple[str, dict[str, Any], Any, str]] = [
    ("nosuch.test", {}, None, "[Errno -2] Name or service not known"),
    ("four.test", {"family": socket.AF_INET6}, None, "[Errno -5] No address associated with hostname"),
    ("bob.test", {}, faults.rcode(dns.rcode.SERVFAIL), "[Errno -3] Temporary failure in name resolution"),
    ("bob.test", {}, faults.rcode(dns.rcode.REFUSED), "[Errno -3] Temporary failure in name resolution"),
    ("bob.test", {}, faults.drop, "[Errno -3] Temporary failure in name resolution"),
]


@pytest.mark.parametrize(("name", "options", "fault", "words"), FAILURES)
def test_failures_are_gaierrors_promptly(named: Named, name: str, options: Any, fault: Any, words: str) -> None:
    if fault is not None:
        named.server.fault = lambda request: fault
    start = named.world.now
    with pytest.raises(socket.gaierror) as caught:
        named.ask(name, **options)
    assert str(caught.value) == words
    assert named.world.now - start < 31_000_000_000


def test_without_a_server_a_name_fails_at_once(alone: Any) -> None:
    async def main() -> None:
        await asyncio.open_connection("bob.test", 80)

    with pytest.raises(socket.gaierror, match=r"\[Errno -3\] Temporary failure in name resolution"):
        alone.run(main())


def test_a_timeout_ends_a_query(named: Named) -> None:
    named.server.fault = lambda request: faults.drop

    async def main() -> None:
        async with asyncio.timeout(0.5):
            await asyncio.open_connection("bob.test", 80)

    with pytest.raises(TimeoutError):
        named.alice.run(main())
    assert not named.alice.stack.dns.queries
