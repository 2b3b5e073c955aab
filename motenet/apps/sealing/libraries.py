"""What single libraries need, beyond what all have in common; each is seen to once it has been imported."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from motenet.apps.sealing import entropy, order
from motenet.sim.aio import WorldLoop, inline


def replace(undo: ExitStack, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Set an attribute to what `make` makes of it, until `undo` is closed."""
    real = getattr(owner, name)
    if name in vars(owner):
        undo.callback(setattr, owner, name, real)
    else:
        undo.callback(delattr, owner, name)  # it was inherited
    setattr(owner, name, make(real))


def _anyio(undo: ExitStack, module: Any) -> None:
    """Worker threads, and the order in which nested scopes are cancelled."""
    inline.install(WorldLoop)
    order.number_scopes(sys.modules["anyio._backends._asyncio"])


def _starlette(undo: ExitStack, routing: Any) -> None:
    """The header Allow of a 405."""
    replace(undo, routing.Route, "handle", order.sort_methods)


def _aiohttp(undo: ExitStack, connector: Any) -> None:
    """A connector closes the connections that are in use in the order of a set, where placeholders come and go."""
    replace(undo, connector.BaseConnector, "__init__", order.keep_acquired)


def _aiohttp_websocket(undo: ExitStack, writer: Any) -> None:
    """The masks of websocket frames come from a generator that is seeded when the module is imported."""
    defaults = writer.WebSocketWriter.__init__.__kwdefaults__
    real = defaults["random"]
    undo.callback(defaults.update, random=real)
    defaults["random"] = entropy.Drawer(real)


LIBRARIES: dict[str, Callable[[ExitStack, Any], None]] = {
    "anyio": _anyio,
    "starlette.routing": _starlette,
    "aiohttp.connector": _aiohttp,
    "aiohttp._websocket.writer": _aiohttp_websocket,
}
"""For each module: what is to be done about it."""
