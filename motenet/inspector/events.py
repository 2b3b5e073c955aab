"""Events of core.trace as a line for people."""

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.core.trace import Changed, DmaAccess, Dropped, Event, FramePassed, InterruptChange, RegisterAccess
from motenet.core.units import SECOND
from motenet.doors import Card
from motenet.inspector import configuration
from motenet.inspector.cards import Sheet, sheet, sheet_of
from motenet.sim.host import Host
from motenet.sim.world import World

Subject = str | Card | Host | World | Sheet
"""Whose registers are named: a card by its name, a device object, a host's card; a world: that of the event's host."""

ETHERTYPES = {0x0800: "IPv4", 0x0806: "ARP", 0x8100: "802.1Q", 0x86DD: "IPv6"}
"""IEEE 802 numbers, as IANA lists them."""

_NO_CARD = Sheet(())


def describe(event: Event, card: Subject = "e1000") -> str:
    """One line: seconds, the component's path, what happened there. `card` gives registers their names.

    It is the card's name ("rtl8139"), the device object, its host, or the world: then each event's own host tells.
    ConfigurationError for what has no registers.
    """
    return f"{event.time / SECOND:.9f} s  {event.path}  {_what(event, card)}"


def _find_sheet(card: Subject, event: Event) -> Sheet:
    if isinstance(card, World):
        host = card.hosts.get(event.path.partition("/")[0])
        return _NO_CARD if host is None else sheet_of(host.nic)
    if isinstance(card, Sheet):
        return card
    if isinstance(card, str):
        return sheet(card)
    found = card.nic if isinstance(card, Host) else card
    if not isinstance(found, Component):
        raise ConfigurationError(f"{card!r} has no registers: give a card, its name, its host, or a world")
    return sheet_of(found)


def name_access(card: Sheet, access: RegisterAccess) -> tuple[str, str]:
    """An access's registers by name, and its value in words."""
    if access.space == "config":
        return configuration.name_config_access(card.config, access)
    value = f"{access.value:#0{2 + 2 * access.width}x}"
    touched = card.touched(access)
    if not touched:
        return f"{access.space}+{access.offset:#04x}", value
    words = [register.describe(part) if len(register.fields) > 1 else "" for register, _, part in touched]
    said = ", ".join(word for word in words if word not in ("", "0"))
    return ", ".join(label for _, label, _ in touched), f"{value} {said}".rstrip()


def _what(event: Event, card: Subject) -> str:
    match event:
        case RegisterAccess():
            name, value = name_access(_find_sheet(card, event), event)
            return f"{'writes' if event.write else 'reads'} {name} {value}"
        case DmaAccess():
            what = f"{event.layout}, " if event.layout else ""
            return f"DMA {'writes' if event.write else 'reads'} {what}{event.length} bytes at {event.address:#x}"
        case InterruptChange(message=True):
            return f"interrupt message {event.vector}"
        case InterruptChange():
            return f"interrupt line {event.vector} {'rises' if event.level else 'falls'}"
        case FramePassed():
            return f"{event.direction} {frame_in_words(event.frame)}" + (f", {event.verdict}" if event.verdict else "")
        case Dropped():
            frame = f" ({frame_in_words(event.frame)})" if event.frame else ""
            return f"drops: {event.reason}" + (f", {event.detail}" if event.detail else "") + frame
        case Changed():
            return f"{event.what}: {event.detail}"
    return repr(event)


def frame_in_words(frame: bytes) -> str:
    """A frame's length, and its header if it is long enough for one (IEEE 802.3, 3.2)."""
    if len(frame) < 14:
        return f"{len(frame)} bytes"
    kind = int.from_bytes(frame[12:14], "big")
    name = ETHERTYPES.get(kind, f"type {kind:#06x}" if kind >= 0x600 else "802.3 length")
    return f"{len(frame)} bytes, {frame[6:12].hex(':')} to {frame[:6].hex(':')}, {name}"
