"""docs/fidelity.md's matrix is that of the corner tests as they are now, and nothing in it is red."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (.+) \| (.+) \| (.+) \| (\w+) \| \d+ of \d+ \|$", re.MULTILINE)
AGAIN = "run `python -m pytest tests/corners --matrix docs/fidelity.md`"


def marked(path: Path) -> set[tuple[str, ...]]:
    """The rows that a file's marks ask for."""
    rows = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "exercises":
            words = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            rows.add((words["driver"], words["card"], words["what"]))
    return rows


def test_the_matrix_is_that_of_the_tests() -> None:
    section = (ROOT / "docs/fidelity.md").read_text().partition("<!-- matrix: begin -->\n")[2]
    found = {tuple(row[:3]): row[3] for row in ROW.findall(section)}
    asked = {row for path in (ROOT / "tests/corners").glob("test_*.py") for row in marked(path)}
    assert set(found) == asked, AGAIN
    assert set(found.values()) == {"passed"}, AGAIN
