"""One virtqueue as vhost-user sees it: stopped, started but disabled, or enabled; with its eventfds."""

import os
from dataclasses import dataclass

from motenet.bridge.events import signal
from motenet.devices.virtio.queue import VirtQueue


@dataclass(slots=True)
class Ring:
    """What the front-end has said of a ring (vhost-user, "Ring states"). The queue takes it over when it starts."""

    queue: VirtQueue
    size: int = 0
    base: int = 0
    """Where to begin (vhost-user, SET_VRING_BASE), as VirtQueue.set_base takes it."""
    descriptors: int = 0
    available: int = 0
    used: int = 0
    """The three parts, by the front-end's own addresses."""
    enabled: bool = False
    """By SET_VRING_ENABLE; a ring that is not has no effects on the outer world."""
    started: bool = False
    served: bool = False
    """The device has the queue: a receive queue only while the ring is enabled, too."""
    polling: int | None = None
    """The timer that has it looked at, when there is no kick."""
    kick: int | None = None
    call: int | None = None
    error: int | None = None
    """Eventfds, ours to close."""

    @property
    def receives(self) -> bool:
        """Whether it is a receive queue (virtio 5.1.2: those with even numbers)."""
        return not self.queue.index & 1

    def signal_call(self) -> None:
        """Tell the front-end of used buffers."""
        if self.call is not None:
            signal(self.call)

    def signal_error(self) -> None:
        """Tell the front-end that the ring is dead."""
        if self.error is not None:
            signal(self.error)

    def close(self) -> None:
        """Let the eventfds go; the kick must not be watched any more."""
        for file in (self.kick, self.call, self.error):
            if file is not None:
                os.close(file)
        self.kick = self.call = self.error = None
