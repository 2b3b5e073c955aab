"""Commands in virtual time: a script, the demo, the benchmarks."""

import runpy
import sys
from pathlib import Path
from typing import Annotated

import typer

import motenet
from motenet.cli.look import Json
from motenet.core.errors import ConfigurationError
from motenet.inspector.demo import Demo


def add_to(app: typer.Typer) -> None:
    """Give the application these commands."""
    app.command(context_settings={"ignore_unknown_options": True})(run)
    app.command()(demo)
    app.command()(bench)


def run(
    script: Annotated[Path, typer.Argument(help="A Python script that uses motenet.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="What the script gets in sys.argv.")] = None,
) -> None:
    """Run a script that builds a world."""
    if not script.is_file():
        raise ConfigurationError(f"{script} is no file: give a Python script")
    sys.argv = [str(script), *(arguments or [])]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")


def demo(
    nic: Annotated[str, typer.Option(help="Alice's card.")] = "e1000",
    peer_nic: Annotated[str, typer.Option(help="Bob's card.")] = "e1000",
    seed: Annotated[int, typer.Option(help="Decides all that is random.")] = 7,
    pcap: Annotated[Path | None, typer.Option(help="Write all frames to this pcapng file.")] = None,
    as_json: Json = False,
) -> None:
    """Two machines boot, ping, and fetch 16 MiB by HTTP.

    Through drivers that program their cards' registers. The exit code is not 0 if any check fails.
    """
    if not Demo(nic, peer_nic, seed, pcap, quiet=as_json).run(as_json):
        raise typer.Exit(1)


def bench(
    only: Annotated[str | None, typer.Argument(help="One figure; all without.")] = None, as_json: Json = False
) -> None:
    """Measure what motenet costs, as ratios within one run. Needs the source tree's benchmarks/."""
    script = Path(motenet.__file__).parent.parent / "benchmarks" / "bench.py"
    if not script.is_file():
        raise ConfigurationError("the benchmarks come with the source tree: run this in a checkout, installed by -e")
    run(script, [*(["--json"] if as_json else []), *([only] if only else [])])
