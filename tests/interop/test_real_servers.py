"""A real nginx with TLS, a real dnsmasq and the kernel's own sockets, fetched from and asked by emulated hosts.

The hosts' programs are httpx as it is, and the stack's blocking verbs, which let real time pass here.
"""

import asyncio
import hashlib
import re
import socket
import ssl
import sys
import time
from pathlib import Path

import pytest

from motenet.core.units import MS, SECOND
from motenet.sim.host import Host
from motenet.stack.errors import ConnectionRefused, HostUnreachable, NameNotFound, TimedOut

sys.path.insert(0, str(Path(__file__).parent))

import httpx
import trustme
from family import IPV4, Family
from room import BULK, CARDS, Room, tshark
from streams import data

pytestmark = pytest.mark.needs("root", "tap", "ip", "tshark")
NGINX = pytest.mark.needs("nginx")
NAME = "web.room.test"
SIZE = 16 << 20

CONFIGURATION = """
daemon off; master_process off; user root; pid {0}/pid; error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log {0}/access.log;
    client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    ssl_certificate {0}/chain.pem; ssl_certificate_key {0}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen *:80; listen [::]:80 ipv6only=on;
        listen *:443 ssl; listen [::]:443 ssl ipv6only=on;
        listen *:{1} ssl; listen [::]:{1} ssl ipv6only=on;
        root {0}/site; keepalive_timeout 60s;
        location /old {{ return 301 /page; }}
        location /over {{ return 307 http://$host/page; }}
        location /cut {{ return 444; }}
    }}
}}
"""


class Nginx:
    """A real nginx at the kernel's end of a TAP, with a certificate for its name and its addresses."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.folder = room.folder / "nginx"
        (self.folder / "site").mkdir(parents=True)
        self.authority = trustme.CA()
        certificate = self.authority.issue_cert(NAME, "198.18.77.1", "fd77::1")
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(str(self.folder / "chain.pem"), append=True)
        certificate.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        (self.folder / "site" / "page").write_bytes(b"a page")
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(self.folder, BULK))
        self.process = room.start("nginx", "-e", "stderr", "-p", str(self.folder), "-c", str(configuration))
        room.until((self.folder / "pid").exists)

    def put(self, name: str, content: bytes) -> None:
        """A file to serve."""
        (self.folder / "site" / name).write_bytes(content)

    def trusting(self) -> ssl.SSLContext:
        """What a client that trusts it needs."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def log(self) -> str:
        """All requests so far."""
        return (self.folder / "access.log").read_text()


def joined(room: Room, family: Family = IPV4, nic: str = "e1000") -> Host:
    """A host at a TAP."""
    tap = room.tap(family.cidr(family.kernel))
    host = room.host("host", family.cidr(family.ours), nic=nic)
    room.link(tap, host)
    room.closing.append(room.world.close)
    return host


def url(family: Family, path: str, scheme: str = "https", port: int = 0) -> str:
    host = f"[{family.kernel}]" if family.version == 6 else family.kernel
    return f"{scheme}://{host}{f':{port}' * bool(port)}/{path}"


# --- httpx from nginx


@NGINX
@pytest.mark.parametrize("nic", CARDS)
def test_httpx_fetches_a_large_body_from_nginx_by_tls(room: Room, nic: str) -> None:
    """TLS 1.3 on each card, byte for byte."""
    host = joined(room, nic=nic)
    nginx = Nginx(room)
    content = data(SIZE)
    nginx.put("large", content)

    async def fetch() -> tuple[str, int, bytes]:
        found, size = hashlib.sha256(), 0
        address = url(IPV4, "large", port=BULK)
        async with httpx.AsyncClient(verify=nginx.trusting()) as client, client.stream("GET", address) as response:
            response.raise_for_status()
            version = response.extensions["network_stream"].get_extra_info("ssl_object").version()
            async for piece in response.aiter_bytes():
                found.update(piece)
                size += len(piece)
        return version, size, found.digest()

    began = time.monotonic()
    fetched = host.run(fetch())
    print(f"{nic}: {SIZE / 1e6 / (time.monotonic() - began):.1f} MB/s")
    assert fetched == ("TLSv1.3", SIZE, hashlib.sha256(content).digest())


@NGINX
def test_httpx_and_nginx_keep_a_connection(room: Room, family: Family) -> None:
    """Small pages, a redirect, a missing page, and 20 requests at a time on as few connections as httpx has."""
    host = joined(room, family)
    nginx = Nginx(room)

    async def browse() -> list[int]:
        limits = httpx.Limits(max_connections=4)
        async with httpx.AsyncClient(verify=nginx.trusting(), follow_redirects=True, limits=limits) as client:
            page = await client.get(url(family, "page"))
            moved = await client.get(url(family, "old"))
            plain = await client.get(url(family, "over"))
            assert page.content == moved.content == plain.content == b"a page"
            assert (str(moved.url), str(plain.url)) == (url(family, "page"), url(family, "page", "http"))
            missing = await client.get(url(family, "missing"))
            many = await asyncio.gather(*(client.get(url(family, f"page?{n}")) for n in range(20)))
            return [page.status_code, missing.status_code, *(one.status_code for one in many)]

    assert host.run(browse()) == [200, 404, *[200] * 20]
    assert nginx.log().count("GET") == 26
    syns = f"tcp.flags.syn == 1 && tcp.flags.ack == 0 && ip{'v6' * (family.version == 6)}.src == {family.ours}"
    assert 2 <= len(tshark(room.capture.path, "-Y", syns)) <= 5


@NGINX
def test_what_goes_wrong_at_nginx_is_what_httpx_always_raises(room: Room) -> None:
    host = joined(room)
    nginx = Nginx(room)

    async def get(address: str, trust: ssl.SSLContext) -> httpx.Response:
        async with httpx.AsyncClient(verify=trust, timeout=5) as client:
            return await client.get(address)

    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        host.run(get(url(IPV4, "page"), ssl.create_default_context()))
    room.namespace.ip(f"address add {IPV4.at(0, 9)}/24 dev tap0")
    with pytest.raises(httpx.ConnectError, match="IP address mismatch"):
        host.run(get(f"https://{IPV4.at(0, 9)}/page", nginx.trusting()))
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending"):
        host.run(get(url(IPV4, "cut"), nginx.trusting()))
    with pytest.raises(httpx.ConnectError, match="All connection attempts failed"):
        host.run(get(url(IPV4, "page", port=444), nginx.trusting()))
    assert host.run(get(url(IPV4, "page"), nginx.trusting())).content == b"a page", "afterwards all is well"


# --- the blocking verbs


@NGINX
@pytest.mark.needs("dnsmasq")
def test_verbs_configure_a_host_and_fetch_by_name(room: Room) -> None:
    """DHCP and DNS by a real dnsmasq, then TCP and TLS to a real nginx: a script's own words, in real time."""
    tap = room.tap(IPV4.cidr(IPV4.kernel))
    host = room.world.host("host", nic=room.card())
    room.link(tap, host)
    nginx = Nginx(room)
    given = IPV4.at(0, 100)
    options = f"--dhcp-range={given},{given},2m", f"--host-record={NAME},{IPV4.kernel}", "--local=/room.test/"
    server = room.start(
        "dnsmasq", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--keep-in-foreground", "--pid-file",
        "--user=root", "--log-facility=-", "--no-ping", "--dhcp-authoritative",
        f"--dhcp-leasefile={room.folder / 'leases'}", *options,
    )  # fmt: skip
    room.until(lambda: "started" in room.printed(server))
    stack = host.stack
    began, now = time.monotonic_ns(), room.world.now
    lease = stack.dhcp_acquire()
    assert str(lease.address) == f"{given}/24"
    assert room.world.now - now >= 3 * SECOND, "RFC 5227, 2.1.1: the proof"
    assert time.monotonic_ns() - began >= room.world.now - now, "in real time"
    assert stack.dns_resolve(NAME) == [IPV4.kernel]
    with pytest.raises(NameNotFound):
        stack.dns_resolve("nobody.room.test")
    times = stack.ping(NAME, count=3, interval="10ms")
    assert all(one is not None and one < SECOND for one in times), times
    request = f"GET /page HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode()
    for connection in (stack.tcp_connect(NAME, 80), stack.tls_connect(NAME, 443, context=nginx.trusting())):
        stack.tcp_send(connection, request)
        answer = b""
        while piece := stack.tcp_receive(connection):
            answer += piece
        stack.tcp_close(connection)
        assert re.fullmatch(rb"HTTP/1.1 200 OK\r\n.*\r\n\r\na page", answer, re.S)
    assert nginx.log().count("GET /page") == 2


def test_verbs_wait_for_the_kernel_in_real_time(room: Room, family: Family) -> None:
    """Served from an emulated host to the kernel's sockets, and refused, unanswered and unreachable there."""
    host = joined(room, family)
    stack = host.stack
    listener = stack.tcp_listen(BULK)
    client = room.namespace.socket(family.socket, socket.SOCK_STREAM)
    room.closing.append(client.close)
    assert client.connect_ex((family.ours, BULK)) != 0, "it is under way"
    connection = stack.tcp_accept(listener)
    client.send(b"question")
    assert stack.tcp_receive(connection) == b"question"
    stack.tcp_send(connection, b"answer")
    room.world.run("50ms")
    assert client.recv(100) == b"answer"
    with pytest.raises(ConnectionRefused):
        stack.tcp_connect(family.kernel, 9)
    began = time.monotonic_ns()
    with pytest.raises(TimedOut):
        stack.tcp_receive(connection, timeout="200ms")
    assert 200 * MS <= time.monotonic_ns() - began < 5 * SECOND
    with pytest.raises(HostUnreachable):
        stack.tcp_connect(family.at(0, 99), 80)
    assert time.monotonic_ns() - began < 10 * SECOND
