"""items.toml maps every item of the transports' list to tests that exist."""

import ast
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
ITEMS: dict[str, list[str]] = tomllib.loads((HERE / "items.toml").read_text())


@pytest.mark.parametrize("item", ITEMS)
def test_each_item_has_tests_that_exist(item):
    assert ITEMS[item]
    for node in ITEMS[item]:
        path, _, name = node.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        assert name in {part.name for part in tree.body if isinstance(part, ast.FunctionDef)}, node
