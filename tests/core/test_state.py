"""Plain state: independent copies, loading in place, and a hash that tells different states apart."""

import hashlib
from collections import deque
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import SnapshotError
from motenet.core.state import Component, canonical, plain, state_hash, walk

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


class Ring(Component):
    STATE = ("head", "slots", "table", "queue", "memory")

    def __init__(self, path: str) -> None:
        self.path = path
        self.head = 0
        self.slots = [0, 0]
        self.table: dict[str, list[int]] = {}
        self.queue: deque[int] = deque()
        self.memory = bytearray(4)
        self.held_by_others = (self.slots, self.table, self.queue, self.memory)


class Card(Component):
    def __init__(self) -> None:
        self.path = "nic"
        self.rings = [Ring("rx"), Ring("tx")]

    def parts(self) -> Iterable[Component]:
        return self.rings


def test_a_saved_component_is_independent_and_loads_in_place() -> None:
    ring = Ring("rx")
    ring.head, ring.slots[:], ring.table["a"] = 3, [1, 2, 3], [4]
    ring.queue.append(5)
    ring.memory[:] = b"wxyz"
    saved = ring.save()
    assert saved == {"head": 3, "slots": [1, 2, 3], "table": {"a": [4]}, "queue": [5], "memory": b"wxyz"}
    ring.slots.append(9)
    ring.table["a"].append(9)
    ring.queue.clear()
    ring.memory[0] = 0
    ring.load(saved)
    assert ring.save() == saved
    assert all(now is before for now, before in zip(
        (ring.slots, ring.table, ring.queue, ring.memory), ring.held_by_others, strict=True
    ))  # fmt: skip
    ring.table["a"].append(10)
    assert saved["table"] == {"a": [4]}, "the loaded state is a copy too"


def test_place_names_the_parts_below_their_whole() -> None:
    card = Card()
    card.place("alice/nic")
    card.place("bob/nic")
    assert [part.path for part in walk(card)] == ["bob/nic", "bob/nic/rx", "bob/nic/tx"]


@pytest.mark.parametrize("value", [{1, 2}, object(), print, [object()], {"a": {1}}, (1, {2})])
def test_what_is_not_plain_is_refused(value: object) -> None:
    with pytest.raises(SnapshotError, match="not plain"):
        plain(value)


@given(values)
def test_a_plain_copy_is_equal_and_shares_nothing_that_changes(value: object) -> None:
    copy = plain(value)
    assert copy == value
    before = state_hash(value)
    if isinstance(copy, list):
        copy.append(0)
    elif isinstance(copy, dict):
        copy["new"] = 0
    assert state_hash(value) == before


@given(values, values)
def test_hashes_are_equal_exactly_for_equal_states(one: object, other: object) -> None:
    assert (state_hash(one) == state_hash(other)) == (typed(one) == typed(other))


def typed(value: object) -> object:
    """The value with types told apart, as 1 == True in Python; dicts without their order."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return ("dict", sorted((repr(typed(key)), repr(typed(item))) for key, item in value.items()))
    return (type(value).__name__, value)


def test_a_dicts_order_does_not_matter_and_nesting_does() -> None:
    assert state_hash({"a": 1, "b": 2}) == state_hash({"b": 2, "a": 1})
    assert state_hash([["a"], "b"]) != state_hash([["a", "b"]])
    assert state_hash(["ab", "c"]) != state_hash(["a", "bc"])
    assert state_hash(b"a") != state_hash("a")


def test_the_canonical_encoding_is_fixed() -> None:
    encoded = b"d1:s1:al3:v1;b2:\x00\xffvNone;"
    assert b"".join(canonical({"a": [1, b"\x00\xff", None]})) == encoded
    assert state_hash({"a": (1, b"\x00\xff", None)}) == hashlib.sha256(encoded).hexdigest()
