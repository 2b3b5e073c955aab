"""Commands that join an emulated machine to the real host, over a TAP device."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BufferedWriter, FileIO
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from motenet.apps.http import Folder, HttpClient, HttpError, HttpServer
from motenet.apps.http.url import Url
from motenet.bridge.realtime import RealTime
from motenet.bridge.tap import BridgeError, Tap
from motenet.core import units
from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError, MotenetError
from motenet.core.trace import Changed, Dropped, Event
from motenet.core.units import SECOND
from motenet.sim.host import Host
from motenet.sim.world import World

TapName = Annotated[str, typer.Option("--tap", help="The TAP device; it is made if it does not exist (as root).")]
Address = Annotated[str, typer.Option(help="The emulated machine's address, such as 10.0.0.2/24.")]
Gateway = Annotated[str | None, typer.Option(help="The emulated machine's default router.")]
Nic = Annotated[str, typer.Option(help="The emulated machine's card.")]
Setup = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Also give the host's side of the TAP this address (as root).")
]
Pcap = Annotated[Path | None, typer.Option(help="Write all frames to this pcapng file.")]

LINK_UP_WITHIN = 10 * SECOND
"""Auto-negotiation takes up to some seconds (IEEE 802.3, 28.3.2 and 40.5)."""

serve = typer.Typer(help="Run an emulated machine that serves something to the real host.")


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    app.add_typer(serve, name="serve")
    app.command()(get)


@dataclass(slots=True)
class Bench:
    """An emulated machine on a TAP, and what moves it."""

    world: World
    host: Host
    tap: Tap
    pump: RealTime


@contextmanager
def machine(
    tap_name: str, nic: str, address: str, gateway: str | None, setup: str | None, pcap: Path | None
) -> Iterator[Bench]:
    """An emulated machine whose cable ends in a TAP. Its random numbers are not those of the run before."""
    commands = host_commands(tap_name, str(neighbor_of(address) if setup is None else checked_setup(setup, address)))
    world = World(seed=secrets.randbits(64))
    host = world.host("machine", nic=nic, address=address, gateway=gateway)
    with Tap(tap_name) as tap:
        if setup is not None:
            for command in commands:
                _run(command)
        elif not tap.is_up():
            _say("On this machine, as root:\n  " + "\n  ".join(" ".join(command) for command in commands))
        pump = RealTime(world.clock)
        pump.connect(host.port, tap)
        with nullcontext() if pcap is None else world.capture(pcap, at=host):
            yield Bench(world, host, tap, pump)


def interface_address(text: str) -> IPv4Interface:
    """An address with its network's length, checked."""
    try:
        found = IPv4Interface(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no address with its network; write it like '10.0.0.2/24'") from error
    if "/" not in text:
        raise ConfigurationError(f"{text!r} lacks its network's length; write it like '{text}/24'")
    return found


def neighbor_of(address: str) -> IPv4Interface:
    """Another address in the same network, for the host's side."""
    own = interface_address(address)
    for candidate in own.network.hosts():
        if candidate != own.ip:
            return IPv4Interface(f"{candidate}/{own.network.prefixlen}")
    raise ConfigurationError(f"the network of {address} has no room for the host's side; take a shorter prefix")


def checked_setup(setup: str, address: str) -> IPv4Interface:
    """The address for the host's side: another one, and each within the other's network."""
    own, side = interface_address(address), interface_address(setup)
    advice = f"give the host's side another one of that network, like {str(neighbor_of(address))!r}"
    if own.ip == side.ip:
        raise ConfigurationError(f"{setup!r} is the emulated machine's own address: {advice}")
    if own.ip not in side.network or side.ip not in own.network:
        raise ConfigurationError(f"{setup!r} is not in the network of {address!r}: {advice}")
    return side


def host_commands(tap: str, address: str) -> list[list[str]]:
    """What gives the host's side of a TAP an address, and brings it up."""
    return [
        ["ip", "address", "replace", str(interface_address(address)), "dev", tap],
        ["ip", "link", "set", tap, "up"],
    ]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise BridgeError(f"{command[0]} cannot be run ({error.strerror}): apt-get install iproute2") from error
    if done.returncode:
        raise BridgeError(f"`{' '.join(command)}` says: {done.stderr.strip()}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def end_line() -> None:
    """After Ctrl-C: a terminal has written ^C where the next line is to begin."""
    if sys.stderr.isatty():
        _say("")


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
    """Serve a directory by HTTP, from an emulated machine to the real host."""
    site = Folder(directory)
    limit = FOREVER if duration is None else units.duration(duration)
    with machine(tap, nic, address, gateway, setup, pcap) as bench:
        server = HttpServer(bench.host.stack, site, port)
        bench.host.applications.append(server)
        bench.world.watch(_log, server)
        url = f"http://{interface_address(address).ip}{'' if port == 80 else f':{port}'}/"
        _say(f"An emulated {nic} on {bench.tap.name} serves {directory} at {url}. Ctrl-C ends it.")
        try:
            bench.pump.run(timeout=limit)
        except KeyboardInterrupt:
            end_line()  # that is how it is meant to end
        finally:
            _say(f"{server.requests} requests, {server.bytes} bytes")


def _log(event: Event) -> None:
    if isinstance(event, Changed | Dropped):
        _say(f"{event.time / SECOND:10.3f} s  {event.detail}")


def get(
    url: Annotated[str, typer.Argument(help="Such as http://10.0.0.1:8000/file.")],
    tap: TapName,
    address: Address,
    output: Annotated[str, typer.Option("-o", "--output", help="Where to write the file; - is standard output.")],
    gateway: Gateway = None,
    nic: Nic = "e1000",
    setup: Setup = None,
    pcap: Pcap = None,
    timeout: Annotated[str, typer.Option(help="Give up after so long.")] = "1h",
) -> None:
    """Fetch a file by HTTP, from the real host to an emulated machine."""
    limit = units.duration(timeout)
    Url.parse(url)
    try:
        with _sink(output) as file, machine(tap, nic, address, gateway, setup, pcap) as bench:
            stack, pump = bench.host.stack, bench.pump
            if not pump.run(bench.tap.is_up, limit) or not pump.run(lambda: stack.is_link_up, LINK_UP_WITHIN):
                raise BridgeError(f"{bench.tap.name} does not come up: run the commands above")
            _fetch(bench, url, file, limit)
    except OSError as error:
        if isinstance(error, MotenetError | BrokenPipeError):
            raise
        raise MotenetError(f"{output} cannot be written: {error.strerror}") from error


def _fetch(bench: Bench, url: str, file: BinaryIO, limit: int) -> None:
    """Write what the URL leads to into the file, and show how far it is."""
    client = HttpClient(bench.host.stack)
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
    _say(f"{url}: {mebibytes(response.received)} in {seconds:.1f} s, {mebibytes(response.received / seconds)}/s")


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


@contextmanager
def _sink(output: str) -> Iterator[BinaryIO]:
    """The file to write to. A regular file gets its name only when it is whole; a device or pipe is written to."""
    if output == "-":
        yield sys.stdout.buffer
        return
    path = Path(output)
    if not output or output.endswith("/") or path.is_dir():
        raise ConfigurationError(f"{output!r} is no file's name: say with -o which file to write")
    if path.exists() and not path.is_file():
        with _open(path, "wb", output) as file:
            yield file
        return
    target = path.resolve()
    if target.exists() and not os.access(target, os.W_OK):
        raise ConfigurationError(f"{output} cannot be written: it is write-protected")
    part = target.with_name(f".motenet-{secrets.token_hex(6)}.part")
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with _open(part, "xb", output) as file:
            yield file
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, before)


def _open(path: Path, mode: str, output: str) -> BinaryIO:
    """A file for what is to go into `output`."""
    try:
        return BufferedWriter(FileIO(path, mode))
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error.strerror}") from error


def _terminate(number: int, _: object) -> None:
    """End as SIGTERM wants it, but tidy up."""
    sys.exit(128 + number)
