"""docs/rfc9293.md maps each numbered requirement of RFC 9293, appendix B, to the tests that prove it."""

import ast
import re
from pathlib import Path

import pytest

STACK = Path(__file__).parents[1]
LINES = (STACK.parents[1] / "docs" / "rfc9293.md").read_text().splitlines()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in LINES if re.match(r"\| (MUST|SHLD|MAY)-", line)
]
COUNTS = {"MUST": 69, "SHLD": 31, "MAY": 18}
"""Appendix B's table numbers each of them from 1 on, without a gap."""
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def functions_of(path: str) -> dict[str, str]:
    """A file's tests: name, and the text in which numbers are cited (name and docstring)."""
    tree = ast.parse((STACK / path).read_text())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {node.name: f"{node.name} {ast.get_docstring(node) or ''}" for node in found}


def cited(text: str) -> set[str]:
    """Requirements named as MUST-26, or in a test's name as must_26_27_and_29."""
    names: set[str] = set()
    for kind, numbers in re.findall(r"(?i)(?<![a-z])(must|shld|may)[-_](\d+(?:_(?:and_)?\d+)*)", text):
        names |= {f"{kind.upper()}-{number}" for number in re.findall(r"\d+", numbers)}
    return names


def test_citations_are_found() -> None:
    text = "test_must_26_27_and_29_keep_alive SHLD-12: no data, MAY-3 and must_5_an_option"
    assert cited(text) == {"MUST-26", "MUST-27", "MUST-29", "SHLD-12", "MAY-3", "MUST-5"}


@pytest.mark.parametrize("kind", COUNTS)
def test_each_number_is_there_exactly_once(kind: str) -> None:
    numbers = [row[0] for row in ROWS if row[0].startswith(kind)]
    assert numbers == [f"{kind}-{number}" for number in range(1, COUNTS[kind] + 1)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_is_named_exists_and_names_the_number(row: list[str]) -> None:
    number, asks, proof = row
    assert asks
    named = TEST.findall(proof)
    assert len(named) == proof.count(".py")
    for path, name in named:
        tests = functions_of(path)
        assert name in tests, f"{path} has no {name}"
        assert number in cited(tests[name]), f"{name} does not name {number}"
    assert named or not number.startswith("MUST"), "a MUST is proven by a test"
    assert named or len(proof) > 20, "what has no test has its reason"
