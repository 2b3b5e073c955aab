"""HTTP/1.1 over the stack's sockets, in events; h11 speaks the protocol."""

from motenet.apps.http.client import BadResponse, BadStatus, HttpClient, HttpError, HttpResponse
from motenet.apps.http.server import HttpServer
from motenet.apps.http.site import Folder, Moved, Pages, Resource, Site

__all__ = [
    "BadResponse",
    "BadStatus",
    "Folder",
    "HttpClient",
    "HttpError",
    "HttpResponse",
    "HttpServer",
    "Moved",
    "Pages",
    "Resource",
    "Site",
]
