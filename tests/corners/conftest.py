"""Linux in QEMU, with a card of ours in its slot and an emulated host at the cable's other end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from motenet.bridge.vfio_user.linux import Lab


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
