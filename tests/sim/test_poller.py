"""The poller's alarms: few, on time, and part of a snapshot."""

import pytest

import motenet


def alarms(world: motenet.World, path: str) -> int:
    """How many events wait for this poller."""
    return sum(target == path for _, _, target, *_ in world.clock.save()["events"])


def test_alarms_that_are_overtaken_do_not_pile_up() -> None:
    """A far deadline (keep-alive, 7200 s) with many near ones (delayed ACK, 10 ms) before it."""
    world = motenet.World(seed=1)
    alice, bob = (world.host(name, address=f"10.0.0.{n}/24") for n, name in enumerate(("alice", "bob"), 1))
    world.link(alice, bob, delay="1ms")
    listener = bob.stack.tcp_listen(80)
    client = alice.stack.tcp_connect("10.0.0.2", 80)
    server = bob.stack.tcp_accept(listener)
    server.keep_alive = 7200 * 10**9
    for number in range(50):
        client.send(b"x")
        world.run("100ms")
        assert server.recv(9) == b"x"
        if number == 25:
            world.restore(world.snapshot())
    assert alarms(world, "bob/poller") <= 3
    before = server.statistics["segments_out"]
    world.run("7201s")
    assert server.statistics["segments_out"] == before + 1


@pytest.mark.parametrize("nic", ["e1000", "rtl8139", "rtl8139cp", "virtio-net"])
def test_a_host_whose_application_raises_is_not_deaf_afterwards(nic: str) -> None:
    """The poll is cut short, with the card's interrupts still off; so by Ctrl-C."""
    world = motenet.World(seed=1)
    alice, bob = (world.host(name, nic, address=f"10.0.0.{n}/24") for n, name in enumerate(("alice", "bob"), 1))
    world.link(alice, bob)
    socket, sender = alice.stack.udp_socket(9), bob.stack.udp_socket()
    assert None not in bob.stack.ping("10.0.0.1")
    for data in (b"one", b"two", b"three"):
        sender.send_to(data, "10.0.0.1", 9)

    def interrupt() -> None:
        raise KeyboardInterrupt

    socket.waker = interrupt
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            world.run("1s")
    socket.waker = None
    assert [message.data for message in iter(socket.receive, None)] == [b"one", b"two", b"three"]
    assert None not in bob.stack.ping("10.0.0.1")
