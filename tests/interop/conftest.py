"""A room for each test; whatever was sent in it is put through Wireshark when the test is done."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from family import FAMILIES, Family
from guest import GuestRoom
from room import Room


def _lived_in(made: Room) -> Iterator[Room]:
    try:
        yield made
        made.check()
    finally:
        made.end()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A world and a namespace."""
    yield from _lived_in(Room(tmp_path))


@pytest.fixture
def guest_room(tmp_path: Path) -> Iterator[Room]:
    """A world and a guest."""
    yield from _lived_in(GuestRoom(tmp_path))


@pytest.fixture(params=FAMILIES, ids=str)
def family(request: pytest.FixtureRequest) -> Family:
    """Each test for both versions of IP."""
    found: Family = request.param
    return found
