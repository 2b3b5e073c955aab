"""The driver on the model of its card: worlds of two hosts, nothing between driver and device but what virtio says."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from motenet.core.checksum import pseudo_header_sum
from motenet.core.state import walk
from motenet.core.trace import Watched
from motenet.core.units import MS
from motenet.devices import VirtioNet
from motenet.doors import FrameFacts
from motenet.drivers import VirtioNetDriver
from motenet.sim.world import World

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
VARIANTS = {
    "packed": ({}, {}),
    "split": ({"packed": False}, {}),
    "packed, flags": ({"event_index": False}, {}),
    "split, flags": ({"packed": False, "event_index": False}, {}),
    "no indirect": ({"indirect": False}, {}),
    "transitional": ({"transport": "transitional"}, {}),
    "transitional, as legacy": ({"transport": "transitional"}, {"mode": "legacy"}),
    "legacy": ({"transport": "legacy"}, {}),
    "legacy, INTx": ({"transport": "legacy", "vectors": 0}, {}),
    "mmio": ({"transport": "mmio"}, {}),
    "mmio, split": ({"transport": "mmio", "packed": False}, {}),
    "INTx": ({"vectors": 0}, {}),
    "one vector": ({"vectors": 1}, {}),
    "two vectors": ({"vectors": 2}, {}),
    "polled": ({}, {"interrupts": False}),
    "not mergeable": ({"without": ["MRG_RXBUF"]}, {}),
    "no offloads": ({}, {"checksum_offload": False, "segmentation_offload": False}),
    "GRO instead of large receive": ({}, {"large_receive": False}),
    "small buffers": ({}, {"rx_buffer": 512}),
    "short queues": ({"queue_size": 4}, {}),
    "four pairs": ({"pairs": 4}, {"queue_pairs": 4}),
    "header only": ({"without": ["CSUM", "GUEST_CSUM", "CTRL_VQ", "STATUS", "MTU", "MRG_RXBUF"]}, {}),
}


class Pair:
    """alice's card is the variant; bob's is virtio-net as it comes."""

    def __init__(self, card: dict | None = None, options: dict | None = None, **link: object) -> None:
        self.world = World(seed=5)
        nics = (VirtioNet(MACS[0], **(card or {})), VirtioNet(MACS[1]))
        self.alice = self.world.host("alice", nic=nics[0], address="10.0.0.1/24", driver_options=options or {})
        self.bob = self.world.host("bob", nic=nics[1], address="10.0.0.2/24")
        self.world.link(self.alice, self.bob, **link)
        self.driver: VirtioNetDriver = self.alice.driver

    def connect(self):
        listener = self.bob.stack.tcp_listen(80)
        client = self.alice.stack.tcp_connect("10.0.0.2", 80)
        self.world.run(until=lambda: listener.can_accept)
        return client, listener.accept()

    def transfer(self, sender, receiver, data: bytes) -> bytes:
        rest, got = [memoryview(data)], bytearray()

        def arrived() -> bool:
            if rest[0]:
                rest[0] = rest[0][sender.send(rest[0]) :]
            while receiver.can_recv:
                got.extend(receiver.recv(1 << 20))
            return len(got) >= len(data)

        self.world.run(until=arrived)
        return bytes(got)

    def drops(self) -> dict[str, dict[str, int]]:
        parts = [part for part in walk(self.world) if isinstance(part, Watched)]
        return {part.path: part.drops for part in parts if part.drops}


@pytest.mark.parametrize("variant", VARIANTS)
def test_ping_and_tcp_both_ways_with_every_variant(variant):
    pair = Pair(*VARIANTS[variant])
    assert None not in pair.alice.stack.ping("10.0.0.2", count=3, interval="1ms")
    client, server = pair.connect()
    data = bytes(number * 7 + (number >> 8) & 0xFF for number in range(300_000))
    assert pair.transfer(client, server, data) == data
    assert pair.transfer(server, client, data[::-1]) == data[::-1]
    pair.alice.stop()
    lost = pair.drops()
    if variant == "short queues":  # four buffers are fewer frames than TCP sends at once
        assert lost.pop("alice/nic/device", {}).keys() <= {"no receive buffer"}
    assert lost == {}


def test_bulk_data_is_few_frames_in_one_piece_each():
    """TSO one way, large receive the other: 64 KiB frames in mergeable buffers, copied only where memory ends."""
    pair = Pair()
    client, server = pair.connect()
    data = bytes(1 << 22)
    assert pair.transfer(client, server, data) == data
    assert pair.transfer(server, client, data) == data
    statistics = pair.driver.statistics
    assert statistics["tx_frames"] < 300
    assert statistics["rx_frames"] < 300
    assert statistics["rx_copied"] <= 4
    assert statistics["notifications"] < 400


@pytest.mark.parametrize("transport", ["modern", "legacy", "mmio"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_world_that_goes_back_does_the_same_again(transport, packed):
    """In the middle of a transfer: what driver, device and queues do afterwards is the same, to the last bit."""
    pair = Pair({"transport": transport, "packed": packed}, delay="100us", bandwidth="1Gbit/s")
    client, server = pair.connect()
    client.send(bytes(range(256)) * 400)
    pair.world.run("300us")
    snapshot, before = pair.world.snapshot(), pair.world.state_hash()
    hashes = []
    for _ in range(2):
        pair.world.restore(snapshot)
        assert pair.world.state_hash() == before
        got = bytearray()
        pair.world.run("20ms")
        while server.can_recv:
            got += server.recv(1 << 20)
        assert bytes(got) == bytes(range(256)) * 400
        hashes.append(pair.world.state_hash())
    assert hashes[0] == hashes[1]
    assert pair.drops() == {}


def test_a_world_in_which_the_card_was_stopped_goes_back_to_when_it_ran():
    pair = Pair(delay="100us")
    client, server = pair.connect()
    client.send(bytes(range(256)) * 100)
    pair.world.run("300us")
    snapshot = pair.world.snapshot()
    pair.alice.stop()
    pair.world.run("1ms")
    pair.world.restore(snapshot)
    pair.world.run("20ms")
    got = bytearray()
    while server.can_recv:
        got += server.recv(1 << 20)
    assert bytes(got) == bytes(range(256)) * 100
    assert pair.transfer(server, client, bytes(200_000)) == bytes(200_000)
    assert pair.drops() == {}


def test_5_1_4_the_link_follows_the_cable():
    pair = Pair()
    pair.world.run("1ms")
    assert pair.driver.is_link_up
    pair.alice.nic.device.kind.carrier_changed(False)
    pair.world.run("1ms")
    assert not pair.driver.is_link_up
    pair.alice.nic.device.kind.carrier_changed(True)
    pair.world.run("1ms")
    assert pair.driver.is_link_up
    assert (pair.driver.speed, pair.driver.full_duplex) == (10_000, True)


def test_5_1_6_5_4_an_announcement_that_the_device_asks_for():
    pair = Pair()
    pair.world.run("1ms")
    pair.alice.nic.device.kind.announce()
    pair.world.run("1ms")
    assert pair.driver.announcements == 1
    assert pair.driver.control.waiting == []
    assert pair.bob.stack.drop_reasons == {"ethertype": 1}, "RARP is for switches"


@pytest.mark.parametrize("transport", ["modern", "mmio"])
def test_2_1_1_a_device_that_gives_up_is_reset_and_the_transfer_goes_on(transport):
    pair = Pair({"transport": transport})
    client, server = pair.connect()
    data = bytes(number & 0xFF for number in range(500_000))
    client.send(data[:100_000])
    pair.world.run("1ms")
    pair.alice.nic.device.fail(None, "test", "a fault of the device's")
    pair.world.run("1ms")
    assert (pair.driver.recoveries, pair.driver.drops["device reset"]) == (1, 1)
    got = bytearray(server.recv(1 << 20))
    while len(got) < 100_000:
        pair.world.run("100ms")
        got += server.recv(1 << 20) if server.can_recv else b""
    assert bytes(got) + pair.transfer(client, server, data[100_000:]) == data
    assert pair.driver.drops["device reset"] == 1


def test_5_1_6_5_6_flows_come_back_on_the_queue_that_they_left_by():
    pair = Pair({"pairs": 4}, {"queue_pairs": 4})
    for port in range(20):
        listener = pair.bob.stack.tcp_listen(1000 + port)
        client = pair.alice.stack.tcp_connect("10.0.0.2", 1000 + port)
        pair.world.run(until=lambda listener=listener: listener.can_accept)
        assert pair.transfer(listener.accept(), client, bytes(3000)) == bytes(3000)
    sent = [queue.produced for queue in pair.driver.transmitter.queues]
    got = [receiver.queue.consumed for receiver in pair.driver.receivers]
    assert all(sent)
    assert all(got)
    assert pair.drops() == {}


# --- every kind of frame that a device finishes


def unfinished(packet, protocol: int, place: int) -> bytes:
    """A frame whose transport checksum is the pseudo-header's sum."""
    frame = bytearray(bytes(packet))
    start = 54 if frame[12:14] == b"\x86\xdd" else 34
    source, destination = (frame[22:38], frame[38:54]) if start == 54 else (frame[26:30], frame[30:34])
    seed = pseudo_header_sum(bytes(source), bytes(destination), protocol, len(frame) - start)
    frame[start + place : start + place + 2] = seed.to_bytes(2, "big")
    return bytes(frame)


ETHER = Ether(src=MACS[0], dst=MACS[1])
V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")
BODY = bytes(range(256)) * 40


@pytest.mark.parametrize("finished_by", ["the sender", "the receiver"])
@pytest.mark.parametrize(
    ("kind", "packet", "protocol", "place", "header"),
    [
        ("tcp4", ETHER / V4 / TCP(flags="A") / BODY, 6, 16, 54),
        ("tcp6", ETHER / V6 / TCP(flags="A") / BODY, 6, 16, 74),
        ("ufo", ETHER / V4 / UDP() / BODY, 17, 6, 42),
        ("uso", ETHER / V4 / UDP() / BODY, 17, 6, 42),
    ],
)
def test_5_1_6_2_every_kind_of_segmentation_arrives(kind, packet, protocol, place, header, finished_by):
    """Cut by alice's device for a receiver that wants it plain, or left whole for one that takes it."""
    world = World(seed=1)
    plain = finished_by == "the sender"
    alice = world.host("alice", nic=VirtioNet(MACS[0]), address="10.0.0.1/24")
    options = {"checksum_offload": False, "segmentation_offload": False} if plain else {}
    bob = world.host("bob", nic=VirtioNet(MACS[1]), driver_options={**options, "gro": False})
    world.link(alice, bob)
    world.run("1ms")
    driver, got = bob.driver, []

    def take() -> None:
        driver.poll()
        while (received := driver.receive()) is not None:
            got.append((bytes(received.frame), received.checksum_ok))

    driver.wake = take
    frame = unfinished(packet, protocol, place)
    view = alice.driver.reserve(len(frame))
    view[:] = frame
    start = 54 if kind == "tcp6" else 34
    facts = FrameFacts(start, place, 1000, header, segment_kind=kind)
    alice.driver.commit(facts)
    alice.driver.flush()
    world.run("1ms")
    assert sum(len(one) for one, _ in got) >= len(frame)
    if kind == "uso" or plain:
        assert len(got) > 1, "nobody can receive USO whole"
    else:
        assert [len(one) for one, _ in got] == [len(frame)]
        assert got[0][1], "and the receiver knows that it is good"
    if plain and kind != "ufo":
        for one, _ in got:
            fresh = Ether(one)
            del fresh[UDP if kind == "uso" else TCP].chksum
            assert bytes(fresh) == one
        assert b"".join(bytes(Ether(one)[UDP if kind == "uso" else TCP].payload) for one, _ in got) == BODY


def test_the_driver_waits_for_no_event_inside_an_event():
    """Receive modes are asked for while the world runs: the answers come later."""
    pair = Pair()
    pair.world.run("1ms")
    driver = pair.driver
    driver.set_promiscuous(True)
    assert driver.control.waiting
    pair.world.run("1ms")
    assert driver.control.waiting == []
    assert driver.drops == {}
    assert pair.world.now < 10 * MS
