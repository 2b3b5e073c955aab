"""HTTP to servers of either family, and by name: RFC 3986, 3.2.2; RFC 9110, 7.2; RFC 1123, 2.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.apps.http import Fetcher, HttpError, HttpResponse, HttpServer, Pages
from motenet.apps.http.url import Url
from motenet.core.errors import ConfigurationError
from motenet.core.trace import Event, FramePassed
from motenet.sim.world import World
from motenet.stack.errors import (
    AddressNotAvailable,
    BadName,
    ConnectionRefused,
    DnsFailure,
    DnsTimeout,
    NameNotFound,
    NetworkUnreachable,
)

PAGE = b"hello"


class Net:
    """alice, who asks, and bob, who serves at both of his addresses; `known` is what alice knows of names."""

    def __init__(self, serve: bool = True, **known: list[str]) -> None:
        self.world = World(seed=3)
        self.alice = self.world.host("alice", address=["10.0.0.1/24", "fd00::1/64"])
        self.bob = self.world.host("bob", address=["10.0.0.2/24", "fd00::2/64"])
        self.world.link(self.alice, self.bob, delay="50us")
        if serve:
            for port in (80, 8080):
                self.bob.applications.append(HttpServer(self.bob.stack, Pages({"/x": PAGE}), port))
        self.client = Fetcher(self.alice.stack)
        self.alice.applications.append(self.client)
        for name, addresses in known.items():
            self.alice.stack.dns.add_host(f"{name}.test", *addresses)
        self.world.run("5s", until=lambda: self.alice.stack.is_link_up and self.bob.stack.is_link_up)

    def get(self, url: str, within: str = "120s") -> HttpResponse:
        response = self.client.get(url)
        self.world.run(within, until=lambda: response.done)
        return response


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://10.0.0.2/x", "10.0.0.2"),
        ("http://10.0.0.2:80/x", "10.0.0.2"),
        ("http://[fd00::2]/x", "[fd00::2]"),
        ("http://[FD00:0::2]:8080/x", "[fd00::2]:8080"),
        ("http://[fe80::5054:ff:fe00:2%25eth0]/x", "[fe80::5054:ff:fe00:2]"),
        ("http://[fe80::5054:ff:fe00:2%eth0]:8080/x", "[fe80::5054:ff:fe00:2]:8080"),
        ("http://Bob.Test:8080/x#part", "bob.test:8080"),
        ("http://bob.test.:/x", "bob.test"),
        ("http://b\u00fccher.test/x", "xn--bcher-kva.test"),
    ],
)
def test_rfc_9110_7_2_the_host_header_is_the_urls_host_without_what_only_we_understand(url: str, host: str) -> None:
    """IPv6 in brackets (RFC 3986, 3.2.2), no zone (RFC 6874, 1), no root's dot, letters of DNS (RFC 3490)."""
    net = Net(bob=["10.0.0.2"])
    net.alice.stack.dns.add_host("b\u00fccher.test", "fd00::2")
    sent: list[bytes] = []
    net.world.watch(lambda event: sent.append(event.frame) if isinstance(event, FramePassed) else None, net.alice)
    assert net.get(url).result() == PAGE
    assert f"\r\nHost: {host}\r\n".encode() in b"".join(sent)


def test_a_server_without_an_address_of_its_own_listens_on_both_families() -> None:
    net = Net()
    for literal in ("10.0.0.2", "[fd00::2]"):
        assert net.get(f"http://{literal}/x").result() == PAGE


def test_a_name_is_asked_for_without_blocking() -> None:
    """From a DNS server, with a search for nothing else: the response is done as the world runs."""
    pytest.importorskip("dns", reason="the DNS server needs dnspython: pip install -e '.[apps]'")
    from motenet.apps.dns import DnsServer

    net = Net()
    net.bob.applications.append(DnsServer(net.bob.stack, {"example.test": {"www": ["10.0.0.2", "fd00::2"]}}))
    net.alice.stack.dns_servers = ["10.0.0.2"]
    asked: list[HttpResponse] = []

    def ask(event: Event) -> None:
        """Inside an event, where nothing may block."""
        if not asked:
            asked.append(net.client.get("http://www.example.test/x"))

    net.world.watch(ask, net.bob)
    net.world.run("60s", until=lambda: bool(asked) and asked[0].done)
    assert asked[0].result() == PAGE
    with pytest.raises(NameNotFound, match=r"nobody\.example\.test"):
        net.get("http://nobody.example.test/x").result()


def test_the_addresses_are_tried_in_order_until_one_can_be_reached() -> None:
    """RFC 1123, 2.3; IPv6 first (RFC 6724, 6): there nobody answers, or nobody listens, or no way leads there."""
    net = Net(silent=["fd00::9", "10.0.0.2"], far=["2001:db8::1", "10.0.0.2"], odd=["ff02::1", "::1", "10.0.0.2"])
    for name in ("silent", "far", "odd"):
        assert net.get(f"http://{name}.test/x", "20s").result() == PAGE
    listener = net.bob.stack.tcp_listen(81, "10.0.0.2")
    net.alice.stack.dns.add_host("both.test", "fd00::2", "10.0.0.2")
    response = net.client.get("http://both.test:81/")
    net.world.run("1s")
    assert listener.can_accept, "fd00::2 refused, 10.0.0.2 did not"
    response.cancel()


def test_an_address_that_is_silent_makes_way_for_the_next_after_some_seconds() -> None:
    """Its neighbor was there a moment ago, so that neighbor discovery has no complaint yet: only TCP hears nothing."""
    net = Net(two=["fd00::9", "10.0.0.2"])
    net.bob.stack.add_address("fd00::9/64")
    assert None not in net.alice.stack.ping("fd00::9", count=1)
    net.bob.stack.remove_address("fd00::9")
    assert net.get("http://two.test/x", "10s").result() == PAGE


def test_an_established_connection_is_not_given_up_for_another_address() -> None:
    """A server that takes its time has been reached; asking elsewhere would ask twice."""
    net = Net(serve=False, bob=["fd00::2", "10.0.0.2"])
    listener = net.bob.stack.tcp_listen(80)
    response = net.client.get("http://bob.test/x")
    net.world.run("30s")
    assert not response.done
    socket = net.bob.stack.tcp_accept(listener)
    socket.abort()
    net.world.run("1s")
    assert response.done
    assert not listener.can_accept


def test_when_no_address_can_be_reached_all_are_named() -> None:
    net = Net(bob=["fd00::2", "10.0.0.2"], far=["2001:db8::1"])
    with pytest.raises(ConnectionRefused, match=r"fd00::2 port 81: .*; 10\.0\.0\.2 port 81: "):
        net.get("http://bob.test:81/").result()
    with pytest.raises(NetworkUnreachable):
        net.get("http://far.test/").result()
    with pytest.raises(NetworkUnreachable):
        net.get("http://192.0.2.1/").result()
    net.alice.stack.dns.add_host("odd.test", "224.0.0.1")
    with pytest.raises(AddressNotAvailable):
        net.get("http://odd.test/").result()


def test_names_that_lead_nowhere_have_errors_of_their_own() -> None:
    net = Net()
    for name, error in (("x.invalid", NameNotFound), ("example.test", DnsFailure)):
        with pytest.raises(error):
            net.get(f"http://{name}/").result()
    net.alice.stack.dns_servers = ["10.0.0.2"]  # nobody serves names there: its port is unreachable
    with pytest.raises(DnsFailure):
        net.get("http://example.test/").result()
    net.alice.stack.dns_servers = ["10.0.0.9"]
    with pytest.raises((DnsTimeout, DnsFailure)):
        net.get("http://other.test/").result()


def test_what_is_given_up_while_its_name_is_sought_leaves_nothing() -> None:
    net = Net()
    net.alice.stack.dns_servers = ["10.0.0.9"]
    response = net.client.get("http://example.test/")
    net.world.run("100ms")
    response.cancel()
    with pytest.raises(HttpError, match=r"given up: example\.test has not been found yet"):
        response.result()
    net.world.run("1s")
    assert not net.alice.stack.dns.queries
    assert not net.client.responses


@pytest.mark.parametrize(
    "url",
    ["http://fd00::2/", "http://[fd00::2/", "http://[fd00::2]x/", "http://[10.0.0.2]/", "http://[ff02::1]/",
     "http://[::]/", "http://[::1]/", "http://user@bob.test/", "http://10.0.0/", "http://1.2.3.4.5/",
     "http://bob..test/", "http://bob%2etest/", "http://[v1.x]/"],
)  # fmt: skip
def test_an_url_that_leads_nowhere_is_refused_at_once(url: str) -> None:
    net = Net()
    with pytest.raises(ConfigurationError):
        net.client.get(url)
    assert not net.client.responses


def test_a_bad_name_is_also_a_bad_url() -> None:
    assert issubclass(BadName, ConfigurationError)
    with pytest.raises(ConfigurationError, match="in brackets"):
        Url.parse("http://fd00::2/")


@given(st.text(max_size=40) | st.text("[]:%@./fd0http1-", max_size=40))
def test_any_text_is_an_url_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://[{text}]/"):
        try:
            parsed = Url.parse(url)
        except ConfigurationError:
            continue
        assert bool(parsed.name) != bool(parsed.address)
        assert parsed.host.isascii()
        assert not any(c.isspace() for c in parsed.host + parsed.target)


@pytest.mark.parametrize("after", ["1us", "500ms", "1500ms", "3s", "6s"])
def test_a_snapshot_at_any_point_of_finding_the_server_goes_on_alike(after: str) -> None:
    """While the name is sought from a silent server, then from one that refuses; and between two addresses."""
    net = Net(two=["fd00::9", "10.0.0.2"])
    net.alice.stack.dns_servers = ["10.0.0.9"]
    responses = [net.client.get(f"http://{name}/x") for name in ("two.test", "example.test")]
    net.world.run(after)
    before = net.world.snapshot()
    ends = []
    for _ in range(2):
        net.world.run("120s", until=lambda: all(one.done for one in responses))
        assert responses[0].result() == PAGE
        ends.append((str(responses[1].error), net.world.now, net.world.fingerprint(), net.world.state_hash()))
        net.world.restore(before)
    assert ends[0] == ends[1]
    assert "example.test" in ends[0][0]
