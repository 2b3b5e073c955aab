"""What the three wire formats share: the turn that they put into words, and requests that cannot be answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from motenet.apps.llm.server.script import Answer, ModelRequest, tokenize
from motenet.apps.llm.types import FinishReason, Message, ModelInfo, Role


class Refused(Exception):
    """A request that gets an error: a status, the API's word for it, what to say, and the member it is about."""

    def __init__(self, status: int, message: str, kind: str = "", param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param


@dataclass(slots=True)
class Turn:
    """One answer on its way out."""

    request: ModelRequest
    created: int
    """Seconds since 1970."""
    tokens: list[str]
    """Those that go out if all goes well."""
    finish_reason: FinishReason
    stop_sequence: str | None = None
    """The one that ended it."""
    sent: int = 0
    """Tokens so far."""
    events: int = 0
    """Events so far, where the API numbers them."""

    @property
    def text(self) -> str:
        """What has been sent."""
        return "".join(self.tokens[: self.sent])

    def name(self, prefix: str) -> str:
        """The answer's id: its number, in place of the providers' random letters."""
        return f"{prefix}{self.request.number:024d}"


def prepare(request: ModelRequest, answer: Answer, created: int) -> Turn:
    """The answer as far as stop sequences and max_tokens let it go."""
    text, stopped = answer.text, None
    for sequence in request.stop_sequences:
        before, found, _ = text.partition(sequence)
        if found:
            text, stopped = before, sequence
    tokens, reason = tokenize(text), answer.finish_reason
    if stopped is not None:
        reason = FinishReason.STOP
    if request.max_tokens is not None and len(tokens) > request.max_tokens:
        tokens, reason, stopped = tokens[: request.max_tokens], FinishReason.LENGTH, None
    return Turn(request, created, tokens, reason, stopped)


class Dialect(Protocol):
    """What a provider's APIs share."""

    MODELS: tuple[ModelInfo, ...]
    """Listed unless the server has its own."""
    REQUEST_ID: str
    """The header with the request's id."""

    def key(self, headers: Mapping[str, str]) -> str:
        """The key that the client shows."""
        ...

    def error(self, refused: Refused, request_id: str) -> dict[str, Any]:
        """An error's body."""
        ...

    def no_model(self, model: str) -> Refused:
        """There is none of that name."""
        ...

    def too_long(self, tokens: int, longest: int) -> Refused:
        """The prompt has more tokens than the model takes."""
        ...

    def model(self, info: ModelInfo, epoch: int) -> dict[str, Any]:
        """A model, which is there since `epoch` (seconds since 1970)."""
        ...

    def models(self, described: list[dict[str, Any]]) -> dict[str, Any]:
        """All of them."""
        ...


class Wire(Protocol):
    """One API's words. The parts of a stream are bytes, ready to be sent."""

    OVERLOADED: int
    """The status that says so."""

    def parse(self, body: dict[str, Any], headers: dict[str, str]) -> ModelRequest:
        """What is asked; Refused if it cannot be."""
        ...

    def whole(self, turn: Turn) -> dict[str, Any]:
        """The answer in one piece; all tokens are sent."""
        ...

    def opening(self, turn: Turn) -> bytes:
        """What comes before the first token."""
        ...

    def token(self, turn: Turn, text: str) -> bytes:
        """The next token."""
        ...

    def closing(self, turn: Turn) -> bytes:
        """What comes after the last token."""
        ...

    def interruption(self, turn: Turn, message: str) -> bytes:
        """An error in mid-stream."""
        ...


def event(data: dict[str, Any], name: str = "") -> bytes:
    """A server-sent event (WHATWG HTML 9.2.6)."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode() if name else f"data: {text}\n\n".encode()


def text_of(content: object, kinds: tuple[str, ...], where: str) -> str:
    """A message's text: a string, or a list of parts that are text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refused(400, f"{where}: Input should be a valid string or a list of parts", param=where)
    for part in content:
        if not isinstance(part, dict) or part.get("type") not in kinds or not isinstance(part.get("text"), str):
            raise Refused(400, f"{where}: this server understands parts of type {', '.join(kinds)} alone", param=where)
    return "".join(part["text"] for part in content)


def role_of(name: object, names: dict[str, Role], where: str) -> Role:
    """A message's role."""
    if not isinstance(name, str) or name not in names:
        raise Refused(400, f"{where}: Input should be {', '.join(map(repr, names))}", param=where)
    return names[name]


def count_of(body: dict[str, Any], name: str, least: int = 1) -> int | None:
    """A limit, or None."""
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise Refused(400, f"{name}: Input should be greater than or equal to {least}", param=name)
    return value


def strings_of(value: object, name: str) -> list[str]:
    """A string, a list of them, or nothing."""
    found = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise Refused(400, f"{name}: Input should be a list of strings that are not empty", param=name)
    return found


def messages_of(body: dict[str, Any], name: str, roles: dict[str, Role], kinds: tuple[str, ...]) -> list[Message]:
    """The conversation: a list of objects with a role and a content."""
    found = body.get(name)
    if not isinstance(found, list):
        raise Refused(
            400, f"{name}: Field required" if found is None else f"{name}: Input should be a list", param=name
        )
    if not found:
        raise Refused(400, f"{name}: at least one message is required", param=name)
    said = []
    for number, one in enumerate(found):
        where = f"{name}.{number}"
        if not isinstance(one, dict):
            raise Refused(400, f"{where}: Input should be an object", param=where)
        role = role_of(one.get("role"), roles, f"{where}.role")
        said.append(Message(role, text_of(one.get("content"), kinds, f"{where}.content")))
    return said


def model_of(body: dict[str, Any]) -> str:
    """The model's id."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refused(400, "model: Field required", param="model")
    return model
