"""The demo of a chat: what it shows, what it checks, and what a program gets of it."""

import io
import json

import pytest
from rich.console import Console
from scapy.layers.inet import TCP, UDP
from scapy.utils import rdpcap

from motenet.core.errors import ConfigurationError
from motenet.inspector.chat import TALK, Chat


def show(**options):
    """The chat, and what it prints in a terminal."""
    chat = Chat(speed=0, **options)
    file = io.StringIO()
    chat.console = Console(file=file, width=130, force_terminal=True, color_system=None)
    assert chat.run()
    return chat, file.getvalue()


@pytest.mark.parametrize(
    ("nic", "provider"), [("e1000", "anthropic"), ("rtl8139cp", "openai"), ("virtio-net", "groq"), ("rtl8139", "xai")]
)
def test_every_card_and_provider_tells_the_story(nic, provider):
    chat, text = show(nic=nic, peer_nic=nic, provider=provider)
    for words in ("TLSv1.3", "models.test is 10.1.0.101", "HTTP/1.1 200", "155 tokens", "retransmitted", "virtual"):
        assert words in text
    assert chat.report.facts["answers"][1]["text"] == list(TALK.values())[1]
    assert chat.report.facts["dns"]["questions"].count("models.test") == len(chat.report.facts["dns"]["questions"])


def test_a_program_gets_json_and_nothing_else(capsys):
    assert Chat(quiet=True, seed=3).run(as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert facts["good"]
    assert all(facts["checks"].values())
    assert facts["seed"] == 3
    steps = facts["steps_ns"]
    assert list(steps) == ["connected", "secured", "asked", "answered"]
    assert list(steps.values()) == sorted(steps.values())
    assert steps["connected"] - facts["dns"]["lookup_ns"] > 10_000_000  # two cables of 5 ms, there and back
    assert facts["alice"]["card"]["interrupts"] > 100
    assert facts["models"]["tcp"]["segments_out"] >= facts["tokens"] // 2


def test_without_loss_nothing_is_sent_twice():
    chat, _ = show(loss=0.0)
    found = chat.report.facts
    assert [found[name]["tcp"]["retransmissions"] for name in ("alice", "models")] == [0, 0]
    assert [found[name]["cable"]["lost"] for name in ("alice", "models")] == [0, 0]


def test_heavy_loss_is_repaired_too():
    chat, _ = show(loss=0.1, seed=2)
    assert chat.report.facts["models"]["tcp"]["retransmissions"] > 10


def test_the_capture_comes_with_its_keys(tmp_path):
    """Wireshark's key log: a label, the client's random number, a secret (draft-ietf-tls-keylogfile, 2)."""
    _, text = show(pcap=tmp_path / "chat.pcapng")
    frames = rdpcap(str(tmp_path / "chat.pcapng"))
    assert sum(frame.haslayer(UDP) and frame[UDP].dport == 53 for frame in frames) >= 1
    assert sum(frame.haslayer(TCP) and 443 in (frame[TCP].sport, frame[TCP].dport) for frame in frames) > 100
    lines = (tmp_path / "chat.keys").read_text().splitlines()
    assert "CLIENT_TRAFFIC_SECRET_0" in {line.split()[0] for line in lines if line[0] != "#"}
    assert "chat.keys" in text


def test_virtual_time_is_shown_at_the_speed_that_is_asked_for(monkeypatch):
    waits = []
    monkeypatch.setattr("motenet.inspector.chat.sleep", waits.append)
    chat = Chat(loss=0.0)
    chat._speed = 10.0
    chat.console = Console(file=io.StringIO(), width=80, force_terminal=True)
    assert chat.run()
    assert 0 < sum(waits) < chat.report.facts["virtual_ns"] / 1e9 / 10
    assert max(waits) <= 0.25
    assert chat.report.facts["tokens"] < len(waits) < chat.report.facts["tokens"] + 5


@pytest.mark.parametrize("wrong", [{"provider": "skynet"}, {"nic": "ne2000"}, {"loss": 2.0}])
def test_what_there_is_not(wrong):
    with pytest.raises(ConfigurationError):
        Chat(**wrong)
