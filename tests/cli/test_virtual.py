"""`motenet demo`, `run` and `bench`: what they print, and how they refuse."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motenet.cli import virtual
from motenet.inspector.demo import Demo
from motenet.sim.host import CARDS

Motenet = Callable[..., Any]


def test_the_demo_tells_its_story_and_its_checks_hold(motenet: Motenet) -> None:
    done = motenet("demo")
    assert done.code == 0, done.out
    assert "bob: e1000 (8086:100e), 52:54:00:00:00:02, 10.0.0.2/24" in done.out
    assert "RCTL" in done.out
    assert "8254x 13.4.22" in done.out
    assert done.out.count("✓") == 6
    assert "✗" not in done.out


def demo_in_a_process(hash_seed: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "motenet", "demo", "--json"],
        capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_the_same_seed_gives_the_same_demo_in_another_process(motenet: Motenet) -> None:
    first, second = demo_in_a_process("1"), demo_in_a_process("2")
    for found in (first, second):
        assert found.pop("real_seconds") > 0
        assert found["http"].pop("real_seconds") > 0
    assert first == second
    assert first["good"]
    assert first["http"]["bytes"] == 16 << 20
    assert json.loads(motenet("demo", "--json", "--seed", "8").out)["fingerprint"] != first["fingerprint"]


def test_gigabit_ethernet_gives_its_goodput(motenet: Motenet) -> None:
    """1448 payload bytes in 1538 bytes on the wire (IEEE 802.3; RFC 7323's timestamps): 941 Mbit/s at most."""
    found = json.loads(motenet("demo", "--json").out)
    speed = found["http"]["bytes"] * 8000 / found["http"]["virtual_ns"]
    assert 0.9 * 941 < speed <= 941.5
    assert all(100_000 <= time < 1_000_000 for time in found["ping_ns"])


@pytest.mark.needs("tshark")
def test_wireshark_finds_nothing_wrong_in_the_demos_capture(motenet: Motenet, tmp_path: Path) -> None:
    """No malformed packet, no bad checksum, no retransmission: the cable loses nothing."""
    capture = tmp_path / "demo.pcapng"
    assert motenet("demo", "--pcap", str(capture)).code == 0
    checks = [word for layer in ("ip", "tcp", "udp") for word in ("-o", f"{layer}.check_checksum:TRUE")]
    bad = (
        "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || icmp.checksum.status == 0"
        " || tcp.analysis.retransmission || tcp.analysis.fast_retransmission || tcp.analysis.lost_segment"
        " || tcp.analysis.duplicate_ack || tcp.analysis.out_of_order || icmp.resp_not_found"
    )
    command = ["tshark", "-r", str(capture), *checks, "-Y"]
    wrong = subprocess.run([*command, bad], capture_output=True, text=True, check=True)
    assert wrong.stdout == ""
    good = subprocess.run([*command, "tcp.checksum.status == 1"], capture_output=True, text=True, check=True)
    assert good.stdout.count("\n") > 12_000


def test_a_check_that_fails_makes_the_demo_fail(motenet: Motenet, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(self: Demo, *_: Any) -> list[Any]:
        self._check("the file is the same at both ends", False, "a bit has flipped")
        return []

    monkeypatch.setattr(Demo, "_fetch", spoiled)
    done = motenet("demo")
    assert done.code == 1
    assert "✗ the file is the same at both ends: a bit has flipped" in done.out


@pytest.mark.parametrize("option", ["--nic", "--peer-nic"])
def test_an_unknown_card_gets_one_line_and_exit_code_2(motenet: Motenet, option: str) -> None:
    done = motenet("demo", option, "ne2000")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"motenet: unknown NIC 'ne2000'; there is {', '.join(sorted(CARDS))}\n"


def test_the_demo_with_two_other_cards(motenet: Motenet) -> None:
    """A card without configuration space and one that sends what is still to be cut, to one that takes it whole."""
    done = motenet("demo", "--nic", "virtio-net-mmio", "--peer-nic", "virtio-net")
    assert done.code == 0
    assert "alice: virtio-net-mmio (on the memory bus)" in done.out
    assert "bob: virtio-net (1af4:1041)" in done.out
    assert "transmit, the card's" in done.out


def test_a_capture_that_cannot_be_written_is_one_line(motenet: Motenet, tmp_path: Path) -> None:
    done = motenet("demo", "--json", "--pcap", str(tmp_path / "no" / "such.pcapng"))
    assert (done.code, done.out) == (2, "")
    assert "cannot be written: No such file or directory" in done.err
    done = motenet("demo", "--pcap", str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert "Is a directory" in done.err


SCRIPT = """
import sys
import motenet
from neighbor import ADDRESS

world = motenet.World(seed=1)
alice = world.host("alice", address=ADDRESS)
bob = world.host("bob", nic=sys.argv[1], address="10.0.0.2/24")
world.link(alice, bob, bandwidth=sys.argv[2])
print(alice.stack.ping("10.0.0.2", count=2)[1] is not None, sys.argv, __name__)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "neighbor.py").write_text('ADDRESS = "10.0.0.1/24"')
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "neighbor", raising=False)
    return str(tmp_path / "script.py")


def test_a_script_runs_as_from_python(motenet: Motenet, script: str) -> None:
    done = motenet("run", script, "e1000", "1Gbit/s", "--more")
    assert (done.code, done.out) == (0, f"True {[script, 'e1000', '1Gbit/s', '--more']} __main__\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("e1001", "1Gbit/s"), "unknown NIC 'e1001'"),
        (("e1000", "fast"), "'fast' is not a bandwidth; write it like '1Gbit/s'"),
    ],
)
def test_a_script_with_bad_values_gets_one_line(
    motenet: Motenet, script: str, arguments: tuple[str, ...], line: str
) -> None:
    done = motenet("run", script, *arguments)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert re.match(r"script\.py:(8|9): ", done.err)
    assert line in done.err


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("def f():\n    1 / 0\nf()", 'Traceback (most recent call last):\n  File "{}", line 3, in <module>\n'),
        ("x = = 1", '  File "{}", line 1\n'),
        ("import motenet\nmotenet.World(1).nothing", 'Traceback (most recent call last):\n  File "{}", line 2, in'),
    ],
)
def test_a_script_with_a_mistake_gets_its_own_frames_only(
    motenet: Motenet, tmp_path: Path, source: str, shown: str
) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(source)
    done = motenet("run", str(script))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(shown.format(script))
    assert "typer" not in done.err
    assert "runpy" not in done.err


def test_a_script_without_its_library_is_told_what_to_install(
    motenet: Motenet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    (tmp_path / "x.py").write_text("import httpx\n")
    done = motenet("run", str(tmp_path / "x.py"))
    assert done.code == 1
    assert done.err.splitlines()[-1].endswith(": pip install 'motenet[apps]'")
    (tmp_path / "x.py").write_text("import unheard_of\n")
    assert "pip" not in motenet("run", str(tmp_path / "x.py")).err


def test_an_error_in_a_scripts_helper_is_told_at_the_scripts_line(motenet: Motenet, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("import motenet\ndef f():\n    motenet.World(1).host('a/b')\n\n\nf()\n")
    done = motenet("run", str(tmp_path / "x.py"))
    assert (done.code, done.err[:8]) == (2, "x.py:3: ")


def test_what_is_no_script_is_one_line(motenet: Motenet, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x7fELF\xff\0")
    (tmp_path / "zero").write_bytes(b"x\0y")
    for name in ("nothing", "", "binary", "zero"):
        done = motenet("run", str(tmp_path / name))
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert done.err.startswith(f"motenet: {tmp_path / name} ")


def test_the_demos_table_loses_nothing_where_it_is_narrow(motenet: Motenet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = motenet("demo").out
    table = out[out.index(" Time ") : out.index("A cable")]
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 80
    assert "RDLEN     0x00001000  4,096 bytes " in table
    assert "ITR       0x000001e8  124.928 us between" in table, "8254x 13.4.18: 488 times 256 ns"


def test_the_demos_checks_can_be_read_in_ascii() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "motenet", "demo"],
        capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\nok: ") == 6


def test_an_unknown_figure_gets_the_names_of_all(motenet: Motenet) -> None:
    """They are those of benchmarks/bench.py, and of the scripts beside it."""
    folder = Path(virtual.__file__).parents[2] / "benchmarks"
    names = re.findall(r'^    "(\w+)": Figure\(', (folder / "bench.py").read_text(), re.MULTILINE)
    assert tuple(names) == virtual.FIGURES
    assert all((folder / script).is_file() for script in virtual.SCRIPTS.values())
    done = motenet("bench", "nope")
    expected = f"motenet: there is no figure 'nope'; there is {', '.join(names)}, guest, netsim, connections\n"
    assert (done.code, done.err) == (2, expected)
    assert all(name in re.sub(r"\s", "", motenet("bench", "--help").out) for name in names)


@pytest.mark.parametrize("arguments", [("netsim", "--size", "1GiB"), ("segment", "--size", "10MiB")])
def test_a_size_is_netsims_alone(motenet: Motenet, arguments: tuple[str, ...]) -> None:
    done = motenet("bench", *arguments)
    assert done.code == 2
    assert (
        done.err == f"motenet: --size {arguments[2]}: netsim measures with 1MiB or 10MiB, and nothing else has a size\n"
    )


def test_bench_without_the_source_tree_says_so(
    motenet: Motenet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(virtual.motenet, "__file__", str(tmp_path / "motenet" / "__init__.py"))
    done = motenet("bench", "--json")
    assert done.code == 2
    assert "source tree" in done.err
