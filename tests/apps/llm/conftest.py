"""Clients that talk to a model server in the same process: no network at all."""

from collections.abc import Callable

import httpx2
import pytest

from motenet.apps.llm import ModelServer


@pytest.fixture
def http() -> Callable[[ModelServer], httpx2.AsyncClient]:
    """An HTTP client whose every request goes to this server."""

    def make(server: ModelServer) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(server), base_url="http://model.test")

    return make
