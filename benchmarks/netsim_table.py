"""smoltcp's tables with our stack, beside smoltcp's own figures: `motenet bench netsim [--size 10MiB] [--json]`.

Every cell has its own simulation, all processors work on them, and no figure depends on how fast they are.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from math import exp, log
from multiprocessing import get_context
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from netsim import BANDWIDTH, MODES, RTT, Shared, cell, shared
from netsim_smoltcp import LOSSES, MEDIANS, SHARED, SIZES
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from motenet.core.units import SECOND

SEEDS = (1, 2, 3, 4, 5)
LEAST = 0.97
"""What each cell must reach of smoltcp's."""
FILLED, FILLED_ROWS = 0.95, (2048, 4096)
"""What these rows must reach of buffer/RTT, the most that can be, where nothing is lost."""
FLOWS = tuple(SHARED)

Place = tuple[str, int, float]
"""Mode, buffer in bytes, loss: a cell of table 1."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Medians of the seeds, ours and smoltcp's, in bytes per virtual second."""

    mode: str
    buffer: int
    loss: float
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def filled(self) -> float:
        """The share of what the window allows in each round trip."""
        return self.ours * RTT / (self.buffer * SECOND)

    @property
    def keeps(self) -> bool:
        """Whether it keeps the limits of a single cell."""
        return self.ratio >= LEAST and (self.loss > 0 or self.buffer not in FILLED_ROWS or self.filled > FILLED)

    def __str__(self) -> str:
        return f"{self.mode} {self.buffer} loss {self.loss}: {self.ours:.0f} B/s, {self.ratio:.3f} of smoltcp's"


def places(modes: Iterable[str], size: str, rows: Iterable[int] = (), losses: Sequence[float] = LOSSES) -> list[Place]:
    """The cells that smoltcp's figures are known of; no `rows`: all."""
    wanted = list(rows)
    return [
        (mode, buffer, loss)
        for mode in modes
        for buffer in MEDIANS[size, mode]
        for loss in losses
        if not wanted or buffer in wanted
    ]


def measure(
    wanted: Sequence[Place], size: str = "1MiB", seeds: Sequence[int] = SEEDS, quiet: bool = True
) -> list[Cell]:
    """Simulate cells on all processors; `quiet`: without a progress bar."""
    found: dict[Place, list[float]] = {place: [] for place in wanted}
    with _pool() as pool:
        futures = {
            pool.submit(cell, *place, seed, SIZES[size]): place
            for place in sorted(wanted, key=lambda place: -place[2])  # the slow ones first
            for seed in seeds
        }
        with _progress(quiet) as progress:
            task = progress.add_task(f"{size} a cell", total=len(futures))
            for future in as_completed(futures):
                found[futures[future]].append(future.result())
                progress.advance(task)
    return [Cell(*place, median(found[place]), _theirs(place, size)) for place in wanted]


def measure_shared(mode: str, counts: Sequence[int], quiet: bool = True) -> list[Shared]:
    """Table 2 with seed 1."""
    with _pool() as pool, _progress(quiet) as progress:
        task = progress.add_task(f"several flows, {mode}", total=len(counts))
        futures = [pool.submit(partial(shared, mode), count) for count in sorted(counts, reverse=True)]
        for future in as_completed(futures):
            future.result()
            progress.advance(task)
        return sorted((future.result() for future in futures), key=lambda row: row.flows)


def geometric_mean(cells: Sequence[Cell]) -> float:
    """Of the ratios to smoltcp's figures."""
    return exp(sum(log(one.ratio) for one in cells) / len(cells))


def _theirs(place: Place, size: str) -> float:
    mode, buffer, loss = place
    return MEDIANS[size, mode][buffer][LOSSES.index(loss)]


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(mp_context=get_context("spawn"))


def _progress(quiet: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)


# --- printing


def table(mode: str, cells: Sequence[Cell], size: str) -> Table:
    """Ours in bytes per virtual second, and below it how often smoltcp's; red where a limit is missed."""
    mean = f"{mode}, {size} a cell: geometric mean of the ratios {geometric_mean(cells):.3f}"
    filled = [f"{one.buffer}: {one.filled:.1%}" for one in cells if one.loss == 0 and one.buffer in FILLED_ROWS]
    caption = f"of buffer/RTT without loss: {', '.join(filled)}" if filled else None
    drawn = Table("loss", title=mean, caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    losses = sorted({one.loss for one in cells})
    for loss in losses:
        drawn.add_column(f"{loss:g}", justify="right", no_wrap=True)
    for buffer in sorted({one.buffer for one in cells}):
        row = {one.loss: one for one in cells if one.buffer == buffer}
        drawn.add_row(f"{buffer} B", *(_shown(row[loss]) if loss in row else "" for loss in losses))
    return drawn


def _shown(one: Cell) -> str:
    style = "red" if not one.keeps else "green" if one.ratio >= 1 else "yellow"
    return f"{one.ours:.0f}\n[{style}]{one.ratio:.3f}[/]"


def shared_table(mode: str, rows: Sequence[Shared]) -> Table:
    """Table 2, with smoltcp's (which controls no congestion) beside it."""
    title = f"{mode}: flows sharing {BANDWIDTH // 1_000_000} MB/s and 64 KiB of queue (right: smoltcp)"
    drawn = Table("flows", title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("B/s", "Jain", "dropped", "of the link", "| B/s", "Jain", "dropped"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        total, fairness, dropped = SHARED[row.flows]
        style = "green" if row.total >= total else "red"
        ours = (f"[{style}]{row.total:.0f}[/]", f"{row.fairness:.4f}", f"{row.dropped:.2%}", f"{row.utilization:.1%}")
        drawn.add_row(str(row.flows), *ours, f"| {total:.0f}", f"{fairness:.4f}", f"{dropped:.2%}")
    return drawn


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code says whether all limits of table 1 are kept."""
    options = _parse(arguments)
    losses = options.losses or LOSSES
    wanted = places(options.modes, options.size, options.rows, losses)
    cells = measure(wanted, options.size, range(1, options.seeds + 1), quiet=False)
    by_mode = {mode: [one for one in cells if one.mode == mode] for mode in options.modes}
    several = {mode: measure_shared(mode, FLOWS, quiet=False) for mode in ([] if options.no_flows else options.modes)}
    if options.json:
        plain = {
            "size": options.size,
            "cells": [asdict(one) | {"ratio": round(one.ratio, 4), "keeps": one.keeps} for one in cells],
            "geometric_means": {mode: round(geometric_mean(own), 4) for mode, own in by_mode.items()},
            "flows": {mode: [asdict(row) for row in rows] for mode, rows in several.items()},
        }
        print(json.dumps(plain, indent=2))
    else:
        console = Console()
        for mode, own in by_mode.items():
            console.print(table(mode, own, options.size))
        for mode, rows in several.items():
            console.print(shared_table(mode, rows))
    return 0 if all(one.keeps for one in cells) and all(geometric_mean(own) > 1 for own in by_mode.values()) else 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="netsim_table.py", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="1MiB", help="bytes a cell")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--rows", nargs="+", type=int, default=[], metavar="BUFFER", help="some rows only")
    parser.add_argument("--losses", nargs="+", type=float, choices=LOSSES, metavar="LOSS", help="some columns only")
    parser.add_argument("--seeds", type=int, default=5, help="take the median of seeds 1 to this")
    parser.add_argument("--no-flows", action="store_true", help="leave out the table of several flows")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
