"""items.toml maps every item of the card's list to tests that exist."""

import ast
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ITEMS: dict[str, list[str]] = tomllib.loads((HERE / "items.toml").read_text())


@pytest.mark.parametrize("item", ITEMS)
def test_each_item_has_tests_that_exist(item):
    assert ITEMS[item]
    for node in ITEMS[item]:
        path, _, name = node.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        assert name in {part.name for part in tree.body if isinstance(part, ast.FunctionDef)}, node


def test_every_item_of_the_list_is_there():
    """The list's words, each found in an item."""
    words = (
        "0x10", "0x20", "PIO BAR0", "MMIO BAR1", "byte, word and dword", "8/16/32/64 KiB", "WRAP", "real CRC32",
        "dword rounding", "CAPR's -16", "CBR", "BUFE", "overflow", "recovery", "physical", "multicast hash",
        "broadcast", "runt", "error", "TSD/TSAD", "round robin", "TOK/TABT/CLRABT", "no automatic padding",
        "TCR loopback", "ISR write-one-to-clear", "IMR plain", "CpCmd ordering", "16-byte descriptors",
        "OWN published last", "both transmit priorities", "receive scatter", "checksum results", "large-send", "VLAN",
        "tally counters", "timer interrupt", "MII", "93C46", "8 address bits", "CONFIG0-5", "lock", "media status",
        "reset within 10 ms", "32-bit DMA", "descriptor loops", "zero-length chains", "loopback re-entrancy",
        "ring-pointer wrap", "oversized segments", "integer overflow in lengths",
    )  # fmt: skip
    everything = "\n".join(ITEMS)
    assert [word for word in words if word not in everything] == []
