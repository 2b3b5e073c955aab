"""What an HTTP server has to offer: a folder of files, or pages in memory."""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from html import escape
from os import fstat
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote, unquote_to_bytes

from motenet.core.errors import ConfigurationError

BINARY, HTML = "application/octet-stream", "text/html; charset=utf-8"


Tags = dict[Path, tuple[tuple[int, int], str]]
"""The tags of files that were read for it, with time and size then."""
TAG_BYTES = 12
LARGEST_TAGGED = 64 * 1024 * 1024
"""A larger file has no tag: to read it for that would hold up the world."""
_PIECE = 1 << 20


class Resource(Protocol):
    """One thing that can be fetched."""

    @property
    def size(self) -> int:
        """In bytes; it does not change while the resource is open."""

    @property
    def content_type(self) -> str: ...
    @property
    def tag(self) -> str:
        """The entity tag (RFC 9110, 8.8.3), a strong one: other contents have another. Empty: there is none."""

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Moved:
    """What was asked for is to be asked for at another path, as it stands in an URL."""

    location: str


class Site(Protocol):
    """Finds resources by the path of a request's target."""

    def find(self, path: str) -> Resource | Moved | None:
        """The resource for a path such as "/a%20file.bin" (without the query); Moved: 301; None: 404."""


class Page:
    """Bytes in memory."""

    def __init__(self, content: bytes, content_type: str = BINARY) -> None:
        self.content = content
        self.content_type = content_type
        self.size = len(content)

    @cached_property
    def tag(self) -> str:
        """See Resource."""
        return _tag(blake2b(self.content, digest_size=TAG_BYTES))

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]

    def close(self) -> None:
        """Nothing is held open."""


class Pages:
    """A site in memory: a mapping from paths to contents. The type follows from the path's ending."""

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        wrong = [path for path in pages if not path.startswith("/")]
        if wrong:
            raise ConfigurationError(f"the path {wrong[0]!r} must begin with a slash, as in an URL")
        self._pages = {path: Page(content, content_type(path)) for path, content in pages.items()}

    def find(self, path: str) -> Resource | None:
        return self._pages.get(path)


class File:
    """A file, open for reading."""

    def __init__(self, path: Path, tags: Tags) -> None:
        self._file: BinaryIO = path.open("rb")
        self._path = path
        self._tags = tags
        self.content_type = content_type(path.name)
        self.size = self._file.seek(0, 2)
        self._at = self.size

    def read(self, offset: int, length: int) -> bytes:
        try:
            if offset != self._at:
                self._file.seek(offset)
            data = self._file.read(length)
        except OSError:
            return b""  # what cannot be read any more is as good as cut off
        self._at = offset + len(data)
        return data

    @property
    def tag(self) -> str:
        """See Resource. It says what is in the file, not when it was written: worlds do not depend on that."""
        stat = fstat(self._file.fileno())
        known = self._tags.get(self._path)
        if known is not None and known[0] == (stat.st_mtime_ns, self.size):
            return known[1]
        if self.size > LARGEST_TAGGED:
            return ""
        digest = blake2b(digest_size=TAG_BYTES)
        for offset in range(0, self.size, _PIECE):
            digest.update(self.read(offset, min(_PIECE, self.size - offset)))
        tag = _tag(digest)
        self._tags[self._path] = (stat.st_mtime_ns, self.size), tag
        return tag

    def close(self) -> None:
        self._file.close()


class Folder:
    """The files below a directory; a directory without index.html is listed. Nothing outside can be reached.

    A directory's path ends with a slash, so that links in its page mean what is in it; without it is Moved there.
    """

    def __init__(self, directory: str | Path) -> None:
        try:
            self.root = Path(directory).resolve(strict=True)
        except OSError as error:
            raise ConfigurationError(f"{directory} cannot be served: {error.strerror}") from error
        self._tags: Tags = {}
        if not self.root.is_dir():
            raise ConfigurationError(f"{directory} is no directory: give the one whose files are to be served")

    def find(self, path: str) -> Resource | Moved | None:
        place = self._place(path)
        try:
            if place is None or not place.is_dir():
                return None if place is None else File(place, self._tags)
            if not path.endswith("/"):
                return Moved(_quoted(self._shown_path(place)))
            index = place / "index.html"
            return (
                File(index, self._tags) if index.is_file() and self._inside(index) else Page(self._listing(place), HTML)
            )
        except OSError:
            return None  # not there, not readable, or gone meanwhile

    def _place(self, path: str) -> Path | None:
        """Where a request's path leads, symbolic links followed; None when that is no regular place inside."""
        parts = [unquote_to_bytes(part.encode(errors="replace")) for part in path.split("/")]
        if any(part in (b"..", b".") or b"/" in part or b"\0" in part for part in parts):
            return None
        place = self.root.joinpath(*(part.decode("utf-8", "surrogateescape") for part in parts if part))
        return place if self._served(place) else None

    def _served(self, place: Path) -> bool:
        return self._inside(place) and (place.is_file() or place.is_dir())

    def _inside(self, place: Path) -> bool:
        try:
            return place.resolve(strict=True).is_relative_to(self.root)
        except (OSError, RuntimeError, ValueError):
            return False

    def _shown_path(self, place: Path) -> str:
        """A directory's path as requests give it."""
        return "/" + "".join(f"{part}/" for part in place.relative_to(self.root).parts)

    def _listing(self, place: Path) -> bytes:
        here = self._shown_path(place)
        lines = [f"<!doctype html><meta charset=utf-8><title>{_shown(here)}</title><h1>{_shown(here)}</h1><ul>"]
        for entry in filter(self._served, sorted(place.iterdir())):
            name = entry.name + ("/" if entry.is_dir() else "")
            lines.append(f'<li><a href="{_quoted(here + name)}">{_shown(name)}</a>')
        return "\n".join([*lines, "</ul>\n"]).encode(errors="replace")


def content_type(name: str) -> str:
    """The media type that goes with a file name's ending, by Python's built-in table alone."""
    return _TYPES.guess_type(name)[0] or BINARY


_TYPES = mimetypes.MimeTypes()


def _tag(digest: blake2b) -> str:
    return f'"{digest.hexdigest()}"'


def _quoted(path: str) -> str:
    return quote(path.encode(errors="surrogateescape"))


def _shown(name: str) -> str:
    return escape(name.encode(errors="replace").decode())
