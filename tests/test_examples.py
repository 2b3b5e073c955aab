"""All examples run, each within seconds, and print what they promise."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

PRINTED: dict[tuple[str, ...], list[str]] = {
    ("basic_usage.py",): ["received: b'hello from a bare stack'", "MAC address 52:54:00:12:34:02 link up: True"],
    ("regression_test.py",): ["drops: lost", "again: "],
    ("router.py",): ["b'hello from another network'"],
    ("smallest_driver.py",): [
        "writes TDT 0x00000001",
        "the descriptor is done: True",
        "('10.0.0.1', '52:54:00:00:00:01')",
    ],
    ("streams.py",): ["Connect call failed ('10.1.0.100', 9)", "'HELLO BOB.TEST'", ".061 s later"],
    ("two_cards.py",): ["writes TSD[0] "],  # RTL8139C 5.2
    ("two_cards.py", "virtio-net-mmio", "e1000"): ["writes QueueNotify "],  # virtio 4.2.2
    ("two_hosts.py",): ["1000000 bytes in "],
    ("web.py",): ["200 application/json {'order': {'nic': '82540EM', 'count': 2}", "\n1048576 bytes\n"],
    ("watch_a_ring.py",): ["\nCdddCCCC ", "\ndddddddd ", "alice has read 12 datagrams"],
}


@pytest.mark.parametrize("command", PRINTED, ids=" ".join)
def test_an_example_runs(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, *arguments = command
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    printed = capsys.readouterr()
    assert printed.err == ""
    assert [words for words in PRINTED[command] if words not in printed.out] == []
    if script == "regression_test.py":  # the slow download, and the same one with somebody watching
        lines = printed.out.splitlines()
        found = next(number for number, line in enumerate(lines) if "drops: lost" in line) - 1
        assert lines[found].partition(": ")[2] == lines[-1].partition(": ")[2]


def test_no_example_is_left_out() -> None:
    assert sorted({command[0] for command in PRINTED}) == sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_the_one_that_is_a_test_passes_as_such() -> None:
    found = runpy.run_path(str(EXAMPLES / "regression_test.py"))
    tests = [function for name, function in found.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
