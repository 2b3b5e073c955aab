"""What Anthropic's APIs share: the key, errors, and the list of models (platform.claude.com/docs: api/errors)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from motenet.apps.llm import catalog
from motenet.apps.llm.server.wire import Refused
from motenet.apps.llm.types import ModelInfo

MODELS = catalog.ANTHROPIC
REQUEST_ID = "request-id"
OVERLOADED = 529
TYPES = {
    401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    409: "conflict_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip
"""An error's type by its status (docs: api/errors); other 4xx are "invalid_request_error", 5xx "api_error"."""
MESSAGES = {
    401: "invalid x-api-key", 429: "This request would exceed your rate limit.", 500: "Internal server error",
    529: "Overloaded",
}  # fmt: skip


def key(headers: Mapping[str, str]) -> str:
    """X-Api-Key goes before a bearer's token (docs: api/migration-2026-10-21)."""
    return headers.get("x-api-key", headers.get("authorization", "").removeprefix("Bearer ").strip())


def error(refused: Refused, request_id: str) -> dict[str, Any]:
    status = refused.status
    kind = refused.kind or TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    told = {"type": kind, "message": refused.message or MESSAGES.get(status, kind.replace("_", " "))}
    return {"type": "error", "error": told, "request_id": request_id}


def no_model(model: str) -> Refused:
    return Refused(404, f"model: {model}")


def too_long(tokens: int, longest: int) -> Refused:
    return Refused(400, f"prompt is too long: {tokens} tokens > {longest} maximum")


def model(info: ModelInfo, epoch: int) -> dict[str, Any]:
    born = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model", "id": info.id, "display_name": info.name, "created_at": born, "lifecycle": "active",
        "max_input_tokens": info.context_length, "max_tokens": None, "capabilities": None, "line": None,
        "deprecated_at": None, "retires_at": None,
    }  # fmt: skip


def models(described: list[dict[str, Any]]) -> dict[str, Any]:
    ids = [one["id"] for one in described] or [None]
    return {"data": described, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}
