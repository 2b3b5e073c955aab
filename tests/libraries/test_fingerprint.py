"""The promise: in sealed() unmodified libraries give the same fingerprint on every run of one installation."""

import os
import subprocess
import sys
from pathlib import Path

SCENE = Path(__file__).with_name("scene.py")


def test_every_run_is_the_same_run() -> None:
    """In fresh processes, with other hashes of words and other addresses of objects."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(SCENE), litter],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed, litter in (("1", "0"), ("2", "20000"))
    ]
    said = [run.communicate(timeout=120) for run in runs]
    for run, (_, errors) in zip(runs, said, strict=True):
        assert run.returncode == 0, errors
    first, second = (output.splitlines() for output, _ in said)
    assert len(first) == 6
    assert second == first
