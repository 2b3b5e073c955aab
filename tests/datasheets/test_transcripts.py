"""Every declaration of every card against a second transcription: the files transcript.txt beside this one.

A section `[module SPACE]` has all registers of motenet.datasheets.module.SPACE; `[module SPACE + OTHER]` those in which
SPACE differs from OTHER; `[module]` those that lie in no space, such as a descriptor's flags. Numbers are hexadecimal:

    NAME offset reset [>alias]  ACCESS field mask field mask  ACCESS field mask

The reset value has as many digits as the register has. Lines `ACCESS NAME offset NAME offset` are registers of 32 bits
with one field of their own name. ACCESS is one of:

    rw stored                  act  starts something, not stored        w1c  ones clear
    ro nothing is stored       sc   the same, and reads 0               w1s  ones set
    wo stored, reads 0         rc   a read clears, nothing is stored    wo1c ones clear, reads 0
    z  reads 0, nothing stored rc1  a read clears, and so do ones
"""

import re
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

import pytest

from motenet.datasheets.registers import Register, RegisterMap
from motenet.devices.parts.bank import RegisterBank

ACCESS = ("rw", "ro", "wo", "z", "act", "sc", "rc", "rc1", "w1c", "w1s", "wo1c")


@dataclass
class Entry:
    """What a transcript says of one register."""

    name: str
    offset: int
    digits: int
    reset: int = 0
    alias: str = ""
    masks: dict[str, int] = field(default_factory=dict)
    by_access: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACCESS, 0))

    def add(self, access, words):
        name, mask = words.pop(0), int(words.pop(0), 16)
        self.masks[name] = mask
        self.by_access[access] |= mask

    def bits(self, *access):
        return sum(self.by_access[one] for one in access)


def entries(line):
    """A line, with those that carry it on, is one register, or several of one field each."""
    words = line.split()
    if words[0] in ACCESS:
        for name, offset in zip(words[1::2], words[2::2], strict=True):
            entry = Entry(name, int(offset, 16), 8)
            entry.add(words[0], [name, "FFFFFFFF"])
            yield entry
        return
    name, offset, reset, *words = words
    entry = Entry(name, int(offset, 16), len(reset), int(reset, 16))
    if words[0].startswith(">"):
        entry.alias = words.pop(0)[1:]
    while words:
        if words[0] in ACCESS:
            access = words.pop(0)
        entry.add(access, words)
    yield entry


def declared(module, space=""):
    """The registers that a section is about, by name."""
    values = vars(import_module(f"motenet.datasheets.{module}"))
    if space:
        return values[space].by_name
    spaces = [value for value in values.values() if isinstance(value, RegisterMap)]
    registers = [value for value in values.values() if isinstance(value, Register)]
    return {one.name: one for one in registers if not any(one in space for space in spaces)}


def sections():
    """The module, its registers by name, and their entries by name, of each section."""
    for path in sorted(Path(__file__).parent.glob("*/transcript.txt")):
        text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\n  ", " ")
        said = {}
        for head, body in re.findall(r"^\[(.+)\]\n([^\[]*)", text, flags=re.MULTILINE):
            module, space, _, other = [*head.split(), "", "", ""][:4]
            found = {entry.name: entry for line in body.splitlines() if line for entry in entries(line)}
            said[module, space] = found
            yield module, declared(module, space), said.get((module, other), {}) | found


SECTIONS = list(sections())
EACH = [
    pytest.param(said, registers[name], id=f"{module}-{name}")
    for module, registers, entries in SECTIONS
    for name, said in entries.items()
    if name in registers
]


@pytest.mark.parametrize(("registers", "said"), [section[1:] for section in SECTIONS], ids=[one[0] for one in SECTIONS])
def test_the_transcript_has_every_register(registers, said):
    assert sorted(said) == sorted(registers)


@pytest.mark.parametrize(("said", "register"), EACH)
def test_offset_width_reset_value_and_masks(said, register):
    assert (register.offset, register.width) == (said.offset, 4 * said.digits)
    assert (register.reset, register.alias_of) == (said.reset, said.alias)
    assert {bits.name: register[bits.name] for bits in register.fields} == said.masks
    assert register.mask(write="act") == said.bits("act", "sc")


@pytest.mark.parametrize(("said", "register"), EACH)
def test_what_accesses_do(said, register):
    """A bank of the register and its alias, without a card: what writing leaves and tells, what reading leaves."""
    told = []
    one = replace(register, count=1)
    target = Register(said.alias, said.offset + 8, "", register.fields, width=register.width)
    space = RegisterMap("", said.offset + 16, (one, target) if said.alias else (one,))
    bank = RegisterBank(space, lambda reason, detail: told.append(reason))
    place, width = target.offset if said.alias else said.offset, register.width // 8
    ones = (1 << register.width) - 1
    assert bank.read(said.offset, width) == said.reset & ~said.bits("wo", "z", "sc", "wo1c")
    for held in (ones, 0, 0x5A5A5A5A5A5A5A5A & ones):
        for written in (ones, 0, 0xCCCCCCCCCCCCCCCC & ones):
            told.clear()
            bank.values[place] = held
            bank.write(said.offset, written, width)
            left = held & ~said.bits("rw", "wo") | written & said.bits("rw", "wo", "w1s")
            left &= ~(written & said.bits("rc1", "w1c", "wo1c"))
            assert bank.values[place] == left
            assert bank.read(said.offset, width) == left & ~said.bits("wo", "z", "sc", "wo1c")
            assert bank.values[place] == left & ~said.bits("rc", "rc1")
            idle = ones & ~sum(said.masks.values()) | said.bits("z")
            assert told == (["reserved bits"] if written & idle and not said.bits("w1s", "w1c", "rc1", "wo1c") else [])
