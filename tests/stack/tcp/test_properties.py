"""What holds for any peer and network: no exception, bounded memory, the stream as it was sent, state that survives."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from motenet.core.state import state_hash
from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp import State
from motenet.stack.sockets.tcp.assembler import LIMIT
from motenet.stack.sockets.tcp.scoreboard import FLYING, LOST, SACKED
from motenet.stack.sockets.tcp.send import Sender
from motenet.stack.wire.tcp import MASK, Segment

near = st.integers(-5, 5) | st.integers(-3000, 3000) | st.integers(-(2**31), 2**31 - 1)
arrivals = st.tuples(
    st.just("segment"),
    st.tuples(
        near, near, st.integers(0, 255) | st.sampled_from([16, 16, 16, 24, 17, 18]), st.integers(0, 0xFFFF),
        st.integers(0, 3000), st.none() | near, st.integers(1, 3), st.integers(0, 0xFFFF),
        st.none() | st.integers(0, 0xFFFF), st.none() | st.integers(0, 255),
        st.lists(st.tuples(st.integers(-100, 3000), st.integers(-50, 3000)), max_size=4),
    ),
)  # fmt: skip
actions = st.one_of(
    arrivals,
    arrivals,
    arrivals,
    st.tuples(st.just("dispatch"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([MS, 10 * MS, SECOND, 20 * SECOND])),
    st.tuples(st.just("send"), st.integers(0, 5000)),
    st.tuples(st.just("recv"), st.integers(0, 5000)),
    st.tuples(st.sampled_from(["close", "abort", "release", "reload"]), st.just(0)),
    st.tuples(st.just("unreachable"), st.sampled_from(["port", "host"])),
    st.tuples(st.just("path_mss"), st.integers(0, 2000)),
)


def arbitrary(tcp: SimpleNamespace, talk: SimpleNamespace, values: tuple[Any, ...]) -> Segment:
    """A segment somewhere near what the socket expects; its data is that of the peer's stream at that place."""
    seq, ack, flags, window, length, stamp, pieces, urgent, mss, scale, blocks = values
    sender, receiver = talk.tcp.sender, talk.tcp.receiver
    position = receiver.nxt + seq
    found = Segment(80, 1024, position & MASK, (sender.una + ack) & MASK, flags, window, urgent, mss, scale)
    data = tcp.stream(position + (flags >> 1 & 1), length)
    step = max(-(-length // pieces), 1)
    found.payload = [data[at : at + step] for at in range(0, length, step)]
    found.payload_length = length
    found.sack = tuple(((sender.una + left) & MASK, (sender.una + left + span) & MASK) for left, span in blocks)
    found.ce = bool(urgent & 1)
    if stamp is not None:
        found.timestamps = ((receiver.recent_stamp + stamp) & MASK, talk.tcp.stamp())
    return found


def keeps_its_books(sender: Sender) -> None:
    """SND.UNA <= SND.NXT <= what can be acknowledged, and the scoreboard tells of exactly what lies between."""
    assert sender.una <= sender.nxt <= sender.max
    ranges = sender.board.ranges
    assert [one.left for one in ranges] == [max(sender.una, sender.isn + 1), *(one.right for one in ranges)][
        : len(ranges)
    ]
    assert not ranges or ranges[-1].right == sender.nxt
    totals = [sum(one.right - one.left for one in ranges if one.state == state) for state in (FLYING, LOST, SACKED)]
    assert [sender.board.pipe, sender.board.lost, sender.board.sacked] == totals


@settings(max_examples=300)
@given(
    state=st.sampled_from(State),
    script=st.lists(actions, max_size=40),
    stamped=st.booleans(),
    selective=st.booleans(),
    capacity=st.sampled_from([1, 100, 2000, 100_000]),
)
def test_any_segments_in_any_state(
    tcp: SimpleNamespace, state: State, script: list[tuple[str, object]], stamped: bool, selective: bool, capacity: int
) -> None:
    talk = tcp.in_state(state, receive_capacity=capacity, send_capacity=4000)
    if state is not State.CLOSED:
        talk.tcp.stamped, talk.tcp.sender.sack, talk.tcp.sender.ecn = stamped, selective, selective
    read, isn = b"", talk.tcp.receiver.isn
    for name, value in script:
        match name:
            case "segment":
                talk.tcp.process(talk.clock.now, tcp.B[0], tcp.A[0], arbitrary(tcp, talk, value))  # type: ignore[arg-type]
            case "dispatch":
                talk.room = value
                talk.take()
            case "wait":
                talk.wait(value)
            case "send":
                if talk.tcp.can_send:
                    talk.tcp.send(bytes(value))  # type: ignore[call-overload]
            case "recv":
                if talk.tcp.can_recv:
                    read += talk.tcp.recv(value)
            case "reload":
                talk.reload()
            case "unreachable" | "path_mss":
                getattr(talk.tcp, name)(value)
            case _:
                getattr(talk.tcp, name)()
        receiver, sender = talk.tcp.receiver, talk.tcp.sender
        keeps_its_books(sender)
        assert receiver.nxt <= receiver.edge <= receiver.ring.start + capacity + 65_535
        assert 0 <= len(receiver.ring) <= capacity
        assert len(receiver.assembler.lefts) <= min(LIMIT, capacity)
        assert sender.congestion.window >= sender.mss
    talk.room = 1 << 30
    assert len(talk.take()) < 5000
    if talk.tcp.receiver.isn != isn:
        isn = talk.tcp.receiver.isn  # the peer's SYN has come only now
    assert read == tcp.stream(isn + 1, len(read))


def transfer(
    tcp: SimpleNamespace,
    seed: int,
    sizes: tuple[int, int],
    reload_at: int = -1,
    limit: int = 6000,
    options: dict[str, object] | None = None,
    **faults: float,
) -> tuple[SimpleNamespace, list[bytes]]:
    """Both sides send their bytes, close, and read until the end; returns the channel and what each has got."""
    channel = tcp.Channel(seed, **faults)
    for socket in channel.sockets:
        socket.user_timeout = None
        socket.time_wait = "240s"  # RFC 9293, 3.4.2: after a shorter one, a FIN that is sent again may meet a reset
        for name, value in (options or {}).items():
            setattr(socket, name, value)
    channel.connect()
    data = [tcp.stream(7 * side, size) for side, size in enumerate(sizes)]
    sent, got = [0, 0], [b"", b""]
    for step in range(limit):
        if step == reload_at:
            for side in (0, 1):
                channel.reload(side)
        moved = False
        for side, socket in enumerate(channel.sockets):
            if socket.may_send:
                taken = socket.send(memoryview(data[side])[sent[side] : sent[side] + 30_000])
                sent[side] += taken
                if sent[side] == len(data[side]):
                    socket.close()
            read = socket.recv(20_000)
            keeps_its_books(socket.sender)
            got[side] += read
            moved |= bool(read)
        if not channel.step() and not moved:
            break
    return channel, got


faults = st.fixed_dictionaries(
    {
        "loss": st.sampled_from([0.0, 0.02, 0.2]),
        "twice": st.sampled_from([0.0, 0.1]),
        "jitter": st.sampled_from([0, 20 * MS]),
        "room": st.sampled_from([1.0, 0.7]),
    }
)


options = st.fixed_dictionaries(
    {
        "congestion_control": st.sampled_from(["cubic", "newreno", "none"]),
        "max_segmented": st.sampled_from([0, 20_000]),
        "timestamps": st.booleans(),
        "ecn": st.booleans(),
        "nagle": st.booleans(),
    }
)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.tuples(st.sampled_from([0, 1, 1448, 60_000]), st.sampled_from([0, 5000, 60_000])),
    faults=faults,
    options=options,
)
def test_bytes_arrive_exactly_whatever_the_network_does(
    tcp: SimpleNamespace, seed: int, sizes: tuple[int, int], faults: dict[str, float], options: dict[str, object]
) -> None:
    """Also MUST-13 at the end: both sides are closed, and nothing is left to do."""
    channel, got = transfer(tcp, seed, sizes, options=options, **faults)
    assert [len(data) for data in got] == [sizes[1], sizes[0]]
    assert got == [tcp.stream(7, sizes[1]), tcp.stream(0, sizes[0])]
    assert [socket.state for socket in channel.sockets] == ["CLOSED", "CLOSED"]
    assert [socket.error for socket in channel.sockets] == [None, None]


def test_a_network_without_faults_sees_no_retransmission(tcp: SimpleNamespace) -> None:
    channel, got = transfer(tcp, 1, (400_000, 300_000))
    assert [len(data) for data in got] == [300_000, 400_000]
    for socket, peer in zip(channel.sockets, reversed(channel.sockets), strict=True):
        figures = socket.statistics
        assert figures["segments_in"] == peer.statistics["segments_out"]
        assert figures["bytes_received"] == peer.statistics["bytes_acknowledged"]
        assert (figures["retransmissions"], figures["duplicates"], figures["challenges"]) == (0, 0, 0)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), at=st.integers(0, 250), options=options)
def test_a_connection_goes_on_identically_after_save_and_load(
    tcp: SimpleNamespace, seed: int, at: int, options: dict[str, object]
) -> None:
    fault = {"loss": 0.05, "jitter": 10 * MS, "twice": 0.05}
    channel, got = transfer(tcp, seed, (60_000, 30_000), options=options, **fault)
    other, got_too = transfer(tcp, seed, (60_000, 30_000), reload_at=at, options=options, **fault)
    assert other.log == channel.log
    assert got_too == got
    assert [state_hash(one.save()) for one in other.sockets] == [state_hash(one.save()) for one in channel.sockets]


def test_a_snapshot_does_not_depend_on_what_the_memory_held_before(tcp: SimpleNamespace) -> None:
    """Gaps in the ring, and what was read from it, are no state."""
    one, two = tcp.established(receive_capacity=1000), tcp.established(receive_capacity=1000)
    for talk, data in ((one, b"abc"), (two, b"xyz")):
        talk.send(f"<SEQ=301><ACK=101><CTL=ACK><DATA={data.decode()}>")
        talk.tcp.recv(3)
        talk.send("<SEQ=1202><ACK=101><CTL=ACK><DATA=102>")
    assert state_hash(one.tcp.save()) == state_hash(two.tcp.save())
