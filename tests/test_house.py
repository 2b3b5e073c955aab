"""The rules of the house that hold for all files: who imports whom, nothing of the operating system below sim."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BELOW_SIM = ("core", "doors.py", "datasheets", "machine", "devices", "drivers", "stack")


def sources() -> Iterator[Path]:
    """All modules of the rooms below sim."""
    for room in BELOW_SIM:
        place = ROOT / "motenet" / room
        yield from sorted(place.rglob("*.py")) if place.is_dir() else [place]


def test_the_layers_hold() -> None:
    """import-linter's contracts in pyproject.toml: the layers, and the modules forbidden below sim."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT / "motenet")))
def test_nothing_depends_on_hash_order_or_identity(path: Path) -> None:
    """Below sim nobody calls id() or hash(), and no set is looped over: equal worlds on every Python."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("id", "hash", "open", "input", "print", "breakpoint"), node.lineno
        loops = [node.iter] if isinstance(node, ast.For | ast.comprehension) else []
        for loop in loops:
            assert not isinstance(loop, ast.Set | ast.SetComp), f"line {loop.lineno} loops over a set"
            is_set = isinstance(loop, ast.Call) and isinstance(loop.func, ast.Name)
            assert not (is_set and loop.func.id in ("set", "frozenset")), f"line {loop.lineno} loops over a set"


def tracked() -> list[Path]:
    """All text files of the repository that git knows; skipped where there is no git."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git work tree")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_somebodys_machine() -> None:
    """No home folders or other absolute paths of a developer's machine, and no unfinished work."""
    personal = re.compile(rb"/(home|Users|root|work)/\w|C:\\Users")
    unfinished = re.compile(rb"\b(TO" rb"DO|FIX" rb"ME|XX" rb"X)\b|NotImplemented" rb"Error")
    for path in tracked():
        content = path.read_bytes()
        assert not personal.search(content), path
        if path.suffix == ".py":
            assert not unfinished.search(content), path


AUDITED = """
import json, sys
import motenet

seen, listening = [], True
sys.addaudithook(lambda event, arguments: listening and seen.append((event, repr(arguments))))
world = motenet.World(seed=1)
alice = world.host("alice", nic="e1000", address="10.0.0.1/24")
bob = world.host("bob", nic="e1000", address="10.0.0.2/24")
world.link(alice, bob, bandwidth="1Gbit/s", delay="50us", loss=0.01)
listener = bob.stack.tcp_listen(80)
sender = alice.stack.tcp_connect("10.0.0.2", 80)
world.run("1s", until=lambda: listener.can_accept)
receiver = listener.accept()
data, received = bytes(range(256)) * 1024, bytearray()
sender.send(data)
sender.close()
while receiver.may_recv:
    world.run("1ms")
    received += receiver.recv(65536)
listening = False
print(json.dumps({"equal": received == data, "seen": seen}))
"""


def test_one_tcp_exchange_under_an_audit_hook_touches_nothing() -> None:
    """Machines, cards, drivers and stacks come up and move 256 KiB: no file, socket, process, or import."""
    done = subprocess.run([sys.executable, "-c", AUDITED], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["equal"]
    assert result["seen"] == []
