"""Commands that look: at a datasheet, and at the machine they run on."""

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from motenet.bridge.parts import PARTS, Part, probe
from motenet.inspector import registers as view
from motenet.inspector.cards import sheet
from motenet.sim.host import CARDS

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read.")]

LIBRARIES = ("motenet", "numpy", "construct", "h11", "rich", "typer")
MEANING = {
    "apps": "motenet llm, motenet demo llm, world.internet(); httpx, uvicorn ... on emulated machines",
    "root": "bring up TAP devices; the tests with a real Linux peer",
    "tap": "motenet serve, motenet get, motenet llm",
    "ip": "--setup, and the tests with a real Linux peer",
    "ping": "the tests with a real Linux peer",
    "curl": "the tests with a real Linux peer",
    "tshark": "captures checked by Wireshark",
    "qemu": "other people's drivers and devices",
    "vfio-user": "motenet serve CARD: guest kernels whose card is ours",
    "guest": "the tests with Linux's drivers on our cards",
    "ipxe": "the tests with iPXE on our cards",
    "dpdk": "the tests with DPDK's driver on our virtio-net",
    "dnsmasq": "the tests with iPXE on our cards, and with real DHCP and DNS",
    "radvd": "the tests with a real IPv6 router",
    "traceroute": "the tests with a real Linux peer",
    "nginx": "the tests with a real Linux peer",
    "netem": "the tests with a real Linux peer under loss; a guest's kernel does, too",
}
"""What each part is good for."""


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    app.command()(registers)
    app.command()(doctor)


def registers(
    card: Annotated[
        str | None, typer.Argument(help=f"The card ({', '.join(sorted(CARDS))}); a list of them without.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="A register's name or offset; all of them without.")] = None,
    as_json: Json = False,
) -> None:
    """Show a card's registers.

    As its datasheet declares them: fields, effects of reads and writes, reset values, clauses.
    """
    if card is None:
        _list_cards(as_json)
        return
    maps, chosen = sheet(card).maps, [] if name is None else view.find(card, name)
    if as_json:
        wanted = [one for _, one in chosen] or [register for registers in maps for register in registers]
        print(json.dumps([view.as_plain(register) for register in wanted], indent=2))
        return
    console = Console(highlight=False)
    for number, (registers, register) in enumerate(chosen):
        console.print(*[""] * bool(number), view.detail(registers, register), sep="\n")
    for registers in () if chosen else maps:
        console.print(view.overview(registers))


def _list_cards(as_json: bool) -> None:
    rows = [
        {"card": card, "part": registers.name, "registers": len(registers.by_name)}
        for card in CARDS
        for registers in sheet(card).maps
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['card']}: {row['part']}, {row['registers']} registers")


def doctor(as_json: Json = False) -> None:
    """Say what this machine can do.

    The extra's libraries, TAP devices, tshark, QEMU: which are there, and how to get those that are missing.
    """
    parts = [probe(name) for name in PARTS]
    versions = {library: version(library) for library in LIBRARIES}
    if as_json:
        python = {"python": platform.python_version(), "platform": platform.platform(), **versions}
        print(json.dumps({"versions": python, "parts": [asdict(part) for part in parts]}, indent=2))
        return
    console = Console(highlight=False)
    console.print(f"Python {platform.python_version()} on {platform.platform()}")
    console.print(", ".join(f"{library} {number}" for library, number in versions.items()))
    console.print(_table(parts))


def _table(parts: list[Part]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "Part", "Found", "Good for"):
        table.add_column(heading, overflow="fold")
    for part in parts:
        mark = "[green]yes[/]" if part.present else "[red]no[/]"
        found = part.detail if part.present else f"{part.detail}\n[bold]{part.remedy}[/]"
        table.add_row(mark, part.name, found, MEANING[part.name])
    return table
