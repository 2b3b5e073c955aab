"""Mutated segments into a connection in every state: no exception, no deadlock, bounded memory, no amplification."""

from random import Random
from types import SimpleNamespace

import pytest

from motenet.core.clock import FOREVER
from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp import State, TcpSocket
from motenet.stack.sockets.tcp.assembler import LIMIT
from motenet.stack.wire.tcp import HEADER_LENGTH, MASK, Segment, header_length

LEAST_FRAME = 60  # of Ethernet (IEEE 802.3, 3.2.8), without its checksum
AROUND = 34  # bytes of Ethernet's and IPv4's headers


def frame(segment: Segment) -> int:
    """How many bytes a segment takes on Ethernet."""
    length = max(header_length(segment), HEADER_LENGTH) + segment.payload_length
    return max(AROUND + length, LEAST_FRAME)


def mutated(tcp: SimpleNamespace, random: Random, socket: TcpSocket) -> Segment:
    """A segment that would be taken, but for up to three of its fields."""
    sender, receiver = socket.sender, socket.receiver
    found = Segment(80, 1024, receiver.nxt & MASK, sender.nxt & MASK, 16, 8000)
    length = random.choice((0, 0, 1, 700, 1460))
    if socket.stamped:
        found.timestamps = (receiver.recent_stamp, socket.stamp())
    for _ in range(random.randrange(4)):
        step = random.choice((1, MASK, 1460, random.randrange(8000), random.randrange(MASK)))
        match random.randrange(9):
            case 0:
                found.seq = found.seq + step & MASK
            case 1:
                found.ack = found.ack + step & MASK
            case 2:
                found.flags = random.randrange(256)
            case 3:
                found.flags ^= 1 << random.randrange(8)
            case 4:
                found.window = random.choice((0, 1, 500, 65_535))
            case 5:
                found.sack = tuple(
                    (
                        (left := sender.una + random.randrange(4000)) & MASK,
                        left + random.choice((1, 1000, 90_000)) & MASK,
                    )
                    for _ in range(random.randrange(4))
                )
            case 6:
                found.timestamps = random.choice((None, (step, step), (receiver.recent_stamp + step & MASK, 0)))
            case 7:
                found.mss, found.window_scale = random.choice((None, 0, 48)), random.choice((None, 0, 255))
            case 8:
                found.urgent, found.ce = random.randrange(65_536), True
    if length:
        found.payload, found.payload_length = [tcp.stream(found.seq, length)], length
    return found


def asks(socket: TcpSocket) -> bool:
    """Whether a timer will ask for what is not acknowledged, or may not be sent yet."""
    sender = socket.sender
    opening = socket.state in (State.SYN_SENT, State.SYN_RECEIVED)
    waits = sender.nxt > sender.una or (sender.ring.end > sender.nxt and not opening)
    timers = min(sender.rto_at, sender.probe_at, sender.rack.due, sender.tail_at())
    return socket.state is State.CLOSED or not waits or timers < FOREVER


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("options", [(False, False), (True, True)], ids=["plain", "stamps and SACK"])
def test_an_attacker_gets_no_more_than_three_bytes_for_one(
    tcp: SimpleNamespace, state: State, options: tuple[bool, bool]
) -> None:
    """The application is silent, so all that goes out is an answer, or goes again for want of one."""
    for seed in range(25):
        random = Random(f"{state} {seed}")
        talk = tcp.in_state(state)
        socket = talk.tcp
        if state is not State.CLOSED:
            socket.stamped, (socket.receiver.sack, socket.sender.sack) = options[0], options[1:] * 2
        taken = given = 0
        for _ in range(60):
            found = mutated(tcp, random, socket)
            taken += frame(found)
            reply = socket.process(talk.clock.now, tcp.B[0], tcp.A[0], found)
            given += sum(frame(one) for one in [*([reply] if reply else []), *talk.take()])
            assert asks(socket)
            talk.wait(random.choice((0, MS, 10 * MS)))
            if random.randrange(20) == 0:
                talk.reload()
                socket = talk.tcp
        assert given <= 3 * taken, seed
        assert len(socket.receiver.assembler.lefts) <= LIMIT
        assert len(socket.receiver.ring) <= socket.receiver.ring.capacity


def exchange(tcp: SimpleNamespace, seed: int) -> None:
    """Two of our own, and a network that turns every tenth segment into something else."""
    random = Random(seed)
    channel = tcp.Channel(seed, random.choice((0.0, 0.1)), 0.05, random.choice((0, 30 * MS)))
    channel.clock.now = random.choice((0, 10**18))
    for socket in channel.sockets:
        socket.timestamps, socket.ecn, socket.nagle = (random.randrange(2) == 0 for _ in range(3))
        socket.max_segmented = random.choice((0, 20_000))
        socket.congestion_control = random.choice(("cubic", "newreno"))
        socket.keep_alive = random.choice((None, SECOND))
    post = channel.post

    def hostile(side: int, found: Segment) -> None:
        if random.randrange(10) == 0:
            post(side, mutated(tcp, random, channel.sockets[1 - side]))
        post(side, found)

    channel.post = hostile
    channel.connect()
    at, same = 0, 0
    for _ in range(300):
        for socket in channel.sockets:
            action = random.randrange(60)
            if action < 10 and socket.can_send:
                socket.send(bytes(random.choice((1, 1460, 20_000))))
            elif action < 30 and socket.can_recv:
                socket.recv(random.choice((100, 20_000)))
            elif action == 30:
                random.choice((socket.close, socket.release))()
            elif action == 31:
                socket.path_mss(random.choice((1, 500, 1400)))
        if not channel.step():
            break
        assert all(asks(socket) for socket in channel.sockets)
        same = same + 1 if channel.clock.now == at else 0
        at = channel.clock.now
        assert same < 100, "time stands still"


@pytest.mark.parametrize("seed", range(40))
def test_two_ends_and_a_network_that_alters_what_they_say(tcp: SimpleNamespace, seed: int) -> None:
    exchange(tcp, seed)
