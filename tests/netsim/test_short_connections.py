"""10,000 short connections, by both families in turn: they leave nothing behind, on either side."""

import gc

import motenet
from motenet.core.units import SECOND
from motenet.sim.host import Host
from motenet.stack import TcpListener

BATCH = 100
ADDRESSES = ("10.0.0.2", "fd00::2")


def connections(world: motenet.World, alice: Host, listener: TcpListener, address: str) -> list[bytes]:
    """So many at a time connect, ask, and are answered; the servers close first, so that TIME-WAIT is theirs."""
    clients = [alice.stack.sockets.tcp_connect(address, 80) for _ in range(BATCH)]
    for number, client in enumerate(clients):
        client.send(b"question %d" % number)
    for _ in range(BATCH):
        world.run(until=lambda: listener.can_accept)
        server = listener.accept()
        assert server is not None
        world.run(until=lambda: server.can_recv)  # noqa: B023 - it is waited for at once
        server.send(server.recv(100).upper())
        server.release()
    answers = []
    for client in clients:
        world.run(until=lambda: client.can_recv)  # noqa: B023
        answers.append(client.recv(100))
        client.release()
    return answers


def test_ten_thousand_short_connections_leave_nothing_behind() -> None:
    world = motenet.World(seed=5)
    alice = world.host("alice", nic="virtio-net", address=["10.0.0.1/24", "fd00::1/64"])
    bob = world.host("bob", nic="virtio-net", address=["10.0.0.2/24", "fd00::2/64"])
    world.link(alice, bob, delay="10us")
    listener = bob.stack.tcp_listen(80, backlog=BATCH)
    world.run("5s")
    objects = 0
    for count in range(10_000 // BATCH):
        answers = connections(world, alice, listener, ADDRESSES[count % 2])
        assert answers == [b"QUESTION %d" % number for number in range(BATCH)]
        if count == 9:
            world.run(60 * SECOND)
            gc.collect()
            objects = len(gc.get_objects())
    world.run(60 * SECOND)
    gc.collect()
    assert len(gc.get_objects()) - objects < 100
    assert (alice.stack.list_sockets(), len(bob.stack.list_sockets())) == ([], 1)
    assert alice.stack.drop_reasons == bob.stack.drop_reasons == {}
