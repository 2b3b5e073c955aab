"""Writing a world's frames to a pcapng file, as a listener."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from motenet.core.errors import ConfigurationError
from motenet.core.trace import Event, FramePassed
from motenet.devices.parts.offload import complete
from motenet.doors import FrameFacts
from motenet.sim.host import Host, Outsider
from motenet.sim.link import VERDICTS
from motenet.sim.pcapng import Writer

_COMMENTS = {verdict: f"{verdict} on the link" for verdict in VERDICTS[1:]}


class Capture:
    """A pcapng file that grows while the world runs; an interface a port, a comment on each frame the link harmed.

    Frames whose checksums and segments are still to be made are written as a cable would carry them.
    Flushed whenever `run` returns. A context manager: leaving it ends the capture and closes the file.
    ConfigurationError for a path that cannot be written to.
    """

    def __init__(
        self, path: str | Path, at: Host | Outsider | None, names: dict[str, str], closed: Callable[["Capture"], None]
    ) -> None:
        self.path = Path(path)
        self.at = at
        """The computer whose port is captured; None: each frame where it leaves its host."""
        self.names = names
        """The interface name for each path that is watched."""
        self._closed = closed
        try:
            self._file = self.path.open("wb")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
        self._writer = Writer(self._file)

    def __call__(self, event: Event) -> None:
        """Take a frame; other events are none of a capture's business."""
        if isinstance(event, FramePassed):
            number = self._writer.interface(self.names[event.path])
            facts = event.facts if isinstance(event.facts, FrameFacts) else FrameFacts()
            damaged = facts.damaged or event.verdict == "corrupted"
            comment = _COMMENTS.get(event.verdict, "")
            for frame in complete(event.frame, facts):
                self._writer.frame(number, event.time, frame, event.direction, comment, damaged)

    def flush(self) -> None:
        """Bring all frames so far to the file."""
        self._file.flush()

    def close(self) -> None:
        """End the capture; twice is no mistake."""
        if not self._file.closed:
            self._closed(self)
            self._file.close()

    def __enter__(self) -> "Capture":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
