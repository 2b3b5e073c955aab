"""The drivers on the model of their card: two machines and a wire, nothing between them but registers and memory."""

from collections.abc import Callable
from typing import Any

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Dot1Q, Ether

from motenet.core.state import canonical
from motenet.core.units import MS, SECOND, US
from motenet.datasheets import rtl8139 as ds
from motenet.devices import Rtl8139
from motenet.doors import FrameFacts, NetworkDriver
from motenet.drivers.rtl8139 import Rtl8139CpDriver, probe
from tests.drivers.model import CardPair, plain, unsummed

C: dict[str, Any] = {"revision": "C"}
PIO: dict[str, Any] = {"revision": "C", "io": True, "rx_ring": "8KiB", "wrap": False}
C_ON_CPLUS: dict[str, Any] = {"revision": "C+", "mode": "C", "rx_ring": "64KiB"}
CPLUS: dict[str, Any] = {"revision": "C+"}
ALL = pytest.mark.parametrize("options", [C, PIO, C_ON_CPLUS, CPLUS, CPLUS | {"io": True, "rx_ring": 8, "tx_ring": 3}])


class Pair(CardPair):
    """Whenever alice or bob take what has come, alice goes on sending."""

    def __init__(self, revision: str = "C+", timing: str = "instant", **options: Any) -> None:
        self.sender: Callable[[], None] = lambda: None
        super().__init__(
            lambda mac: Rtl8139(mac, revision, timing), lambda function: probe(function, **options), 5 * SECOND
        )
        for index in (0, 1):
            self.take(index)

    def take(self, index: int) -> None:
        super().take(index)
        self.sender()

    def send(self, frames: list[bytes], group: int = 3) -> None:
        """From alice, so many at a time, or as soon as her card takes them."""
        for first in range(0, len(frames), group):
            rest = frames[first : first + group][::-1]

            def more(rest: list[bytes] = rest) -> None:
                while rest and self.drivers[0].send(rest[-1]):
                    rest.pop()

            self.sender = more
            more()
            self.run(20 * MS)
            assert rest == []


def put(driver: Any, frame: bytes, facts: FrameFacts | None = None) -> None:
    view = driver.reserve(len(frame))
    assert view is not None
    view[:] = frame
    driver.commit(facts)
    driver.flush()


@ALL
@pytest.mark.parametrize("timing", ["instant", "datasheet"])
def test_it_starts_without_offending_the_card(options, timing):
    pair = Pair(timing=timing, **options)
    driver: NetworkDriver = pair.drivers[0]
    assert driver.mac_address == bytes.fromhex("525400000001")
    assert driver.is_link_up
    assert (pair.drivers[0].speed, pair.drivers[0].full_duplex) == (100, True)
    assert pair.drops() == {}


@ALL
@pytest.mark.parametrize(("timing", "group"), [("instant", 4), ("datasheet", 100)])
def test_frames_of_all_lengths_turn_the_rings_many_times(options, timing, group):
    """With the datasheet's times as fast as the cable carries them: nothing is lost."""
    pair = Pair(timing=timing, **options)
    sent = [plain(n, 46 + n * 4 % 1452) for n in range(400)]
    pair.send(sent, group)
    assert [entry[0] for entry in pair.received[1]] == [frame.ljust(60, b"\0") for frame in sent]
    assert pair.drops() == {}
    assert (pair.drivers[0].statistics["tx_frames"], pair.drivers[1].statistics["rx_frames"]) == (400, 400)


@ALL
def test_polling_mode(options):
    pair = Pair(**options, interrupts=False)
    for n in range(3):
        pair.drivers[0].send(plain(n))
    pair.run()
    assert pair.received[1] == []
    pair.take(1)
    assert [entry[0] for entry in pair.received[1]] == [plain(n) for n in range(3)]
    assert not pair.drivers[0].poll()
    assert pair.drivers[0].transmitter.idle
    assert pair.drops() == {}


@ALL
def test_an_overflow_is_counted_and_got_over(options):
    """bob's processor is busy elsewhere: what his ring holds is kept, the rest is missed, and it goes on."""
    pair = Pair(**options)
    wake, pair.drivers[1].wake = pair.drivers[1].wake, None
    sent = [plain(n, 1400) for n in range(100)]
    pair.send(sent)
    pair.drivers[1].wake = wake
    pair.take(1)
    pair.run()  # what has waited in the FIFO comes now
    kept = len(pair.received[1])
    assert [entry[0] for entry in pair.received[1]] == sent[:kept]
    pair.send([plain(999)])
    assert [entry[0] for entry in pair.received[1][kept:]] == [plain(999)]
    statistics = pair.drivers[1].statistics
    missed = statistics["MPC"] if "MPC" in statistics else statistics["miss_pkt"]
    assert 0 < missed == 100 - kept
    assert pair.drivers[1].drops.pop("rx overflow") == 1
    assert pair.drivers[1].drops.keys() <= {"rx fifo overflow"}


@ALL
def test_multicast_and_promiscuous(options):
    pair = Pair(**options)
    group, stranger, unicast = (bytes.fromhex(a) for a in ("01005e000001", "01005e7f0102", "02aabbccddee"))
    pair.drivers[1].set_multicast([group])
    pair.send([group + plain(1)[6:], stranger + plain(2)[6:], unicast + plain(3)[6:]])
    assert [entry[0][:6] for entry in pair.received[1]] == [group]
    pair.drivers[1].set_promiscuous(True)
    pair.send([stranger + plain(2)[6:], unicast + plain(3)[6:]])
    assert [entry[0][:6] for entry in pair.received[1]] == [group, stranger, unicast]
    assert pair.drops() == {"bob/nic": {"not for us": 2}}


@ALL
def test_an_aborted_frame_is_sent_again(options):
    """RTL8139C 5.7, CLRABT; in C+ mode the card goes on by itself."""
    pair = Pair(**options)
    pair.cards[0].jam = 1
    pair.send([plain(n) for n in range(6)], group=1)
    arrived = [entry[0] for entry in pair.received[1]]
    if isinstance(pair.drivers[0], Rtl8139CpDriver):
        assert pair.drivers[0].drops == {"tx error": 1}
        assert arrived == [plain(n) for n in range(1, 6)]
    else:
        assert pair.drivers[0].drops == {"tx abort": 1}
        assert arrived == [plain(n) for n in range(6)]


@pytest.mark.parametrize("aborts", range(1, 7))
def test_after_aborts_driver_and_card_still_take_the_same_slots_in_turn(aborts):
    """With all slots in use: a driver that is a slot ahead sees each frame leave three frames late."""
    pair = Pair("C", "datasheet")
    pair.cards[0].jam = aborts
    frames = [plain(n) for n in range(9)]
    pair.send(frames, group=4)
    for n in range(9, 14):
        pair.drivers[0].send(plain(n))
        pair.run(20 * MS)
        pair.take(0)
        assert [entry[0] for entry in pair.received[1]][-1] == plain(n)
    assert [entry[0] for entry in pair.received[1]] == [plain(n) for n in range(14)]
    assert pair.drivers[0].recoveries == 0


@ALL
def test_link_changes_are_seen(options):
    pair = Pair(**options)
    port = pair.wire.ends[0]
    port.set_carrier(False)
    pair.run()
    assert not pair.drivers[0].is_link_up
    port.set_carrier(True)
    pair.run(5 * SECOND)
    assert pair.drivers[0].is_link_up
    pair.send([plain(1)])
    assert [entry[0] for entry in pair.received[1]] == [plain(1)]


@ALL
def test_a_card_that_hangs_is_reset_and_goes_on(options):
    pair = Pair(**options, hang_timeout="50ms")
    pair.drivers[0].card.write(ds.CR, ds.CR["RE"])  # somebody has switched the transmitter off
    pair.drivers[0].send(plain(1))
    pair.run(100 * MS)
    pair.take(0)
    assert pair.drivers[0].recoveries == 1
    pair.run(5 * SECOND)
    pair.send([plain(2)])
    assert [entry[0] for entry in pair.received[1]] == [plain(2)]
    assert pair.drivers[0].drops == {"tx lost": 1}


@ALL
def test_a_reset_amid_reception(options):
    pair = Pair(**options)
    wake, pair.drivers[1].wake = pair.drivers[1].wake, None
    pair.send([plain(n) for n in range(4)])
    assert pair.drivers[1].poll()
    assert bytes(pair.drivers[1].receive().frame) == plain(0)
    pair.drivers[1].wake = wake
    pair.drivers[1].recover()
    pair.run(5 * SECOND)
    pair.take(1)
    assert pair.received[1] == []
    pair.send([plain(n) for n in range(9)])
    assert [entry[0] for entry in pair.received[1]] == [plain(n) for n in range(9)]


@pytest.mark.parametrize("options", [C, C | {"rx_ring": "8KiB"}, PIO, C_ON_CPLUS])
def test_long_frames_of_others_harm_neither_memory_nor_the_frames_beside_them(options):
    """RTL8139C 5.1, 5.8: up to 4 KiB is no error, and with WRAP all of it may lie behind the ring's end."""
    pair = Pair(**options)
    ring, memory = pair.drivers[1].receiver.memory, pair.machines[1].memory.view
    behind = memory[ring.address + ring.size :][:8192]
    behind[:] = b"\xa5" * 8192
    for n in range(120):
        pair.wire.arrive((1, plain(n, 4076)))
        pair.wire.arrive((1, plain(n, 100)))
        pair.run(MS)
    assert [entry[0] for entry in pair.received[1]] == [plain(n, 100) for n in range(120)]
    assert behind == b"\xa5" * 8192
    assert pair.drivers[1].drops == {"rx length": 120}


@ALL
def test_stop_and_start(options):
    pair = Pair(**options)
    for n in range(3):
        pair.drivers[0].send(plain(n))
        pair.drivers[0].stop()
        assert len(pair.wire.frames) == n + 1  # drained
        pair.drivers[0].start()
        pair.run(5 * SECOND)
    assert len(pair.received[1]) == 3
    assert pair.machines[0].interrupts.drops == {}


@ALL
def test_after_stop_nothing_is_received_and_nothing_touched(options):
    pair = Pair(**options)
    pair.send([plain(n) for n in range(7)])
    pair.drivers[1].stop()
    assert not pair.drivers[1].poll()
    assert pair.drivers[1].receive() is None
    assert pair.drops() == {}


def test_cplus_a_large_send_arrives_as_one_train():
    """TSO, the wire, and GRO: 40,000 bytes leave as one frame and are handed up as few."""
    pair = Pair()
    payload = bytes(n * 7 & 0xFF for n in range(40_000))
    put(pair.drivers[0], unsummed(payload, seq=1000), FrameFacts(34, 16, 1460, 54))
    pair.run()
    assert [Ether(frame)[TCP].seq for frame in pair.wire.frames] == [1000 + 1460 * n for n in range(28)]
    assert all(entry[2] for entry in pair.received[1])
    together = b"".join(b"".join((frame[54:], *more)) for frame, more, _, _ in pair.received[1])
    assert together == payload
    assert pair.drivers[1].statistics["gro_joined"] > 20
    assert pair.drops() == {}


def test_cplus_jumbo_frames_whole_and_in_pieces():
    pair = Pair(mtu=4072, rx_buffer=1536)
    pair.send([plain(n, 4072) for n in range(40)])
    assert [entry[0] for entry in pair.received[1]] == [plain(n, 4072) for n in range(40)]
    assert pair.drops() == {}


def test_cplus_tags_are_inserted_and_stripped():
    pair = Pair()
    for driver in pair.drivers:
        driver.set_vlan_mode(True)
    pair.drivers[0].set_vlan_tag(0x6005)
    pair.send([plain(1)])
    put(pair.drivers[0], unsummed(bytes(3000), seq=1), FrameFacts(34, 16, 1460, 54))
    pair.run()
    assert [Ether(frame)[Dot1Q].vlan for frame in pair.wire.frames] == [5] * 4
    assert pair.received[1][0] == (plain(1), [], False, 0x6005)
    assert {entry[3] for entry in pair.received[1]} == {0x6005}


@pytest.mark.parametrize("options", [C, PIO, CPLUS])
def test_a_snapshot_of_everything_runs_on_alike_even_over_stop_and_start(options):
    pair = Pair(timing="datasheet", **options)

    def traffic() -> bytes:
        pair.received = [[], []]
        for n in range(30):
            pair.drivers[0].send(plain(n))
            pair.drivers[1].send(plain(n, 1000))
            pair.run(30_000)
        pair.run()
        assert len(pair.received[1]) > 5
        return b"".join(b"".join(canonical(c.save())) for c in pair.components()) + repr(pair.received).encode()

    for n in range(3):
        pair.drivers[0].send(plain(n))
    pair.run(20 * US)
    states, events = [c.save() for c in pair.components()], pair.clock.save()
    expected = traffic()
    for driver in pair.drivers:
        driver.stop()
    pair.drivers[0].start()
    parts = pair.components()
    for component, state in zip(parts, states, strict=True):
        component.load(state)
    pair.clock.load_events(events, {component.path: component for component in parts}.__getitem__)
    assert traffic() == expected
