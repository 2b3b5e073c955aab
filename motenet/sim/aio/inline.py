"""anyio's worker threads in a world: the function runs inline, because virtual time would race ahead of a thread.

Starlette's synchronous endpoints, StaticFiles and FileResponse use them. Other loops keep their threads. Nothing here
needs anyio, but where a program has imported it, it is seen to.
"""

import asyncio
import sys
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from typing import Any

_done: list[type] = []
"""The backend, once it has it."""


def install(loops: type) -> None:
    """Have anyio's asyncio backend do so on these loops, if anyio is imported; once is enough, and it stays."""
    if _done or "anyio" not in sys.modules:
        return
    from anyio._backends._asyncio import AsyncIOBackend

    _done.append(AsyncIOBackend)
    own = _inline(AsyncIOBackend.run_sync_in_worker_thread, loops)
    AsyncIOBackend.run_sync_in_worker_thread = classmethod(own)  # type: ignore[assignment,method-assign]


def _inline(threaded: Callable[..., Any], loops: type) -> Callable[..., Any]:
    from anyio import CancelScope

    @wraps(threaded)
    async def run_sync_in_worker_thread(
        backend: Any, func: Callable[..., Any], args: Any, abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        """As in a thread: a checkpoint, the limiter, a context of its own, and no loop that runs there."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, loops):
            return await threaded(func, args, abandon_on_cancel=abandon_on_cancel, limiter=limiter)
        await backend.checkpoint()
        async with limiter or backend.current_default_thread_limiter():
            with CancelScope(shield=not abandon_on_cancel):
                return await loop.run_in_executor(None, copy_context().run, func, *args)

    return run_sync_in_worker_thread
