"""How much a TCP socket buffers is its user's choice; it is the largest window (RFC 9293, 3.10.1, 3.8.6)."""

import pytest

import motenet
from motenet.core.errors import ConfigurationError


def test_the_buffer_is_the_window_that_the_peer_sees() -> None:
    """With nobody reading, so much arrives, but for what SWS avoidance holds back (3.8.6.2.1): less than a segment."""
    world = motenet.World(seed=1)
    alice = world.host("alice", address="10.0.0.1/24")
    bob = world.host("bob", address="10.0.0.2/24")
    world.link(alice, bob)
    listener = bob.stack.tcp_listen(7, buffer="64KiB")
    socket = alice.stack.tcp_connect("10.0.0.2", 7, buffer=3000)
    peer = bob.stack.tcp_accept(listener)
    assert socket.send(bytes(10_000)) == 3000
    sent = 3000
    for _ in range(100):
        world.run("10ms")
        sent += socket.send(bytes(10_000))
    arrived = len(peer.recv(1 << 20))
    assert 64 * 1024 - 1460 < arrived <= 64 * 1024
    assert sent == arrived + 3000


@pytest.mark.parametrize("buffer", [0, -1, (1 << 30) + 1, "2GiB"])
def test_a_buffer_that_cannot_be_is_refused(buffer: str | int) -> None:
    world = motenet.World(seed=1)
    host = world.host("alice", address="10.0.0.1/24")
    with pytest.raises(ConfigurationError, match=r"buffer|size"):
        host.stack.tcp_listen(7, buffer=buffer)
