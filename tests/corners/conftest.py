"""Linux in QEMU, with a card of ours in its slot and an emulated host at the cable's other end."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from motenet.bridge.qtest.process import has_qtest_accelerator
from motenet.bridge.vfio_user.linux import Lab
from motenet.bridge.vfio_user.qemu import PREPARE, find_qemu
from tests.corners.ipxe_room import Room


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Makes labs: `lab(card, **options of the emulated host)`."""
    made: list[Lab] = []

    def make(card: Any, **bob: Any) -> Lab:
        made.append(Lab(tmp_path, card, **bob))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def ipxe_room(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    """Makes rooms: `ipxe_room(card, *dnsmasq's options, bandwidth=the cable's)`.

    Nothing may be left that we had to refuse.
    """
    made: list[Room] = []

    def make(card: Any, *options: str, bandwidth: str | int = 0) -> Room:
        made.append(Room(tmp_path, card, bandwidth))
        made[-1].furnish(*options)
        return made[-1]

    try:
        yield make
        for room in made:
            room.check()
    finally:
        for room in made:
            room.end()


@pytest.fixture(params=["leaping time", "stepped time"])
def program(request: pytest.FixtureRequest) -> str:
    """A QEMU for each way of moving its clock: that of PATH, and one that has `-accel qtest`."""
    if request.param == "leaping time":
        return "qemu-system-x86_64"
    found = find_qemu()
    if found is None or not has_qtest_accelerator(found):
        pytest.skip(f"no QEMU here has -accel qtest; {PREPARE} fetches one")
    return found


# --- the matrix in docs/fidelity.md

BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
PHASES, TESTS = ("failed", "skipped", "passed"), ("failed", "passed", "skipped")
"""Which outcome of its phases counts for a test, and which of its tests for a row: the first that there is."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--matrix", type=Path, metavar="FILE", help="write what was exercised, and how it went, between FILE's marks"
    )
    parser.addoption("--rows", type=Path, metavar="FILE", help="write the rows of all collected tests, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "exercises(driver, card, what): a row of the matrix that this test is part of")
    if config.getoption("--matrix") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Matrix(config.getoption("--matrix")), "matrix")


def pytest_itemcollected(item: pytest.Item) -> None:
    """A mark travels with the test's reports, from any process."""
    for mark in item.iter_markers("exercises"):
        item.user_properties.append(("exercises", [mark.kwargs[name] for name in ("driver", "card", "what")]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """The rows that the marks ask for, whatever becomes of their tests."""
    file = session.config.getoption("--rows")
    if file is not None:
        rows = {tuple(row) for item in session.items for name, row in item.user_properties if name == "exercises"}
        file.write_text(json.dumps(sorted(rows)))


class Matrix:
    """Collects outcomes by row, and writes the table."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[tuple[str, ...], dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, row in report.user_properties:
            if name == "exercises":
                tests = self.rows.setdefault(tuple(row), {})
                tests[report.nodeid] = min(report.outcome, tests.get(report.nodeid, "passed"), key=PHASES.index)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus > pytest.ExitCode.TESTS_FAILED:
            return  # interrupted: not all that it would tell has been
        lines = ["| driver | card | exercised | result | tests |", "|---|---|---|---|---|"]
        for row, tests in sorted(self.rows.items()):
            result = min(tests.values(), key=TESTS.index)
            count = sum(outcome == result for outcome in tests.values())
            lines.append("| " + " | ".join((*row, result, f"{count} of {len(tests)}")) + " |")
        before, _, rest = self.file.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        self.file.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after)
