"""The datasheets' exam: flip a mask or an access effect of a card's declarations. Do the card's tests notice?

    python tests/mutation/mutate.py e1000 rtl8139 virtio --sample 200 --seed 4

One parent process imports the datasheets and nothing else of motenet, and forks a child for each mutant. The child
changes one declaration, then imports the rest and runs the card's tests, the quickest files first, until one fails.
A child that does not end by itself is stopped; that counts as noticed, too.
"""

import argparse
import json
import os
import random
import resource
import selectors
import sys
import time
from collections.abc import Iterator
from typing import Any

import hypothesis  # noqa: F401 - the heavy modules are imported once, here
import mutants
import numpy  # noqa: F401
import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = mutants.ROOT
OPTIONS = ("-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist")
AT_ONCE = 2
FREELY = 600
"""Seconds of computing that the tests may take when nothing is wrong."""


def stages(card: str) -> list[list[str]]:
    """What to run of the card: tests of the datasheet, those of the model's registers, those of model and driver."""
    found = [
        str(path.relative_to(ROOT))
        for room in ("devices", "drivers")
        for path in sorted((ROOT / "tests" / room / card).rglob("test_*.py"))
    ]
    registers = [path for path in found if path.endswith("/test_registers.py")]
    rest = [path for path in found if path not in registers]
    return [["tests/datasheets", "-k", card], *(stage for stage in (registers, rest) if stage)]


class FirstFailure:
    """A pytest plugin that remembers what failed first."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.name = self.name or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.name = self.name or f"collecting {report.nodeid}"


def first_failure(card: str) -> str:
    """Import motenet and run the card's tests. Returns the id of the first that fails, or nothing."""
    try:
        mutants.import_motenet()
    except Exception as error:
        return f"importing motenet: {type(error).__name__}: {error}"
    for files in stages(card):
        seen = FirstFailure()
        code = pytest.main([*OPTIONS, f"--rootdir={ROOT}", *files], plugins=[seen])
        if code != pytest.ExitCode.OK:
            return seen.name or f"pytest ended with {code}"
    return ""


class Child:
    """A process of its own for one mutant, or for none. Its answer comes through `pipe`, at its end."""

    def __init__(self, card: str, mutant: mutants.Mutant | None, seconds: int) -> None:
        self.mutant = mutant
        self.started, self.limit = time.monotonic(), 3 * seconds
        self.pipe, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._work(card, answer, seconds)
        os.close(answer)

    def _work(self, card: str, answer: int, seconds: int) -> None:
        """In the child. Does not return."""
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        try:
            if self.mutant is not None:
                self.mutant.plant()
            os.write(answer, b"failed:" + first_failure(card).encode())
        finally:
            os._exit(0)

    def result(self) -> str:
        """The first failure, or nothing. Waits for the child's end."""
        answer = b""
        while piece := os.read(self.pipe, 65536):
            answer += piece
        os.close(self.pipe)
        os.waitpid(self.pid, 0)
        ended, _, failure = answer.decode().partition(":")
        return failure if ended else "did not end by itself"

    def stop_if_late(self) -> None:
        if time.monotonic() > self.started + self.limit:
            os.kill(self.pid, 9)


def try_all(children: Iterator[Child]) -> Iterator[tuple[Child, str]]:
    """Each child with its result, as they end; a few work at the same time."""
    with selectors.DefaultSelector() as working:
        while True:
            while len(working.get_map()) < AT_ONCE and (child := next(children, None)):
                working.register(child.pipe, selectors.EVENT_READ, child)
            if not working.get_map():
                return
            for key, _ in working.select(timeout=1):
                working.unregister(key.fd)
                yield key.data, key.data.result()
            for key in working.get_map().values():
                key.data.stop_if_late()


def examine(card: str, sample: int, seed: int, progress: Progress) -> dict[str, Any]:
    """The sample's mutants, tried. SystemExit if the tests fail without any."""
    possible = mutants.mutants(card)
    task = progress.add_task(f"{card}: unchanged", total=min(sample, len(possible)))
    began = time.process_time(), os.times().children_user
    unchanged = Child(card, None, FREELY).result()
    if unchanged:
        raise SystemExit(f"{card}: the tests fail without a mutant, first {unchanged}")
    seconds = 10 + 4 * int(os.times().children_user - began[1])
    drawn = random.Random(seed).sample(possible, min(sample, len(possible)))
    progress.update(task, description=card)
    for child, failure in try_all(Child(card, mutant, seconds) for mutant in drawn):
        assert child.mutant is not None
        child.mutant.noticed_by = failure
        progress.advance(task)
        progress.refresh()
    return {"card": card, "seed": seed, "possible": len(possible), "mutants": [mutant.record() for mutant in drawn]}


def share(tried: list[dict[str, Any]]) -> float:
    """Of the mutants tried, how many were noticed: 0 to 1."""
    return sum(bool(mutant["noticed_by"]) for mutant in tried) / len(tried) if tried else 1.0


def tables(result: dict[str, Any]) -> Iterator[Table]:
    """For people: the score by kind, and the survivors."""
    tried = result["mutants"]
    score = Table(title=f"{result['card']}: {share(tried):.1%} of {len(tried)} mutants noticed", title_justify="left")
    for column in ("what was changed", "tried", "noticed", "share"):
        score.add_column(column, justify="left" if column.startswith("what") else "right")
    for kind in dict.fromkeys(mutant["kind"] for mutant in tried):
        those = [mutant for mutant in tried if mutant["kind"] == kind]
        noticed = sum(bool(mutant["noticed_by"]) for mutant in those)
        score.add_row(kind, str(len(those)), str(noticed), f"{share(those):.0%}")
    yield score
    survivors = Table("register", "what", "was", "became", title="Nobody noticed", title_justify="left")
    for mutant in tried:
        if not mutant["noticed_by"]:
            survivors.add_row(*(str(mutant[name]) for name in ("register", "what", "was", "now")))
    if survivors.row_count:
        yield survivors


def main() -> None:
    parser = argparse.ArgumentParser(description="Flip masks and access effects of datasheets; do the tests notice?")
    parser.add_argument("cards", nargs="+", metavar="card", help="a package of motenet/datasheets")
    parser.add_argument("--sample", type=int, default=200, help="mutants a card (default: 200)")
    parser.add_argument("--seed", type=int, default=4, help="of the sample (default: 4)")
    parser.add_argument("--least", type=float, default=0.8, help="share that must be noticed (default: 0.8)")
    parser.add_argument("--json", action="store_true", help="all mutants and who noticed them, to standard output")
    options = parser.parse_args()
    os.environ["CI"] = "1"  # hypothesis tries the same examples every time
    os.chdir(ROOT)
    with Progress(console=Console(stderr=True), auto_refresh=False) as progress:  # no thread: this process forks
        results = [examine(card, options.sample, options.seed, progress) for card in options.cards]
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        console = Console()
        for result in results:
            console.print(*tables(result), sep="\n")
    sys.exit(any(share(result["mutants"]) < options.least for result in results))


if __name__ == "__main__":
    main()
