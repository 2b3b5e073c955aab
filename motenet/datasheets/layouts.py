"""From flat construct Structs (descriptors, headers) to what hot paths need: one struct.Struct and one numpy dtype."""

from struct import Struct

import construct
import numpy as np


def _members(layout: construct.Struct) -> list[tuple[str, str]]:
    """Name and struct format, with byte order, of each member; only fixed-width integers and Bytes are flat."""
    members = []
    for member in layout.subcons:
        inner = member.subcon if isinstance(member, construct.Renamed) else member
        if isinstance(inner, construct.FormatField):
            members.append((member.name, inner.fmtstr))
        elif isinstance(inner, construct.Bytes) and isinstance(inner.length, int):
            members.append((member.name, f"{inner.length}s"))
        else:
            raise TypeError(f"{member.name}: {type(inner).__name__} is not flat; use fixed-width integers and Bytes")
    return members


def _order(members: list[tuple[str, str]]) -> str:
    orders = {form[0] for _, form in members if form[0] in "<>"}
    if len(orders) > 1:
        raise TypeError("one layout has one byte order")
    return orders.pop() if orders else "<"


def codec(layout: construct.Struct) -> Struct:
    """One prebound struct.Struct that packs and unpacks all members, in order."""
    members = _members(layout)
    return Struct(_order(members) + "".join(form.lstrip("<>") for _, form in members))


def dtype(layout: construct.Struct) -> "np.dtype[np.void]":
    """One numpy dtype with a column for each member."""
    members = _members(layout)
    order = _order(members)
    kinds = {"B": "u1", "H": "u2", "L": "u4", "I": "u4", "Q": "u8"}
    columns = []
    for name, form in members:
        bare = form.lstrip("<>")
        columns.append((name, f"V{bare[:-1]}" if bare.endswith("s") else order + kinds[bare]))
    return np.dtype(columns)
