"""A host's name that an application wants the addresses of."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from motenet.core.state import Component, Plain
from motenet.stack.errors import DnsCancelled, DnsError, DnsFailure, DnsTimeout, NameNotFound, NoAddress
from motenet.stack.sockets.dns.cache import FAILED, FOUND, NO_DATA, NO_NAME, TIMED_OUT, Outcome
from motenet.stack.wire.dns import Name

if TYPE_CHECKING:
    from motenet.stack.sockets.dns.client import DnsClient

CANCELLED = "cancelled"

_ERRORS: dict[str, tuple[type[DnsError], str]] = {
    NO_NAME: (NameNotFound, "there is no host {name}: check its spelling"),
    NO_DATA: (NoAddress, "{name} has no address of the family that was asked for"),
    FAILED: (DnsFailure, "{name} could not be looked up: {detail}"),
    TIMED_OUT: (DnsTimeout, "{name} could not be looked up: {detail}"),
    CANCELLED: (DnsCancelled, "{name} was not looked up to the end"),
}


class Query(Component):
    """Becomes `done` as the world runs; then there are `addresses`, or an `error`."""

    STATE: ClassVar[tuple[str, ...]] = ("name", "types", "candidates", "no_data", "failure", "done", "addresses")

    def __init__(self, client: "DnsClient", number: int, name: str = "") -> None:
        self.path = f"{client.path}/query{number}"
        self.number = number
        self.client = client
        self.waker: Callable[[], None] | None = None
        """Wiring: called when it is done."""
        self.name = name
        """As the application has given it."""
        self.types: list[int] = []
        """What is asked for: AAAA, A or both."""
        self.candidates: list[Name] = []
        """The full names that are still to be tried; the first one is being tried."""
        self.outcomes: dict[int, Outcome] = {}
        """What is known of the first candidate, by type."""
        self.no_data = False
        """One of the names tried exists, but without an address."""
        self.failure: tuple[str, str] = ("", "")
        """The kind of error, and what people are told about it."""
        self.done = False
        self.addresses: list[bytes] = []
        """4 or 16 bytes each, those to be tried first first (RFC 6724)."""

    @property
    def error(self) -> DnsError | None:
        """Why there are no addresses: NameNotFound, NoAddress, DnsTimeout, DnsFailure or DnsCancelled."""
        kind, detail = self.failure
        if not kind:
            return None
        error, text = _ERRORS[kind]
        return error(text.format(name=self.name, detail=detail))

    def cancel(self) -> None:
        """Give it up; nothing happens if it is done."""
        self.client.cancel(self)

    # --- for the client

    def conclude(self, enough: bool) -> bool:
        """All is known about the first candidate that will be (`enough`: one address will do); False: not yet.

        resolv.conf(5): a name that is not there, or has no address, makes way for the next one of the search list.
        """
        known = [self.outcomes[kind] for kind in self.types if kind in self.outcomes]
        found = [address for outcome in known for address in outcome.addresses]
        if len(known) < len(self.types) and not (enough and found):
            return False
        worst = [outcome for outcome in known if outcome.kind not in (FOUND, NO_DATA, NO_NAME)]
        if found:
            self.end(found)
        elif worst:
            self.end([], worst[0].kind, worst[0].detail)
        else:
            self.no_data |= any(outcome.kind == NO_DATA for outcome in known)
            self.candidates.pop(0)
            self.outcomes.clear()
            if not self.candidates:
                self.end([], NO_DATA if self.no_data else NO_NAME)
        return True

    def end(self, addresses: list[bytes], kind: str = "", detail: str = "") -> None:
        """It is done, well or not."""
        self.addresses, self.failure, self.done = addresses, (kind, detail), True
        self.candidates.clear()
        self.outcomes.clear()

    def save(self) -> Plain:
        return super().save() | {"outcomes": [(kind, tuple(outcome)) for kind, outcome in self.outcomes.items()]}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.outcomes = {kind: Outcome(*outcome) for kind, outcome in state["outcomes"]}
