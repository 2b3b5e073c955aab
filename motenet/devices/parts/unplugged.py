"""A card that is in no slot yet."""


class Unplugged:
    """The time of a card that lies on the table."""

    now = 0
