"""A capture that cannot be written is a mistake of the caller's."""

from pathlib import Path

import pytest

import motenet


@pytest.mark.parametrize(("path", "reason"), [("no/x.pcapng", "No such file or directory"), (".", "Is a directory")])
def test_a_path_that_cannot_be_written_says_why(tmp_path: Path, path: str, reason: str) -> None:
    world = motenet.World(seed=1)
    with pytest.raises(motenet.ConfigurationError, match=reason) as error:
        world.capture(tmp_path / path)
    assert str(tmp_path / path) in str(error.value)
    world.run("1ms")
