"""Duplicate address detection: whether somebody else has an address, before it is ours and while it is.

IPv4: RFC 5227. IPv6: RFC 4862, 5.4, with RFC 7527's nonces; optimistic addresses (RFC 4429) are used meanwhile.
"""

from collections.abc import Container
from dataclasses import astuple, dataclass, field
from typing import ClassVar

from motenet.core.rng import Stream
from motenet.core.state import Plain, plain
from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND
from motenet.stack.address import ANY, format_address, format_mac
from motenet.stack.searches import MAX_MULTICAST_SOLICIT, RETRANS_TIMER

PROBE_WAIT = 1 * SECOND
PROBE_NUM = 3
PROBE_MIN = 1 * SECOND
PROBE_MAX = 2 * SECOND
ANNOUNCE_WAIT = 2 * SECOND
ANNOUNCE_NUM = 2
ANNOUNCE_INTERVAL = 2 * SECOND
MAX_CONFLICTS = 10
RATE_LIMIT_INTERVAL = 60 * SECOND
DEFEND_INTERVAL = 10 * SECOND
"""RFC 5227, 1.1."""

DUP_ADDR_DETECT_TRANSMITS = 1
"""RFC 4862, 5.1."""
MAX_RTR_SOLICITATION_DELAY = 1 * SECOND
"""RFC 4861, 10."""
NONCE_LENGTH = 6
"""RFC 3971, 5.3.2: the shortest."""
_MOST_NONCES = 16
"""Kept of those that were sent last."""

PROBE, ANNOUNCE, SETTLED, DUPLICATE = "probe", "announce", "settled", "duplicate"
"""What `due` wants. PROBE: an ARP probe (RFC 5227, 2.1.1), or a solicitation from :: with `nonce` (RFC 4862, 5.4.2).
ANNOUNCE: an ARP announcement (RFC 5227, 2.3). SETTLED: the address is ours. DUPLICATE: it must not be used any more.
"""

_PROBING, _ANNOUNCING, _USED = "probing", "announcing", "used"


@dataclass(slots=True)
class Claim:
    """An address that is to be ours, or is."""

    stage: str = _PROBING
    at: int = 0
    """When the next step is due."""
    sent: int = 0
    """Probes or announcements of this stage."""
    defended_at: int | None = None
    nonces: list[bytes] = field(default_factory=list)
    """Of the solicitations that we have sent."""
    looped: bool = False
    """One of them has come back."""
    firm: bool = False
    """Given by hand, and used without asking: it is defended, and never given up (RFC 5227, 2.4 c)."""


class Detection(Watched):
    """The addresses of one interface. It sends nothing itself: `due` says what is to be sent, and what was found."""

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE, "results", "conflicts", "attempt_at", "transmits", "retrans_timer",
    )  # fmt: skip

    def __init__(self, clock: HasNow, stream: Stream, path: str = "detection") -> None:
        super().__init__(clock, path)
        self.stream = stream
        self.claims: dict[bytes, Claim] = {}
        self.results: list[tuple[str, bytes]] = []
        """What the next `due` has to tell."""
        self.conflicts = 0
        """IPv4 conflicts on this interface so far (RFC 5227, 2.1.1)."""
        self.attempt_at = -RATE_LIMIT_INTERVAL
        """When the last attempt at a new IPv4 address began."""
        self.transmits = DUP_ADDR_DETECT_TRANSMITS
        """0: IPv6 addresses are ours without being asked for (RFC 4862, 5.1)."""
        self.retrans_timer = RETRANS_TIMER

    def begin(self, address: bytes, now: int) -> None:
        """Begin to ask whether anybody has the address. Whether it may be used meanwhile is the caller's business.

        IPv6 waits for up to a second, as is due for what an interface says first, and for addresses that follow from
        an RA (RFC 4862, 5.4.2).
        """
        self.end(address)
        claim = self.claims[address] = Claim()
        if len(address) == 4:
            claim.at = self._attempt(now) + self.stream.between(0, PROBE_WAIT)
        elif self.transmits:
            claim.at = now + self.stream.between(0, MAX_RTR_SOLICITATION_DELAY)
        else:
            self._settle(address, claim)

    def _attempt(self, now: int) -> int:
        """RFC 5227, 2.1.1: after MAX_CONFLICTS, at most one new address each RATE_LIMIT_INTERVAL."""
        if self.conflicts >= MAX_CONFLICTS:
            now = max(now, self.attempt_at + RATE_LIMIT_INTERVAL)
        self.attempt_at = now
        return now

    def restart(self, now: int) -> None:
        """The link is up again, perhaps to another network: all addresses are asked for anew (RFC 5227, 2.1)."""
        for address in [address for address, claim in self.claims.items() if not claim.firm]:
            self.begin(address, now)

    def end(self, address: bytes) -> None:
        """The address is not wanted any more."""
        self.claims.pop(address, None)
        self.results = [result for result in self.results if result[1] != address]

    def retain(self, addresses: Container[bytes]) -> None:
        """Only these are wanted still: others have been removed, or have had their time."""
        for address in (*self.claims, *[address for _, address in self.results]):
            if address not in addresses:
                self.end(address)

    def nonce(self, address: bytes) -> bytes:
        """The nonce of the solicitation that is to be sent now (RFC 7527, 4.1)."""
        return self.claims[address].nonces[-1]

    def announce(self, address: bytes) -> None:
        """Have `due` say that the address is to be announced."""
        self.results.append((ANNOUNCE, address))

    # --- what is heard

    def heard_arp(self, sender: bytes, mac: bytes, target: bytes, now: int) -> bool:
        """Look at any ARP packet of another station's. Says whether its sender and we want the same address."""
        claim = self.claims.get(sender)
        if claim is not None:
            self._conflict(sender, claim, mac, now)
            return True
        claim = self.claims.get(target) if sender == ANY else None
        if claim is None or claim.stage != _PROBING:
            return False
        self._conflict(target, claim, mac, now)  # RFC 5227, 2.1.1: somebody else probes for it, too
        return True

    def defend(self, address: bytes, mac: bytes, now: int) -> None:
        """An ARP packet's sender claims an address of ours that nobody was asked for."""
        self.claims[address] = Claim(_USED, firm=True)
        self._conflict(address, self.claims[address], mac, now)

    def heard_solicitation(self, target: bytes, source: bytes, nonce: bytes) -> bool:
        """Look at a neighbor solicitation (`nonce`: its option's, or empty). Says whether its sender wants our address.

        RFC 4862, 5.4.3: only one from :: is a claim; RFC 7527, 4.2: unless it is our own, come back.
        """
        claim = self.claims.get(target)
        if claim is None or claim.stage != _PROBING or any(source):
            return False
        if nonce in claim.nonces:
            self.drop("nd-looped", format_address(target))
            claim.looped = True
            return False
        self._give_up(target, "is wanted by another station, too")
        return True

    def heard_advertisement(self, target: bytes, mac: bytes, own_mac: bytes) -> bool:
        """Look at a neighbor advertisement (`mac`: its option's, or empty). Says whether its sender has our address.

        RFC 4862, 5.4.4. Once the address is ours, it stays: IPv6 knows no defence, and the conflict is only counted.
        """
        claim = self.claims.get(target)
        if claim is None or mac == own_mac:
            return False
        if claim.stage == _USED:
            self.drop("address-conflict", f"{format_address(target)} is {format_mac(mac)}'s, too")
        else:
            self._give_up(target, f"is {format_mac(mac)}'s")
        return True

    def _conflict(self, address: bytes, claim: Claim, mac: bytes, now: int) -> None:
        self.conflicts += 1
        detail = f"is {format_mac(mac)}'s"
        recent = claim.defended_at is not None and now - claim.defended_at < DEFEND_INTERVAL
        if claim.stage == _PROBING or (recent and not claim.firm):
            self._give_up(address, detail)  # RFC 5227, 2.1.1 and 2.4 b: it MUST cease using it
            return
        self.drop("address-conflict", f"{format_address(address)} {detail}, too")
        if not recent:
            claim.defended_at = now
            self.announce(address)

    def _give_up(self, address: bytes, detail: str) -> None:
        self.drop("address-conflict", f"{format_address(address)} {detail}")
        self.changed("address", f"{format_address(address)} {detail}")
        self.end(address)
        self.results.append((DUPLICATE, address))

    # --- times

    def due(self, now: int) -> list[tuple[str, bytes]]:
        """What is to be done now, in order: (PROBE, ANNOUNCE, SETTLED or DUPLICATE; address)."""
        for address, claim in self.claims.items():
            if claim.stage != _USED and claim.at <= now:
                self._step(address, claim, now)
        results = self.results[:]
        self.results.clear()
        return results

    def _step(self, address: bytes, claim: Claim, now: int) -> None:
        ipv4 = len(address) == 4
        if claim.looped and claim.sent >= self.transmits:  # RFC 7527, 4.1: the loop may hide somebody else's answer
            claim.looped = False
            claim.sent = self.transmits - MAX_MULTICAST_SOLICIT
        if claim.stage == _ANNOUNCING:
            self._announce_again(address, claim, now)
        elif claim.sent < (PROBE_NUM if ipv4 else self.transmits):
            claim.sent += 1
            self.results.append((PROBE, address))
            if not ipv4:
                claim.nonces = [*claim.nonces[1 - _MOST_NONCES :], self.stream.bytes(NONCE_LENGTH)]
                claim.at = now + self.retrans_timer
            elif claim.sent < PROBE_NUM:
                claim.at = now + self.stream.between(PROBE_MIN, PROBE_MAX)
            else:
                claim.at = now + ANNOUNCE_WAIT
        elif ipv4:
            claim.stage, claim.sent = _ANNOUNCING, 0
            self._announce_again(address, claim, now)
            self._settled(address)
        else:
            self._settle(address, claim)

    def _announce_again(self, address: bytes, claim: Claim, now: int) -> None:
        self.announce(address)
        claim.sent += 1
        claim.at = now + ANNOUNCE_INTERVAL
        if claim.sent >= ANNOUNCE_NUM:
            claim.stage = _USED

    def _settle(self, address: bytes, claim: Claim) -> None:
        claim.stage = _USED
        self._settled(address)

    def _settled(self, address: bytes) -> None:
        self.results.append((SETTLED, address))
        self.changed("address", f"{format_address(address)} is ours")

    def poll_at(self) -> int | None:
        """When `due` next has something, in ns."""
        if self.results:
            return 0
        return min((claim.at for claim in self.claims.values() if claim.stage != _USED), default=None)

    # --- state

    def save(self) -> Plain:
        claims = {address: plain(astuple(claim)) for address, claim in self.claims.items()}
        return super().save() | {"claims": claims}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.claims.clear()
        for address, fields in state["claims"].items():
            self.claims[address] = Claim(*plain(fields))
