"""Sealing worlds from the process they run in: its clock, its chance, its memory addresses and its garbage."""

from motenet.apps.sealing.seal import sealed

__all__ = ["sealed"]
