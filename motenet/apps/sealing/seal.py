"""sealed(): while a world runs, nothing from outside gets into what its programs do."""

import builtins
import gc
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from motenet.apps.sealing import clocks, entropy, order
from motenet.apps.sealing.bindings import rebind
from motenet.apps.sealing.here import here, lend
from motenet.apps.sealing.libraries import LIBRARIES, replace
from motenet.core.errors import ConfigurationError
from motenet.sim.aio import WorldLoop

EPOCH = "2000-01-01"
"""When worlds begin, unless told otherwise."""

_seals: list["Seal"] = []
"""That which is in force, if any."""


@contextmanager
def sealed(epoch: str | None = None) -> Iterator[None]:
    """Give the programs of all worlds a clock and a chance of their world's own, so that each run is the same run.

    While a world's callback runs, `time` tells `epoch` ("2000-01-01", UTC unless it says otherwise) plus virtual time,
    and os.urandom, random, secrets and uuid draw from streams that each host has and that the world's seed begins.
    Everywhere else they are as ever. Out of reach are datetime.now(), and what was bound beforehand elsewhere than in a
    module: a default argument, a class's attribute, a partial. So is OpenSSL: TLS draws its own keys, and no two runs
    give the same bytes (nor, by the odd byte of a signature, always the same times).

    At the top level only: ConfigurationError inside a world, for what is no date, and for another epoch than that of
    the sealed() around this one.
    """
    if here() is not None:
        raise ConfigurationError("this world is running: seal it from outside, `with sealed(): host.run(...)`")
    start = _nanoseconds(EPOCH if epoch is None else epoch)
    if _seals:
        if epoch is not None and start != _seals[0].epoch:
            raise ConfigurationError(f"sealed({epoch!r}) inside sealed() with another epoch: time cannot be both")
        yield
        return
    seal = Seal(start)
    _seals.append(seal)
    try:
        with seal.undo:
            seal.close()
            yield
    finally:
        _seals.clear()


def _nanoseconds(epoch: str) -> int:
    """Since 1970, UTC."""
    try:
        moment = datetime.fromisoformat(epoch)
    except ValueError as error:
        raise ConfigurationError(f'{epoch!r} is no date: write "2000-01-01" or "2000-01-01T12:00:00+02:00"') from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


class Seal:
    """What has been replaced, and how it is put back."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        """Nanoseconds since 1970, UTC."""
        self.undo = ExitStack()
        self._modules = 0
        self._seen_to: dict[str, None] = {}

    def close(self) -> None:
        """Replace everything."""
        pairs = clocks.pairs(self.epoch) + entropy.pairs()
        self.undo.callback(rebind, [(new, old) for old, new in pairs])
        rebind(pairs)
        replace(self.undo, random.Random, "seed", entropy.seeding)
        replace(self.undo, WorldLoop, "run_in_executor", _staying)
        self._number()
        self._keep_garbage()
        self._see_to_imports()

    def _number(self) -> None:
        """Sets of what a world makes have an order."""
        order.number_protocols()
        replace(self.undo, WorldLoop, "number", order.counting)

    def _see_to_imports(self) -> None:
        """Libraries that are there already are seen to, and others as soon as they have been imported."""
        replace(self.undo, builtins, "__import__", self._importing)
        self._see_to_libraries()

    def _importing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(real)
        def import_(*args: Any, **options: Any) -> Any:
            found = real(*args, **options)
            if len(sys.modules) != self._modules:
                self._see_to_libraries()
            return found

        return import_

    def _see_to_libraries(self) -> None:
        self._modules = len(sys.modules)
        for name, see_to in LIBRARIES.items():
            module = sys.modules.get(name)
            if module is None or name in self._seen_to:
                continue
            if getattr(module.__spec__, "_initializing", False):
                self._modules = 0  # look again when it is whole
            else:
                self._seen_to[name] = None
                see_to(self.undo, module)

    def _keep_garbage(self) -> None:
        """Garbage is collected where order.counting says so, and what was there before is left alone."""
        if gc.isenabled():
            gc.disable()
            self.undo.callback(gc.enable)
        gc.freeze()
        self.undo.callback(gc.unfreeze)


def _staying(real: Callable[..., Any]) -> Callable[..., Any]:
    """What an executor was to run is in its world."""

    def run_in_executor(loop: WorldLoop, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        return real(loop, executor, lend, loop, func, *args)

    return run_in_executor
