"""Links and the switch: times by arithmetic from IEEE 802.3, faults by their own seeded streams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.trace import Event, FramePassed
from motenet.doors import FrameFacts
from motenet.machine import Port
from motenet.sim.fingerprint import FOLD_EVERY, Fingerprint
from motenet.sim.link import Direction, Link, link_settings
from motenet.sim.switch import AGEING_TIME, Switch


class Card:
    """Keeps what arrives, with the time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.got: list[tuple[int, bytes, bool]] = []
        self.carrier: list[bool] = []

    def frame_arrived(self, frame, facts) -> None:
        self.got.append((self.clock.now, frame, facts is not None and facts.damaged))

    def carrier_changed(self, carrier: bool) -> None:
        self.carrier.append(carrier)


def cable(clock: Clock, a: Port, b: Port, seed: int = 1, number: int = 0, **settings) -> Link:
    ways = []
    for index, (sender, receiver) in enumerate(((a, b), (b, a))):
        path = f"link{number}/{sender.path}>{receiver.path}"
        stream = Stream(seed, f"{path}/faults")
        ways.append(Direction(clock, path, index, receiver, link_settings(**settings), stream, Fingerprint()))
    return Link(f"link{number}", a, b, *ways)


def two_cards(seed: int = 1, **settings) -> tuple[Clock, Port, Port, Card, Card, Link]:
    clock = Clock()
    ports = Port(clock, "a"), Port(clock, "b")
    cards = Card(clock), Card(clock)
    for port, card in zip(ports, cards, strict=True):
        port.attach(card)
    return clock, *ports, *cards, cable(clock, *ports, seed=seed, **settings)


def test_a_full_frame_takes_1538_byte_times_and_the_delay() -> None:
    """802.3: 1514 + FCS 4 + preamble 8 + gap 12 bytes: 81,274 frames a second at 1 Gbit/s."""
    clock, a, _, _, b, _ = two_cards(bandwidth="1Gbit/s", delay="50us")
    a.transmit(bytes(1514))
    a.transmit(bytes(1514))
    clock.run(10**9)
    assert [time for time, _, _ in b.got] == [12_304 + 50_000, 2 * 12_304 + 50_000]


@pytest.mark.parametrize(
    ("payload", "lengths"),
    [(64240, [1514] * 44), (1461, [1514, 60]), (0, [60]), (1460, [1514]), (3000, [1514] * 2 + [134])],
)
def test_a_frame_that_is_still_to_be_cut_takes_the_time_of_its_segments(payload: int, lengths: list[int]) -> None:
    clock, a, _, _, b, _ = two_cards(bandwidth="1Gbit/s")
    a.transmit(bytes(54 + payload), FrameFacts(34, 16, 1460, 54))
    clock.run(10**9)
    assert [time for time, _, _ in b.got] == [sum(8 * (length + 24) for length in lengths)]


def test_short_frames_take_the_time_of_64_bytes() -> None:
    clock, a, _, _, b, _ = two_cards(bandwidth="10Mbit/s")
    a.transmit(bytes(14))
    clock.run(10**9)
    assert b.got == [(67_200, bytes(14), False)]  # 84 byte times at 800 ns: 14,880 frames a second


def test_the_directions_do_not_share_bandwidth() -> None:
    clock, a, b, card_a, card_b, _ = two_cards(bandwidth="1Gbit/s")
    a.transmit(bytes(1514))
    b.transmit(bytes(1514))
    clock.run(10**9)
    assert card_a.got[0][0] == card_b.got[0][0] == 12_304


def test_a_bounded_queue_drops_from_the_tail_with_a_reason() -> None:
    clock, a, _, _, b, link = two_cards(bandwidth="1Mbit/s", queue="3000")
    for index in range(6):
        a.transmit(bytes([index]) * 1000)
    clock.run(10**9)
    assert [frame[0] for _, frame, _ in b.got] == [0, 1, 2]
    assert link.directions[0].drops == {"queue full": 3}


def test_loss_is_counted_and_close_to_its_probability() -> None:
    clock, a, _, _, b, link = two_cards(loss=0.25)
    for _ in range(4000):
        a.transmit(bytes(60))
    clock.run(10**9)
    lost = link.directions[0].drops["lost"]
    assert len(b.got) + lost == 4000
    assert 900 < lost < 1100  # 1000 expected, sigma 27


def test_corruption_flips_one_bit_and_the_fcs_tells() -> None:
    clock, a, _, _, b, _ = two_cards(corrupt=1)
    a.transmit(bytes(100))
    clock.run(10**9)
    ((_, frame, damaged),) = b.got
    assert damaged
    assert sum(byte.bit_count() for byte in frame) == 1


def test_duplicates_arrive_twice() -> None:
    clock, a, _, _, b, _ = two_cards(duplicate=1)
    a.transmit(b"frame" * 12)
    clock.run(10**9)
    assert [frame for _, frame, _ in b.got] == [b"frame" * 12] * 2


@given(st.integers(0, 2**32))
def test_jitter_keeps_the_order_of_frames(seed: int) -> None:
    clock, a, _, _, b, _ = two_cards(seed=seed, jitter="1ms", delay="1ms")
    for index in range(20):
        clock.at(index * 100_000, lambda n: a.transmit(bytes([n])), index)
    clock.run(10**9)
    assert [frame[0] for _, frame, _ in b.got] == list(range(20))


def test_reordering_lets_later_frames_overtake() -> None:
    clock, a, _, _, b, _ = two_cards(reorder=0.3)
    for index in range(100):
        a.transmit(bytes([index]))
    clock.run(10**9)
    order = [frame[0] for _, frame, _ in b.got]
    assert sorted(order) == list(range(100))
    assert order != sorted(order)


def test_an_unplugged_cable_takes_the_carrier_and_loses_what_is_under_way() -> None:
    clock, a, _, card_a, b, link = two_cards(delay="1ms")
    a.transmit(b"1")
    clock.run(500_000)
    link.unplug()
    a.transmit(b"2")
    clock.run(10**7)
    link.replug()
    a.transmit(b"3")
    clock.run(10**8)
    assert [frame for _, frame, _ in b.got] == [b"3"]
    assert b.carrier == card_a.carrier == [True, False, True]
    assert link.directions[0].drops == {"cable pulled": 2}


def test_each_link_draws_from_its_own_stream() -> None:
    def survivors(seed: int, others: int) -> list[int]:
        clock, a, _, _, b, _ = two_cards(seed=seed, loss=0.5)
        more = [cable(clock, Port(clock, f"x{n}"), Port(clock, f"y{n}"), seed, n + 1, loss=0.5) for n in range(others)]
        for index in range(64):
            for link in more:
                link.a.transmit(bytes([index]))
            a.transmit(bytes([index]))
        clock.run(10**9)
        return [frame[0] for _, frame, _ in b.got]

    assert survivors(7, 0) == survivors(7, 3)
    assert survivors(7, 0) != survivors(8, 0)


def test_what_a_link_decides_is_watched() -> None:
    clock, a, _, _, _, link = two_cards(loss=1)
    events: list[Event] = []
    link.directions[0].watch = events.append
    a.transmit(b"x" * 60)
    assert events[0] == FramePassed(0, "link0/a>b", "tx", b"x" * 60, "lost")
    assert clock.next_time() is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bandwidth": "fast"}, "not a bandwidth"),
        ({"bandwidth": 0}, "carries nothing"),
        ({"delay": "50"}, "not a duration"),
        ({"delay": 0.5}, "not a duration"),
        ({"loss": 2}, "not a probability"),
        ({"queue": "-1"}, "not a size"),
    ],
)
def test_what_cannot_be_used_is_named(settings, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        link_settings(**settings)


def test_the_fingerprint_survives_folding_and_saving() -> None:
    one, other = Fingerprint(), Fingerprint()
    for index in range(FOLD_EVERY + 100):
        one.record(index, 0, 0, b"frame")
        other.record(index, 0, 0, b"frame")
        if index == FOLD_EVERY - 3:
            saved = other.save()
            other.record(1, 2, 3, b"astray")
            other.load(saved)
    assert one.hexdigest() == other.hexdigest()
    one.record(0, 0, 0, b"frame")
    assert one.hexdigest() != other.hexdigest()


def star(clock: Clock, count: int) -> tuple[Switch, list[Port], list[Card]]:
    switch = Switch(clock, "lan")
    ports, cards = [], []
    for index in range(count):
        port, card = Port(clock, f"host{index}"), Card(clock)
        port.attach(card)
        cable(clock, port, switch.new_port(), number=index)
        ports.append(port)
        cards.append(card)
    return switch, ports, cards


def mac(index: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, index])


def test_802_1d_7_8_a_switch_floods_then_learns_then_forgets() -> None:
    clock = Clock()
    switch, ports, cards = star(clock, 3)

    def exchange(sender: int, receiver: int) -> list[int]:
        for card in cards:
            card.got.clear()
        ports[sender].transmit(mac(receiver) + mac(sender) + bytes(48))
        clock.run(clock.now + 10**6)
        return [index for index, card in enumerate(cards) if card.got]

    assert exchange(0, 1) == [1, 2]
    assert exchange(1, 0) == [0]
    assert exchange(0, 1) == [1]
    clock.run(clock.now + AGEING_TIME + 1)
    assert exchange(0, 1) == [1, 2]
    ports[2].transmit(b"\xff" * 6 + mac(2) + bytes(48))
    clock.run(clock.now + 10**6)
    assert switch.table[mac(2)][0] == 2


def test_a_switch_stores_and_drops_what_is_damaged() -> None:
    clock = Clock()
    switch, ports, cards = star(clock, 2)
    link = cable(clock, ports[0], switch.new_port(), number=9, corrupt=1)
    link.a.transmit(mac(1) + mac(0) + bytes(48))
    clock.run(10**6)
    assert cards[1].got == []
    assert switch.drops == {"bad FCS": 1}


@pytest.mark.parametrize("settings", [{}, {"jitter": "1us"}])
def test_what_is_under_way_when_the_cable_is_pulled_is_lost_even_if_it_is_put_back_at_once(settings) -> None:
    clock, a, _, _, b, link = two_cards(delay="50ms", **settings)
    a.transmit(b"1")
    clock.run(10**6)
    link.unplug()
    link.replug()
    a.transmit(b"2")
    clock.run(10**9)
    assert [frame for _, frame, _ in b.got] == [b"2"]
    assert link.directions[0].drops == {"cable pulled": 1}


def test_802_1d_7_9_2_a_full_table_makes_room_of_what_has_aged(monkeypatch) -> None:
    monkeypatch.setattr("motenet.sim.switch.TABLE_LIMIT", 2)
    clock = Clock()
    switch, ports, _ = star(clock, 3)
    for index, port in enumerate(ports):
        port.transmit(mac((index + 1) % 3) + mac(index) + bytes(48))
        clock.run(clock.now + 10**6)
    assert list(switch.table) == [mac(0), mac(1)]
    clock.run(clock.now + AGEING_TIME + 1)
    ports[2].transmit(mac(0) + mac(2) + bytes(48))
    clock.run(clock.now + 10**6)
    assert list(switch.table) == [mac(2)]
