"""A card's registers for people and for programs, from the datasheet's declarations."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from motenet.core.errors import ConfigurationError
from motenet.datasheets.registers import Field, Register, RegisterMap
from motenet.inspector.cards import sheet

READS = {"value": "value", "clear": "value, then cleared", "zero": "zero"}
WRITES = {"store": "stored", "ignore": "no effect", "clear": "ones clear", "set": "ones set", "act": "ones act"}
"""The effects of datasheets.registers, in words."""

_AMOUNTS: dict[str, Callable[[int], str]] = {
    "RDBAL": "ring at {:#x}".format, "RDLEN": "{:,} bytes".format, "RDT": "descriptor {}".format,
    "TDBAL": "ring at {:#x}".format, "TDLEN": "{:,} bytes".format, "TDT": "descriptor {}".format,
    "ITR": lambda value: f"{256 * value / 1000:.3f} us between interrupts",
    "RBSTART": "ring at {:#x}".format, "RDSARL": "ring at {:#x}".format, "TNPDSL": "ring at {:#x}".format,
    "THPDSL": "ring at {:#x}".format,
    "queue_select": "queue {}".format, "queue_size": "{:,} descriptors".format,
    "queue_desc": "descriptors at {:#x}".format, "queue_driver": "driver area at {:#x}".format,
    "queue_device": "device area at {:#x}".format, "queue_address": lambda value: f"rings at {value << 12:#x}",
    "QueueSel": "queue {}".format, "QueueNum": "{:,} descriptors".format,
    "QueueDescLow": "descriptors at {:#x}".format, "QueueDriverLow": "driver area at {:#x}".format,
    "QueueDeviceLow": "device area at {:#x}".format,
}  # fmt: skip
"""Registers that hold an amount, in its unit (8254x 13.4.25 to 13.4.29, 13.4.36 to 13.4.40; 13.4.18: 256 ns;
RTL8139C 5, RTL8139C+ 6; virtio 4.1.4.3, 4.1.4.10 with pages of 4096 bytes (2.7.2), 4.2.2)."""
_ELEMENT = re.compile(r"(.*?)(?:\[([0-9]{1,4})]|([0-9]{1,4}))")


def find(card: str, name: str) -> list[tuple[RegisterMap, Register]]:
    """A card's register by name ("ral", "RAL3", "RAL[3]") or offset ("0x5400"), in each part that has such a one.

    ConfigurationError names similar ones.
    """
    maps = sheet(card).maps
    found = [(registers, _by_name(registers, name) or _by_offset(registers, name)) for registers in maps]
    if any(register for _, register in found):
        return [(registers, register) for registers, register in found if register is not None]
    names = {known.upper(): known for registers in maps for known in registers.by_name}
    similar = [names[close] for close in get_close_matches(name.upper().partition("[")[0], names, n=3)]
    hint = f"did you mean {' or '.join(similar)}?" if similar else f"`motenet registers {card}` lists them"
    parts = ", ".join(registers.name for registers in maps)
    has = "has" if len(maps) == 1 else "have"
    raise ConfigurationError(f"{parts} {has} no register {name!r}; {hint}")


def _by_name(registers: RegisterMap, name: str) -> Register | None:
    """Whatever the case of its letters; an element of an array within its bounds."""
    known = {register.name.upper(): register for register in registers}
    wanted = name.upper()
    if wanted in known:
        return known[wanted]
    element = _ELEMENT.fullmatch(wanted)
    if element is not None and element[1] in known:
        array = known[element[1]]
        if int(element[2] or element[3]) < array.count > 1:
            return array
    return None


def _by_offset(registers: RegisterMap, name: str) -> Register | None:
    """The register that has the byte at an offset."""
    try:
        offset = int(name, 0)
    except ValueError:
        return None
    return next((register for register, _ in registers.touched(offset, 1)), None) if offset >= 0 else None


def in_words(register: Register, value: int) -> str:
    """What a value means: an amount with its unit where the register holds one, else the fields by name."""
    amount = _AMOUNTS.get(register.name)
    if value == (1 << register.width) - 1:
        return "all bits"
    if amount is not None:
        return amount(value)
    return register.describe(value) if len(register.fields) > 1 else ""


def as_plain(register: Register) -> dict[str, Any]:
    """All that the datasheet says of a register, for JSON; offsets and widths as in datasheets.registers."""
    return {
        "name": register.name,
        "offset": register.offset,
        "width": register.width,
        "count": register.count,
        "stride": register.stride,
        "reset": register.reset,
        "clause": register.clause,
        "alias_of": register.alias_of,
        "doc": register.doc,
        "fields": [
            {"name": f.name, "lsb": f.lsb, "width": f.width, "read": f.read, "write": f.write, "doc": f.doc}
            for f in register.fields
        ],
    }


def overview(registers: RegisterMap) -> RenderableType:
    """One line a register: where it is, what it is called, how it wakes up, and where the paper describes it."""
    table = Table(title=f"{registers.name}: {len(registers.by_name)} registers", title_style="bold", box=None)
    table.add_column("Offset", style="cyan", no_wrap=True)
    table.add_column("Register", style="bold", no_wrap=True)
    table.add_column("Reset", no_wrap=True)
    table.add_column("Clause", style="dim", max_width=14)
    table.add_column("Meaning and fields", ratio=1, overflow="fold")
    for register in sorted(registers, key=lambda register: register.offset):
        array = f"[{register.count}]" if register.count > 1 else ""
        names = " ".join(field.name for field in register.fields) if len(register.fields) > 1 else ""
        meaning = Text(register.doc)
        if names:
            meaning.append(f"\n{names}" if register.doc else names, style="dim")
        offset, reset = f"{register.offset:#07x}", f"{register.reset:#0{2 + min(register.width // 4, 8)}x}"
        table.add_row(offset, Text(register.name + array), reset, register.clause, meaning)
    return table


def detail(registers: RegisterMap, register: Register) -> RenderableType:
    """One register, bit by bit from the highest down, reserved bits included."""
    last = register.offset + (register.count - 1) * register.stride
    where = f"{register.offset:#07x}" + (f" to {last:#07x}, {register.count} of them" if register.count > 1 else "")
    facts = [f"{register.doc}" if register.doc else "", f"offset {where}, {register.width} bits, {register.clause}"]
    facts.append(f"reset {register.reset:#0{2 + register.width // 4}x}: {register.describe(register.reset)}")
    if register.alias_of:
        facts.append(f"another face of {register.alias_of}")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, style in (("Bits", "cyan"), ("Field", "bold"), ("Reset", ""), ("Read", ""), ("Write", "")):
        table.add_column(heading, style=style, no_wrap=True)
    table.add_column("Meaning")
    above = register.width
    for field in sorted(register.fields, key=lambda field: -field.lsb):
        _add_reserved(table, above - 1, field.lsb + field.width)
        reset = f"{field.get(register.reset):#x}" if field.width > 1 else str(field.get(register.reset))
        table.add_row(bits(field), field.name, reset, READS[field.read], WRITES[field.write], field.doc)
        above = field.lsb
    _add_reserved(table, above - 1, 0)
    name = Text.assemble((register.name, "bold"), f" of {registers.name}")
    return Group(name, *(Text(fact) for fact in facts if fact), Text(), table)


def bits(field: Field) -> str:
    """A field's place: `26`, or `9:8`."""
    return str(field.lsb) if field.width == 1 else f"{field.lsb + field.width - 1}:{field.lsb}"


def _add_reserved(table: Table, high: int, low: int) -> None:
    if high >= low:
        table.add_row(str(low) if high == low else f"{high}:{low}", "reserved", style="dim")
