"""docs/asyncio.md stays true: its programs print what it shows, and its tables name every method."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from motenet.sim.aio import WorldLoop

TEXT = (Path(__file__).parents[3] / "docs" / "asyncio.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", TEXT, re.DOTALL)
ROWS = {
    name: line
    for line in TEXT.partition("## The loop")[2].splitlines()
    if line.startswith("| `")
    for name in re.findall(r"`(\w+)`", line.split("|")[1])
}


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_its_programs_print_what_it_shows(number: int) -> None:
    source, output = PROGRAMS[number]
    done = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == output


def test_it_has_programs() -> None:
    assert len(PROGRAMS) == TEXT.count("```python") > 1


@pytest.mark.parametrize(
    "name",
    [name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_") and name != "get_exception_handler"],
)
def test_its_table_names_every_method_and_what_is_absent(name: str) -> None:
    absent = getattr(WorldLoop, name) is getattr(asyncio.AbstractEventLoop, name)
    assert (": NotImplemented" in ROWS[name]) == absent
