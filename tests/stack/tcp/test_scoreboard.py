"""The scoreboard against a plain model: every number, with what has become of it (RFC 6675, 3 and 4)."""

from hypothesis import given
from hypothesis import strategies as st

from motenet.stack.sockets.tcp.scoreboard import FLYING, LOST, SACKED, Scoreboard

SPAN = 60

steps = st.lists(
    st.tuples(
        st.sampled_from(["sent", "resent", "sack", "lose", "acknowledge", "find_again", "renege", "reload"]),
        st.integers(0, SPAN),
        st.integers(1, 12),
    ),
    max_size=40,
)


class Model:
    """State and last time of each number."""

    def __init__(self) -> None:
        self.una = self.nxt = 0
        self.fate: dict[int, int] = {}
        self.at: dict[int, int] = {}

    def within(self, left: int, length: int) -> range:
        return range(max(left, self.una), min(left + length, self.nxt))


def compare(board: Scoreboard, model: Model) -> None:
    found = {number: one.state for one in board for number in range(one.left, one.right)}
    assert found == model.fate
    assert [(one.left, one.right) for one in board] == sorted((one.left, one.right) for one in board)
    for state, total in ((FLYING, board.pipe), (LOST, board.lost), (SACKED, board.sacked)):
        assert total == sum(one == state for one in model.fate.values())
    for one in board:
        if one.state == FLYING:
            assert {model.at[number] for number in range(one.left, one.right)} == {one.at}
    lowest = min((number for number, state in model.fate.items() if state == LOST), default=None)
    first = board.first_lost()
    assert (None if first is None else first.left) == lowest


@given(script=steps)
def test_any_sequence_keeps_the_board_as_a_plain_model_has_it(script: list[tuple[str, int, int]]) -> None:
    board, model = Scoreboard(), Model()
    for now, (name, number, length) in enumerate(script):
        left = model.una + number
        span = model.within(left, length)
        match name:
            case "sent":
                board.sent(model.nxt, model.nxt + length, now // 4)
                for one in range(model.nxt, model.nxt + length):
                    model.fate[one], model.at[one] = FLYING, now // 4
                model.nxt += length
            case "resent" if span:
                board.resent(span.start, span.stop, now)
                for one in span:
                    if model.fate[one] != SACKED:
                        model.fate[one], model.at[one] = FLYING, now
            case "sack":
                news = board.sack(left, left + length)
                fresh = [one for one in span if model.fate[one] != SACKED]
                assert [one for found in news for one in range(found.left, found.right)] == fresh
                for one in fresh:
                    model.fate[one] = SACKED
            case "lose":
                board.lose_from(max(left, model.una), min(left + length, model.nxt))
                for one in span:
                    if model.fate[one] == FLYING:
                        model.fate[one] = LOST
            case "acknowledge":
                ack = min(left, model.nxt)
                fresh = [one for one in range(model.una, ack) if model.fate[one] != SACKED]
                news = board.acknowledge(ack)
                assert [one for found in news for one in range(found.left, found.right)] == fresh
                for one in range(model.una, ack):
                    del model.fate[one]
                model.una = ack
            case "find_again":
                board.find_again()
                for one, state in model.fate.items():
                    if state == LOST:
                        model.fate[one] = FLYING
                model.at.update({one: found.at for found in board for one in range(found.left, found.right)})
            case "renege":
                board.renege()
                model.fate.update({one: LOST for one, state in model.fate.items() if state == SACKED})
            case "reload":
                fresh_board = Scoreboard()
                fresh_board.load(board.save())
                assert fresh_board.save() == board.save()
                board = fresh_board
        compare(board, model)


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=20), acks=st.lists(st.integers(0, 400), max_size=10))
def test_the_short_way_of_an_undisturbed_board_is_the_long_one(lengths: list[int], acks: list[int]) -> None:
    boards = [Scoreboard(), Scoreboard()]
    nxt = una = 0
    for now, length in enumerate(lengths):
        for board in boards:
            board.sent(nxt, nxt + length, now // 3)
        nxt += length
    for ack in sorted(acks):
        if una < ack <= nxt:
            last = boards[0].forward(ack)
            news = boards[1].acknowledge(ack)
            assert last is not None
            assert (last.at, last.again) == (news[-1].at, news[-1].again)
            assert boards[0].save() == boards[1].save()
            una = ack


def test_neighbors_of_one_fate_become_one_range() -> None:
    """So that a search in recovery meets holes, not segments."""
    board = Scoreboard()
    for number in range(100):
        board.sent(10 * number, 10 * number + 10, number)
    for number in range(1, 100):
        board.sack(10 * number, 10 * number + 10)
    assert [(one.left, one.right, one.state) for one in board] == [(0, 10, FLYING), (10, 1000, SACKED)]
    for fate in (board.sack, board.lose_from):
        board.clear()
        board.sent(0, 10, 5)
        fate(0, 10)
        board.sent(10, 20, 5)  # at the same time, but of another fate
        assert (len(board.ranges), board.pipe) == (2, 10)
