"""items.toml maps every promise that is about queues and the network device to tests that exist."""

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


def test_every_item_of_the_issue_is_there():
    """The words of the promise, each found in an item."""
    words = (
        "split", "packed", "indirect descriptors", "event suppression", "event index", "CSUM", "TSO4/TSO6/ECN/UFO",
        "HOST_USO", "mergeable", "MAC", "STATUS", "MTU", "SPEED_DUPLEX", "control queue", "receive modes", "MAC table",
        "VLAN", "announce", "MAC address set", "multiqueue with automatic receive steering", "offloads",
        "misaligned or oversized queues, descriptor loops and jumping indexes", "avail index wrap at 65536",
        "packed wrap counters", "indirect inside a chain", "descriptor loops", "zero-length chains",
        "loopback re-entrancy", "ring-pointer wrap", "oversized segments", "integer overflow in lengths", "fuzz",
    )  # fmt: skip
    everything = "\n".join(ITEMS)
    assert [word for word in words if word not in everything] == []
