"""The control queue (virtio 5.1.6.5): one command at a time, the others wait.

Nobody waits for an answer inside a call: a device works in events of its own. `poll` takes the answers.
"""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets.virtio.net import CTRL_HDR_CODEC, CTRL_OK, CTRL_VLAN
from motenet.doors import Function
from motenet.drivers.virtio.packed import PackedQueue
from motenet.drivers.virtio.queue import Piece
from motenet.drivers.virtio.split import SplitQueue

MOST_PIECES = 4
"""Header, one or two parts of data, answer (5.1.6.6)."""
_MEMORY = 8192
_ANSWER, _DATA = CTRL_HDR_CODEC.size, 16
MOST_DATA = _MEMORY - _DATA
_UNANSWERED = 0xFF


class ControlQueue(Component):
    """Commands with their classes; `answered(class, command, data, ok)` is told of each."""

    STATE: ClassVar[tuple[str, ...]] = ("live", "waiting", "commands")

    def __init__(
        self,
        function: Function,
        queue: SplitQueue | PackedQueue,
        answered: Callable[[int, int, bytes, bool], None],
    ) -> None:
        self.path = "control"
        self.queue = queue
        self.memory = function.dma.allocate(_MEMORY, 64)
        self._answered = answered

        self.live = False
        self.waiting: list[tuple[int, int, bytes, int]] = []
        """Class, command, data, and bytes of the first part of the data. The first one is the device's, if `live`."""
        self.commands = 0
        """Commands given to the device."""

    def parts(self) -> tuple[Component, ...]:
        return (self.queue,)

    def open(self) -> None:
        self.queue.open()
        self.queue.disable()
        self.close()

    def go_live(self) -> None:
        """The device has got DRIVER_OK: commands may go out."""
        self.live = True
        self._submit()

    def close(self) -> None:
        """The device is reset: what waits is forgotten."""
        self.live = False
        self.waiting.clear()

    def ask(self, kind: int, command: int, data: bytes, split_at: int = 0) -> None:
        """Queue a command. One of the same kind that the device has not got yet is overtaken: this takes its place.

        `split_at`: bytes of the first part of the data, for a command with two (5.1.6.6).
        """
        for place in range(1, len(self.waiting)):
            if self.waiting[place][:2] == (kind, command) and kind != CTRL_VLAN:
                self.waiting[place] = (kind, command, data, split_at)
                return
        self.waiting.append((kind, command, data, split_at))
        if self.live and len(self.waiting) == 1:
            self._submit()

    def _submit(self) -> None:
        if not self.waiting:
            return
        kind, command, data, split_at = self.waiting[0]
        base = self.memory.address
        self.memory.packer(CTRL_HDR_CODEC)(0, kind, command)
        self.memory.lend(_ANSWER, 1)[0] = _UNANSWERED
        pieces: list[Piece] = [(base, CTRL_HDR_CODEC.size, False)]
        if data:
            self.memory.lend(_DATA, len(data))[:] = data
            cut = split_at or len(data)
            pieces.append((base + _DATA, cut, False))
            if cut < len(data):
                pieces.append((base + _DATA + cut, len(data) - cut, False))
        pieces.append((base + _ANSWER, 1, True))
        self.queue.chain(0, pieces)
        self.commands += 1
        self.queue.enable()
        self.queue.publish()

    def poll(self) -> None:
        """Take the answer, if there is one, and send the next command."""
        while self.queue.take() is not None:
            kind, command, data, _ = self.waiting.pop(0)
            ok = self.memory.lend(_ANSWER, 1)[0] == CTRL_OK
            self._answered(kind, command, data, ok)
            self._submit()
