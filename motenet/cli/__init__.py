"""The command line: `motenet`, or `python -m motenet`. Bad input gets one line on stderr, and exit code 2."""

import io
import os
import sys
from typing import Annotated

import typer
from typer.main import get_command

import motenet
from motenet.bridge.tap import BridgeError
from motenet.cli import llm, look, real, serve_nic, virtual
from motenet.core.errors import ConfigurationError, MotenetError

app = typer.Typer(
    name="motenet",
    help="A NIC laboratory: register-exact network cards, their drivers and a TCP/IP stack, in virtual time.",
    add_completion=False,
    rich_markup_mode=None,
)
for commands in (virtual, look, real, llm):
    commands.add_to(app)
serve_nic.add_to(real.serve)

UsageError: type[typer.BadParameter] = typer.BadParameter.mro()[1]
"""The root of what is wrong with a command line; typer does not export it."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"motenet {motenet.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command that the arguments name. Exit code 2: the request cannot be; 1: it failed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # where the encoding lacks a character
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except UsageError as error:
        code = _complain(error.format_message(), 2)
    except MotenetError as error:
        code = _complain(str(error), 2 if isinstance(error, ConfigurationError | BridgeError) else 1)
    except KeyboardInterrupt:
        real.end_line()
        code = _complain("interrupted", 130)
    except BrokenPipeError:
        code = _mute()  # the reader (`| head`) has what it wanted
    except OSError as error:
        code = _complain(f"{error.filename or 'output'}: {error.strerror or error}", _mute())
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    command = get_command(app)
    try:
        with command.make_context("motenet", arguments) as context:
            command.invoke(context)
    except typer.Exit as exit_:
        return exit_.exit_code
    return 0


def _complain(message: str, code: int) -> int:
    """One line on stderr, whatever the message holds."""
    print("motenet:", " ".join(message.split()), file=sys.stderr)
    return code


def _mute() -> int:
    """Standard output cannot be written: what is left in its buffer goes nowhere. Returns the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
