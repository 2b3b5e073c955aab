"""Who waits, and where: what a person wants to know of a world in which nothing can ever happen again."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

from motenet.core.errors import WorldStuck

_LIBRARIES = (str(Path(asyncio.__file__).parent), str(Path(__file__).parent))


class Deadlock(WorldStuck):
    """No event is left, and tasks still wait; the message lists them with the places where they are."""


def describe(tasks: Iterable["asyncio.Task[Any]"]) -> str:
    """One line a task: its name, and where it waits."""
    return "".join(f"\n  {task.get_name()} waits {_place(task)}" for task in sorted(tasks, key=_order))


def _order(task: "asyncio.Task[Any]") -> tuple[int, str]:
    name = task.get_name()
    return len(name), name  # Task-9 ahead of Task-10


def _place(task: "asyncio.Task[Any]") -> str:
    """The innermost line of its coroutine that is neither asyncio's own nor ours."""
    frames = _frames(task.get_coro())
    if not frames:
        return "to begin"
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_LIBRARIES)]
    frame = (own or frames)[-1]
    return f"in {frame.f_code.co_name}(), {frame.f_code.co_filename}:{frame.f_lineno}"


def _frames(coroutine: Any) -> list[FrameType]:
    """The frames of a suspended coroutine and of all that it awaits, outermost first."""
    frames: list[FrameType] = []
    while True:
        frame: FrameType | None
        if isinstance(coroutine, CoroutineType):
            frame, coroutine = coroutine.cr_frame, coroutine.cr_await
        elif isinstance(coroutine, GeneratorType):
            frame, coroutine = coroutine.gi_frame, coroutine.gi_yieldfrom
        elif isinstance(coroutine, AsyncGeneratorType):
            frame, coroutine = coroutine.ag_frame, coroutine.ag_await
        else:
            return frames
        if frame is not None:
            frames.append(frame)
