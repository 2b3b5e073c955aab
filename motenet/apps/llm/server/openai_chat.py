"""OpenAI's chat completions (developers.openai.com/api/reference/resources/chat)."""

from typing import Any

from motenet.apps.llm.server import openai_common
from motenet.apps.llm.server.script import ModelRequest
from motenet.apps.llm.server.wire import Refused, Turn, count_of, event, messages_of, model_of, strings_of
from motenet.apps.llm.types import FinishReason, Role

PATH = "/v1/chat/completions"
ROLES = {
    "system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT,
}  # fmt: skip
FINISH = {FinishReason.LENGTH: "length", FinishReason.CONTENT_FILTER: "content_filter"}
"""All others are "stop"."""
OVERLOADED = openai_common.OVERLOADED
DONE = b"data: [DONE]\n\n"


def parse(body: dict[str, Any], headers: dict[str, str]) -> ModelRequest:
    if body.get("n") not in (None, 1):
        raise Refused(400, "n: this server gives one choice", "unsupported_value", "n")
    options = body.get("stream_options") or {}
    limit = count_of(body, "max_completion_tokens")
    return ModelRequest(
        PATH, model_of(body), messages_of(body, "messages", ROLES, ("text",)), body.get("stream") is True,
        count_of(body, "max_tokens") if limit is None else limit, strings_of(body.get("stop"), "stop"),
        isinstance(options, dict) and options.get("include_usage") is True,
    )  # fmt: skip


def usage(turn: Turn) -> dict[str, Any]:
    prompt = turn.request.tokens
    return {
        "prompt_tokens": prompt, "completion_tokens": turn.sent, "total_tokens": prompt + turn.sent,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }  # fmt: skip


def whole(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text, "refusal": None, "annotations": []}
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": FINISH.get(turn.finish_reason, "stop"),
    }  # fmt: skip
    return _frame(turn, "chat.completion", [choice]) | {"usage": usage(turn)}


def opening(turn: Turn) -> bytes:
    return _chunk(turn, {"role": "assistant", "content": "", "refusal": None})


def token(turn: Turn, text: str) -> bytes:
    return _chunk(turn, {"content": text})


def closing(turn: Turn) -> bytes:
    """With the usage in a chunk of its own, which has no choices, if it is asked for."""
    end = _chunk(turn, {}, FINISH.get(turn.finish_reason, "stop"))
    if turn.request.include_usage:
        end += event(_frame(turn, "chat.completion.chunk", []) | {"usage": usage(turn)})
    return end + DONE


def interruption(turn: Turn, message: str) -> bytes:
    return event(openai_common.error(Refused(OVERLOADED, message), ""))


def _frame(turn: Turn, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": turn.name("chatcmpl-"), "object": kind, "created": turn.created, "model": turn.request.model,
        "service_tier": "default", "system_fingerprint": "fp_motenet", "choices": choices,
    }  # fmt: skip


def _chunk(turn: Turn, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = _frame(turn, "chat.completion.chunk", [choice])
    return event(chunk | {"usage": None} if turn.request.include_usage else chunk)
