"""The ring and the assembler, against models that are too simple to be wrong."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from motenet.stack.sockets.tcp.assembler import LIMIT, Assembler
from motenet.stack.sockets.tcp.buffers import Ring


@given(
    start=st.integers(0, 2**33),
    steps=st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 40)), max_size=30),
    capacity=st.integers(1, 50),
)
def test_a_ring_is_a_bounded_queue_of_bytes(start: int, steps: list[tuple[bytes, int]], capacity: int) -> None:
    ring, model = Ring(capacity), b""
    ring.anchor(start)
    for data, taken in steps:
        accepted = ring.append(data)
        assert accepted == min(len(data), capacity - len(model))
        model += data[:accepted]
        assert ring.peek(taken) == model[:taken]
        count = min(taken, len(model))
        ring.start += count
        model = model[count:]
        assert b"".join(bytes(piece) for piece in ring.pieces(ring.start, len(ring))) == model
        assert ring.room == capacity - len(model)


@given(start=st.integers(0, 2**33), data=st.binary(min_size=1, max_size=64), cuts=st.sets(st.integers(0, 63)))
def test_pieces_placed_in_any_order_make_the_stream(start: int, data: bytes, cuts: set[int]) -> None:
    ring = Ring(64)
    ring.anchor(start)
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    for left, right in reversed(list(pairwise(edges))):
        ring.place(start + left, data[left:right])
    ring.end = start + len(data)
    assert ring.peek(64) == data


@given(base=st.integers(0, 2**33), spans=st.lists(st.tuples(st.integers(0, 99), st.integers(1, 20)), max_size=30))
def test_the_assembler_knows_exactly_what_has_arrived(base: int, spans: list[tuple[int, int]]) -> None:
    assembler, model = Assembler(), set[int]()
    for left, length in spans:
        right = left + length
        twice = [(max(left, a - base), min(right, b - base)) for a, b in assembler.ranges()]
        first = next(((base + a, base + b) for a, b in twice if a < b), None)
        assert assembler.overlap(base + left, base + right) == first, "RFC 2883, 4"
        assert assembler.add(base + left, base + right)
        model |= set(range(left, left + length))
        ranges = assembler.ranges()
        assert {n - base for first, behind in ranges for n in range(first, behind)} == model
        assert all(ranges[i][1] < ranges[i + 1][0] for i in range(len(ranges) - 1)), "neighbours are joined"
        blocks = assembler.blocks(4)
        assert blocks[0][0] <= base + left < blocks[0][1], "RFC 2018, 4: the latest first"
        assert len(set(blocks)) == len(blocks) <= len(ranges)
        assert set(blocks) <= set(ranges)
    edge = 0
    while edge in model:
        edge += 1
    assert assembler.advance(base) == base + edge
    left_over = {n - base for first, behind in assembler.ranges() for n in range(first, behind)}
    assert left_over == {n for n in model if n > edge}


def test_rfc_2018_5_case_3() -> None:
    """Of 8 segments of 500 bytes from 5000 on, "the 2nd, 4th, 6th, and 8th (last) segments are dropped"."""
    assembler = Assembler()
    expected = [[(6000, 6500)], [(7000, 7500), (6000, 6500)], [(8000, 8500), (7000, 7500), (6000, 6500)]]
    for left, blocks in zip((6000, 7000, 8000), expected, strict=True):
        assembler.add(left, left + 500)
        assert assembler.blocks(3) == blocks
    assembler.add(6500, 7000)  # "the 4th packet is received out of order"
    assert assembler.blocks(3) == [(6000, 7500), (8000, 8500)]
    assert assembler.advance(6000) == 7500  # "the 2nd segment is received"
    assert assembler.blocks(3) == [(8000, 8500)]


def test_the_number_of_ranges_is_bounded() -> None:
    assembler = Assembler()
    assert all(assembler.add(2 * n, 2 * n + 1) for n in range(LIMIT))
    assert not assembler.add(2 * LIMIT, 2 * LIMIT + 1)
    assert assembler.add(1, 2), "what joins others is still welcome"
    assert len(assembler.lefts) == LIMIT - 1


@given(st.integers(1, 40_000), st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 9_000)), max_size=30))
def test_memory_grows_with_what_is_held_and_keeps_every_byte(capacity: int, steps: list[tuple[int, int]]) -> None:
    ring = Ring(capacity)
    ring.anchor(2**32 - 5)
    model = b""
    for take, give in steps:
        data = bytes(n * 7 + give & 0xFF for n in range(give))
        taken = ring.append(data)
        assert taken == min(give, capacity - len(model))
        model += data[:taken]
        assert ring.peek(capacity) == model
        gone = min(take, len(model))
        ring.release(ring.start + gone)
        model = model[gone:]
    ring.release(ring.end)
    ring.shrink()
    assert ring.append(b"again") == min(5, capacity)


def test_what_came_early_survives_growing() -> None:
    ring = Ring(1 << 16)
    ring.anchor(1000)
    ring.place(3000, b"early")
    ring.place(50_000, b"earlier still")
    ring.append(bytes(2000))
    ring.end = 3005
    assert ring.peek(9999) == bytes(2000) + b"early"
    assert bytes(ring.pieces(50_000, 13)[0]) == b"earlier still"
