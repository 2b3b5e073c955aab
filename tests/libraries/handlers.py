"""What servers of several tests answer."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse


async def tell(request: Request) -> JSONResponse:
    """Who has asked, and how much was sent."""
    assert request.client is not None
    return JSONResponse({"client": request.client.host, "length": len(await request.body())})


async def slow(request: Request) -> PlainTextResponse:
    """After two seconds."""
    await asyncio.sleep(2)
    return PlainTextResponse("at last")
