"""Looking at machines: what their registers mean, what happens in them, and the demo that shows it."""

from motenet.inspector.events import describe

__all__ = ["describe"]
