"""Each items.toml maps what a device or a driver promises to tests that exist."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LISTS: dict[str, tuple[str, ...]] = {
    "devices/e1000": (
        "CTRL.RST", "EECD", "EERD", "MDIC", "LSC", "legacy", "context", "segmentation", "RS, IDE, DD", "TXDW/TXQE",
        "BSEX", "multi-descriptor", "IPCS/TCPCS", "unicast", "multicast-hash", "broadcast", "promiscuous",
        "VLAN filter", "VLAN strip and insert", "jumbo", "FCS unless SECRC", "MPC, RNBC, RXO", "ICR/ICS/IMS/IMC",
        "ITR", "statistics", "loopback", "IOADDR/IODATA", "later",
    ),
    "devices/rtl8139": (
        "0x10", "0x20", "PIO BAR0", "MMIO BAR1", "byte, word and dword", "8/16/32/64 KiB", "WRAP", "real CRC32",
        "dword rounding", "CAPR's -16", "CBR", "BUFE", "overflow", "recovery", "physical", "multicast hash",
        "broadcast", "runt", "error", "TSD/TSAD", "round robin", "TOK/TABT/CLRABT", "no automatic padding",
        "TCR loopback", "ISR write-one-to-clear", "IMR plain", "CpCmd ordering", "16-byte descriptors",
        "OWN published last", "both transmit priorities", "receive scatter", "checksum results", "large-send", "VLAN",
        "tally counters", "timer interrupt", "MII", "93C46", "8 address bits", "CONFIG0-5", "lock", "media status",
        "reset within 10 ms", "32-bit DMA", "descriptor loops", "zero-length chains", "loopback re-entrancy",
        "ring-pointer wrap", "oversized segments", "integer overflow in lengths",
    ),
    "devices/virtio": (
        "split", "packed", "indirect descriptors", "event suppression", "event index", "CSUM", "TSO4/TSO6/ECN/UFO",
        "HOST_USO", "mergeable", "MAC", "STATUS", "MTU", "SPEED_DUPLEX", "control queue", "receive modes", "MAC table",
        "VLAN", "announce", "MAC address set", "multiqueue with automatic receive steering", "offloads",
        "misaligned or oversized queues, descriptor loops and jumping indexes", "avail index wrap at 65536",
        "packed wrap counters", "indirect inside a chain", "descriptor loops", "zero-length chains",
        "loopback re-entrancy", "ring-pointer wrap", "oversized segments", "integer overflow in lengths", "fuzz",
    ),
    "drivers/virtio": (
        "whatever is offered", "FEATURES_OK", "generation", "DEVICE_NEEDS_RESET", "split and packed", "indirect",
        "event suppression", "event index", "PCI modern", "legacy", "MMIO version 2", "MSI-X", "INTx with ISR", "CSUM",
        "HOST_TSO4/TSO6/ECN/UFO", "HOST_USO", "GUEST_TSO4/TSO6/ECN/UFO", "mergeable", "MAC", "STATUS", "MTU",
        "SPEED_DUPLEX", "receive modes", "MAC table", "VLAN", "announce", "MAC address set", "multiqueue", "offloads",
        "avail index wrap at 65536", "packed wrap counters",
    ),
    "devices/virtio/transports": (),
}  # fmt: skip
"""For each folder with a list: the words of the promise, each of which an item has."""


@cache
def functions(path: Path) -> frozenset[str]:
    """The functions of a module."""
    return frozenset(part.name for part in ast.parse(path.read_text()).body if isinstance(part, ast.FunctionDef))


def test_no_list_is_left_out() -> None:
    assert {str(file.parent.relative_to(TESTS)) for file in TESTS.rglob("items.toml")} == set(LISTS)


@pytest.mark.parametrize("folder", LISTS)
def test_each_item_has_tests_that_exist(folder: str) -> None:
    items: dict[str, list[str]] = tomllib.loads((TESTS / folder / "items.toml").read_text())
    everything = "\n".join(items)
    assert [word for word in LISTS[folder] if word not in everything] == []
    assert [item for item, nodes in items.items() if not nodes] == []
    places = [node.partition("::") for nodes in items.values() for node in nodes]
    assert [(path, name) for path, _, name in places if name not in functions(TESTS / path)] == []
