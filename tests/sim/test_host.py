"""What a host tells of itself, and of mistakes in what it is made of."""

import pytest

import motenet
from motenet.devices import VirtioNet


@pytest.mark.parametrize(
    ("nic", "options", "message"),
    [
        ("e1000", {"tx_rings": 8}, r"'tx_rings'.* E1000Driver takes rx_ring=256, tx_ring=256"),
        ("rtl8139", {"tx_ring": 8}, r"'tx_ring'.* Rtl8139Driver takes io=False, .*; Rtl8139CpDriver takes io=False"),
        ("virtio-net-mmio", {"event_index": False}, r"'event_index'.* VirtioNetDriver takes .*event_idx=True"),
        ("e1000", {"tx_ring": "many"}, r"tx_ring='many': a ring has 8 to 4096 descriptors"),
        ("rtl8139", {"mode": "D"}, "has modes 'C' and 'C\\+'"),
    ],
)
def test_an_option_that_a_driver_does_not_have_is_told_with_those_it_has(
    nic: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(motenet.ConfigurationError, match=message):
        motenet.World().host("a", nic=nic, driver_options=options)


def test_a_card_sits_in_one_host_only() -> None:
    world, card = motenet.World(), VirtioNet()
    world.host("a", nic=card)
    with pytest.raises(motenet.ConfigurationError, match="sits in a already; make another one for b"):
        world.host("b", nic=card)


def test_what_makes_cards_is_no_card() -> None:
    with pytest.raises(motenet.ConfigurationError, match="call it"):
        motenet.World().host("a", nic=VirtioNet)  # type: ignore[arg-type]


def test_a_notebook_shows_what_there_is() -> None:
    world = motenet.World(seed=7)
    alice = world.host("alice", nic="rtl8139", address="10.0.0.1/24")
    bob = world.host("bob", nic="virtio-net-mmio")
    world.link(alice, bob)
    assert repr(alice) == "<Host alice: 10.0.0.1/24, link down>"
    world.run("1s")
    assert repr(alice) == "<Host alice: 10.0.0.1/24, link up>"
    assert repr(bob) == "<Host bob: no address, link up>"
    assert repr(world) == "<World seed=7 at 1.000 s: alice, bob>"
