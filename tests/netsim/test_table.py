"""smoltcp's table of throughput under loss, rows from 4096: ours beside smoltcp's own medians (seeds 1 to 5, 1 MiB).

`motenet bench netsim` prints the whole table.
"""

import netsim_table
import pytest
from netsim import MODES
from netsim_smoltcp import LOSSES
from netsim_table import Cell

ROWS = (4096, 8192, 16384, 32768)


@pytest.fixture(scope="module", params=MODES)
def cells(request: pytest.FixtureRequest) -> list[Cell]:
    """A mode's cells."""
    return netsim_table.measure(netsim_table.places([request.param], "1MiB", ROWS))


def test_each_cell_reaches_what_smoltcp_does(cells: list[Cell]) -> None:
    assert len(cells) == len(ROWS) * len(LOSSES)
    assert [str(one) for one in cells if one.ratio < 0.97] == []


def test_the_mode_as_a_whole_is_better(cells: list[Cell]) -> None:
    assert netsim_table.geometric_mean(cells) > 1


@pytest.mark.parametrize("mode", MODES)
def test_without_loss_small_windows_are_always_full(mode: str) -> None:
    """The most that can be is buffer/RTT; smoltcp's reach 86 % of it."""
    cells = netsim_table.measure(netsim_table.places([mode], "1MiB", (2048, 4096), [0.0]))
    assert len(cells) == 2
    assert all(one.filled > 0.95 for one in cells), [str(one) for one in cells]
