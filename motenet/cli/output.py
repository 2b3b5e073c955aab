"""What a command writes: the file that it was asked for, and why it takes a moment."""

import os
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import BinaryIO

from rich.console import Console

from motenet.core.errors import ConfigurationError


@contextmanager
def loading() -> Iterator[None]:
    """Tell the person at a terminal why nothing happens: the SDKs take seconds to import."""
    with Console(stderr=True).status("loading the SDKs"):
        yield


@contextmanager
def sink(output: str) -> Iterator[BinaryIO]:
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
