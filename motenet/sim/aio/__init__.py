"""asyncio in a world: an event loop whose callbacks are the world's events, and whose network is the emulated one."""

from motenet.sim.aio.loop import WorldLoop
from motenet.sim.aio.place import current_stack
from motenet.sim.aio.waiting import Deadlock

__all__ = ["Deadlock", "WorldLoop", "current_stack"]
