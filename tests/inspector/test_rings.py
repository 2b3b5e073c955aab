"""What a card owns of its rings, as registers and memory show it."""

import pytest

import motenet
from motenet.devices import E1000, Rtl8139, VirtioNet
from motenet.doors import Card
from motenet.inspector.rings import RingState, peek, rings
from motenet.sim.host import Host


def alone(nic: str, **options: object) -> tuple[motenet.World, Host]:
    """A card that a driver has set up."""
    world = motenet.World(seed=1)
    return world, world.host("a", nic=nic, address="10.0.0.1/24", driver_options=options)


def pair(nic: str, **options: object) -> tuple[motenet.World, Host]:
    """One that has sent and received four frames besides: ARP's and ping's."""
    world, host = alone(nic, **options)
    world.link(host, world.host("b", address="10.0.0.2/24"))
    world.run("2s")
    assert None not in host.stack.ping("10.0.0.2", count=3)
    return world, host


def look(host: Host) -> dict[str, RingState]:
    return {ring.name: ring for ring in rings(host.nic, host.machine.slots[0].dma)}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("nic", ["virtio-net", "virtio-net-mmio"])
def test_virtios_receive_queue_is_full_of_what_the_driver_made_available(nic: str, packed: bool) -> None:
    """virtio 5.1.2: receiveq1, transmitq1, controlq; 5.1.6.3: the receive queue should be kept full."""
    found = look(alone(nic, packed=packed, rx_ring=64)[1])
    assert list(found) == ["receive", "transmit", "control"]
    assert (found["receive"].owned, found["receive"].count, found["receive"].head) == (64, 64, 0)
    found = look(pair(nic, packed=packed, rx_ring=64)[1])
    assert (found["receive"].head, found["receive"].owned) in {(4, 60), (4, 64)}, "the driver may wait with new ones"
    assert (found["transmit"].head, found["transmit"].owned) == (4, 0)


def test_what_is_available_is_seen_where_the_card_reaches_memory() -> None:
    """PCI 3.0 6.2.2: not without bus mastering."""
    _, host = alone("virtio-net-legacy")
    assert look(host)["receive"].owned == 256
    host.machine.slots[0].dma.enabled = False
    assert look(host)["receive"].owned == 0


def test_realteks_rings_in_either_mode() -> None:
    """RTL8139C 5.6, 5.8: four slots, and a ring of bytes; RTL8139C+ 9: descriptors up to the one with EOR."""
    _, host = pair("rtl8139", rx_ring="16KiB")
    found = look(host)
    assert (found["transmit"].count, found["transmit"].unit, found["transmit"].owned) == (4, "slots", 0)
    assert (found["receive"].count, found["receive"].unit) == (16384, "bytes")
    found = look(alone("rtl8139cp", rx_ring=32, tx_ring=16)[1])
    assert (found["receive"].count, found["receive"].owned) == (32, 32)
    assert found["transmit"].owned == 0
    found = look(pair("rtl8139cp", rx_ring=32, tx_ring=16)[1])
    assert (found["receive"].head, found["receive"].owned) in {(4, 28), (4, 32)}, "the driver may wait with new ones"
    assert (found["transmit"].head, found["transmit"].owned) == (4, 0)


@pytest.mark.parametrize("card", [E1000(), VirtioNet(), VirtioNet(transport="mmio"), Rtl8139(revision="C+")])
def test_before_a_driver_there_are_no_rings(card: Card) -> None:
    """All but the RTL8139's four slots, which are registers."""
    machine = motenet.Machine()
    machine.plug(card)
    found = rings(card, machine.slots[0].dma)
    assert found
    assert [ring.name for ring in found if ring.count and ring.unit != "slots"] == []


@pytest.mark.parametrize("nic", ["rtl8139cp", "virtio-net", "virtio-net-legacy"])
def test_looking_changes_nothing(nic: str) -> None:
    world, host = pair(nic)
    seen: list[object] = []
    world.watch(seen.append)
    dma = host.machine.slots[0].dma
    before = world.state_hash()
    look(host)
    assert peek(dma, 1 << 40, 16) == b"", "there is no memory"
    assert world.state_hash() == before
    assert seen == []
    assert dma.watch is not None
