"""In place of threads: a function runs at once, as virtual time would race ahead of a thread."""

import asyncio
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable
from typing import Any


def execute(future: "asyncio.Future[Any]", func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """What a thread would do: no loop runs in it."""
    if future.cancelled():
        return
    loop = _get_running_loop()
    _set_running_loop(None)
    try:
        result = func(*args)
    except StopIteration as error:
        future.set_exception(
            RuntimeError("a function in an executor raised StopIteration").with_traceback(error.__traceback__)
        )
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        _set_running_loop(loop)
