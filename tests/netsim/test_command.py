"""What `motenet bench netsim` prints."""

import json

import netsim_table
import pytest

SMALL = ["--modes", "none", "--rows", "4096", "--losses", "0", "--seeds", "1"]


def test_json_has_cells_means_and_flows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netsim_table, "FLOWS", (1,))
    assert netsim_table.main([*SMALL, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    (cell,) = plain["cells"]
    assert (cell["mode"], cell["buffer"], cell["loss"], cell["theirs"]) == ("none", 4096, 0.0, 34905.47)
    assert cell["ratio"] == pytest.approx(cell["ours"] / cell["theirs"], abs=1e-4)
    assert plain["geometric_means"] == {"none": cell["ratio"]}
    assert [row["flows"] for row in plain["flows"]["none"]] == [1]


def test_a_table_shows_figure_ratio_and_how_full_the_window_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert netsim_table.main([*SMALL, "--no-flows"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(word in text for word in ("none, 1MiB a cell", "4096 B", "1.1", "of buffer/RTT"))


def test_a_missed_limit_is_told_by_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(netsim_table.MEDIANS, ("1MiB", "none"), {4096: [1e6] * 8})
    assert netsim_table.main([*SMALL, "--no-flows"]) == 1
