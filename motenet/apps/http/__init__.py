"""HTTP/1.1: over the stack's sockets, in events, where h11 speaks the protocol; and HttpClient, a face on httpx."""

from motenet.apps.http.client import BodyTooLarge, HeaderTooLarge, HttpClient, Response, ResponseTooLarge
from motenet.apps.http.fetcher import BadResponse, BadStatus, Fetcher, HttpError, HttpResponse
from motenet.apps.http.server import HttpServer
from motenet.apps.http.site import Folder, Moved, Pages, Resource, Site

__all__ = [
    "BadResponse",
    "BadStatus",
    "BodyTooLarge",
    "Fetcher",
    "Folder",
    "HeaderTooLarge",
    "HttpClient",
    "HttpError",
    "HttpResponse",
    "HttpServer",
    "Moved",
    "Pages",
    "Resource",
    "Response",
    "ResponseTooLarge",
    "Site",
]
