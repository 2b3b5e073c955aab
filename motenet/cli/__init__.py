"""The command line: `motenet`, or `python -m motenet`. Bad input gets one line on stderr, and exit code 2."""

import sys

import typer

from motenet.cli import look, real, serve_nic, virtual
from motenet.core.errors import ConfigurationError, MotenetError

app = typer.Typer(
    name="motenet",
    help="A NIC laboratory: register-exact network cards, their drivers and a TCP/IP stack, in virtual time.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for commands in (virtual, look, real):
    commands.add_to(app)
serve_nic.add_to(real.serve)


def main() -> None:
    """Run the command that the arguments name. Exit code 2: the request cannot be; 1: it failed."""
    try:
        app(prog_name="motenet")
    except MotenetError as error:
        print(f"motenet: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (`| head`) has what it wanted
        sys.exit(1)
