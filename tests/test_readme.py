"""The README stays true: its programs run, and its demo's fingerprint is the demo's."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_its_programs_run(number: int, tmp_path: Path) -> None:
    source = PROGRAMS[number] if "import motenet" in PROGRAMS[number] else "import motenet\n" + PROGRAMS[number]
    done = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout
    assert done.returncode == 0


def test_its_demo_is_the_demo() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "motenet", "demo", "--json"], capture_output=True, text=True, check=True
    )
    shown = re.search(r"\n([0-9a-f]{64})\n", README)
    assert shown is not None
    assert json.loads(done.stdout)["fingerprint"] == shown[1], "run the demo again and show its output in the README"


def test_the_host_that_it_inspects_looks_like_that() -> None:
    command = [sys.executable, "-m", "motenet", "inspect", "--host", "alice", str(ROOT / "examples" / "router.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "100"})
    printed = "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())
    assert printed in README, "run this again and show its output in the README"
