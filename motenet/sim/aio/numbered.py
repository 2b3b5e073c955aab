"""Tasks and futures that are hashed by number: asyncio goes through sets of them when it cancels or waits.

Python hashes such objects by their memory addresses, which differ from process to process.
"""

import asyncio
from typing import Any, Protocol, cast


class Numbering(Protocol):
    """A loop that gives out numbers."""

    def number(self) -> int:
        """The next one."""


class WorldTask(asyncio.Task[Any]):
    """A task whose hash is its number."""

    __slots__ = ("number",)

    def __init__(self, coro: Any, loop: Numbering, **options: Any) -> None:
        self.number = loop.number()  # a task is hashed as it is made
        super().__init__(coro, loop=cast(asyncio.AbstractEventLoop, loop), **options)

    def __hash__(self) -> int:
        return self.number


class WorldFuture(asyncio.Future[Any]):
    """A future whose hash is its number."""

    __slots__ = ("number",)

    def __init__(self, loop: Numbering) -> None:
        self.number = loop.number()
        super().__init__(loop=cast(asyncio.AbstractEventLoop, loop))

    def __hash__(self) -> int:
        return self.number
