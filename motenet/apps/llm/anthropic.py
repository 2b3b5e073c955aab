"""Anthropic: a thin face on the `anthropic` SDK."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx2
from anthropic import AsyncAnthropic
from anthropic.types import RawMessageStreamEvent

from motenet.apps.llm import catalog
from motenet.apps.llm.errors import ParseError
from motenet.apps.llm.provider import Answer, LlmProvider
from motenet.apps.llm.translate import FOREIGN, MISSHAPEN, translate
from motenet.apps.llm.types import FinishReason, GenerationConfig, Message, ModelInfo, Role, Usage

FINISH = {
    "end_turn": FinishReason.STOP, "stop_sequence": FinishReason.STOP, "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH, "refusal": FinishReason.CONTENT_FILTER,
}  # fmt: skip
DEFAULT_MAX_TOKENS = 8192
"""The API wants a number; every model of the catalogue takes this one."""
SAMPLING_VERSION = "2023-06-01"
"""The last version of the API that takes temperature, top_p and top_k (docs: api/migration-2026-10-21)."""


class AnthropicClient(LlmProvider):
    """Anthropic, or whatever speaks its Messages API at `base_url`."""

    name = "Anthropic"
    KEY = "ANTHROPIC_API_KEY"
    MODELS = catalog.ANTHROPIC

    def _connect(self, key: str, base_url: str | None, retries: int, http: httpx2.AsyncClient | None) -> None:
        self.client = AsyncAnthropic(api_key=key, base_url=base_url, max_retries=retries, http_client=http)
        """The SDK's, for all that this face does not show."""

    async def _stream(
        self, messages: Sequence[Message], config: GenerationConfig, answer: Answer
    ) -> AsyncGenerator[str, None]:
        body = _body(messages, config)
        try:
            events = await self.client.messages.create(model=answer.model, stream=True, **body)
            async with events:
                async for event in events:
                    if piece := _take(event, answer):
                        yield piece
        except FOREIGN as error:
            raise translate(error, answer.model, answer.text) from error

    async def fetch_models(self) -> list[ModelInfo]:
        try:
            listed = [model async for model in self.client.models.list(limit=1000)]
        except FOREIGN as error:
            raise translate(error, self.name) from error
        return [ModelInfo(model.id, model.display_name, model.max_input_tokens) for model in listed]


def _body(messages: Sequence[Message], config: GenerationConfig) -> dict[str, Any]:
    """What is asked. What the system says stands apart; sampling wants the API's version that still has it."""
    body: dict[str, Any] = {
        "messages": [{"role": one.role.value, "content": one.content} for one in messages if one.role != Role.SYSTEM],
        "max_tokens": DEFAULT_MAX_TOKENS if config.max_tokens is None else config.max_tokens,
    }
    if system := "\n".join(message.content for message in messages if message.role == Role.SYSTEM):
        body["system"] = system
    if config.stop_sequences:
        body["stop_sequences"] = list(config.stop_sequences)
    named = (("temperature", config.temperature), ("top_p", config.top_p), ("top_k", config.top_k))
    sampling = {name: value for name, value in named if value is not None}
    if sampling:
        body["extra_headers"] = {"anthropic-version": SAMPLING_VERSION}
    if extra := sampling | dict(config.extra):
        body["extra_body"] = extra
    return body


def _take(event: RawMessageStreamEvent, answer: Answer) -> str:
    """The event's text; what else it tells goes to `answer`. ParseError: the SDK does not check shapes.

    Event types and deltas that are not known may come at any time and are skipped (docs: build-with-claude/streaming).
    """
    try:
        if event.type == "content_block_delta":
            return event.delta.text if event.delta.type == "text_delta" else ""
        if event.type == "message_start":
            start = event.message
            cached = (start.usage.cache_creation_input_tokens or 0) + (start.usage.cache_read_input_tokens or 0)
            answer.id, answer.model = start.id, start.model
            answer.usage = Usage(start.usage.input_tokens + cached, start.usage.output_tokens)
        elif event.type == "message_delta":
            answer.stop_reason = event.delta.stop_reason or ""
            answer.usage = Usage(answer.usage.input_tokens if answer.usage else 0, event.usage.output_tokens)
        elif event.type == "message_stop":
            answer.finish_reason = FINISH.get(answer.stop_reason, FinishReason.OTHER)
    except MISSHAPEN as error:
        raise ParseError(f"what came from {answer.model} is no event: {error}", text=answer.text) from error
    return ""
