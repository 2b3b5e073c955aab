"""Mistakes in what a verb is given are answered at once, with what there is."""

import pytest

import motenet


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
