"""A host's part of telling multicast routers which groups it listens to: IGMPv2 (RFC 2236) and MLDv1 (RFC 2710).

The two are one machine (RFC 2236, 6; RFC 2710, 5); a group's length is its family. It sends nothing itself.
"""

from typing import ClassVar

from motenet.core.rng import Stream
from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND
from motenet.stack.address import ALL_HOSTS, ALL_NODES6, ALL_ROUTERS, ALL_ROUTERS6
from motenet.stack.wire import icmpv6, igmp, mld

UNSOLICITED_REPORT_INTERVAL = 10 * SECOND
"""RFC 2236, 8.10; RFC 2710, 7.10."""
ROBUSTNESS = 2
"""How often a new membership is reported unasked (RFC 2236, 3 and 8.1; RFC 2710, 4 and 7.1)."""
VERSION_1_ROUTER_PRESENT_TIMEOUT = 400 * SECOND
"""RFC 2236, 8.11."""

Message = igmp.Message | mld.Message

_QUERIES = (igmp.QUERY, icmpv6.LISTENER_QUERY)
_REPORTS = (igmp.REPORT, igmp.REPORT_1, icmpv6.LISTENER_REPORT)
_NODE_LOCAL = 1  # RFC 4291, 2.7: the scope of groups that no link ever sees; 0 is reserved


def is_reported(group: bytes) -> bool:
    """Whether routers are to know of it: not the group of all nodes (RFC 2236, 6; RFC 2710, 5), nor a node's own."""
    if len(group) == 4:
        return group != ALL_HOSTS
    return group != ALL_NODES6 and group[1] & 0x0F > _NODE_LOCAL


class Membership(Watched):
    """The groups of one interface: idle members, delaying members (who have a timer), and what is to be sent.

    The owner calls `due` when `poll_at` says so, and after `joined` and `left`.
    """

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE, "members", "timers", "unsolicited", "leaving", "version_1_until",
    )  # fmt: skip

    def __init__(self, clock: HasNow, stream: Stream, path: str = "membership") -> None:
        super().__init__(clock, path)
        self.stream = stream
        self.members: dict[bytes, bool] = {}
        """Group -> whether the last report for it was ours."""
        self.timers: dict[bytes, int] = {}
        """Delaying members: group -> when to report it, in ns."""
        self.unsolicited: dict[bytes, int] = {}
        """Group -> how many more reports nobody has to ask for."""
        self.leaving: dict[bytes, int] = {}
        """Groups that routers are still to hear that we have left -> since when."""
        self.version_1_until = 0
        """Until then there is a router that knows only IGMPv1 (RFC 2236, 4)."""

    # --- the node's own wishes

    def joined(self, group: bytes, now: int) -> None:
        """The interface listens to a group from now on: report it at once, and again."""
        if is_reported(group) and group not in self.members:
            self._begin(group, now)

    def restart(self, now: int) -> None:
        """The link is up again, perhaps to other routers: all groups are reported as if joined anew, as Linux does."""
        self.leaving.clear()
        self.version_1_until = 0
        for group in self.members:
            self._begin(group, now)

    def identified(self, now: int) -> None:
        """We have a link-local address at last: routers discard reports from :: (RFC 3810, 5.2.13), so one follows."""
        for group in self.members:
            if len(group) == 16 and group not in self.timers:
                self.timers[group] = now + self._delay(UNSOLICITED_REPORT_INTERVAL)

    def _begin(self, group: bytes, now: int) -> None:
        self.members[group] = False
        self.unsolicited[group] = ROBUSTNESS
        self.timers[group] = now

    def left(self, group: bytes, now: int) -> None:
        """The interface listens to a group no more: say so, if the routers have last heard of it from us."""
        if self.members.pop(group, False):
            self.leaving[group] = now
        self.timers.pop(group, None)
        self.unsolicited.pop(group, None)

    # --- what others say

    def process(self, message: Message, now: int) -> None:
        """Take a query, or another member's report. A host has nothing to do with the other messages."""
        if message.type in _QUERIES:
            self._asked(message, now)
        elif message.type in _REPORTS:
            self._heard(message.group)
        else:
            self.drop("membership-type")

    def _asked(self, message: Message, now: int) -> None:
        """RFC 2236, 3; RFC 2710, 4: a timer that runs is set anew only if it would run longer than is asked for."""
        size, wanted, limit = len(message.group), message.group, message.response_time
        if size == 4 and message.version == 1:
            self.version_1_until = now + VERSION_1_ROUTER_PRESENT_TIMEOUT
        for group in self.members:
            if (group == wanted or not any(wanted)) and len(group) == size:
                running = self.timers.get(group)
                if running is None or running - now > limit:
                    self.timers[group] = now + self._delay(limit)

    def _heard(self, group: bytes) -> None:
        """RFC 2236, 3; RFC 2710, 4: one report is enough for a router, and whose it was no longer us."""
        if self.timers.pop(group, None) is not None:
            self.members[group] = False
            self.unsolicited.pop(group, None)

    def _delay(self, limit: int) -> int:
        """A random time of (0, limit] ns; 0 if there is no time."""
        return 1 + self.stream.below(limit) if limit else 0

    # --- what is to be sent

    def due(self, now: int) -> list[tuple[bytes, Message]]:
        """What is to be sent now: destinations and messages, each with hop limit 1 and the Router Alert option."""
        messages = [self._leave(group) for group in self.leaving if len(group) == 16 or now >= self.version_1_until]
        self.leaving.clear()
        for group in [group for group, at in self.timers.items() if at <= now]:
            messages.append((group, self._report(group, now)))
            self.members[group] = True
            more = self.unsolicited.pop(group, 1) - 1
            if more:
                self.unsolicited[group] = more
                self.timers[group] = now + self._delay(UNSOLICITED_REPORT_INTERVAL)
            else:
                del self.timers[group]
        return messages

    def _report(self, group: bytes, now: int) -> Message:
        if len(group) == 16:
            return mld.Message(icmpv6.LISTENER_REPORT, group)
        return igmp.Message(igmp.REPORT_1 if now < self.version_1_until else igmp.REPORT, group)

    def _leave(self, group: bytes) -> tuple[bytes, Message]:
        """RFC 2236, 3 and 4: routers of version 1 know no such message, so that it may be left out for them."""
        if len(group) == 16:
            return ALL_ROUTERS6, mld.Message(icmpv6.LISTENER_DONE, group)
        return ALL_ROUTERS, igmp.Message(igmp.LEAVE, group)

    def poll_at(self) -> int | None:
        """When something is to be sent, in ns; None: nothing until somebody joins, leaves or asks."""
        return min((*self.timers.values(), *self.leaving.values()), default=None)
