"""The exam: of 200 masks and access effects flipped in a card's datasheet, its tests notice at least 80 %."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CARDS = sorted(path.parent.name for path in HERE.parents[1].glob("motenet/datasheets/*/__init__.py"))


@pytest.mark.parametrize("card", CARDS)
def test_flipped_masks_and_effects_are_noticed(card):
    command = [sys.executable, str(HERE / "mutate.py"), card, "--sample", "200", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout, done.stderr
    (result,) = json.loads(done.stdout)
    unnoticed = [
        f"{one['register']} {one['what']} = {one['now']}" for one in result["mutants"] if not one["noticed_by"]
    ]
    assert len(result["mutants"]) == 200
    assert len(unnoticed) <= 40, unnoticed
