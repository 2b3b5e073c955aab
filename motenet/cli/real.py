"""Commands that join an emulated machine to the real host, over a TAP device."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from motenet.apps.http import Fetcher, Folder, HttpError, HttpServer
from motenet.apps.http.url import Url
from motenet.bridge.realtime import RealTime
from motenet.bridge.tap import BridgeError, Tap
from motenet.cli.host_side import AUTOMATIC, checked_setup, host_commands, interface_address, needs, sides, static
from motenet.cli.output import sink
from motenet.core import units
from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError, MotenetError
from motenet.core.trace import Changed, Dropped, Event
from motenet.core.units import SECOND
from motenet.sim.host import Host
from motenet.sim.world import World
from motenet.stack import NetworkStack
from motenet.stack.address import Cidr, is_link_local
from motenet.stack.errors import TimedOut

TapName = Annotated[str, typer.Option("--tap", help="The TAP device; it is made if it does not exist (as root).")]
Address = Annotated[
    list[str],
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="The emulated machine's address: 10.0.0.2/24, fd00::2/64, dhcp, or auto (IPv6 by the link's routers). "
        "May be given several times.",
    ),
]
Gateway = Annotated[
    list[str] | None,
    typer.Option("--gateway", metavar="ADDRESS", help="The emulated machine's default router; one of each family."),
]
Dns = Annotated[
    list[str] | None,
    typer.Option(
        "--dns",
        metavar="ADDRESS",
        help="A DNS server for the emulated machine, instead of those that DHCP and routers tell. "
        "May be given several times.",
    ),
]
Nic = Annotated[str, typer.Option(help="The emulated machine's card.")]
Setup = Annotated[
    list[str] | None,
    typer.Option(
        "--setup",
        metavar="ADDRESS",
        help="Also give the host's side of the TAP this address (as root). May be given several times.",
    ),
]
Pcap = Annotated[Path | None, typer.Option(help="Write all frames to this pcapng file.")]

LINK_UP_WITHIN = 10 * SECOND
"""Auto-negotiation takes up to some seconds (IEEE 802.3, 28.3.2 and 40.5)."""

CONFIGURED_WITHIN = 30 * SECOND
"""RFC 2131, 4.4.1: a client waits up to 10 s, then asks twice or more; RFC 5227, 2.1.1: the proof takes up to 7 s."""
NAMED_WITHIN = 5 * SECOND
"""Routers may tell their DNS servers a little after their networks (RFC 8106, 5.1)."""

serve = typer.Typer(help="Run an emulated machine that serves something to the real host.")


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    app.add_typer(serve, name="serve")
    app.command()(get)


@dataclass(slots=True)
class Plan:
    """The emulated machine that a command line wants."""

    tap: str
    nic: str
    addresses: list[str]
    gateways: list[str] = field(default_factory=list)
    dns: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    pcap: Path | None = None

    @property
    def automatic(self) -> list[str]:
        """What is to be found out: "dhcp", "auto"."""
        return [kind for kind in AUTOMATIC if kind in self.addresses]

    def is_configured(self, stack: NetworkStack) -> bool:
        """Whether all that is to be found out has been."""
        origins = [row["origin"] for row in stack.list_addresses()]
        bound = "dhcp" not in self.addresses or stack.sockets.dhcp_client(stack.interface.name).is_bound
        return bound and ("auto" not in self.addresses or "slaac" in origins)


@dataclass(slots=True)
class Bench:
    """An emulated machine on a TAP, and what moves it."""

    world: World
    host: Host
    tap: Tap
    pump: RealTime

    @property
    def addresses(self) -> list[Cidr]:
        """The machine's addresses, but for the one of the link that every IPv6 host has."""
        rows = self.host.stack.list_addresses()
        found = [Cidr.parse(row["address"]) for row in rows if row["origin"] != "link-local"]
        return [one for one in found if one in self.host.stack.addresses]


@contextmanager
def machine(plan: Plan) -> Iterator[Bench]:
    """An emulated machine whose cable ends in a TAP. Its random numbers are not those of the run before."""
    if len({":" in gateway for gateway in plan.gateways}) < len(plan.gateways):
        raise ConfigurationError("--gateway: give one router of each family at most")
    for address in static(plan.addresses):
        interface_address(address)
    world = World(seed=secrets.randbits(64))
    offered = [checked_setup(one, plan.addresses) for one in plan.setup]
    host = world.host("machine", nic=plan.nic, address=plan.addresses, gateway=plan.gateways)
    if plan.dns:
        host.stack.dns_servers = plan.dns
    commands = host_commands(plan.tap, offered or sides(plan.addresses, plan.gateways))
    with Tap(plan.tap) as tap:
        if plan.setup:
            for command in commands:
                _run(command)
        elif not tap.is_up():
            todo = [*map(" ".join, commands), *(f"# {what}" for what in needs(plan.tap, plan.addresses))]
            say("On this machine, as root:\n  " + "\n  ".join(todo))
        with RealTime(world.clock) as pump, nullcontext() if plan.pcap is None else world.capture(plan.pcap, at=host):
            pump.connect(host.port, tap)
            yield Bench(world, host, tap, pump)


def check_name(plan: Plan, name: str) -> None:
    """ConfigurationError if a host is to be found by its name, and nobody can tell its address."""
    if name and not plan.dns and not plan.automatic:
        raise ConfigurationError(f"to find {name} takes a DNS server: give one with --dns, or --address dhcp")


def wait_for_network(bench: Bench, plan: Plan, name: str, limit: int) -> None:
    """Wait until the machine can reach others; and a DNS server, if there is a name to find. At most for `limit` ns."""
    stack, pump = bench.host.stack, bench.pump
    if not pump.run(bench.tap.is_up, limit) or not pump.run(lambda: stack.is_link_up, LINK_UP_WITHIN):
        raise BridgeError(f"{bench.tap.name} does not come up: run the commands above")
    if not pump.run(lambda: plan.is_configured(stack), min(CONFIGURED_WITHIN, limit)) and not bench.addresses:
        missing = "; ".join(needs(plan.tap, plan.addresses))
        raise TimedOut(f"no address has come by {' or '.join(plan.automatic)}. {missing}")
    if name and not pump.run(lambda: bool(stack.dns_servers), min(NAMED_WITHIN, limit)):
        raise MotenetError(f"nobody has told a DNS server to find {name} with: give one with --dns")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise BridgeError(f"{command[0]} cannot be run ({error.strerror}): apt-get install iproute2") from error
    if done.returncode:
        raise BridgeError(f"`{' '.join(command)}` says: {done.stderr.strip()}")


def say(text: str) -> None:
    """Tell the person at the terminal: standard output is the program's."""
    print(text, file=sys.stderr, flush=True)


def end_line() -> None:
    """After Ctrl-C: a terminal has written ^C where the next line is to begin."""
    if sys.stderr.isatty():
        say("")


@serve.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@serve.command("http")
def serve_http(
    directory: Annotated[Path, typer.Argument(help="The files to serve.")],
    tap: TapName,
    address: Address,
    gateway: Gateway = None,
    nic: Nic = "e1000",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 80,
    setup: Setup = None,
    pcap: Pcap = None,
    duration: Annotated[str | None, typer.Option(help='Stop after so long ("10min"); else Ctrl-C does.')] = None,
) -> None:
    """Serve a directory by HTTP to the real host."""
    site = Folder(directory)
    limit = FOREVER if duration is None else units.duration(duration)
    plan = Plan(tap, nic, address, gateway or [], setup=setup or [], pcap=pcap)
    with machine(plan) as bench:
        server = HttpServer(bench.host.stack, site, port)
        bench.host.applications.append(server)
        bench.world.watch(_log, server)
        try:
            if plan.automatic:
                say(f"Waiting for an address on {bench.tap.name} ({' and '.join(plan.automatic)}). Ctrl-C ends it.")
                _wait_for_address(bench, plan, limit)
            where = " and ".join(_place(one, port, bench.tap.name) for one in bench.addresses)
            if where:
                say(f"An emulated {nic} on {bench.tap.name} serves {directory} at {where}. Ctrl-C ends it.")
            bench.pump.run(timeout=max(limit - bench.world.now, 0))
        except KeyboardInterrupt:
            end_line()  # that is how it is meant to end
        finally:
            say(f"{server.requests} requests, {server.bytes} bytes")


def _wait_for_address(bench: Bench, plan: Plan, limit: int) -> None:
    """Wait for all addresses, but not for long once there is one; at most for `limit` ns."""
    stack, pump = bench.host.stack, bench.pump
    end = bench.world.now + min(limit, FOREVER - bench.world.now)
    pump.run(lambda: stack.is_link_up and bench.tap.is_up(), limit)
    if not pump.run(lambda: plan.is_configured(stack), min(CONFIGURED_WITHIN, end - bench.world.now)):
        pump.run(lambda: bool(bench.addresses), end - bench.world.now)


def _place(address: Cidr, port: int, tap: str) -> str:
    """The URL for the host's programs; an address of the link's scope needs the device's name (RFC 6874, 2)."""
    host = Url("", address.address, "", port, "/").host
    if len(address.address) == 16 and is_link_local(address.address):
        host = host.replace("]", f"%25{tap}]")
    return f"http://{host}/"


def _log(event: Event) -> None:
    if isinstance(event, Changed | Dropped):
        say(f"{event.time / SECOND:10.3f} s  {event.detail}")


def get(
    url: Annotated[
        str, typer.Argument(help="Such as http://10.0.0.1:8000/file, http://[fd00::1]/file or http://name/file.")
    ],
    tap: TapName,
    address: Address,
    output: Annotated[str, typer.Option("-o", "--output", help="Where to write the file; - is standard output.")],
    gateway: Gateway = None,
    dns: Dns = None,
    nic: Nic = "e1000",
    setup: Setup = None,
    pcap: Pcap = None,
    timeout: Annotated[str, typer.Option(help="Give up after so long.")] = "1h",
) -> None:
    """An emulated machine fetches a file from the real host by HTTP."""
    limit = units.duration(timeout)
    plan = Plan(tap, nic, address, gateway or [], dns or [], setup or [], pcap)
    where = Url.parse(url)
    check_name(plan, where.name)
    try:
        with sink(output) as file, machine(plan) as bench:
            wait_for_network(bench, plan, where.name, limit)
            _fetch(bench, url, file, limit)
    except OSError as error:
        if isinstance(error, MotenetError | BrokenPipeError):
            raise
        raise MotenetError(f"{output} cannot be written: {error.strerror}") from error


def _fetch(bench: Bench, url: str, file: BinaryIO, limit: int) -> None:
    """Write what the URL leads to into the file, and show how far it is."""
    client = Fetcher(bench.host.stack)
    bench.host.applications.append(client)
    began = bench.world.now
    with _progress() as progress:
        task = progress.add_task(url, total=None)

        def write(data: bytes) -> None:
            if response.status < 300:  # an error's page is not the file
                file.write(data)

        def show(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        response = client.get(url, sink=write, progress=show)
        if not bench.pump.run(lambda: response.done, limit):
            response.cancel()
    if response.error is not None and not isinstance(response.error, HttpError):
        raise MotenetError(f"{url}: {response.error}") from response.error
    response.result()
    file.flush()
    seconds = (bench.world.now - began) / SECOND
    say(f"{url}: {mebibytes(response.received)} in {seconds:.1f} s, {mebibytes(response.received / seconds)}/s")


def mebibytes(count: float) -> str:
    """An amount of bytes for people, in the unit that the progress shows."""
    return f"{count / 2**20:.1f} MiB"


class Speed(ProgressColumn):
    """How fast it goes, in the unit of the amounts beside it."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{mebibytes(task.speed)}/s")


def _progress() -> Progress:
    """On a terminal, and only as long as it goes on."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), Speed()
    console = Console(stderr=True)
    return Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal)
