"""OpenAI, and the providers that speak its chat completions: a thin face on the `openai` SDK."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, ClassVar

import httpx2
from openai import AsyncOpenAI, Omit
from openai.types.chat import ChatCompletionChunk

from motenet.apps.llm import catalog
from motenet.apps.llm.errors import ParseError
from motenet.apps.llm.provider import Answer, LlmProvider
from motenet.apps.llm.translate import FOREIGN, MISSHAPEN, translate
from motenet.apps.llm.types import FinishReason, GenerationConfig, Message, ModelInfo, Usage

FINISH = {
    "stop": FinishReason.STOP, "length": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER,
}  # fmt: skip


class OpenAiClient(LlmProvider):
    """OpenAI, or whatever speaks its chat completions at `base_url`."""

    name = "OpenAI"
    KEY = "OPENAI_API_KEY"
    MODELS = catalog.OPENAI
    BASE_URL: ClassVar[str | None] = None
    """None for the SDK's own."""

    def _connect(self, key: str, base_url: str | None, retries: int, http: httpx2.AsyncClient | None) -> None:
        others: Any = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}  # the environment's: nobody else's
        self.client = AsyncOpenAI(
            api_key=key, base_url=base_url or self.BASE_URL, max_retries=retries, http_client=http,
            default_headers=others if self.BASE_URL else None,
        )  # fmt: skip
        """The SDK's, for all that this face does not show."""

    async def _stream(
        self, messages: Sequence[Message], config: GenerationConfig, answer: Answer
    ) -> AsyncGenerator[str, None]:
        body = _body(messages, config)
        try:
            chunks = await self.client.chat.completions.create(model=answer.model, stream=True, **body)
            async with chunks:
                async for chunk in chunks:
                    if piece := _take(chunk, answer):
                        yield piece
        except FOREIGN as error:
            raise translate(error, answer.model, answer.text) from error

    async def fetch_models(self) -> list[ModelInfo]:
        try:
            return [ModelInfo(model.id, model.id) async for model in self.client.models.list()]
        except FOREIGN as error:
            raise translate(error, self.name) from error


class GroqClient(OpenAiClient):
    """Groq (console.groq.com/docs/openai)."""

    name = "Groq"
    KEY = "GROQ_API_KEY"
    MODELS = catalog.GROQ
    BASE_URL = "https://api.groq.com/openai/v1"


class XaiClient(OpenAiClient):
    """xAI (docs.x.ai)."""

    name = "xAI"
    KEY = "XAI_API_KEY"
    MODELS = catalog.XAI
    BASE_URL = "https://api.x.ai/v1"


def _body(messages: Sequence[Message], config: GenerationConfig) -> dict[str, Any]:
    """What is asked. top_k is none of OpenAI's: it goes along for the servers that know it."""
    body: dict[str, Any] = {
        "messages": [{"role": message.role.value, "content": message.content} for message in messages],
        "stream_options": {"include_usage": True},
    }
    for name, value in (
        ("max_completion_tokens", config.max_tokens), ("temperature", config.temperature), ("top_p", config.top_p),
        ("stop", list(config.stop_sequences) or None),
    ):  # fmt: skip
        if value is not None:
            body[name] = value
    extra = dict(config.extra)
    if config.top_k is not None:
        extra["top_k"] = config.top_k
    return body | {"extra_body": extra} if extra else body


def _take(chunk: ChatCompletionChunk, answer: Answer) -> str:
    """The chunk's text; what else it tells goes to `answer`. ParseError: the SDK does not check shapes."""
    try:
        answer.id, answer.model = chunk.id or answer.id, chunk.model or answer.model
        if chunk.usage is not None:  # the last chunk, which has no choices
            answer.usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        piece = ""
        for choice in chunk.choices:
            piece += choice.delta.content or choice.delta.refusal or ""
            if choice.finish_reason is not None:
                answer.stop_reason = choice.finish_reason
                answer.finish_reason = FINISH.get(choice.finish_reason, FinishReason.OTHER)
    except MISSHAPEN as error:
        raise ParseError(f"what came from {answer.model} is no chunk: {error}", text=answer.text) from error
    return piece
