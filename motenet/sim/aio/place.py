"""On whose stack a coroutine runs: coroutines of many hosts share a loop, and each carries its own in its context."""

from contextvars import ContextVar

from motenet.core.errors import ConfigurationError
from motenet.stack import NetworkStack

current_stack: ContextVar[NetworkStack] = ContextVar("current_stack")
"""The stack of the host that the running coroutine was spawned on; the tasks that it makes inherit it."""


def stack_here() -> NetworkStack:
    """The stack of the host that we are on; ConfigurationError on none."""
    stack = current_stack.get(None)
    if stack is None:
        raise ConfigurationError(
            "this coroutine runs on no host, so that it has no network: start it by host.run() or host.spawn()"
        )
    return stack
