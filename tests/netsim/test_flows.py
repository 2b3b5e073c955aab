"""Several flows through one bottleneck: smoltcp's second table."""

import pytest
from netsim import MODES, shared


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [2, 16])
def test_flows_share_a_bottleneck_fairly(mode: str, count: int) -> None:
    """Jain's index is 1 where all have the same, 1/n where one has everything."""
    assert shared(mode, count).fairness > 0.9


@pytest.mark.parametrize("mode", ["reno", "cubic"])
def test_congestion_control_drops_less_and_carries_more(mode: str) -> None:
    controlled, free = shared(mode, 16), shared("none", 16)
    assert controlled.dropped < free.dropped / 4
    assert controlled.total > free.total
