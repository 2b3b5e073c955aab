"""Commands in virtual time: a script, the demo, the benchmarks."""

import json
import runpy
import sys
import traceback
from contextlib import redirect_stdout
from importlib.util import decode_source
from pathlib import Path
from typing import Annotated, Any

import typer

import motenet
from motenet.cli.look import Json
from motenet.cli.output import loading
from motenet.core.errors import ConfigurationError, MotenetError
from motenet.inspector import network
from motenet.inspector.demo import Demo
from motenet.sim import World
from motenet.sim.host import CARDS, Host

FIGURES = (
    "segment", "bulk", "rtl8139_segment", "rtl8139cp_segment", "rtl8139cp_bulk", "virtio_segment", "virtio_bulk",
    "virtio_gain", "virtio_burst", "register_read", "watching", "idle_poll", "idle_hosts_gib",
)  # fmt: skip
"""Those of benchmarks/bench.py."""
SCRIPTS = {"guest": "guest.py", "netsim": "netsim_table.py", "connections": "connections.py"}
"""Measurements with a script of their own in benchmarks/."""
STORIES = ("http", "llm")
"""Of the demo."""
PROVIDER, LOSS, SPEED = "anthropic", 0.02, 1.0
"""Of the demo llm."""
EXTRA = ("aiohttp", "anthropic", "dns", "httpx", "openai", "starlette", "trustme", "uvicorn", "websockets")
"""The modules that come with the extra `apps`."""
SIZES = ("1MiB", "10MiB")
"""Of a cell, for netsim: those of benchmarks/netsim_smoltcp.py."""


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    app.command(context_settings={"allow_interspersed_args": False})(run)
    app.command(context_settings={"allow_interspersed_args": False})(inspect)
    app.command()(demo)
    app.command()(bench)


def run(
    script: Annotated[Path, typer.Argument(help="A Python script that uses motenet.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="What the script gets in sys.argv.")] = None,
) -> None:
    """Run a script that builds a world."""
    _execute(script, arguments)


def _execute(script: Path, arguments: list[str] | None) -> dict[str, Any]:
    """Run a script; returns its variables."""
    _check_script(script)
    sys.argv = [str(script), *(arguments or [])]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        return runpy.run_path(str(script), run_name="__main__")
    except Exception as error:
        raise typer.Exit(_tell(error, str(script))) from error


def inspect(
    script: Annotated[Path, typer.Argument(help="A Python script that builds a world.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="What the script gets in sys.argv.")] = None,
    host: Annotated[str | None, typer.Option(help="This host alone.")] = None,
    as_json: Json = False,
) -> None:
    """Run a script that builds a world, and show its hosts.

    As they are then: links, addresses, routes, neighbors and sockets, as ip and ss print them, with counters and drops.
    """
    with redirect_stdout(sys.stderr):
        names = _execute(script, arguments)
    worlds = list(dict.fromkeys(world for world in names.values() if isinstance(world, World)))
    hosts = [one for world in worlds for one in world.hosts.values()]
    chosen = [one for one in hosts if host in (None, one.name)]
    if not chosen:
        there = ", ".join(one.name for one in hosts) or "none: a world has to be a variable of the script"
        raise ConfigurationError(f"there is no host {host or 'to look at'}; {script.name} has {there}")
    if as_json:
        print(json.dumps(_by_name(chosen), indent=2))
    else:
        network.show(*chosen)


def _by_name(hosts: list[Host]) -> dict[str, Any]:
    """What each host knows; hosts of one name, from several worlds, get numbers ("alice", "alice-2")."""
    found: dict[str, Any] = {}
    for host in hosts:
        number = 1 + sum(one.name == host.name for one in hosts[: hosts.index(host)])
        name = host.name if number == 1 else f"{host.name}-{number}"
        found[name] = {"cards": network.cards(host), **network.snapshot(host.stack)}
    return found


def _check_script(script: Path) -> None:
    try:
        text = decode_source(script.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{script} cannot be read: {error.strerror}") from error
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{script} is no Python script: {error}") from error
    if "\0" in text:
        raise ConfigurationError(f"{script} is no Python script: it is binary")


def _tell(error: Exception, script: str) -> int:
    """Say what went wrong in a script, and where; returns the exit code. Our own errors are one line."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != script:
        frames = frames.tb_next
    if frames is None or not isinstance(error, MotenetError):
        traceback.print_exception(type(error), error, frames)
        if isinstance(error, ModuleNotFoundError) and error.name in EXTRA:
            print(f"motenet: {error.name} comes with the extra libraries: pip install 'motenet[apps]'", file=sys.stderr)
        return 1
    lines = [number for frame, number in traceback.walk_tb(frames) if frame.f_code.co_filename == script]
    print(f"{Path(script).name}:{lines[-1]}: {error}", file=sys.stderr)
    return 2


def demo(
    story: Annotated[str, typer.Argument(help=f"{' or '.join(STORIES)}.")] = STORIES[0],
    nic: Annotated[str, typer.Option(help=f"Alice's card: {', '.join(CARDS)}.")] = "e1000",
    peer_nic: Annotated[str, typer.Option(help="Bob's card, or the model's.")] = "e1000",
    seed: Annotated[int, typer.Option(help="Decides all that is random.")] = 7,
    pcap: Annotated[Path | None, typer.Option(help="Write all frames to this pcapng file.")] = None,
    provider: Annotated[str, typer.Option(help="llm: anthropic, openai, groq, xai.")] = PROVIDER,
    loss: Annotated[float, typer.Option(help="llm: how many of all frames the cables lose, 0 to 1.")] = LOSS,
    speed: Annotated[float, typer.Option(help="llm: of virtual time on the screen; 0: no waiting.", min=0)] = SPEED,
    as_json: Json = False,
) -> None:
    """Two machines boot, ping, and fetch 16 MiB by HTTP.

    Through drivers that program their cards' registers. The exit code is not 0 if any check fails.

    demo llm: a chat with a language model, by the official SDK, through DNS, TLS, HTTP, TCP, the cards, and cables
    that lose frames. The model is a script on another machine: nothing leaves this computer.
    """
    if story not in STORIES:
        raise ConfigurationError(f"there is no demo {story!r}; there is {' and '.join(STORIES)}")
    if story != "llm" and (provider, loss, speed) != (PROVIDER, LOSS, SPEED):
        raise ConfigurationError("--provider, --loss and --speed are for the other demo: motenet demo llm")
    if story == "llm":
        with loading():
            from motenet.inspector.chat import Chat  # it needs the extra `apps`

        chat = Chat(nic, peer_nic, seed, provider=provider, loss=loss, speed=speed, pcap=pcap, quiet=as_json)
        good = chat.run(as_json)
    else:
        good = Demo(nic, peer_nic, seed, pcap, quiet=as_json).run(as_json)
    if not good:
        raise typer.Exit(1)


def bench(
    only: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join((*FIGURES, *SCRIPTS))}; all figures without.")
    ] = None,
    size: Annotated[str, typer.Option(help="netsim: bytes a cell, 1MiB or 10MiB.")] = SIZES[0],
    as_json: Json = False,
) -> None:
    """Measure what motenet costs, as ratios within one run. Needs the source tree's benchmarks/.

    guest: what a Linux guest gets. netsim: smoltcp's tables of throughput under loss, in virtual time, beside
    smoltcp's own figures. connections: what one of 1,000 costs, beside one of 100.
    """
    script = Path(motenet.__file__).parent.parent / "benchmarks" / SCRIPTS.get(only or "", "bench.py")
    if not script.is_file():
        raise ConfigurationError("the benchmarks come with the source tree: run this in a checkout, installed by -e")
    if only not in (None, *FIGURES, *SCRIPTS):
        raise ConfigurationError(f"there is no figure {only!r}; there is {', '.join((*FIGURES, *SCRIPTS))}")
    if size not in SIZES or (size != SIZES[0] and only != "netsim"):
        raise ConfigurationError(
            f"--size {size}: netsim measures with {' or '.join(SIZES)}, and nothing else has a size"
        )
    arguments = ["--json"] if as_json else []
    if only == "netsim":
        arguments += ["--size", size]
    elif only in FIGURES:
        arguments.append(only)
    run(script, arguments)
