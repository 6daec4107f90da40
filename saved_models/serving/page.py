"""The page to try a model: three files that ask nothing of elsewhere.

A content security policy forbids every script, style and request but this server's own, and page.js
writes texts as texts only, so that what a model answers cannot become a part of the page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# Colours and the shapes of texts are those of the reports.
_PACKAGES = {
    "/": ("page.html", [__package__], "text/html"),
    "/page.js": ("page.js", [__package__], "text/javascript"),
    "/page.css": ("page.css", ["bert_tf.reporting", __package__], "text/css"),
}


@cache
def _content(path: str) -> bytes:
    name, packages, _ = _PACKAGES[path]
    parts = [resources.files(package).joinpath(name).read_bytes() for package in packages]
    return b"\n".join(parts)


def _handler(path: str) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return Response(_content(path), headers=_HEADERS, media_type=_PACKAGES[path][2])

    return handle


FILES = {path: _handler(path) for path in _PACKAGES}
