"""items.toml maps every item of the device's list to tests that exist."""

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
    """The device list's words, each found in an item."""
    words = (
        "CTRL.RST", "EECD", "EERD", "MDIC", "LSC", "legacy", "context", "segmentation", "RS, IDE, DD", "TXDW/TXQE",
        "BSEX", "multi-descriptor", "IPCS/TCPCS", "unicast", "multicast-hash", "broadcast", "promiscuous",
        "VLAN filter", "VLAN strip and insert", "jumbo", "FCS unless SECRC", "MPC, RNBC, RXO", "ICR/ICS/IMS/IMC",
        "ITR", "statistics", "loopback", "IOADDR/IODATA", "later",
    )  # fmt: skip
    everything = "\n".join(ITEMS)
    assert [word for word in words if word not in everything] == []
