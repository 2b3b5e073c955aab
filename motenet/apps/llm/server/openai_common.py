"""What OpenAI's two APIs share: the key, errors, and the list of models (developers.openai.com/api/reference)."""

from collections.abc import Mapping
from typing import Any

from motenet.apps.llm import catalog
from motenet.apps.llm.server.wire import Refused
from motenet.apps.llm.types import ModelInfo

MODELS = catalog.OPENAI
REQUEST_ID = "x-request-id"
OVERLOADED = 503
TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 404: "invalid_request_error", 429: "requests"}
"""An error's type by its status; other 4xx are "invalid_request_error", too, and 5xx "server_error"."""
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
MESSAGES = {
    401: "Incorrect API key provided.",
    403: "You are not allowed to use this.",
    429: "Rate limit reached for requests.",
    500: "The server had an error while processing your request.",
    503: "The engine is currently overloaded, please try again later.",
}


def key(headers: Mapping[str, str]) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ").strip()


def error(refused: Refused, request_id: str) -> dict[str, Any]:
    status = refused.status
    return {
        "error": {
            "message": refused.message or MESSAGES.get(status, MESSAGES[500] if status >= 500 else "Invalid request."),
            "type": TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
            "param": refused.param,
            "code": refused.kind or CODES.get(status),
        }
    }


def no_model(model: str) -> Refused:
    return Refused(404, f"The model `{model}` does not exist or you do not have access to it.", "model_not_found")


def too_long(tokens: int, longest: int) -> Refused:
    told = f"This model's maximum context length is {longest} tokens. Your messages have {tokens} tokens."
    return Refused(400, told, "context_length_exceeded", "messages")


def model(info: ModelInfo, epoch: int) -> dict[str, Any]:
    return {"id": info.id, "object": "model", "created": epoch, "owned_by": "motenet"}


def models(described: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": described}
