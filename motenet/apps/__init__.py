"""The application layer: servers and clients on the emulated stack, and what ordinary asyncio libraries need there."""

from motenet.apps.sealing import sealed

__all__ = ["sealed"]
