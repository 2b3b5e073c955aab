"""What a model server answers, how fast, and what goes wrong."""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from motenet.apps.llm.types import FinishReason, Message, Role
from motenet.core import units
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.units import SECOND

_TOKEN = re.compile(r"\s?\w{1,8}|\s?[^\w\s]+|\s+")


def tokenize(text: str) -> list[str]:
    """The text in pieces: words with the blank before them, cut after 8 letters. No provider's tokenizer."""
    return _TOKEN.findall(text)


@dataclass(slots=True)
class ModelRequest:
    """What a client asks, whichever API it speaks."""

    api: str
    """The path: "/v1/chat/completions", "/v1/responses", "/v1/messages"."""
    model: str
    messages: list[Message]
    stream: bool = False
    max_tokens: int | None = None
    stop_sequences: list[str] = field(default_factory=list)
    include_usage: bool = False
    body: dict[str, Any] = field(default_factory=dict)
    """All of it."""
    headers: dict[str, str] = field(default_factory=dict)
    number: int = 0
    """1 for the server's first."""

    @property
    def prompt(self) -> str:
        """What was said last."""
        return self.messages[-1].content if self.messages else ""

    @property
    def system(self) -> str:
        """What the system says."""
        return "\n".join(message.content for message in self.messages if message.role == Role.SYSTEM)

    @property
    def tokens(self) -> int:
        """Of the prompt: those of the texts, and 3 for each message."""
        return sum(3 + len(tokenize(message.content)) for message in self.messages)


class TokenTiming:
    """How long the model thinks: before the first token, for each further one, and up to how much longer at random.

    Durations are strings ("40ms") or nanoseconds. They pass by asyncio.sleep: in a world, in virtual time.
    """

    __slots__ = ("each", "first", "jitter")

    def __init__(self, first: str | int = 0, each: str | int = 0, jitter: str | int = 0) -> None:
        self.first = units.duration(first)
        self.each = units.duration(each)
        self.jitter = units.duration(jitter)

    def __repr__(self) -> str:
        return f"TokenTiming({self.first}, {self.each}, {self.jitter})"

    def delay(self, token: int, stream: Stream) -> float:
        """Seconds before this token, the first of which is number 0."""
        wait = self.each if token else self.first
        return (wait + stream.between(0, self.jitter) if self.jitter else wait) / SECOND


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong; made by one of the class methods. `after` counts the tokens that still go well."""

    kind: str
    after: int = 0
    status: int = 0
    retry_after: int | None = None
    """Nanoseconds."""
    message: str = ""

    @classmethod
    def error(cls, status: int, *, retry_after: str | int | None = None, message: str = "") -> "Fault":
        """An error instead of an answer: 401, 429 (with Retry-After), 500, 529 ..., in each API's own shape."""
        if not 400 <= status <= 599:
            raise ConfigurationError(f"status {status} is no error; give one from 400 to 599")
        return cls("error", 0, status, None if retry_after is None else units.duration(retry_after), message)

    @classmethod
    def interrupt(cls, after: int = 1, message: str = "") -> "Fault":
        """An error in mid-stream, which began with status 200: overloaded, as both APIs send it then."""
        return cls("interrupt", after, message=message)

    @classmethod
    def cut(cls, after: int = 1) -> "Fault":
        """The connection ends in mid-stream."""
        return cls("cut", after)

    @classmethod
    def short(cls, after: int = 1) -> "Fault":
        """The stream ends in good order, but before the answer's end."""
        return cls("short", after)

    @classmethod
    def malformed(cls, after: int = 1) -> "Fault":
        """A chunk that is no JSON."""
        return cls("malformed", after)

    @classmethod
    def silence(cls, after: int = 0) -> "Fault":
        """Nothing more comes; the connection stays."""
        return cls("silence", after)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with more to it than its text."""

    text: str
    finish_reason: FinishReason = FinishReason.STOP
    """LENGTH comes by itself where max_tokens cuts the text."""
    timing: TokenTiming | None = None
    """The server's, if None."""
    fault: Fault | None = None


Reply = str | Answer | Fault
Answerer = Callable[[ModelRequest], Reply | Awaitable[Reply]]


@dataclass(slots=True)
class _Line:
    """One line of a script."""

    pattern: re.Pattern[str]
    answer: Reply | Sequence[Reply] | Answerer
    given: int = 0
    """Of a list's answers."""


class Script:
    """Answers by pattern: the first whose regular expression is found in what was said last.

    A list of answers is given one after the other, and its last for ever: Script(("hi", [Fault.error(529), "Hello!"])).
    """

    def __init__(self, *lines: tuple[str, Reply | Sequence[Reply] | Answerer], default: Reply | None = None) -> None:
        self._lines = [_Line(re.compile(pattern, re.IGNORECASE), answer) for pattern, answer in lines]
        self._default = default

    async def __call__(self, request: ModelRequest) -> Reply:
        for line in self._lines:
            if line.pattern.search(request.prompt):
                if callable(line.answer):
                    return await ask(line.answer, request)
                if isinstance(line.answer, str | Answer | Fault):
                    return line.answer
                line.given += 1
                return line.answer[min(line.given, len(line.answer)) - 1]
        return echo(request) if self._default is None else self._default


def echo(request: ModelRequest) -> Reply:
    """The answer of a server that was told nothing."""
    return f"You said: {request.prompt}"


async def ask(answerer: Answerer, request: ModelRequest) -> Reply:
    """What a function answers, whether it is a coroutine function or not."""
    reply = answerer(request)
    return await reply if inspect.isawaitable(reply) else reply
