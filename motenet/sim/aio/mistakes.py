"""Who is told of errors that nobody can catch: the loop's exception handler."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from logging import getLogger
from typing import Any

Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]

_log = getLogger("asyncio")


class Mistakes(asyncio.AbstractEventLoop):
    """The part of a loop that keeps an exception handler."""

    _handler: Handler | None = None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Something went wrong where nobody could be told: the handler that was set, or asyncio's log."""
        if isinstance(context.get("exception"), asyncio.CancelledError):
            return  # that is no mistake; Python 3.11's streams report it when their connection's task is cancelled
        if self._handler is None:
            self.default_exception_handler(context)
            return
        where: Any = context.get("task") or context.get("future") or context.get("handle")
        place = where.get_context() if hasattr(where, "get_context") else copy_context()
        try:
            place.run(self._handler, self, context)  # as of Python 3.12: in the context of what has failed
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.default_exception_handler({"message": "the exception handler failed", "exception": error})

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Write to asyncio's log."""
        rest = [f"{key}: {context[key]!r}" for key in sorted(context.keys() - {"message", "exception"})]
        text = "\n".join([context.get("message") or "unhandled exception in an event loop", *rest])
        _log.error(text, exc_info=context.get("exception"))

    def set_exception_handler(self, handler: Handler | None) -> None:
        if handler is not None and not callable(handler):
            raise TypeError(f"an exception handler is a callable or None, not {handler!r}")
        self._handler = handler

    def get_exception_handler(self) -> Handler | None:
        return self._handler
