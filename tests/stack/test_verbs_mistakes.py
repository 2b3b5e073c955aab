"""Mistakes in what a verb is given are answered at once, with what there is."""

import errno
import socket
from inspect import getdoc
from typing import Any

import pytest

import motenet
from motenet.stack import UdpSocket, errors


@pytest.fixture
def alice() -> motenet.NetworkStack:
    return motenet.World(seed=7).host("alice", address="10.0.0.1/24").stack


def test_dhcp_on_an_interface_that_does_not_exist_is_not_waited_for(alice: motenet.NetworkStack) -> None:
    now = alice.clock.now
    for verb in (alice.dhcp_acquire, alice.dhcp_release):
        with pytest.raises(motenet.ConfigurationError, match="there is no interface 'eth9'; this stack has eth0"):
            verb(interface="eth9")
    assert (alice.clock.now, alice.list_sockets()) == (now, [])


def test_an_echo_request_has_no_negative_size(alice: motenet.NetworkStack) -> None:
    with pytest.raises(motenet.ConfigurationError, match="size=-1"):
        alice.ping("10.0.0.2", size=-1)


def test_an_interface_that_does_not_exist_is_named_with_those_that_do(alice: motenet.NetworkStack) -> None:
    with pytest.raises(motenet.ConfigurationError, match="there is no interface 'eth9'; this stack has eth0"):
        alice.ping("fe80::1%eth9")


def test_a_port_in_use_is_told_in_words(alice: motenet.NetworkStack) -> None:
    alice.tcp_listen(80)
    with pytest.raises(OSError, match=r"tcp-listener \*:80 is there already"):
        alice.tcp_listen(80)


@pytest.mark.parametrize("wrong", [{"address": 5}, {"address": b"\x0a\0\0\1"}, {"gateway": 5}, {"address": None}])
def test_a_host_without_text_for_an_address_says_how_to_write_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(motenet.ConfigurationError, match=r"write it like '10\.0\.0"):
        motenet.World().host("alice", **wrong)


def test_data_is_bytes(alice: motenet.NetworkStack) -> None:
    raw = alice.sockets.raw_bind(253)
    for wrong, what in (("text", r"not str: text.encode\(\) makes bytes"), (5, "not int"), ([1], "not list")):
        for send in (
            lambda data: alice.udp_socket().send_to(data, "10.0.0.2", 7),
            lambda data: alice.sockets.icmp_bind().send_echo("10.0.0.2", 1, data),
            lambda data: raw.send_to(data, "10.0.0.2"),
            lambda data: alice.tcp_send(alice.sockets.tcp_connect("10.0.0.2", 7), data),
        ):
            with pytest.raises(motenet.ConfigurationError, match="data is bytes, " + what):
                send(wrong)


def test_whole_numbers_are_asked_for_at_once(alice: motenet.NetworkStack) -> None:
    now, client = alice.clock.now, alice.sockets.tcp_connect("10.0.0.2", 7)
    for size in (0, -1, None, "1"):
        with pytest.raises(motenet.ConfigurationError, match="ask for one byte or more"):
            alice.tcp_receive(client, size)  # type: ignore[arg-type]
    for count in (-1, "3", None):
        with pytest.raises(motenet.ConfigurationError, match="how many echo requests"):
            alice.ping("10.0.0.2", count=count)  # type: ignore[arg-type]
    with pytest.raises(motenet.ConfigurationError, match="'TCP' is not an IP protocol"):
        alice.sockets.raw_bind("TCP")  # type: ignore[arg-type]
    assert alice.clock.now == now


def test_a_route_names_a_network_and_not_a_host_in_it(alice: motenet.NetworkStack) -> None:
    before = alice.list_routes()
    for change in (lambda network: alice.add_route(network, "10.0.0.9"), alice.remove_route):
        with pytest.raises(
            motenet.ConfigurationError, match=r"^10\.1\.2\.3/16 is a host .* the network is 10\.1\.0\.0/16$"
        ):
            change("10.1.2.3/16")
        with pytest.raises(motenet.ConfigurationError, match=r"the network is 2001:db8::/32$"):
            change("2001:db8::1/32")
    assert alice.list_routes() == before


def test_the_default_route_has_a_name(alice: motenet.NetworkStack) -> None:
    alice.add_address("fd00::1/64")
    alice.add_route("default", "10.0.0.9")
    alice.add_route("default", "fd00::9")
    assert [(row["network"], row["gateway"]) for row in alice.list_routes() if row["gateway"]] == [
        ("0.0.0.0/0", "10.0.0.9"), ("::/0", "fd00::9")
    ]  # fmt: skip
    alice.remove_route("default")
    assert [row for row in alice.list_routes() if row["gateway"]] == []


def test_a_datagram_by_an_interface_that_does_not_exist_is_refused_at_once(alice: motenet.NetworkStack) -> None:
    udp, echo = alice.udp_socket(), alice.sockets.icmp_bind()
    with pytest.raises(motenet.ConfigurationError, match="there is no interface 'eth9'; this stack has eth0"):
        udp.send_to(b"x", "fe80::2", 7, interface="eth9")
    udp.interface = echo.interface = "eth9"
    for send in (lambda: udp.send_to(b"x", "fe80::2", 7), lambda: echo.send_echo("fe80::2", 1)):
        with pytest.raises(motenet.ConfigurationError, match="there is no interface 'eth9'"):
            send()
    udp.interface = "eth0"
    udp.send_to(b"x", "fe80::2", 7)
    assert len(udp.outgoing) == 1


def test_help_tells_what_is_for_the_stack() -> None:
    theirs = {"accepts", "process", "dispatch", "fail", "poll_at", "undo", "detach", "wake", "key", "finished", "in_set"}
    marked = {name for name in dir(UdpSocket) if (getdoc(getattr(UdpSocket, name)) or "").startswith("For the stack")}
    assert marked == theirs


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (errors.ConnectionRefused, errno.ECONNREFUSED),
        (errors.ConnectionReset, errno.ECONNRESET),
        (errors.ConnectionAborted, errno.ECONNABORTED),
        (errors.BrokenPipe, errno.EPIPE),
        (errors.QueueFull, errno.EAGAIN),
        (errors.NotConnected, errno.ENOTCONN),
        (errors.HostUnreachable, errno.EHOSTUNREACH),
        (errors.NetworkUnreachable, errno.ENETUNREACH),
        (errors.TimedOut, errno.ETIMEDOUT),
        (errors.DnsTimeout, socket.EAI_AGAIN),
        (errors.StackError, errno.EINVAL),
    ],
)
def test_an_error_has_the_number_and_the_type_that_an_operating_system_gives(kind: Any, number: int) -> None:
    error = kind("what has happened")
    assert (error.errno, str(error), isinstance(error, OSError)) == (number, "what has happened", True)
    if kind not in (errors.DnsTimeout, errors.StackError):  # PEP 3151: the number decides on the type
        assert isinstance(error, type(OSError(number, "")))
