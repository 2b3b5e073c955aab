"""What a host's stack knows and does, as `ip` and `ss` would print it: a person's first look at a machine."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from motenet.core.units import SECOND
from motenet.sim.host import Host
from motenet.stack import NetworkStack

_GOOD = {"UP", "ESTABLISHED", "LISTEN", "OPEN", "BOUND", "reachable", "preferred"}
_BAD = {"DOWN", "CLOSED", "tentative", "incomplete", "deprecated"}


def snapshot(stack: NetworkStack) -> dict[str, Any]:
    """All listings of a stack, as plain values for a program."""
    return {
        "links": stack.list_links(),
        "addresses": stack.list_addresses(),
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
    parts: list[RenderableType] = [Text(f"{host.name}  {type(host.nic).__name__}", style="bold")]
    parts += [
        table
        for table in (links(stack), addresses(stack), routes(stack), neighbors(stack), sockets(stack))
        if table.row_count
    ]
    if stack.dns_servers:
        parts.append(Text(f"name servers  {' '.join(stack.dns_servers)}"))
    parts.append(_counters(stack.statistics))
    if stack.drop_reasons:
        parts.append(Text(f"drops  {_list(stack.drop_reasons)}", style="yellow"))
    return Group(*parts)


def show(*hosts: Host) -> None:
    """Print the view of each host."""
    console = Console(highlight=False)
    for host in hosts:
        console.print(view(host))
        console.print()


def links(stack: NetworkStack) -> Table:
    """As `ip link`."""
    rows = stack.list_links()
    return _table("links", ("interface", "state", "mtu", "mac", "vlan"), rows)


def addresses(stack: NetworkStack) -> Table:
    """As `ip address`."""
    rows = [row | {"valid for": _left(row["valid_for"])} for row in stack.list_addresses()]
    return _table("addresses", ("address", "interface", "state", "origin", "valid for"), rows)


def routes(stack: NetworkStack) -> Table:
    """As `ip route`: "default" and "via"."""
    rows = [
        row
        | {
            "network": "default" if row["network"] in ("0.0.0.0/0", "::/0") else row["network"],
            "via": row["gateway"] or "",
            "expires": _left(row["expires_in"]),
        }
        for row in stack.list_routes()
    ]
    return _table("routes", ("network", "via", "interface", "origin", "expires"), rows)


def neighbors(stack: NetworkStack) -> Table:
    """As `ip neighbor`."""
    rows = [row | {"router": "router" if row["router"] else ""} for row in stack.list_neighbors()]
    return _table("neighbors", ("address", "interface", "mac", "state", "router"), rows)


def sockets(stack: NetworkStack) -> Table:
    """As `ss`: bytes received and not read, sent and not acknowledged."""
    rows = [
        {"netid": row["kind"], "recv-q": row["receive_queue"], "send-q": row["send_queue"], **row}
        for row in stack.list_sockets()
    ]
    return _table("sockets", ("netid", "state", "recv-q", "send-q", "local", "remote"), rows)


def _table(title: str, columns: Iterable[str], rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="dim", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        numbers = column in ("recv-q", "send-q", "mtu")
        table.add_column(column, justify="right" if numbers else "left", header_style="bold", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    return table


def _cell(value: Any) -> Text:
    text = "" if value is None else str(value)
    style = "green" if text in _GOOD else "red" if text in _BAD else ""
    return Text(text, style=style)


def _left(nanoseconds: int | None) -> str:
    """What is left of a time, in whole seconds; nothing for what never ends."""
    return "" if nanoseconds is None else f"{max(nanoseconds, 0) // SECOND:,} s"


def _counters(counters: Mapping[str, int]) -> Text:
    return Text(f"counters  {_list({name: value for name, value in counters.items() if value})}", style="dim")


def _list(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in counters.items())
