"""Watching: listeners see what happens, come and go, and change nothing."""

from collections.abc import Iterable

from motenet.core.state import Component, state_hash
from motenet.core.trace import Changed, Dropped, Event, Watched, observe


class Time:
    now = 0


class Nic(Watched):
    def __init__(self, time: Time) -> None:
        super().__init__(time, "nic")
        self.plain_part = Component()
        self.phy = Watched(time, "phy")

    def parts(self) -> Iterable[Component]:
        return (self.plain_part, self.phy)


def test_a_drop_is_counted_by_reason_whether_or_not_it_is_watched() -> None:
    nic = Nic(Time())
    nic.drop("ring full")
    events: list[Event] = []
    observe(nic, events.append)
    nic.clock.now = 7  # type: ignore[misc]
    nic.drop("ring full", "RDH == RDT", b"frame")
    nic.phy.drop("no link")
    assert nic.drops == {"ring full": 2}
    assert events == [
        Dropped(7, "nic", "ring full", "RDH == RDT", b"frame"),
        Dropped(7, "phy", "no link", "", b""),
    ]


def test_changes_are_told_to_a_listener_and_to_nobody_after_it_left() -> None:
    nic = Nic(Time())
    events: list[Event] = []
    nic.changed("link", "up")
    observe(nic, events.append)
    nic.changed("link", "down")
    observe(nic, None)
    nic.changed("link", "up")
    assert events == [Changed(0, "nic", "link", "down")]


def test_watching_is_no_part_of_the_state() -> None:
    watched, alone = Nic(Time()), Nic(Time())
    observe(watched, lambda event: None)
    for nic in (watched, alone):
        nic.drop("ring full")
    assert state_hash(watched.save()) == state_hash(alone.save())
    assert watched.save() == {"drops": {"ring full": 1}}
