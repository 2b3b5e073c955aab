"""What could be wrong in a card's datasheet: every mask a bit off, every access effect another one.

To be imported before anything of motenet: drivers and models bind masks when they are imported, and a mutant must be
planted before that.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

ROOT = Path(__file__).parents[2]


def _bare_package() -> ModuleType:
    """The package motenet with none of its modules imported."""
    spec = find_spec("motenet")
    assert spec is not None
    assert "motenet" not in sys.modules, "somebody has imported motenet, and bound its masks"
    sys.modules["motenet"] = package = module_from_spec(spec)
    return package


sys.path.insert(0, str(ROOT))
_MOTENET = _bare_package()

from motenet.datasheets.registers import Field, ReadEffect, Register, RegisterMap, WriteEffect  # noqa: E402


def import_motenet() -> None:
    """What `import motenet` would have done; once in a process."""
    loader = _MOTENET.__spec__ and _MOTENET.__spec__.loader
    assert loader
    loader.exec_module(_MOTENET)


@dataclass
class Mutant:
    """One attribute of one declaration changed. kind: mask, read, write (a field's), reset or alias (a register's)."""

    register: str
    what: str
    kind: str
    was: int | str
    now: int | str
    target: Field | Register = field(repr=False)
    attribute: str = field(repr=False)
    noticed_by: str = ""
    """The first test that failed, or what else ended its process; empty while nobody has noticed."""

    def plant(self) -> None:
        """Change the declaration in place, where register maps and aliases share it."""
        object.__setattr__(self.target, self.attribute, self.now)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        plain = asdict(self)
        del plain["target"], plain["attribute"]
        return plain


def declarations(card: str) -> tuple[list[Register], list[Register]]:
    """The registers of motenet.datasheets.CARD that lie in register spaces, and the others (descriptors' flags)."""
    top = importlib.import_module(f"motenet.datasheets.{card}")
    found = pkgutil.iter_modules(getattr(top, "__path__", ()))
    modules = [top, *(importlib.import_module(f"{top.__name__}.{module.name}") for module in found)]
    values = [value for module in modules for value in vars(module).values()]
    spaces = [value for value in values if isinstance(value, RegisterMap)]
    mapped = {id(register): register for space in spaces for register in space}
    others = {id(value): value for value in values if isinstance(value, Register) and id(value) not in mapped}
    return list(mapped.values()), list(others.values())


def _masks(register: Register, bits: Field) -> Iterator[tuple[str, int]]:
    """The field a bit further down or up, narrower or wider, where it stays in the register and off other fields."""
    others = register.mask() & ~bits.mask
    for attribute, number in (
        ("lsb", bits.lsb - 1), ("lsb", bits.lsb + 1), ("width", bits.width - 1), ("width", bits.width + 1),
    ):  # fmt: skip
        lsb, width = (number, bits.width) if attribute == "lsb" else (bits.lsb, number)
        if lsb >= 0 and width > 0 and lsb + width <= register.width and not ((1 << width) - 1 << lsb) & others:
            yield attribute, number


def _effects(bits: Field) -> Iterator[tuple[str, str]]:
    for read in get_args(ReadEffect):
        if read != bits.read:
            yield "read", read
    for write in get_args(WriteEffect):
        if write != bits.write:
            yield "write", write


def mutants(card: str) -> list[Mutant]:
    """All of them, in an order that only the datasheet's text decides. A field that registers share counts once."""
    mapped, others = declarations(card)
    made: dict[tuple[int, str, int | str], Mutant] = {}
    for register in mapped + others:
        for bits in register.fields:
            changes: list[tuple[str, str, int | str]] = [("mask", *change) for change in _masks(register, bits)]
            if register in mapped:
                changes += [(attribute, attribute, effect) for attribute, effect in _effects(bits)]
            for kind, attribute, now in changes:
                was = getattr(bits, attribute)
                mutant = Mutant(register.name, f"{bits.name}.{attribute}", kind, was, now, bits, attribute)
                made.setdefault((id(bits), attribute, now), mutant)
        if register.alias_of:
            made[id(register), "alias_of", ""] = Mutant(
                register.name, "alias_of", "alias", register.alias_of, "", register, "alias_of"
            )
        elif register in mapped:
            flipped = register.reset ^ 1 << register.fields[-1].lsb
            made[id(register), "reset", flipped] = Mutant(
                register.name, "reset", "reset", register.reset, flipped, register, "reset"
            )
    return list(made.values())
