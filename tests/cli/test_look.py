"""`motenet registers` and `motenet doctor`; expected values from the 8254x manual."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import pytest

from motenet.bridge import parts
from motenet.bridge.parts import PARTS
from motenet.cli import look
from motenet.sim.host import CARDS

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


@pytest.mark.parametrize("name", ["RAL", "ral", "RAL[3]", "RAL0", "ral15", "0x5400", "0x5418", "0x5419", "21504"])
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
        (("registers", "e1000", "NOPE"), "82540EM has no register 'NOPE'; `motenet registers e1000` lists them"),
        (("registers", "e1000", ""), "82540EM has no register ''"),
        (("registers", "e1000", "RAL[16]"), "82540EM has no register 'RAL[16]'"),
        (("registers", "e1000", "CTRL0"), "82540EM has no register 'CTRL0'"),
        (
            ("registers", "rtl8139cp", "TNPDS"),
            "RTL8139C+ in C+ mode, RTL8139C+ have no register 'TNPDS'; did you mean TNP",
        ),
        (("doctor", "--jsn"), "No such option: --jsn"),
        (("doctor", "x"), "Got unexpected extra argument"),
        (("demo", "--seed", "abc"), "Invalid value for '--seed'"),
        (("nonsense",), "No such command 'nonsense'"),
        (("serve", "nonsense"), "No such command 'nonsense'"),
        (("get", "http://10.0.0.1/"), "Missing option"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(motenet: Motenet, arguments: tuple[str, ...], line: str) -> None:
    done = motenet(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"motenet: {line}")
    assert done.err.count("\n") == 1


def test_without_a_command_there_is_help(motenet: Motenet) -> None:
    for arguments in ((), ("serve",)):
        done = motenet(*arguments)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Usage: {' '.join(('motenet', *arguments))} ")
        assert "Commands:" in done.out


def test_the_version_is_the_packages(motenet: Motenet) -> None:
    assert motenet("--version").out == f"motenet {version('motenet')}\n"


def test_registers_alone_lists_the_cards(motenet: Motenet) -> None:
    done = motenet("registers")
    assert done.code == 0
    assert re.match(r"e1000: 82540EM, \d+ registers\nrtl8139: RTL8139C, \d+ registers\n", done.out)
    assert {row["card"] for row in json.loads(motenet("registers", "--json").out)} == set(CARDS)


def test_every_card_shows_its_registers(motenet: Motenet) -> None:
    """RTL8139C 5.6: ISR at 3Eh, 16 bits; virtio 4.1.4.3: queue_desc, 64 bits; 4.2.2: MMIO's MagicValue."""
    for card in CARDS:
        assert motenet("registers", card).code == 0
    assert "offset 0x0003e, 16 bits" in motenet("registers", "rtl8139", "isr").out
    assert "offset 0x00020, 64 bits" in motenet("registers", "virtio-net", "queue_desc").out
    assert "reset 0x74726976" in motenet("registers", "virtio-net-mmio", "MagicValue").out


def test_an_offset_that_several_parts_have_shows_all_of_them(motenet: Motenet) -> None:
    """virtio 4.1.4.3, 5.1.4; RTL8139C 5 and RTL8139C+ 6: TNPDS lies before TSAD in C+ mode."""
    listed = json.loads(motenet("registers", "virtio-net", "0x14", "--json").out)
    assert [entry["name"] for entry in listed[:1]] == ["device_status"]
    assert "supported_hash_types" in [entry["name"] for entry in listed]
    done = motenet("registers", "rtl8139cp", "0x20")
    assert "TNPDSL of RTL8139C+ in C+ mode\n" in done.out
    assert "TSAD of RTL8139C+\n" in done.out


def test_notifications_and_messages_have_their_places(motenet: Motenet) -> None:
    """virtio 4.1.4.4; PCI 3.0 6.8.2: 16 bytes an entry, and masked after reset."""
    (notify,) = json.loads(motenet("registers", "virtio-net", "queue_notify", "--json").out)
    assert (notify["width"], notify["stride"]) == (16, 4)
    (mask,) = json.loads(motenet("registers", "virtio-net", "MSIX_TABLE_CONTROL[0]", "--json").out)
    assert (mask["offset"], mask["stride"], mask["reset"]) == (12, 16, 1)


def test_an_output_that_is_full_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "motenet", "registers", "e1000"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (1, "motenet: output: No space left on device\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_without_the_characters_is_no_traceback(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('\u2713 h\u00e9')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "motenet", "run", str(tmp_path / "script.py")],
        capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "? h\u00e9\n".encode(encoding, "replace"))


def test_after_ctrl_c_there_is_one_line(motenet: Motenet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "probe", interrupt)
    done = motenet("doctor")
    assert (done.code, done.err) == (130, "motenet: interrupted\n")


def interrupt(_: str) -> NoReturn:
    raise KeyboardInterrupt


def test_doctor_cuts_nothing_where_it_is_narrow(motenet: Motenet, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "/a/folder" * 12
    monkeypatch.setattr(parts, "find_qemu", lambda: place)
    shown = re.sub(r"\s", "", motenet("doctor").out)
    assert place[:20] in shown
    assert "…" not in shown


def test_tsharks_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Debian's tshark prints."""
    monkeypatch.setattr(parts, "_output", lambda *_: "TShark (Wireshark) 4.0.17 (Git v4.0.17 packaged as 4.0.17-0)")
    assert parts.probe("tshark").detail == "TShark 4.0.17"


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
    assert "pip install 'motenet[apps]'" not in done.out
    assert "QEMU 10.1" in done.out


def test_doctor_names_the_extras_libraries_that_are_missing(motenet: Motenet, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name in ("httpx", "trustme"):
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(parts, "version", installed)
    apps = next(part for part in json.loads(motenet("doctor", "--json").out)["parts"] if part["name"] == "apps")
    assert apps == {
        "name": "apps",
        "present": False,
        "detail": "without httpx, trustme",
        "remedy": "pip install 'motenet[apps]'",
    }


def test_python_m_motenet_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "motenet", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: motenet ")
