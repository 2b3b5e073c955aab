"""Language models: one interface for four providers, on the official SDKs, and a server that speaks their APIs."""

from motenet.core.errors import ConfigurationError

try:
    from motenet.apps.llm.anthropic import AnthropicClient
    from motenet.apps.llm.compatible import GroqClient, OpenAiClient, XaiClient
    from motenet.apps.llm.provider import LlmProvider
except ModuleNotFoundError as error:
    raise ConfigurationError(f"motenet.apps.llm needs {error.name}: pip install 'motenet[apps]'") from error
from motenet.apps.llm.errors import (
    AuthError,
    ContextTooLong,
    HttpError,
    InvalidModel,
    LlmError,
    LlmTimeout,
    NetworkError,
    ParseError,
    RateLimitError,
    ServerError,
)  # fmt: skip
from motenet.apps.llm.server import Answer, Fault, ModelRequest, ModelServer, Script, TokenTiming
from motenet.apps.llm.types import CompletionResult, FinishReason, GenerationConfig, Message, ModelInfo, Role, Usage

PROVIDERS: dict[str, type[LlmProvider]] = {
    "anthropic": AnthropicClient,
    "openai": OpenAiClient,
    "groq": GroqClient,
    "xai": XaiClient,
}
"""By the name that a command line gives them."""

__all__ = [
    "PROVIDERS",
    "Answer",
    "AnthropicClient",
    "AuthError",
    "CompletionResult",
    "ContextTooLong",
    "Fault",
    "FinishReason",
    "GenerationConfig",
    "GroqClient",
    "HttpError",
    "InvalidModel",
    "LlmError",
    "LlmProvider",
    "LlmTimeout",
    "Message",
    "ModelInfo",
    "ModelRequest",
    "ModelServer",
    "NetworkError",
    "OpenAiClient",
    "ParseError",
    "RateLimitError",
    "Role",
    "Script",
    "ServerError",
    "TokenTiming",
    "Usage",
    "XaiClient",
]
