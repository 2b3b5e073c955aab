"""TLS by asyncio's own SSLProtocol, between a transport and its application's protocol."""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motenet.sim.aio.loop import WorldLoop


@dataclass(frozen=True, slots=True)
class Security:
    """What a connection's TLS is made with; the timeouts are seconds, None for asyncio's (60 and 30)."""

    context: ssl.SSLContext
    server_side: bool
    hostname: str | None = None
    handshake_timeout: float | None = None
    shutdown_timeout: float | None = None

    def layer(
        self,
        loop: "WorldLoop",
        protocol: asyncio.BaseProtocol,
        waiter: "asyncio.Future[Any] | None" = None,
        begin: bool = True,
    ) -> SSLProtocol:
        """The protocol that goes between; `begin`: it calls the application's connection_made."""
        make: Any = SSLProtocol  # typeshed knows neither that there may be no waiter, nor fractions of a second
        return make(  # type: ignore[no-any-return]
            loop,
            protocol,
            self.context,
            waiter,
            self.server_side,
            self.hostname,
            call_connection_made=begin,
            ssl_handshake_timeout=self.handshake_timeout,
            ssl_shutdown_timeout=self.shutdown_timeout,
        )


def application_side(layer: SSLProtocol) -> asyncio.Transport:
    """The transport that the application writes to."""
    transport: asyncio.Transport = layer._app_transport
    return transport


def client_context(wanted: ssl.SSLContext | bool) -> ssl.SSLContext:
    """The caller's, or for True the usual one, which trusts the installation's authorities."""
    return ssl.create_default_context() if isinstance(wanted, bool) else wanted


async def start_tls(
    loop: "WorldLoop", transport: asyncio.Transport, protocol: asyncio.BaseProtocol, security: Security
) -> asyncio.Transport:
    """Secure a connection that is open; the protocol goes on with the transport that is returned."""
    waiter = loop.create_future()
    layer = security.layer(loop, protocol, waiter, begin=False)
    transport.pause_reading()  # nothing may come ahead of connection_made
    transport.set_protocol(layer)
    made = loop.call_soon(layer.connection_made, transport)
    resumed = loop.call_soon(transport.resume_reading)
    try:
        await waiter
    except BaseException:
        transport.close()
        made.cancel()
        resumed.cancel()
        raise
    return application_side(layer)
