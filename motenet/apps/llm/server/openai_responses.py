"""OpenAI's responses (developers.openai.com/api/reference/resources/responses)."""

from typing import Any

from motenet.apps.llm.server import openai_chat, openai_common
from motenet.apps.llm.server.script import ModelRequest
from motenet.apps.llm.server.wire import Refused, Turn, count_of, event, messages_of, model_of
from motenet.apps.llm.types import FinishReason, Message, Role

PATH = "/v1/responses"
OVERLOADED = openai_common.OVERLOADED
PARTS = ("input_text", "output_text", "text")
REASONS = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}
"""Why an answer is incomplete."""


def parse(body: dict[str, Any], headers: dict[str, str]) -> ModelRequest:
    asked = body.get("input")
    if isinstance(asked, str):
        said = [Message(Role.USER, asked)]
    else:
        said = messages_of(body, "input", openai_chat.ROLES, PARTS)
    told = body.get("instructions")
    if isinstance(told, str):
        said.insert(0, Message(Role.SYSTEM, told))
    return ModelRequest(PATH, model_of(body), said, body.get("stream") is True, count_of(body, "max_output_tokens"))


def whole(turn: Turn) -> dict[str, Any]:
    return _response(turn, "incomplete" if turn.finish_reason in REASONS else "completed")


def opening(turn: Turn) -> bytes:
    return b"".join(
        (
            _event(turn, "response.created", response=_response(turn, "in_progress")),
            _event(turn, "response.in_progress", response=_response(turn, "in_progress")),
            _event(turn, "response.output_item.added", output_index=0, item=_item(turn, "in_progress", parts=False)),
            _event(turn, "response.content_part.added", **_place(turn), part=_part(turn)),
        )
    )


def token(turn: Turn, text: str) -> bytes:
    return _event(turn, "response.output_text.delta", **_place(turn), delta=text, logprobs=[])


def closing(turn: Turn) -> bytes:
    response = whole(turn)
    status = response["status"]
    return b"".join(
        (
            _event(turn, "response.output_text.done", **_place(turn), text=turn.text, logprobs=[]),
            _event(turn, "response.content_part.done", **_place(turn), part=_part(turn)),
            _event(turn, "response.output_item.done", output_index=0, item=_item(turn, status)),
            _event(turn, f"response.{status}", response=response),
        )
    )


def interruption(turn: Turn, message: str) -> bytes:
    told = openai_common.error(Refused(OVERLOADED, message, "server_error"), "")["error"]
    return _event(turn, "error", code=told["code"], message=told["message"], param=None)


def _event(turn: Turn, kind: str, **members: Any) -> bytes:
    data = {"type": kind, "sequence_number": turn.events, **members}
    turn.events += 1
    return event(data, kind)


def _place(turn: Turn) -> dict[str, Any]:
    return {"item_id": turn.name("msg_"), "output_index": 0, "content_index": 0}


def _part(turn: Turn) -> dict[str, Any]:
    return {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}


def _item(turn: Turn, status: str, parts: bool = True) -> dict[str, Any]:
    return {
        "id": turn.name("msg_"), "type": "message", "status": status, "role": "assistant",
        "content": [_part(turn)] if parts else [],
    }  # fmt: skip


def _response(turn: Turn, status: str) -> dict[str, Any]:
    done = status != "in_progress"
    reason = {"reason": REASONS[turn.finish_reason]} if status == "incomplete" else None
    used = {
        "input_tokens": turn.request.tokens, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": turn.sent, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": turn.request.tokens + turn.sent,
    }  # fmt: skip
    return {
        "id": turn.name("resp_"), "object": "response", "created_at": turn.created, "status": status, "error": None,
        "incomplete_details": reason, "instructions": turn.request.body.get("instructions"),
        "max_output_tokens": turn.request.max_tokens, "model": turn.request.model,
        "output": [_item(turn, status)] if done else [], "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "store": False, "temperature": None,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": None,
        "truncation": "disabled", "usage": used if done else None, "user": None, "metadata": {},
    }  # fmt: skip
