"""The ASGI application: addresses, and what is said at each of them.

GET  /                                              the page to try a model
GET  /healthz  /readyz  /metrics
GET  /v1/models                                     names, versions, labels, cards
GET  /v1/models/NAME[/versions/N|/labels/L]         status
GET  /v1/models/NAME[/versions/N|/labels/L]/metadata
POST /v1/models/NAME[/versions/N|/labels/L]:predict
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from saved_models.serving import page, protocol
from saved_models.serving.batching import Batcher, Batching
from saved_models.serving.connections import check_hosts
from saved_models.serving.limits import Limits, RequestError, shown, too_much
from saved_models.serving.metrics import CONTENT_TYPE, UNKNOWN, Metrics
from saved_models.serving.models import Model, Version, check_examples

_PLACES = ("", "/versions/{version}", "/labels/{label}")
# Nothing that a browser reads here may be taken for something else, or be asked for by a frame.
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Server:
    """Handlers of requests, and the batchers behind them.

    Args:
      models: by name.
      batching: of each version.
      limits: of requests.
    """

    def __init__(self, models: Mapping[str, Model], batching: Batching, limits: Limits) -> None:
        self._models, self._limits = models, limits
        self._metrics = Metrics()
        self._batchers: dict[tuple[str, int], Batcher] = {}
        self._ready = False
        for model in models.values():
            for version in model.versions.values():
                observe = self._metrics.batches(model.name, version.number)
                batcher = Batcher(version.run, batching, observe, limits.answer_values)
                self._metrics.watch(model.name, version.number, batcher.waiting)
                self._batchers[model.name, version.number] = batcher

    def app(self, names: frozenset[str] | None = None) -> Starlette:
        """The application; when it ends, requests that wait are answered first.

        Args:
          names: what requests may call this server; None for anything.
        """
        routes = [
            *(Route(path, handler) for path, handler in page.FILES.items()),
            Route("/healthz", self.healthy),
            Route("/readyz", self.ready),
            Route("/metrics", self.metrics),
            Route("/v1/models", self.models),
        ]
        for place in _PLACES:
            path = "/v1/models/{name}" + place
            routes += [
                Route(path + ":predict", self.predict, methods=["POST"]),
                Route(path + ":{verb}", self.other_verb, methods=["GET", "POST"]),
                Route(path + "/metadata", self.metadata),
                Route(path, self.status),
            ]
        handlers: Any = {
            RequestError: _refused,
            HTTPException: _no_such_address,
            Exception: _failed,
        }
        return Starlette(
            routes=routes,
            exception_handlers=handlers,
            lifespan=self._lifespan,
            middleware=[Middleware(_HostCheck, names=names)] if names else [],
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        del app
        self._ready = True
        try:
            yield
        finally:
            self._ready = False
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Answers what waits, and ends the threads."""
        for batcher in self._batchers.values():
            batcher.close()

    # --- handlers ---

    async def healthy(self, request: Request) -> Response:
        """The process lives."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Models are loaded, and requests are taken."""
        if self._ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("not ready\n", HTTPStatus.SERVICE_UNAVAILABLE)

    async def metrics(self, request: Request) -> Response:
        """Counters for Prometheus."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def models(self, request: Request) -> Response:
        """All models: an addition to TensorFlow Serving's protocol, which the page needs."""
        return _json({"models": [_described(model) for model in self._models.values()]})

    async def status(self, request: Request) -> Response:
        """The state of a model's versions."""
        model, version = self._found(request)
        one = request.path_params.keys() & {"version", "label"}
        states = [
            {
                "version": str(each.number),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for each in ([version] if one else reversed(list(model.versions.values())))
        ]
        return _json({"model_version_status": states})

    async def metadata(self, request: Request) -> Response:
        """The signatures of a version."""
        model, version = self._found(request)
        return _json(protocol.metadata(model.name, version.number, version.signatures))

    async def other_verb(self, request: Request) -> Response:
        """What TensorFlow Serving has besides `predict`."""
        verb = request.path_params["verb"]
        if verb == "predict":
            raise RequestError("predict takes POST, with a body.", HTTPStatus.METHOD_NOT_ALLOWED)
        raise RequestError(
            f"The verb must be predict, got {shown(verb)}. Its answers hold labels and values.",
            HTTPStatus.NOT_FOUND,
        )

    async def predict(self, request: Request) -> Response:
        """Answers instances."""
        start, status = time.monotonic(), int(HTTPStatus.INTERNAL_SERVER_ERROR)
        try:
            response = await self._predict(request)
            status = response.status_code
            return response
        except RequestError as error:
            status = error.status
            raise
        finally:
            name = request.path_params["name"]
            model = name if name in self._models else UNKNOWN
            self._metrics.answered(model, status, time.monotonic() - start)

    async def _predict(self, request: Request) -> Response:
        model, version = self._found(request)
        payload = protocol.parse_body(await _body(request, self._limits))
        call = protocol.parse_request(payload, version.signatures, self._limits)
        check_examples(call, self._limits)
        job = self._batchers[model.name, version.number].submit(call)
        outputs = await asyncio.wrap_future(job)
        # In a thread: a large answer takes a second, in which others must be heard.
        return _json_bytes(await asyncio.to_thread(protocol.encode_answer, call, outputs))

    def _found(self, request: Request) -> tuple[Model, Version]:
        """Model and version of an address."""
        place = request.path_params
        model = self._models.get(place["name"])
        if model is None:
            raise RequestError(
                f"There is no model {shown(place['name'])} here; there is "
                f"{', '.join(self._models)}. Ask /v1/models.",
                HTTPStatus.NOT_FOUND,
            )
        return model, model.version(place.get("version"), place.get("label"))


class _HostCheck:
    """Answers requests to other names than these itself."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._app
        if scope["type"] == "http":
            request = Request(scope)
            try:
                check_hosts(request.headers.getlist("host"), self._names)
            except RequestError as error:
                answer = await _refused(request, error)
        await answer(scope, receive, send)


async def _body(request: Request, limits: Limits) -> bytes:
    """The body, read no further than its limit and no longer than its time.

    Raises:
      RequestError: it is longer, or does not come.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.receive_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    raise too_much(
                        f"A body may have {limits.body_bytes} bytes; more came. Send fewer "
                        "instances in a request."
                    )
    except TimeoutError:
        raise RequestError(
            f"A body must be here within {limits.receive_seconds:g} s; {len(body)} bytes came. "
            "Send it at once.",
            HTTPStatus.REQUEST_TIMEOUT,
        ) from None
    except ClientDisconnect:
        raise RequestError("The sender left before the body was whole.") from None
    return bytes(body)


def _described(model: Model) -> dict[str, Any]:
    newest = model.version()
    inputs = {name: list(each.inputs) for name, each in newest.signatures.items()}
    return {
        "name": model.name,
        "versions": list(model.versions),
        "labels": dict(model.labels),
        "inputs": inputs,
        "card": dict(newest.card),
    }


def _json(payload: Any, status: int = HTTPStatus.OK) -> Response:
    return _json_bytes(protocol.encode(payload), status)


def _json_bytes(body: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(body, int(status), headers=_HEADERS, media_type="application/json")


async def _refused(request: Request, error: RequestError) -> Response:
    response = _json({"error": error.message}, error.status)
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers["Retry-After"] = "1"
    if error.status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
        response.headers["Connection"] = "close"  # the rest of the body is not read
    return response


async def _no_such_address(request: Request, error: HTTPException) -> Response:
    message = (
        f"{request.method} {shown(request.url.path)}: {error.detail}. Models are predicted with by "
        "POST /v1/models/NAME:predict; GET /v1/models names them."
    )
    return _json({"error": message}, error.status_code)


async def _failed(request: Request, error: Exception) -> Response:
    # Starlette raises it again for the server, which logs it.
    message = "The server failed at this request, and has logged why. Ask whoever runs it."
    return _json({"error": message}, HTTPStatus.INTERNAL_SERVER_ERROR)
