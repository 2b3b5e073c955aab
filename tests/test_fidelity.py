"""docs/fidelity.md's matrix is that of the corner tests as they are now, and nothing in it is red."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (.+) \| (.+) \| (.+) \| (\w+) \| \d+ of \d+ \|$", re.MULTILINE)
AGAIN = "run `python -m pytest tests/corners --matrix docs/fidelity.md`"


def asked(folder: Path) -> set[tuple[str, ...]]:
    """The rows that the corner tests' marks ask for."""
    file = folder / "rows.json"
    command = [sys.executable, "-m", "pytest", "tests/corners", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "--rows", file], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {tuple(row) for row in json.loads(file.read_text())}


def test_the_matrix_is_that_of_the_tests(tmp_path: Path) -> None:
    section = (ROOT / "docs/fidelity.md").read_text().partition("<!-- matrix: begin -->\n")[2]
    found = {tuple(row[:3]): row[3] for row in ROW.findall(section)}
    assert set(found) == asked(tmp_path), AGAIN
    assert set(found.values()) == {"passed"}, AGAIN
