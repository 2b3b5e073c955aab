"""How long a model's own work takes: as the datasheet says, or no time at all."""

from dataclasses import dataclass

from motenet.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Timing:
    """A profile for a card's delays. Even without delay, what is delayed stays an event of its own."""

    name: str
    instant: bool

    def delay(self, nanoseconds: int) -> int:
        """What becomes of the datasheet's delay."""
        return 0 if self.instant else nanoseconds


PROFILES = {name: Timing(name, name == "instant") for name in ("datasheet", "instant")}


def timing(name: str) -> Timing:
    """The profile of that name; ConfigurationError lists them."""
    if name not in PROFILES:
        raise ConfigurationError(f"no timing profile is called {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
