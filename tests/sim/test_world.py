"""The world's promises: the public face, determinism, snapshots in place, watching that changes nothing."""

import os
import subprocess
import sys
from random import Random

import pytest
from scapy.utils import PcapNgReader

import motenet
from motenet.core.clock import FOREVER
from motenet.core.errors import BlockingInsideWorld, ConfigurationError, SnapshotError, WorldStuck
from motenet.core.state import Component
from motenet.core.trace import Event, FramePassed, RegisterAccess
from motenet.stack.sockets.tcp import TcpListener, TcpSocket


def pair(seed: int = 7, **link) -> tuple[motenet.World, "motenet.sim.Host", "motenet.sim.Host"]:
    world = motenet.World(seed=seed)
    alice = world.host("alice", nic="e1000", address="10.0.0.1/24")
    bob = world.host("bob", nic="e1000", address="10.0.0.2/24")
    world.link(alice, bob, **({"bandwidth": "1Gbit/s", "delay": "50us"} | link))
    return world, alice, bob


class Transfer(Component):
    """Sends `total` bytes of a pattern from alice to bob; a component, so that snapshots carry it."""

    STATE = ("sent", "received", "total")
    path = "transfer"

    def __init__(self, world: motenet.World, total: int) -> None:
        self.world, self.total = world, total
        self.sent = 0
        self.received = bytearray()
        self.alice, self.bob = world.hosts["alice"], world.hosts["bob"]
        self.listener: TcpListener = self.bob.stack.tcp_listen(9000)
        self.sender: TcpSocket = self.alice.stack.tcp_connect("10.0.0.2", 9000)
        world.run("10s", until=lambda: self.accept())
        self.sender.waker = self.pump
        self.receiver.waker = self.pump
        self.alice.applications.append(self)
        self.path = "alice/transfer"

    def accept(self) -> bool:
        accepted = self.listener.accept()
        if accepted is not None:
            self.receiver = accepted
        return accepted is not None

    def pump(self) -> None:
        while self.sent < self.total:
            taken = self.sender.send(pattern(self.sent, min(8192, self.total - self.sent)))
            self.sent += taken
            if not taken:
                break
        while chunk := self.receiver.recv(65536):
            self.received += chunk

    def done(self) -> bool:
        return len(self.received) == self.total


def pattern(start: int, length: int) -> bytes:
    return bytes((start + n) * 7 + (start + n >> 8) & 0xFF for n in range(length))


def test_the_public_face() -> None:
    world, alice, bob = pair()
    first, second, third = alice.stack.ping("10.0.0.2", count=3, timeout="1s")
    assert 200_000 < first < 300_000, "ARP's round trip and its own"
    assert 100_000 < second == third < 110_000
    assert isinstance(world.now, int)
    assert alice.machine.pci.find(vendor=0x8086, device=0x100E)
    assert alice.driver.is_link_up
    assert alice.nic is alice.machine.slots[0].card
    assert len(world.fingerprint()) == len(world.state_hash()) == 64
    before = world.snapshot()
    bob.stack.ping("10.0.0.1", count=1)
    world.restore(before)
    assert world.state_hash() == motenet.core.state.state_hash(before)


def test_the_lower_layers_can_be_used_alone() -> None:
    machine = motenet.Machine()
    nic = machine.plug(motenet.devices.E1000(mac="52:54:00:12:34:56"))
    function = machine.pci.find(vendor=0x8086, device=0x100E)
    driver = motenet.drivers.E1000Driver(function)
    driver.start()
    assert driver.mac_address == bytes.fromhex("525400123456")
    stack = motenet.NetworkStack(driver, address="10.0.0.1/24")
    stack.poll(function.now)
    assert not driver.is_link_up
    assert nic.path == "machine/nic"
    driver.stop()


def test_a_world_carries_bytes_exactly_under_every_fault() -> None:
    world, _, _ = pair(loss=0.02, corrupt=0.01, duplicate=0.02, reorder=0.02, jitter="20us")
    transfer = Transfer(world, 300_000)
    transfer.pump()
    world.run("120s", until=transfer.done)
    assert bytes(transfer.received) == pattern(0, 300_000)


_SCRIPT = """
import motenet
world = motenet.World(seed={seed})
a = world.host("alice", address="10.0.0.1/24")
b = world.host("bob", address="10.0.0.2/24")
lan = world.switch("lan")
world.link(a, lan, bandwidth="1Gbit/s", delay="50us", loss=0.02)
world.link(b, lan, bandwidth="1Gbit/s", delay="50us")
listener = b.stack.tcp_listen(80)
socket = a.stack.tcp_connect("10.0.0.2", 80)
left = 200000
got = 0
def fill():
    global left
    while left and (n := socket.send(bytes(min(left, 4096)))):
        left -= n
socket.waker = fill
fill()
world.run("1s")
peer = listener.accept()
while got < 200000:
    world.run("10ms")
    got += len(peer.recv(1 << 20))
world.run("1s")
print(world.now, world.fingerprint(), world.state_hash())
"""


def outcome(seed: int, hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(seed=seed)], env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout


def test_the_same_seed_gives_the_same_world_in_every_process_and_another_another() -> None:
    first = outcome(1, "1")
    assert first == outcome(1, "2")
    assert first.split()[1] != outcome(2, "1").split()[1]


@pytest.mark.parametrize("point", range(8))
def test_a_snapshot_at_a_random_point_of_a_transfer_under_loss_continues_alike(point: int) -> None:
    world, _, _ = pair(loss=0.05, reorder=0.02)
    transfer = Transfer(world, 200_000)
    transfer.pump()
    world.run(Random(point).randrange(200_000_000))
    before = world.snapshot()

    def run_on() -> tuple[str, str, int]:
        world.run("300ms")
        return world.fingerprint(), world.state_hash(), len(transfer.received)

    first = run_on()
    world.restore(before)
    assert world.state_hash() == motenet.core.state.state_hash(before)
    assert run_on() == first
    world.run("60s", until=transfer.done)
    assert bytes(transfer.received) == pattern(0, 200_000)


def test_a_snapshot_goes_back_over_connections_that_came_and_went() -> None:
    world, alice, bob = pair()
    listener = bob.stack.tcp_listen(80)
    before = world.snapshot()
    hashed = world.state_hash()
    socket = alice.stack.tcp_connect("10.0.0.2", 80)
    socket.send(b"hello")
    world.run("10ms")
    assert listener.accept() is not None
    world.restore(before)
    assert world.state_hash() == hashed
    with pytest.raises(motenet.MotenetError, match="restored to before this connection"):
        socket.send(b"into the void")
    assert listener.accept() is None
    assert alice.stack.tcp_connect("10.0.0.2", 80).send(b"again") == 5


def test_a_driver_stopped_after_the_snapshot_runs_again_after_restoring() -> None:
    world, alice, bob = pair()
    alice.stack.ping("10.0.0.2", count=1)
    before = world.snapshot()
    bob.stop()
    assert alice.stack.ping("10.0.0.2", count=1, timeout="100ms") == [None]
    world.restore(before)
    assert alice.stack.ping("10.0.0.2", count=1, timeout="100ms") != [None]


def test_a_snapshot_is_for_the_world_it_was_taken_of() -> None:
    world, _, _ = pair()
    before = world.snapshot()
    world.host("carol", address="10.0.0.3/24")
    with pytest.raises(SnapshotError, match="carol"):
        world.restore(before)
    with pytest.raises(SnapshotError, match="carol"):
        pair()[0].restore(world.snapshot())


def test_watching_changes_nothing_and_may_come_and_go() -> None:
    def run(watched: bool) -> tuple[str, list[Event]]:
        world, alice, _ = pair(loss=0.1)
        events: list[Event] = []
        alice.stack.ping("10.0.0.2", count=2)
        if watched:
            world.watch(events.append)
        alice.stack.ping("10.0.0.2", count=2)
        seen = len(events)
        world.unwatch(events.append)
        alice.stack.ping("10.0.0.2", count=2)
        assert len(events) == seen
        return world.fingerprint(), events

    fingerprint, events = run(watched=True)
    assert fingerprint == run(watched=False)[0]
    assert {RegisterAccess, FramePassed} <= {type(event) for event in events}


def test_a_traced_world_keeps_its_events() -> None:
    world = motenet.World(seed=1, trace=True)
    world.host("alice", address="10.0.0.1/24")
    assert any(isinstance(event, RegisterAccess) and event.path == "alice/nic/bar0" for event in world.events)


def packets_of(path) -> list:
    with PcapNgReader(str(path)) as reader:
        return list(reader)


def test_captures_have_an_interface_a_host_and_comments_on_lost_frames(tmp_path) -> None:
    world, alice, bob = pair(loss=0.5)
    with world.capture(tmp_path / "all.pcapng"), world.capture(tmp_path / "bob.pcapng", at=bob):
        alice.stack.ping("10.0.0.2", count=5, timeout="100ms")
        everything = (tmp_path / "all.pcapng").read_bytes()
    packets = packets_of(tmp_path / "all.pcapng")
    lost = [packet for packet in packets if packet.comment]
    assert {packet.comment for packet in lost} == {b"lost on the link"}
    assert {packet.sniffed_on for packet in packets} == {"alice", "bob"}
    drops = sum(way.drops["lost"] for way in world.links[0].directions)
    assert len(lost) == drops > 0
    sent = sum(way.frames for way in world.links[0].directions)
    assert len(packets) == sent + drops
    assert len(everything) == (tmp_path / "all.pcapng").stat().st_size, "run() flushes"
    at_bob = packets_of(tmp_path / "bob.pcapng")
    ways = world.links[0].directions
    assert len(at_bob) == ways[0].frames + ways[1].frames + ways[1].drops.get("lost", 0)


def test_blocking_verbs_are_refused_inside_events() -> None:
    world, alice, _ = pair()
    caught: list[Exception] = []

    class Meddler(Component):
        def meddle(self, _: None) -> None:
            try:
                alice.stack.ping("10.0.0.2", count=1)
            except BlockingInsideWorld as error:
                caught.append(error)

    world.clock.after(1000, Meddler().meddle)
    world.run("1ms")
    assert "stack.sockets" in str(caught[0])


def test_run_says_when_what_is_waited_for_cannot_come() -> None:
    world = motenet.World()
    with pytest.raises(WorldStuck, match="no event is left"):
        world.run(until=lambda: False)
    with pytest.raises(WorldStuck, match="1s have passed"):
        world.run("1s", until=lambda: False)
    with pytest.raises(motenet.ConfigurationError, match="duration"):
        world.run()
    assert world.now == 10**9 < FOREVER


def test_what_cannot_be_built_is_named() -> None:
    world, alice, bob = pair()
    with pytest.raises(motenet.ConfigurationError, match="unknown NIC 'ne2000'; there is e1000"):
        world.host("carol", nic="ne2000")
    with pytest.raises(motenet.ConfigurationError, match="taken"):
        world.host("alice")
    with pytest.raises(motenet.ConfigurationError, match="switch"):
        world.link(alice, bob)
    with pytest.raises(motenet.ConfigurationError, match="itself"):
        world.link(alice, alice)
    with pytest.raises(motenet.ConfigurationError, match="unknown NIC None"):
        world.host("carol", nic=None)  # type: ignore[arg-type]
    with pytest.raises(motenet.ConfigurationError, match="unknown NIC <class"):
        world.host("carol", nic=motenet.devices.E1000)  # type: ignore[arg-type]
    with pytest.raises(motenet.ConfigurationError, match="is no card"):
        motenet.Machine().plug("e1000")  # type: ignore[type-var]
    with pytest.raises(motenet.ConfigurationError, match="has no port"):
        world.link(alice, None)  # type: ignore[arg-type]
    with pytest.raises(motenet.ConfigurationError, match="cannot listen"):
        world.watch(5)  # type: ignore[arg-type]
    with pytest.raises(SnapshotError, match="no snapshot"):
        world.restore({})
    with pytest.raises(motenet.ConfigurationError, match=r"10\.0\.0"):
        world.host("dave", address="10.0.0/24")


def test_adding_a_host_changes_nobody_elses_faults() -> None:
    def fingerprint_of_loss(extra: bool) -> list[int]:
        world, alice, _ = pair(loss=0.3)
        if extra:
            lan = world.switch("lan")
            world.link(world.host("carol", address="10.0.0.3/24"), lan, loss=0.3)
        return alice.stack.ping("10.0.0.2", count=10, timeout="100ms")

    assert fingerprint_of_loss(extra=False) == fingerprint_of_loss(extra=True)


def test_a_driver_without_interrupts_is_polled() -> None:
    world = motenet.World(seed=1)
    alice = world.host("alice", address="10.0.0.1/24")
    bob = world.host("bob", address="10.0.0.2/24", driver_options={"interrupts": False})
    world.link(alice, bob)
    for rtt in alice.stack.ping("10.0.0.2", count=3):
        assert rtt is not None
        assert rtt < 1_000_000
    assert bob.driver.statistics["interrupts"] == 0


def test_a_refused_restore_has_touched_nothing() -> None:
    world, alice, _ = pair()
    before = world.snapshot()
    world.host("carol", address="10.0.0.3/24")
    alice.stack.ping("10.0.0.2", count=1)
    state = world.state_hash()
    with pytest.raises(SnapshotError, match="carol"):
        world.restore(before)
    assert world.state_hash() == state


def test_a_world_whose_drivers_have_not_started_cannot_take_the_state_of_one_whose_have() -> None:
    started, _, _ = pair()
    world = motenet.World(seed=7)
    alice = world.host("alice", address="10.0.0.1/24", start=False)
    bob = world.host("bob", address="10.0.0.2/24", start=False)
    world.link(alice, bob, bandwidth="1Gbit/s", delay="50us")
    with pytest.raises(SnapshotError, match="start the driver"):
        world.restore(started.snapshot())


def test_a_loop_of_switches_is_refused() -> None:
    world = motenet.World()
    x, y, z = (world.switch(name) for name in "xyz")
    world.link(x, y)
    world.link(y, z)
    for a, b in ((x, y), (z, x)):
        with pytest.raises(motenet.ConfigurationError, match="spanning tree"):
            world.link(a, b)


def test_a_message_that_could_not_go_is_not_lost() -> None:
    """8254x 4.1.3: a message while an unmasked cause is set; it goes when messages are allowed again."""
    world = motenet.World(seed=1)
    alice = world.host("alice", address="10.0.0.1/24")
    bob = world.host("bob", address="10.0.0.2/24", driver_options={"interrupt_kinds": ("msi",)})
    world.link(alice, bob)
    world.run("1s")
    function = bob.machine.pci.functions[0]
    window = function.bar(0)
    for offset, off, on in ((4, 3, 7), (0xF2, 0x80, 0x81)):
        function.config.write(offset, off, 2)
        window.write32(0x00C8, 4)  # ICS: LSC
        function.config.write(offset, on, 2)
        assert None not in alice.stack.ping("10.0.0.2", count=2), f"config {offset:#x}"


def test_functions_in_place_of_coroutines_are_told() -> None:
    """asyncio itself says "an awaitable is required", and an async function as a predicate would always hold."""
    world, alice, _ = pair()

    async def nothing() -> None: ...

    for wrong in (nothing, lambda: None, 3):
        with pytest.raises(ConfigurationError, match="is no coroutine: call the async function"):
            alice.run(wrong)
    for wrong in (nothing, "5s"):
        with pytest.raises(ConfigurationError, match="neither a predicate nor a coroutine"):
            world.run(until=wrong)
    assert world.now == 0


def test_a_spawned_tasks_failure_says_whose_it_is() -> None:
    """Its note is in the traceback (PEP 678): among many hosts that run the same coroutine, the line is not enough."""
    world, _, bob = pair()

    async def fail() -> None:
        raise KeyError("x")

    bob.spawn(fail())
    with pytest.raises(KeyError) as failure:
        world.run("1s")
    assert failure.value.__notes__ == ["in the task bob/fail, which nobody waited for"]


def test_what_blocks_in_a_coroutine_says_to_await() -> None:
    """asyncio.run() in a coroutine fails likewise: "cannot be called from a running event loop"."""
    _, alice, bob = pair()

    async def ping() -> None:
        alice.stack.ping("10.0.0.2")

    async def nested() -> None:
        bob.run(ping())

    for wrong in (ping, nested):
        with pytest.raises(BlockingInsideWorld, match=r"in a coroutine, await asyncio's own \(open_connection"):
            alice.run(wrong())
