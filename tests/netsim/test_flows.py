"""Several flows through one bottleneck: smoltcp's second table."""

from functools import cache

import netsim
import pytest
from netsim import MODES, Shared


@cache
def shared(mode: str, count: int) -> Shared:
    return netsim.shared(mode, count)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [2, 16])
def test_flows_share_a_bottleneck_fairly(mode: str, count: int) -> None:
    """Jain's index is 1 where all have the same, 1/n where one has everything.

    With rates as 1/RTT, as RFC 5681's are, round trips of 50 to 150 ms make 0.9 in the long run; these are short.
    """
    assert shared(mode, count).fairness > 0.8


@pytest.mark.parametrize("mode", ["reno", "cubic"])
def test_congestion_control_drops_less_and_carries_more(mode: str) -> None:
    controlled, free = shared(mode, 16), shared("none", 16)
    assert controlled.dropped < free.dropped / 4
    assert controlled.total > free.total
