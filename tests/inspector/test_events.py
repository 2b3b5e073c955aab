"""Events as a line for people."""

import pytest

import motenet
from motenet.core.trace import Changed, DmaAccess, Dropped, Event, FramePassed, InterruptChange, RegisterAccess
from motenet.inspector import describe

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
