"""`motenet registers` and `motenet doctor`; expected values from the 8254x manual."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from motenet.bridge import parts
from motenet.bridge.parts import PARTS

Motenet = Callable[..., Any]


def test_registers_lists_every_register_once(motenet: Motenet) -> None:
    done = motenet("registers", "e1000")
    assert done.code == 0
    offsets = {
        match[2]: int(match[1], 16) for match in re.finditer(r"^ (0x\w{5})  (\w+)(?:\[\d+\])? ", done.out, re.MULTILINE)
    }
    listed = json.loads(motenet("registers", "e1000", "--json").out)
    assert offsets == {entry["name"]: entry["offset"] for entry in listed}
    assert {"CTRL": 0, "ICR": 0xC0, "RCTL": 0x100, "TDT": 0x3818, "MPC": 0x4010}.items() <= offsets.items()


def test_a_register_is_shown_bit_by_bit_with_effects_and_clause(motenet: Motenet) -> None:
    done = motenet("registers", "e1000", "ctrl")
    assert done.code == 0
    assert "8254x 13.4.1" in done.out
    assert re.search(r"^26 +RST +0 +zero +ones act", done.out, re.MULTILINE)
    assert re.search(r"^9:8 +SPEED +0x2 +value +stored", done.out, re.MULTILINE)
    assert re.search(r"^4:1 +reserved", done.out, re.MULTILINE)


@pytest.mark.parametrize("name", ["RAL", "ral", "RAL[3]", "0x5400", "0x5418", "0x5419"])
def test_a_register_is_found_by_name_element_or_offset(motenet: Motenet, name: str) -> None:
    """13.5.2: sixteen pairs from 5400h on, eight bytes apart."""
    (entry,) = json.loads(motenet("registers", "e1000", name, "--json").out)
    assert (entry["name"], entry["offset"], entry["count"], entry["stride"]) == ("RAL", 0x5400, 16, 8)


def test_json_tells_a_fields_effects(motenet: Motenet) -> None:
    """13.4.17: ICR is cleared by a read, and by writing ones."""
    (icr,) = json.loads(motenet("registers", "e1000", "ICR", "--json").out)
    lsc = next(field for field in icr["fields"] if field["name"] == "LSC")
    assert (lsc["lsb"], lsc["width"], lsc["read"], lsc["write"]) == (2, 1, "clear", "clear")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("registers", "ne2000"), "unknown NIC 'ne2000'; there is e1000"),
        (("registers", "e1000", "RTCL"), "82540EM has no register 'RTCL'; did you mean"),
        (("registers", "e1000", "0xzz"), "82540EM has no register '0xzz'"),
        (("registers", "e1000", "0xfffffff"), "82540EM has no register '0xfffffff'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(motenet: Motenet, arguments: tuple[str, ...], line: str) -> None:
    done = motenet(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"motenet: {line}")
    assert done.err.count("\n") == 1


def test_a_misspelt_option_is_a_usage_error(motenet: Motenet) -> None:
    done = motenet("doctor", "--jsn")
    assert done.code == 2
    assert "No such option: --jsn" in done.err


def test_doctor_looks_for_every_part(motenet: Motenet) -> None:
    done = motenet("doctor", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert [part["name"] for part in found["parts"]] == list(PARTS)
    assert all(part["detail"] and bool(part["remedy"]) != part["present"] for part in found["parts"])
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_doctor_says_how_to_get_what_is_missing(motenet: Motenet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts.shutil, "which", lambda name: None)
    monkeypatch.setattr(parts, "find_qemu", lambda: None)
    done = motenet("doctor")
    assert done.code == 0
    assert "apt-get install tshark" in done.out
    assert "QEMU 10.1" in done.out


def test_python_m_motenet_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "motenet", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: motenet ")
