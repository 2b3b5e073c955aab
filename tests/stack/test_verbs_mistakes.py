"""Mistakes in what a verb is given are answered at once, with what there is."""

import errno
import socket
from collections.abc import Callable
from inspect import getdoc
from typing import Any

import pytest

import motenet
from motenet.core.units import MS, SECOND
from motenet.stack import TcpSocket, UdpSocket, errors


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


WRONG: tuple[Any, ...] = (None, 1.5, -1, 10**30, [None], object(), "\0", memoryview(b"12345678").cast("I"))
CALLS: dict[str, Callable[[motenet.NetworkStack, Any], Any]] = {
    "poll": lambda stack, wrong: stack.poll(wrong if wrong not in (-1, 10**30) else "now"),
    "poll_at": lambda stack, wrong: stack.poll_delay(wrong if wrong not in (-1, 10**30) else True),
    "add_interface": lambda stack, wrong: stack.add_interface(wrong),
    "add_vlan": lambda stack, wrong: stack.add_vlan(wrong, "10.9.0.1/24"),
    "add_vlan's name": lambda stack, wrong: stack.add_vlan(9, name=wrong if wrong not in (None, "\0") else "a/b"),
    "route_to": lambda stack, wrong: stack.route_to(wrong),
    "dns_servers": lambda stack, wrong: setattr(stack, "dns_servers", wrong),
    "use_search": lambda stack, wrong: stack.dns.use_search(wrong),
    "ndots": lambda stack, wrong: stack.dns.use_search([], wrong if wrong != 10**30 else "1"),
    "family": lambda stack, wrong: stack.dns_resolve("10.0.0.1", wrong if wrong is not None else 5),
    "ping's size": lambda stack, wrong: stack.ping("10.0.0.1", size=wrong),
    "tcp_accept": lambda stack, wrong: stack.tcp_accept(wrong),
    "tcp_send": lambda stack, wrong: stack.tcp_send(wrong, b"x"),
    "tcp_receive": lambda stack, wrong: stack.tcp_receive(wrong),
    "tcp_close": lambda stack, wrong: stack.tcp_close(wrong),
    "backlog": lambda stack, wrong: stack.tcp_listen(7, backlog=wrong if wrong != 10**30 else True),
    "source_route": lambda stack, wrong: stack.sockets.tcp_connect("10.0.0.2", 7, source_route=wrong),
    "dhcp_client": lambda stack, wrong: stack.sockets.dhcp_client(wrong),
    "ident": lambda stack, wrong: stack.sockets.icmp_bind(wrong if wrong is not None else True),
    "add": lambda stack, wrong: stack.sockets.add(wrong),
    "remove": lambda stack, wrong: stack.sockets.remove(wrong),
    "sequence": lambda stack, wrong: stack.sockets.icmp_bind().send_echo("10.0.0.2", wrong),
    "port": lambda stack, wrong: stack.udp_socket(wrong if wrong is not None else True),
    "source": lambda stack, wrong: stack.udp_socket().send_to(b"x", "10.0.0.2", 7, source=wrong or "10.0.0.9"),
    "queue_bytes": lambda stack, wrong: setattr(
        stack.udp_socket(), "queue_bytes", wrong if wrong != 10**30 else "1 piece"
    ),
    "group_hop_limit": lambda stack, wrong: setattr(stack.udp_socket(), "group_hop_limit", wrong or 0),
    "send": lambda stack, wrong: connecting(stack).send(wrong),
    "recv": lambda stack, wrong: connecting(stack).recv(wrong if wrong != 10**30 else 0.0),
    "peek": lambda stack, wrong: connecting(stack).peek(wrong if wrong != 10**30 else 0.0),
    "recv_into": lambda stack, wrong: connecting(stack).recv_into(wrong),
    "hop_limit": lambda stack, wrong: setattr(connecting(stack), "hop_limit", wrong),
    "traffic_class": lambda stack, wrong: setattr(connecting(stack), "traffic_class", wrong),
    "congestion_control": lambda stack, wrong: setattr(connecting(stack), "congestion_control", wrong),
    "time_wait": lambda stack, wrong: setattr(connecting(stack), "time_wait", wrong if wrong != 10**30 else True),
    "keep_alive": lambda stack, wrong: setattr(connecting(stack), "keep_alive", wrong if wrong in (1.5, -1) else 0),
    "ack_delay": lambda stack, wrong: setattr(connecting(stack), "ack_delay", wrong if wrong is not None else "1s"),
    "endpoint": lambda stack, wrong: TcpSocket(stack.clock, stack.stream).connect(wrong, (b"\n\0\0\1", 7)),
    "endpoint's address": lambda stack, wrong: TcpSocket(stack.clock, stack.stream).connect((wrong, 7), (wrong, 7)),
}


def connecting(stack: motenet.NetworkStack) -> TcpSocket:
    return stack.sockets.tcp_connect("10.0.0.2", 7)


@pytest.mark.parametrize("name", CALLS)
def test_whatever_is_given_the_error_is_ours_at_once_and_the_world_goes_on(name: str) -> None:
    """A hop limit of 256 was once a struct.error of the next poll."""
    world = motenet.World(seed=7)
    stack = world.host("alice", address=["10.0.0.1/24", "fd00::1/64"]).stack
    now = world.now
    for wrong in WRONG:
        with pytest.raises(motenet.MotenetError, match=r".{15}"):
            CALLS[name](stack, wrong)
    assert world.now == now
    world.run("10ms")


def test_times_of_a_connection_are_written_as_everywhere(alice: motenet.NetworkStack) -> None:
    socket = connecting(alice)
    socket.keep_alive, socket.user_timeout, socket.ack_delay, socket.time_wait = "75s", "2min", "40ms", "1min"
    assert (socket.keep_alive, socket.user_timeout) == (75 * SECOND, 120 * SECOND)
    assert (socket.ack_delay, socket.time_wait) == (40 * MS, 60 * SECOND)


def test_a_socket_is_of_one_stack_and_its_addresses_are_that_stack_s(alice: motenet.NetworkStack) -> None:
    bob = motenet.World().host("bob", address=["10.0.0.2/24", "fd00::2/64"]).stack
    udp = alice.udp_socket(7, "10.0.0.1")
    with pytest.raises(errors.StackError, match="has this one already"):
        bob.sockets.add(udp)
    handle = alice.list_sockets()[0]["handle"]
    assert bob.sockets.add(alice.sockets.remove(handle)) == 1  # type: ignore[arg-type]
    with pytest.raises(KeyError, match=rf"^{handle} is no socket's handle here"):
        alice.sockets.remove(handle)
    for opened in (alice.udp_socket, alice.tcp_listen):
        with pytest.raises(errors.AddressNotAvailable, match=r"10\.0\.0\.2 is none of this stack's"):
            opened(9, "10.0.0.2")
    assert alice.udp_socket(9, "0.0.0.0").local == (b"", 9)
    alice.udp_socket(10, "239.1.1.1")
    alice.udp_socket(10, "10.0.0.255")
    with pytest.raises(errors.AddressNotAvailable, match="none of this stack's"):
        alice.udp_socket().send_to(b"x", "10.0.0.2", 7, source="10.0.0.77")
    udp = bob.udp_socket(11, "10.0.0.2")
    for family in (
        lambda: udp.send_to(b"x", "fd00::1", 7),
        lambda: udp.connect("::2", 7),
        lambda: bob.sockets.tcp_connect("::2", 7, "10.0.0.2"),
    ):
        with pytest.raises(errors.AddressNotAvailable, match="take two of one family"):
            family()


def test_a_closed_listener_is_not_waited_for(alice: motenet.NetworkStack) -> None:
    listener, now = alice.tcp_listen(80), alice.clock.now
    listener.close()
    with pytest.raises(errors.StackError, match="the listener at port 80 is closed"):
        alice.tcp_accept(listener)
    assert alice.clock.now == now


def test_interfaces_are_checked_before_anything_is_opened(alice: motenet.NetworkStack) -> None:
    for opened in (
        lambda: alice.sockets.dhcp_client("eth9"),
        lambda: alice.sockets.tcp_connect("10.0.0.2", 7, "10.0.0.1", interface="eth9"),
        lambda: setattr(alice, "dns_servers", ["fe80::1%eth9"]),
    ):
        with pytest.raises(motenet.ConfigurationError, match="there is no interface 'eth9'; this stack has eth0"):
            opened()
    assert [row["kind"] for row in alice.list_sockets()] == ["dns"]


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
    theirs = {
        "accepts",
        "process",
        "dispatch",
        "fail",
        "poll_at",
        "undo",
        "detach",
        "wake",
        "key",
        "finished",
        "in_set",
    }
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
        (errors.AddressInUse, errno.EADDRINUSE),
        (errors.AddressNotAvailable, errno.EADDRNOTAVAIL),
        (errors.MessageTooLong, errno.EMSGSIZE),
        (errors.BadHandle, errno.EBADF),
        (errors.DnsTimeout, socket.EAI_AGAIN),
        (errors.StackError, errno.EINVAL),
    ],
)
def test_an_error_has_the_number_and_the_type_that_an_operating_system_gives(kind: Any, number: int) -> None:
    error = kind("what has happened")
    assert (error.errno, str(error), isinstance(error, OSError)) == (number, "what has happened", True)
    if kind not in (errors.DnsTimeout, errors.StackError):  # PEP 3151: the number decides on the type
        assert isinstance(error, type(OSError(number, "")))
