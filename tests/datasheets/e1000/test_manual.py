"""Every declaration of the 82540EM against manual.txt, which says the same in other words, through the registers."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from motenet.datasheets import e1000 as sheet
from motenet.datasheets.e1000 import eeprom, phy
from motenet.devices.parts.bank import RegisterBank

ACCESS = ("rw", "ro", "z", "sc", "rc", "rc1", "w1c", "w1s", "wo1c")


@dataclass
class Entry:
    """What the transcript says of one register."""

    name: str
    offset: int
    reset: int = 0
    alias: str = ""
    masks: dict[str, int] = field(default_factory=dict)
    by_access: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACCESS, 0))

    def add(self, access, name, mask):
        self.masks[name] = mask
        self.by_access[access] |= mask

    def bits(self, *access):
        return sum(self.by_access[one] for one in access)


def sections():
    """The transcript's words by section; a register's line and those that carry it on are one."""
    text = re.sub(r"#.*", "", Path(__file__).with_name("manual.txt").read_text()).replace("\n  ", " ")
    parts = re.split(r"^\[(\w+)\]$", text, flags=re.MULTILINE)[1:]
    return {
        name: [line.split() for line in body.splitlines() if line.strip()]
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def entry(words):
    name, offset, reset, *rest = words
    made = Entry(name, int(offset, 16), int(reset, 16))
    if rest[0].startswith(">"):
        made.alias = rest.pop(0)[1:]
    while rest:
        if rest[0] in ACCESS:
            access = rest.pop(0)
        made.add(access, rest.pop(0), int(rest.pop(0), 16))
    return made


def counters(words):
    """Statistics registers are one field of 32 bits that has the register's name."""
    access, *rest = words
    for name, offset in zip(rest[::2], rest[1::2], strict=True):
        made = Entry(name, int(offset, 16))
        made.add(access, name, 0xFFFFFFFF)
        yield made


TEXT = sections()
REGISTERS = [entry(words) for words in TEXT["registers"]] + [
    counter for words in TEXT["statistics"] for counter in counters(words)
]
PHY = [entry(words) for words in TEXT["phy"]]
FLAGS = [entry(words) for words in TEXT["flags"]]


def declared(said):
    """The declaration of what an entry of `flags` says something about."""
    return vars(eeprom if said.name == "WORD_0A" else sheet)[said.name]


@pytest.mark.parametrize(("said", "registers"), [(REGISTERS, sheet.REGISTERS), (PHY, phy.PHY_REGISTERS)])
def test_the_transcript_has_every_register(said, registers):
    assert sorted(one.name for one in said) == sorted(register.name for register in registers)


@pytest.mark.parametrize(
    ("said", "register"),
    [(said, sheet.REGISTERS[said.name]) for said in REGISTERS]
    + [(said, phy.PHY_REGISTERS[said.name]) for said in PHY]
    + [(said, declared(said)) for said in FLAGS],
    ids=lambda value: value.name if isinstance(value, Entry) else "",
)
def test_offset_reset_value_and_masks(said, register):
    assert (register.offset, register.reset, register.alias_of) == (said.offset, said.reset, said.alias)
    assert {bits.name: register[bits.name] for bits in register.fields} == said.masks


@pytest.mark.parametrize(
    ("said", "registers", "width"),
    [(said, sheet.REGISTERS, 4) for said in REGISTERS] + [(said, phy.PHY_REGISTERS, 2) for said in PHY],
    ids=lambda value: value.name if isinstance(value, Entry) else "",
)
def test_what_accesses_do(said, registers, width):
    """A bank of these registers without a card: what writing leaves and tells, what reading gives and leaves."""
    told = []
    bank = RegisterBank(registers, lambda reason, detail: told.append(reason))
    place = registers[said.alias].offset if said.alias else said.offset
    ones = (1 << 8 * width) - 1
    assert bank.read(said.offset, width) == said.reset
    for held in (ones, 0, 0x5A5A5A5A & ones):
        for written in (ones, 0, 0xCCCCCCCC & ones):
            told.clear()
            bank.values[place] = held
            bank.write(said.offset, written, width)
            left = held & ~said.bits("rw") | written & said.bits("rw", "w1s")
            left &= ~(written & said.bits("rc1", "w1c", "wo1c"))
            assert bank.values[place] == left
            assert bank.read(said.offset, width) == left & ~said.bits("z", "sc", "wo1c")
            assert bank.values[place] == left & ~said.bits("rc", "rc1")
            idle = ones & ~sum(said.masks.values()) | said.bits("z")
            assert told == (["reserved bits"] if written & idle and not said.bits("w1s", "w1c", "rc1", "wo1c") else [])
    assert registers[said.name].mask(write="act") == said.bits("sc")
