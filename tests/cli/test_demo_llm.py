"""`motenet demo llm`: what it prints, and how it refuses."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Motenet = Callable[..., Any]


def test_the_chat_is_told_and_its_checks_hold(motenet: Motenet) -> None:
    done = motenet("demo", "llm", "--nic", "virtio-net", "--provider", "openai")
    assert done.code == 0, done.out
    assert "✗" not in done.out
    assert "models.test is 10.1.0.101" in done.out


def test_as_json(motenet: Motenet) -> None:
    found = json.loads(motenet("demo", "llm", "--json", "--loss", "0", "--seed", "9").out)
    assert (found["good"], found["seed"]) == (True, 9)
    assert found["models"]["tcp"]["retransmissions"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "chat"), "there is no demo 'chat'; there is http and llm"),
        (("demo", "llm", "--provider", "nobody"), "there is anthropic, openai, groq, xai"),
        (("demo", "llm", "--loss", "2"), "loss=2.0 is not a probability"),
        (("demo", "--loss", "0.5"), "motenet demo llm"),
        (("demo", "--provider", "openai"), "motenet demo llm"),
    ],
)
def test_it_refuses(motenet: Motenet, arguments: tuple[str, ...], words: str) -> None:
    done = motenet(*arguments)
    assert done.code == 2
    assert words in done.err
