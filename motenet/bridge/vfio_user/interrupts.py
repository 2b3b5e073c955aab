"""A guest's interrupts: eventfds that the client waits on, in place of handlers."""

import os
from errno import EINVAL

from motenet.bridge.events import adopt, is_eventfd, signal
from motenet.bridge.vfio_user.protocol import (
    ACTION_MASK,
    ACTION_TRIGGER,
    ACTION_UNMASK,
    DATA_BOOL,
    DATA_EVENTFD,
    DATA_NONE,
    INTX,
    IRQ_AUTOMASKED,
    IRQ_EVENTFD,
    IRQ_MASKABLE,
    IRQ_NORESIZE,
    MSI,
    MSIX,
    Refused,
)
from motenet.core.clock import LocalClock
from motenet.machine.interrupts import InterruptController

_ACTIONS = ACTION_MASK | ACTION_UNMASK | ACTION_TRIGGER
_SOURCE = 0
"""A guest's vectors are not shared: one source, bit 0."""


class GuestInterrupts(InterruptController):
    """Delivers by eventfd. INTx masks itself with each delivery; UNMASK delivers again while the level is high."""

    def __init__(self, clock: LocalClock) -> None:
        super().__init__(clock)
        self.vectors: dict[int, list[int]] = {INTX: [], MSI: [], MSIX: []}
        """For each VFIO index: its vectors, by sub-index."""
        self._events: dict[int, int] = {}
        """For each vector that the client listens to: its eventfd."""

    def _post(self, vector: int) -> None:
        event = self._events.get(vector)
        if event is None or self.masked[vector]:
            return
        if self.pending[vector]:
            self.pending[vector] = False
            signal(event)
        elif self.sources[vector]:
            self.masked[vector] = 1 << _SOURCE
            signal(event)

    # --- the client's side

    def info(self, index: int) -> tuple[int, int]:
        """IRQ_INFO: flags and count of an index."""
        kind = IRQ_MASKABLE | IRQ_AUTOMASKED if index == INTX else IRQ_NORESIZE
        return IRQ_EVENTFD | kind, len(self.vectors[index])

    def configure(self, flags: int, index: int, start: int, count: int, data: bytes, files: list[int]) -> None:
        """SET_IRQS. Taken from `files`: the eventfds that are kept."""
        kind, action = flags & ~_ACTIONS, flags & _ACTIONS
        if kind not in (DATA_NONE, DATA_BOOL, DATA_EVENTFD) or action not in (
            ACTION_MASK,
            ACTION_UNMASK,
            ACTION_TRIGGER,
        ):
            raise Refused(EINVAL, f"flags {flags:#x} are not one kind of data and one action")
        vectors = self.vectors[index]
        if start + count > len(vectors):
            raise Refused(EINVAL, f"sub-indexes {start} to {start + count - 1} of {len(vectors)}")
        if not count:
            if kind != DATA_NONE or action != ACTION_TRIGGER or start:
                raise Refused(EINVAL, "a count of 0 goes with DATA_NONE, TRIGGER and a start of 0")
            self._set_events(vectors, [])
        elif kind == DATA_EVENTFD:
            if action != ACTION_TRIGGER:
                raise Refused(EINVAL, "masking by eventfd is not offered")
            self._set_events(vectors[start : start + count], files)
        else:
            if files:
                raise Refused(EINVAL, "descriptors come with DATA_EVENTFD alone")
            if action != ACTION_TRIGGER and index != INTX:
                raise Refused(EINVAL, "only INTx can be masked")
            if kind == DATA_BOOL and len(data) != count:
                raise Refused(EINVAL, f"{len(data)} booleans for {count} sub-indexes")
            chosen = data if kind == DATA_BOOL else b"\1" * count
            self._act(action, [vectors[start + place] for place in range(count) if chosen[place]])

    def _set_events(self, vectors: list[int], files: list[int]) -> None:
        """Listen to these vectors, or, without files, no longer."""
        if files and len(files) != len(vectors):
            raise Refused(EINVAL, f"{len(files)} eventfds for {len(vectors)} sub-indexes")
        if not all(is_eventfd(file) for file in files):
            raise Refused(EINVAL, "a descriptor is no eventfd")
        for vector in vectors:
            old = self._events.pop(vector, None)
            if old is not None:
                os.close(old)
            if files:
                self._events[vector] = adopt(files.pop(0))
                self._post(vector)
            else:
                self.masked[vector] = 0
                self.pending[vector] = False

    def _act(self, action: int, vectors: list[int]) -> None:
        for vector in vectors:
            if action == ACTION_MASK:
                self.mask(vector, _SOURCE)
            elif action == ACTION_UNMASK:
                self.unmask(vector, _SOURCE)
            elif vector in self._events:
                signal(self._events[vector])

    def disconnect_all(self) -> None:
        """The client is gone, and its eventfds with it."""
        for vectors in self.vectors.values():
            self._set_events(vectors, [])
