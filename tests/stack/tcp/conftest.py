"""The vocabulary of TCP's tests. Segments are written as the RFC's diagrams write them: <SEQ=100><ACK=300><CTL=ACK>.

A name that the text leaves out is not compared, but data must be mentioned (<DATA=5>, <DATA=abc>), and PSH need not be.
"""

import re
from collections.abc import Callable
from heapq import heappop, heappush
from types import SimpleNamespace

import pytest

from motenet.core.clock import Clock
from motenet.core.rng import Stream
from motenet.core.units import MS
from motenet.stack.sockets.tcp import State, TcpListener, TcpSocket
from motenet.stack.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment

A = (bytes((10, 0, 0, 1)), 1024)
B = (bytes((10, 0, 0, 2)), 80)
BITS = {"FIN": FIN, "SYN": SYN, "RST": RST, "PSH": PSH, "ACK": ACK, "URG": URG, "ECE": ECE, "CWR": CWR}
NUMBERS = {"SEQ": "seq", "ACK": "ack", "WND": "window", "UP": "urgent", "MSS": "mss", "WSOPT": "window_scale"}


PATTERN = bytes(number * 167 >> 3 & 0xFF for number in range(2048)) * 64


def stream(position: int, length: int) -> bytes:
    """What test peers send: each byte follows from its sequence number, so that no mix-up goes unseen."""
    at = position % 2048
    return PATTERN[at : at + length] if at + length <= len(PATTERN) else (PATTERN * 8)[at : at + length]


def fields(text: str) -> dict[str, str]:
    found = dict(re.findall(r"<(\w+)=([^>]*)>", text))
    assert found, f"{text!r} is no segment"
    return found


def segment(text: str, source: tuple[bytes, int], destination: tuple[bytes, int]) -> Segment:
    """A segment from its text."""
    found = fields(text)
    result = Segment(source[1], destination[1], 0, 0, 0, 65_535)
    for name, attribute in NUMBERS.items():
        if name in found:
            setattr(result, attribute, int(found[name]))
    for bit in found["CTL"].split(","):
        result.flags |= BITS[bit]
    if "TS" in found:
        value, echo = found["TS"].split("/")
        result.timestamps = (int(value), int(echo))
    result.sack_permitted = "SACKOK" in found
    result.sack = tuple((int(left), int(right)) for left, right in re.findall(r"(\d+)-(\d+)", found.get("SACK", "")))
    result.ce = found.get("IP") == "CE"
    data = found.get("DATA", "")
    if data:
        payload = stream(result.seq, int(data)) if data.isdigit() else data.encode()
        result.payload, result.payload_length = [payload], len(payload)
    return result


def shown(found: Segment, like: str = "") -> str:
    """A segment as text, with the names that `like` has too."""
    wanted = fields(like) if like else {"SEQ": "", "ACK": "", "CTL": ""}
    data = b"".join(bytes(piece) for piece in found.payload)
    ignored = 0 if "PSH" in wanted.get("CTL", "") else PSH
    values = {name: str(getattr(found, attribute)) for name, attribute in NUMBERS.items()}
    values["CTL"] = ",".join(name for name, bit in BITS.items() if found.flags & bit & ~ignored)
    values["DATA"] = str(len(data)) if wanted.get("DATA", "0").isdigit() else data.decode()
    values["TS"] = "{}/{}".format(*found.timestamps) if found.timestamps else ""
    values["SACK"] = " ".join(f"{left}-{right}" for left, right in found.sack)
    values["IP"] = "ECT" if found.ect else ""
    names = [name for name in values if name in wanted or (name == "DATA" and data)]
    return "".join(f"<{name}={values[name]}>" for name in names)


def same(text: str) -> str:
    """A text in the order in which `shown` writes."""
    wanted = fields(text)
    order = [*NUMBERS, "CTL", "DATA", "TS", "SACK", "IP"]
    if "CTL" in wanted:
        wanted["CTL"] = ",".join(name for name in BITS if name in wanted["CTL"].split(","))
    return "".join(f"<{name}={wanted[name]}>" for name in order if name in wanted)


class Conversation:
    """A socket, and its peer as played by the test. Our initial sequence number is 100, the peer's 300."""

    def __init__(self, **settings: object) -> None:
        self.clock = Clock()
        capacities = {name: settings.pop(name) for name in list(settings) if name.endswith("_capacity")}
        self.tcp = TcpSocket(self.clock, Stream(1, "tcp"), "tcp", **capacities)  # type: ignore[arg-type]
        self.tcp.timestamps = False
        for name, value in settings.items():
            setattr(self.tcp, name, value)
        self.woken = 0
        self.tcp.waker = self._wake
        self.emitted: list[Segment] = []
        self.room = 1 << 30

    def _wake(self) -> None:
        self.woken += 1

    def connect(self) -> None:
        self.tcp.connect(B, A)
        self.tcp.sender.start(100)

    def listen(self, syn: str) -> None:
        """Take a SYN as a listener would."""
        self.tcp.open_passively(self.clock.now, A, B, segment(syn, B, A))
        self.tcp.sender.start(100)

    def send(self, text: str) -> str:
        """The peer sends a segment; returns the immediate reply."""
        reply = self.tcp.process(self.clock.now, B[0], A[0], segment(text, B, A))
        return "" if reply is None else shown(reply)

    def take(self) -> list[Segment]:
        """What the socket sends now."""
        self.emitted = []
        self.tcp.dispatch(self.clock.now, self._emit)
        at = self.tcp.poll_at(self.clock.now)
        assert self.room <= 0 or at is None or at > self.clock.now, "dispatch has left work undone"
        return self.emitted

    def _emit(self, found: Segment) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        found.payload = [b"".join(found.payload)]  # a frame is one piece, wherever the sender's memory wraps
        self.emitted.append(found)
        return True

    def recv(self, *texts: str) -> None:
        """The socket sends exactly these segments now."""
        found = self.take()
        assert [shown(one, like) for one, like in zip(found, texts, strict=False)] == [same(text) for text in texts]
        assert len(found) == len(texts), [shown(one) for one in found]

    def wait(self, nanoseconds: int) -> None:
        self.clock.now += nanoseconds

    def wait_for(self, *texts: str) -> int:
        """Let the time pass until the socket acts by itself; returns how long that took."""
        at = self.tcp.poll_at(self.clock.now)
        assert at is not None, "the socket waits for nothing"
        waited = at - self.clock.now
        self.clock.now = at
        self.recv(*texts)
        return waited

    # --- segments of 1000 bytes, told by their number; the first is 0 ---

    def streaming(self, data: int = 40_000, options: str = "<SACKOK=1>", trip: int = 100 * MS) -> "Conversation":
        """Connect over a path with such a round trip, and send the first ten segments of `data` bytes."""
        self.connect()
        self.take()
        self.wait(trip)
        self.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1000>{options}")
        self.take()
        self.tcp.send(stream(101, data))
        assert self.numbers() == list(range(10))
        return self

    def numbers(self) -> list[int]:
        """Which segments go out now."""
        return [(one.seq - 101) // 1000 for one in self.take()]

    def ack(self, number: int, *blocks: tuple[int, int], more: str = "") -> None:
        """The peer has all segments before `number`, and those of the blocks [first, behind)."""
        sack = " ".join(f"{101 + 1000 * first}-{101 + 1000 * behind}" for first, behind in blocks)
        self.send(f"<SEQ=301><ACK={101 + 1000 * number}><CTL=ACK>{f'<SACK={sack}>' if sack else ''}{more}")

    def expire(self) -> int:
        """Let the time pass until the socket acts by itself; returns how long that took, in ns."""
        at = self.tcp.poll_at(self.clock.now)
        assert at is not None, "the socket waits for nothing"
        waited = at - self.clock.now
        self.clock.now = at
        return waited

    def reload(self) -> None:
        """Go on with a fresh socket that has loaded the state of this one."""
        state = self.tcp.save()
        fresh = TcpSocket(self.clock, Stream(1, "tcp"), "tcp")
        fresh.load(state)
        assert fresh.save() == state
        fresh.waker = self._wake
        self.tcp = fresh

    # --- states, each reached as the RFC says ---

    def established(self) -> "Conversation":
        self.connect()
        self.recv("<SEQ=100><CTL=SYN>")
        assert self.send("<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1460>") == ""
        self.recv("<SEQ=101><ACK=301><CTL=ACK>")
        assert self.tcp.state == "ESTABLISHED"
        return self

    def in_state(self, state: State) -> "Conversation":
        """Bring a fresh conversation into a state; SND.NXT is then 101 or, with a FIN sent, 102, RCV.NXT 301 or 302."""
        if state is State.SYN_SENT:
            self.connect()
            self.take()
        elif state is State.SYN_RECEIVED:
            self.listen("<SEQ=300><CTL=SYN><MSS=1460>")
            self.take()
        elif state is not State.CLOSED:
            self.established()
        if state in (State.CLOSE_WAIT, State.LAST_ACK):
            self.send("<SEQ=301><ACK=101><CTL=FIN,ACK>")
        if state in (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.TIME_WAIT, State.LAST_ACK):
            self.tcp.close()
            self.take()
        if state is State.CLOSING:
            self.send("<SEQ=301><ACK=101><CTL=FIN,ACK>")
        if state in (State.FIN_WAIT_2, State.TIME_WAIT):
            self.send("<SEQ=301><ACK=102><CTL=ACK>")
        if state is State.TIME_WAIT:
            self.send("<SEQ=301><ACK=102><CTL=FIN,ACK>")
        self.take()
        assert self.tcp.state is state
        return self


class Diagram:
    """Two peers, and the RFC's figures played between them. A's initial sequence number is 100, B's 300."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.a, self.b = (self._socket(name) for name in "ab")
        self.queued: dict[str, list[Segment]] = {"a": [], "b": []}
        self.flying: dict[str, list[Segment]] = {"a": [], "b": []}

    def _socket(self, name: str) -> TcpSocket:
        socket = TcpSocket(self.clock, Stream(1, name), name)
        socket.timestamps = False
        return socket

    def connect(self, name: str) -> None:
        if name == "a":
            self.a.connect(B, A)
            self.a.sender.start(100)
        else:
            self.b.connect(A, B)
            self.b.sender.start(300)

    def play(self, figure: str) -> None:
        """Lines of `STATE --> <segment> --> STATE`; `...` for an arrow: still in the network, or out of it now."""
        for line in figure.strip().splitlines():
            match = re.fullmatch(r"\s*([\w-]*)\s*(-->|<--|\.\.\.)\s*(<.*>)\s*(-->|<--|\.\.\.)\s*([\w-]*)\s*", line)
            assert match, line
            left, first, text, second, right = match.groups()
            rightwards = "-->" in (first, second)
            source, departs = ("a", first == "-->") if rightwards else ("b", second == "<--")
            arrives = second == "-->" if rightwards else first == "<--"
            if departs:
                self._depart(source, text)
            if arrives:
                self._arrive(source, text)
            for socket, state in ((self.a, left), (self.b, right)):
                assert not state or socket.state == state, (line, socket.state)

    def _depart(self, name: str, text: str) -> None:
        socket = self.a if name == "a" else self.b
        socket.dispatch(self.clock.now, lambda found: self.queued[name].append(found) or True)
        assert self.queued[name], f"{name} sends nothing instead of {text}"
        found = self.queued[name].pop(0)
        assert shown(found, text) == same(text)
        self.flying[name].append(found)

    def _arrive(self, name: str, text: str) -> None:
        found = next(one for one in self.flying[name] if shown(one, text) == same(text))
        self.flying[name].remove(found)
        other = "b" if name == "a" else "a"
        target, source, destination = (self.b, A, B) if name == "a" else (self.a, B, A)
        if target.state is State.CLOSED and found.flags & SYN:
            target.open_passively(self.clock.now, destination, source, found)
            target.sender.start(300)
            return
        reply = target.process(self.clock.now, source[0], destination[0], found)
        if reply is not None:
            self.queued[other].insert(0, reply)

    def quiet(self) -> None:
        """Nobody has anything left to say now."""
        for name, socket in (("a", self.a), ("b", self.b)):
            socket.dispatch(self.clock.now, lambda found, name=name: self.queued[name].append(found) or True)
        assert not any(self.queued.values()), {name: [shown(one) for one in own] for name, own in self.queued.items()}


class Channel:
    """Two sockets and a network that delays, loses, doubles and reorders, as a seeded stream decides."""

    def __init__(self, seed: int, loss: float = 0.0, twice: float = 0.0, jitter: int = 0, room: float = 1.0) -> None:
        self.clock = Clock()
        self.random = Stream(seed, "channel").random
        self.loss, self.twice, self.jitter, self.room = loss, twice, jitter, room
        self.sockets = [TcpSocket(self.clock, Stream(seed, name), name) for name in "ab"]
        self.flying: list[tuple[int, int, int, Segment]] = []
        self.count = 0
        self.log: list[tuple[object, ...]] = []

    def connect(self) -> None:
        self.sockets[0].connect(B, A)

    def _emit(self, side: int) -> Callable[[Segment], bool]:
        def emit(found: Segment) -> bool:
            if self.random() >= self.room:
                return False
            self.post(side, found)
            return True

        return emit

    def post(self, side: int, found: Segment) -> None:
        found.payload = [b"".join(found.payload)]  # a frame is one piece, wherever the sender's memory wraps
        self.log.append((self.clock.now, side, found.seq, found.ack, found.flags, found.window, found.payload_length))
        if self.random() < self.loss:
            return
        for _ in range(2 if self.random() < self.twice else 1):
            self.count += 1
            at = self.clock.now + 5 * MS + int(self.random() * self.jitter)
            heappush(self.flying, (at, self.count, 1 - side, found))

    def step(self) -> bool:
        """Go on to the next arrival or deadline; False when nothing will ever happen again."""
        times = [socket.poll_at(self.clock.now) for socket in self.sockets]
        times.append(self.flying[0][0] if self.flying else None)
        due = [at for at in times if at is not None]
        if not due:
            return False
        self.clock.now = now = max(self.clock.now, min(due))
        while self.flying and self.flying[0][0] <= now:
            _, _, side, found = heappop(self.flying)
            socket, local, remote = self.sockets[side], (A, B)[side], (B, A)[side]
            if side and socket.state is State.CLOSED and found.flags & (SYN | ACK) == SYN and not socket.sender.isn:
                socket.open_passively(now, local, remote, found)
                continue
            reply = socket.process(now, remote[0], local[0], found)
            if reply is not None:
                self.post(side, reply)
        for side, socket in enumerate(self.sockets):
            socket.dispatch(now, self._emit(side))
            if self.room >= 1:
                at = socket.poll_at(now)
                assert at is None or at > now, "dispatch has left work undone"
        return True

    def reload(self, side: int) -> None:
        """Put a fresh socket in the place of one, with its state."""
        old = self.sockets[side]
        fresh = TcpSocket(self.clock, old.stream, old.path)
        fresh.load(old.save())
        assert fresh.save() == old.save()
        self.sockets[side] = fresh


class Set:
    """As much of a set of sockets as a listener needs."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.stream = Stream(1, "tcp")
        self.sockets: dict[str, TcpSocket | TcpListener] = {}

    def add(self, socket: TcpSocket | TcpListener) -> None:
        socket.path = f"sockets/{len(self.sockets)}"
        self.sockets[socket.path] = socket
        socket.find = self.sockets.get
        if isinstance(socket, TcpListener):
            socket.spawn = lambda buffer: TcpSocket(self.clock, self.stream, "", buffer, buffer)
            socket.adopt = self.add


@pytest.fixture(scope="session")
def tcp() -> SimpleNamespace:
    """Makers of conversations, diagrams and channels, and the language of segments."""
    return SimpleNamespace(
        Conversation=Conversation, Diagram=Diagram, Channel=Channel, Set=Set, segment=segment, shown=shown, State=State,
        stream=stream, A=A, B=B, established=lambda **settings: Conversation(**settings).established(),
        in_state=lambda state, **settings: Conversation(**settings).in_state(state),
    )  # fmt: skip
