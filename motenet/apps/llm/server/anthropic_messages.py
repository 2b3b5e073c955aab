"""Anthropic's Messages (platform.claude.com/docs: api/messages, build-with-claude/streaming)."""

from typing import Any

from motenet.apps.llm.server import anthropic_common
from motenet.apps.llm.server.script import ModelRequest
from motenet.apps.llm.server.wire import Refused, Turn, count_of, event, messages_of, model_of, strings_of, text_of
from motenet.apps.llm.types import FinishReason, Message, Role

PATH = "/v1/messages"
ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}
FINISH = {FinishReason.LENGTH: "max_tokens", FinishReason.CONTENT_FILTER: "refusal"}
"""All others are "end_turn", or "stop_sequence"."""
SAMPLING = ("temperature", "top_p", "top_k")
WITH_SAMPLING = ("2023-01-01", "2023-06-01")
"""The API's versions that take them: later ones refuse them (docs: api/migration-2026-10-21)."""
OVERLOADED = anthropic_common.OVERLOADED


def parse(body: dict[str, Any], headers: dict[str, str]) -> ModelRequest:
    """max_tokens may be 0: that fills the prompt's cache."""
    request = parse_count(body, headers)
    request.max_tokens = count_of(body, "max_tokens", least=0)
    if request.max_tokens is None:
        raise Refused(400, "max_tokens: Field required")
    request.stream = body.get("stream") is True
    request.stop_sequences = strings_of(body.get("stop_sequences"), "stop_sequences")
    return request


def parse_count(body: dict[str, Any], headers: dict[str, str]) -> ModelRequest:
    """For count_tokens, which asks the same without saying how to answer."""
    version = headers.get("anthropic-version")
    if version is None:
        raise Refused(400, "anthropic-version: header is required")
    for name in SAMPLING:
        if name in body and version not in WITH_SAMPLING:
            raise Refused(400, f"{name}: Extra inputs are not permitted")
    said = messages_of(body, "messages", ROLES, ("text",))
    if (system := body.get("system")) is not None:
        said.insert(0, Message(Role.SYSTEM, text_of(system, ("text",), "system")))
    return ModelRequest(PATH, model_of(body), said)


def whole(turn: Turn) -> dict[str, Any]:
    block = {"type": "text", "text": turn.text}
    return _message(turn) | {"content": [block]} | _end(turn)


def opening(turn: Turn) -> bytes:
    """An output token is counted before there is any, as there."""
    start = _message(turn)
    start["usage"]["output_tokens"] = 1
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return (
        event({"type": "message_start", "message": start}, "message_start")
        + event(block, "content_block_start")
        + event({"type": "ping"}, "ping")
    )


def token(turn: Turn, text: str) -> bytes:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return event(delta, "content_block_delta")


def closing(turn: Turn) -> bytes:
    delta = {"type": "message_delta", "delta": _end(turn), "usage": {"output_tokens": turn.sent}}
    return (
        event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        + event(delta, "message_delta")
        + event({"type": "message_stop"}, "message_stop")
    )


def interruption(turn: Turn, message: str) -> bytes:
    return event(anthropic_common.error(Refused(OVERLOADED, message), turn.name("req_")), "error")


def _end(turn: Turn) -> dict[str, Any]:
    reason = FINISH.get(turn.finish_reason, "end_turn" if turn.stop_sequence is None else "stop_sequence")
    return {"stop_reason": reason, "stop_sequence": turn.stop_sequence}


def _message(turn: Turn) -> dict[str, Any]:
    used = {
        "input_tokens": turn.request.tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": turn.sent, "service_tier": "standard",
    }  # fmt: skip
    return {
        "id": turn.name("msg_"), "type": "message", "role": "assistant", "model": turn.request.model, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": used,
    }  # fmt: skip
