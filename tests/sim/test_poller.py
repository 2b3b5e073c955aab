"""The poller's alarms: few, on time, and part of a snapshot."""

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
