"""Running the command line inside the test's own process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from motenet.cli import main


@dataclass
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def motenet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`motenet("registers", "e1000")` -> exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["motenet", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        code = exit_.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, captured.out, captured.err)

    return run
