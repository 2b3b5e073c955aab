"""HTTP/1.1 over the stack's sockets, in events; h11 speaks the protocol."""

from motenet.apps.http.fetcher import BadResponse, BadStatus, Fetcher, HttpError, HttpResponse
from motenet.apps.http.server import HttpServer
from motenet.apps.http.site import Folder, Moved, Pages, Resource, Site

__all__ = [
    "BadResponse",
    "BadStatus",
    "Fetcher",
    "Folder",
    "HttpError",
    "HttpResponse",
    "HttpServer",
    "Moved",
    "Pages",
    "Resource",
    "Site",
]
