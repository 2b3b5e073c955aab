"""What a host's stack knows and does, as `ip` and `ss` would print it: a person's first look at a machine."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from motenet.core.units import MS, SECOND
from motenet.sim.host import Host
from motenet.stack import NetworkStack

_GOOD = {"UP", "ESTAB", "LISTEN", "OPEN", "BOUND", "REACHABLE", "preferred"}
_BAD = {"DOWN", "CLOSED", "tentative", "INCOMPLETE", "deprecated"}
_NUMBERS = ("recv-q", "send-q", "mtu")
_SS = {"ESTABLISHED": "ESTAB", "SYN-RECEIVED": "SYN-RECV", "CLOSED": "UNCONN"}
"""States that ss(8) has other words for than RFC 9293."""
_ENDLESS = 10_000
"""Columns: wider than any line."""


@dataclass(slots=True)
class Listing:
    """Rows under a title: a table, as loose as the line is wide; where none fits, a paragraph for each row.

    `more` are columns that are left out before that.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    more: tuple[str, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        more = tuple(column for column in self.more if any(row[column] for row in self.rows))
        for columns, gap in product(((*self.columns, *more), self.columns), (2, 1)):
            table = self._table(columns, gap)
            if Measurement.get(console, options.update(width=_ENDLESS), table).maximum <= options.max_width:
                yield table
                return
        yield Text(self.title, style="dim")
        for row in self.rows:
            yield from self._paragraph(row, options.max_width)

    def _table(self, columns: tuple[str, ...], gap: int) -> Table:
        title: dict[str, Any] = {"title": self.title, "title_justify": "left", "title_style": "dim"}
        table = Table(**title, box=None, padding=(0, gap, 0, 0), pad_edge=False)
        for column in columns:
            table.add_column(column, justify="right" if column in _NUMBERS else "left", header_style="bold")
        for row in self.rows:
            table.add_row(*(_cell(row[column]) for column in columns))
        return table

    def _paragraph(self, row: dict[str, Any], width: int) -> Iterable[Text]:
        """One row on as many lines as it takes, broken between its columns; what is empty is left out."""
        line = Text()
        for column in (*self.columns, *self.more):
            cell = _cell(row[column])
            if not cell:
                continue
            pair = Text.assemble((column, "bold"), " ", cell)
            if line.cell_len and line.cell_len + 2 + pair.cell_len > width:
                yield line
                line = Text()
                pair = Text.assemble("  ", pair)
            line = Text.assemble(line, "  " if line else "", pair)
        yield line


def snapshot(stack: NetworkStack) -> dict[str, Any]:
    """All listings of a stack, as plain values for a program."""
    return {
        "forwarding": stack.forwarding,
        "links": stack.list_links(),
        "addresses": stack.list_addresses(),
        "groups": stack.list_groups(),
        "routes": stack.list_routes(),
        "neighbors": stack.list_neighbors(),
        "sockets": stack.list_sockets(),
        "dns_servers": stack.dns_servers,
        "statistics": stack.statistics,
        "drops": stack.drop_reasons,
    }


def view(host: Host) -> RenderableType:
    """The same for a person, in tables; what is empty is left out."""
    stack = host.stack
    kind = "  router" if stack.forwarding else ""
    parts: list[RenderableType] = [Text(f"{host.name}  {', '.join(cards(host))}{kind}", style="bold")]
    parts += [
        listing
        for listing in (links(stack), addresses(stack), routes(stack), neighbors(stack), sockets(stack))
        if listing.rows
    ]
    if stack.dns_servers:
        parts.append(Text(f"name servers  {' '.join(stack.dns_servers)}"))
    if any(stack.statistics.values()):
        parts.append(_counters(stack.statistics))
    if stack.drop_reasons:
        parts.append(Text(f"drops  {_list(stack.drop_reasons)}", style="yellow"))
    return Group(*parts)


def show(*hosts: Host) -> None:
    """Print the view of each host; into a pipe or file with one line a row, however long."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, width=_ENDLESS)
    for host in hosts:
        console.print(view(host))
        console.print()


def cards(host: Host) -> list[str]:
    """The kinds of a host's cards, in the order of its interfaces eth0, eth1 ..."""
    return [type(slot.card).__name__ for slot in host.machine.slots]


def links(stack: NetworkStack) -> Listing:
    """As `ip link`."""
    rows = [{"dev": row["interface"], **row} for row in stack.list_links()]
    return Listing("links", ("dev", "state", "mtu", "mac", "vlan"), rows)


def addresses(stack: NetworkStack) -> Listing:
    """As `ip address`."""
    rows = [
        {"dev": row["interface"], "proto": row["origin"], "valid_lft": _left(row["valid_for"]) or "forever", **row}
        for row in stack.list_addresses()
    ]
    return Listing("addresses", ("address", "dev", "state", "proto", "valid_lft"), rows)


def routes(stack: NetworkStack) -> Listing:
    """As `ip route`: "default" and "via"; of what is on the link, "kernel" tells."""
    rows = [
        {
            "network": "default" if row["network"] in ("0.0.0.0/0", "::/0") else row["network"],
            "via": row["gateway"] or "",
            "dev": row["interface"],
            "proto": "kernel" if row["origin"] == "link" else row["origin"],
            "expires": _left(row["expires_in"]),
        }
        for row in stack.list_routes()
    ]
    return Listing("routes", ("network", "via", "dev", "proto", "expires"), rows)


def neighbors(stack: NetworkStack) -> Listing:
    """As `ip neighbor`."""
    rows = [
        {
            "address": row["address"],
            "dev": row["interface"],
            "lladdr": row["mac"],
            "state": row["state"].upper(),
            "router": "router" if row["router"] else "",
        }
        for row in stack.list_neighbors()
    ]
    return Listing("neighbors", ("address", "dev", "lladdr", "state", "router"), rows)


def sockets(stack: NetworkStack) -> Listing:
    """As `ss -a --options`: bytes received and not read, sent and not acknowledged; of a listener, connections."""
    rows = [
        {
            "netid": "tcp" if row["kind"] == "tcp-listener" else row["kind"],
            "state": _ss_state(row),
            "recv-q": row["receive_queue"],
            "send-q": row["send_queue"],
            "local address:port": row["local"],
            "peer address:port": row["remote"],
            "timer": _ss_timer(row["timer"]),
        }
        for row in stack.list_sockets()
    ]
    columns = ("netid", "state", "recv-q", "send-q", "local address:port", "peer address:port")
    return Listing("sockets", columns, rows, ("timer",))


def _ss_state(row: dict[str, Any]) -> str:
    if row["kind"] in ("udp", "raw", "icmp"):
        return "UNCONN" if row["remote"] == "*" else "ESTAB"
    state: str = row["state"]
    return _SS.get(state, state)


def _ss_timer(timer: dict[str, Any] | None) -> str:
    """ "on,204ms,0": which, how long it still runs, and how often it has expired."""
    if timer is None:
        return ""
    minutes, left = divmod(timer["expires_in"], 60 * SECOND)
    span = f"{left // SECOND}sec" if minutes or left >= SECOND else f"{left // MS}ms"
    return f"{timer['name']},{f'{minutes}min' if minutes else ''}{span},{timer['retries']}"


def _cell(value: Any) -> Text:
    text = "" if value is None else str(value)
    style = "green" if text in _GOOD else "red" if text in _BAD else ""
    return Text(text, style=style)


def _left(nanoseconds: int | None) -> str:
    """What is left of a time, in whole seconds; nothing for what never ends."""
    return "" if nanoseconds is None else f"{max(nanoseconds, 0) // SECOND}sec"


def _counters(counters: Mapping[str, int]) -> Text:
    return Text(f"counters  {_list({name: value for name, value in counters.items() if value})}", style="dim")


def _list(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in counters.items())
