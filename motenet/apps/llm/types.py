"""What goes to a language model and what comes back, the same for every provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """Who says a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str

    @classmethod
    def system(cls, content: str) -> "Message":
        """What the model is told before the conversation."""
        return cls(Role.SYSTEM, content)

    @classmethod
    def user(cls, content: str) -> "Message":
        """What a person says."""
        return cls(Role.USER, content)

    @classmethod
    def assistant(cls, content: str) -> "Message":
        """What the model has answered before."""
        return cls(Role.ASSISTANT, content)


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """How to generate. What is None is left out of the request: the model's own default holds.

    Even the temperature: many of today's models refuse any.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    stop_sequences: Sequence[str] = ()
    top_p: float | None = None
    top_k: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the request's body, in the provider's own names."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a provider offers."""

    id: str
    name: str
    context_length: int | None = None
    """Tokens; None where the source does not say."""
    supports_streaming: bool = True


class FinishReason(StrEnum):
    """Why an answer ended; what the provider calls it is in CompletionResult.stop_reason."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counts them; those of a cached prompt belong to the input."""

    input_tokens: int
    output_tokens: int

    @property
    def total_tokens(self) -> int:
        """Both ways."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """A whole answer."""

    text: str
    finish_reason: FinishReason
    usage: Usage | None = None
    stop_reason: str = ""
    """The provider's own word: "end_turn", "tool_calls" ..."""
    model: str = ""
    """The model that answered, as the endpoint names it."""
    id: str = ""

    @property
    def tokens_used(self) -> int | None:
        """Tokens of the answer, if the endpoint tells."""
        return None if self.usage is None else self.usage.output_tokens
