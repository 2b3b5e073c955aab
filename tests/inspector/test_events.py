"""Events as a line for people."""

import re

import pytest

import motenet
from motenet.core.trace import Changed, DmaAccess, Dropped, Event, FramePassed, InterruptChange, RegisterAccess
from motenet.inspector import describe
from motenet.sim.host import CARDS

ARP = bytes.fromhex("ffffffffffff5254000000010806") + bytes(46)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            RegisterAccess(17_661_000, "nic/bar0", "bar0", 0x100, 4, 0x04008002, True),
            "0.017661000 s  nic/bar0  writes RCTL 0x04008002 EN | BAM | SECRC",
        ),
        (
            RegisterAccess(0, "nic/config", "config", 4, 2, 7, False),
            "0.000000000 s  nic/config  reads config.COMMAND 0x0007 IO | MEMORY | MASTER",
        ),
        (
            DmaAccess(1, "nic/dma", 0x1000, 16, False, "TDESC"),
            "0.000000001 s  nic/dma  DMA reads TDESC, 16 bytes at 0x1000",
        ),
        (DmaAccess(1, "nic/dma", 0x2000, 60, True), "0.000000001 s  nic/dma  DMA writes 60 bytes at 0x2000"),
        (InterruptChange(2, "irq", 3, True), "0.000000002 s  irq  interrupt line 3 rises"),
        (InterruptChange(2, "irq", 3, False), "0.000000002 s  irq  interrupt line 3 falls"),
        (InterruptChange(2, "irq", 3, True, True), "0.000000002 s  irq  interrupt message 3"),
        (
            FramePassed(3, "link", "tx", ARP, "lost"),
            "0.000000003 s  link  tx 60 bytes, 52:54:00:00:00:01 to ff:ff:ff:ff:ff:ff, ARP, lost",
        ),
        (FramePassed(3, "nic/port", "rx", b"short"), "0.000000003 s  nic/port  rx 5 bytes"),
        (Dropped(4, "nic", "runt", "14 bytes", b"x"), "0.000000004 s  nic  drops: runt, 14 bytes (1 bytes)"),
        (Changed(5_000_000_000, "nic", "link", "up"), "5.000000000 s  nic  link: up"),
    ],
)  # fmt: skip
def test_an_event_is_one_line(event: Event, line: str) -> None:
    assert describe(event) == line


def test_everything_that_a_world_tells_can_be_printed() -> None:
    world = motenet.World(seed=1)
    lines: list[str] = []
    world.watch(lambda event: lines.append(motenet.inspector.describe(event)))
    alice, bob = (world.host(name, address=f"10.0.0.{n}/24") for n, name in enumerate(("alice", "bob"), 1))
    world.link(alice, bob)
    alice.stack.ping("10.0.0.2", count=1)
    assert any("TDT" in line for line in lines)
    assert any(line.endswith("IPv4, delivered") for line in lines)
    assert not any("\n" in line or "(time=" in line for line in lines)


@pytest.mark.parametrize(
    ("card", "space", "offset", "width", "value", "words"),
    [
        ("rtl8139", "bar1", 0x3E, 2, 0x0041, "ISR 0x0041 ROK | FOVW"),  # RTL8139C 5.6
        ("rtl8139cp", "bar0", 0xD9, 1, 0x40, "TPPOLL 0x40 NPQ"),  # RTL8139C+ 6
        ("virtio-net-legacy", "bar0", 0x12, 1, 0x07, "device_status 0x07 ACKNOWLEDGE | DRIVER | DRIVER_OK"),  # 4.1.4.10
        ("virtio-net-mmio", "bar0", 0x70, 4, 0x04, "Status 0x00000004 DRIVER_OK"),  # 4.2.2
        ("virtio-net", "config", 0x04, 2, 0x0006, "config.COMMAND 0x0006 MEMORY | MASTER"),
    ],
)
def test_registers_have_the_names_of_the_card_that_is_given(
    card: str, space: str, offset: int, width: int, value: int, words: str
) -> None:
    access = RegisterAccess(0, "h/nic", space, offset, width, value, True)
    wanted = f"0.000000000 s  h/nic  writes {words}"
    world = motenet.World()
    host = world.host("h", nic=card)
    for subject in (card, host.nic, host, world):
        assert describe(access, subject) == wanted


def test_in_a_world_each_card_has_its_own_names() -> None:
    world = motenet.World(seed=1)
    lines: list[str] = []
    world.watch(lambda event: lines.append(describe(event, world)))
    alice, bob = (world.host(nic, nic=nic, address=f"10.0.0.{n}/24") for n, nic in enumerate(("rtl8139", "e1000"), 1))
    world.link(alice, bob)
    world.run("1s")
    alice.stack.ping("10.0.0.2", count=1)
    assert any("rtl8139/nic/bar1  writes CAPR" in line for line in lines)
    assert any("e1000/nic/bar0  writes TDT" in line for line in lines)


@pytest.mark.parametrize("card", CARDS)
def test_nothing_that_our_drivers_touch_is_without_a_name(card: str) -> None:
    """virtio 4.1.4.4 and PCI 3.0 6.8.2: notifications and the table of messages, too."""
    world = motenet.World(seed=1)
    lines: list[str] = []
    world.watch(lambda event: lines.append(describe(event, world)))
    alice, bob = (world.host(name, nic=card, address=f"10.0.0.{n}/24") for n, name in enumerate(("alice", "bob"), 1))
    world.link(alice, bob)
    world.run("1s")
    assert alice.stack.ping("10.0.0.2", count=1) != [None]
    accesses = [line for line in lines if " writes " in line or " reads " in line]
    assert accesses
    assert [line for line in accesses if re.search(r"(bar\d|config)\+0x", line)] == []


def test_a_card_that_is_not_there_is_told() -> None:
    with pytest.raises(motenet.ConfigurationError, match="unknown NIC 'ne2000'; there is e1000"):
        describe(RegisterAccess(0, "h/nic", "bar0", 0, 4, 0, True), "ne2000")
    with pytest.raises(motenet.ConfigurationError, match="give a card, its name, its host, or a world"):
        describe(RegisterAccess(0, "h/nic", "bar0", 0, 4, 0, True), None)  # type: ignore[arg-type]
