"""The wire formats, one file per protocol: each parses a view into a small record, and emits one into an exact view."""


class Malformed(Exception):
    """A packet that its protocol's clause does not allow. Interface catches it in one place and counts the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
