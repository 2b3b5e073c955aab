"""items.toml maps what the driver promises to tests that exist."""

import ast
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ITEMS: dict[str, list[str]] = tomllib.loads((HERE / "items.toml").read_text())


@pytest.mark.parametrize("item", ITEMS)
def test_each_item_has_tests_that_exist(item):
    assert ITEMS[item]
    for node in ITEMS[item]:
        path, _, name = node.partition("::")
        tree = ast.parse((HERE / path).read_text())
        assert name in {part.name for part in tree.body if isinstance(part, ast.FunctionDef)}, node


def test_every_item_of_the_issue_is_there():
    """The words of the promise, each found in an item."""
    words = (
        "whatever is offered", "FEATURES_OK", "generation", "DEVICE_NEEDS_RESET", "split and packed", "indirect",
        "event suppression", "event index", "PCI modern", "legacy", "MMIO version 2", "MSI-X", "INTx with ISR", "CSUM",
        "HOST_TSO4/TSO6/ECN/UFO", "HOST_USO", "GUEST_TSO4/TSO6/ECN/UFO", "mergeable", "MAC", "STATUS", "MTU",
        "SPEED_DUPLEX", "receive modes", "MAC table", "VLAN", "announce", "MAC address set", "multiqueue", "offloads",
        "avail index wrap at 65536", "packed wrap counters",
    )  # fmt: skip
    everything = "\n".join(ITEMS)
    assert [word for word in words if word not in everything] == []
