"""docs/stack.md says what the stack speaks, bounds and waits for: each line of it is held against the code."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STACK = ROOT / "motenet" / "stack"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "stack.md").read_text().splitlines()
    if line.startswith("| ") and "`" in line
]
SPOKEN = [row for row in ROWS if row[2].endswith(".py`")]
FIGURES = [row for row in ROWS if row not in SPOKEN]


@cache
def cited(path: Path) -> frozenset[str]:
    """The numbers of the RFCs that a file cites."""
    return frozenset(re.findall(r"RFCs? (\d+)", path.read_text()))


@pytest.mark.parametrize("row", SPOKEN, ids=lambda row: row[0])
def test_each_standard_is_cited_where_it_is_said_to_be_spoken(row: list[str]) -> None:
    numbers = set(re.findall(r"\d{3,}", row[0])) - {"802"}
    files = [STACK / name for name in re.findall(r"`([\w/]+\.py)`", row[2])]
    there = frozenset[str]().union(*(cited(path) for path in files))
    assert numbers <= there, f"not cited there: {numbers - there}"
    if numbers:
        assert [path.name for path in files if not numbers & cited(path)] == []


def test_each_rfc_that_the_code_cites_is_there() -> None:
    named = set(re.findall(r"\d{3,}", " ".join(row[0] for row in SPOKEN)))
    found = {number: path.name for path in sorted(STACK.rglob("*.py")) for number in cited(path)}
    assert {number: name for number, name in found.items() if number not in named} == {}


@pytest.mark.parametrize("row", FIGURES, ids=lambda row: row[2])
def test_each_figure_is_the_constants(row: list[str]) -> None:
    module, name = row[2].strip("`").rsplit(".", 1)
    value = vars(import_module(f"motenet.stack.{module}"))[name]
    figure = float(row[1])
    assert value in (figure, figure * 1_000_000_000)
