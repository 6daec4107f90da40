"""Who may ask, and for how long a connection may say nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Iterable
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from saved_models.serving.limits import RequestError, shown

_HOST = re.compile(r"(\[.*\]|[^:]*)(:\d*)?")


def names_of(host: str, address: str) -> frozenset[str] | None:
    """What a request may call this server, in lower case; None for anything.

    A server that listens to its own machine alone is called by that machine's names. A page of
    elsewhere whose name was made to point here (DNS rebinding) calls it by another one.

    Args:
      host: as it was asked for.
      address: that it is bound to.
    """
    if not ipaddress.ip_address(address).is_loopback:
        return None
    called = f"[{host}]" if ":" in host else host
    return frozenset({"localhost", "127.0.0.1", "[::1]", called.lower()})


def check_hosts(hosts: Iterable[str], names: frozenset[str]) -> None:
    """Holds the Host headers of a request to these names; HTTP/1.0 needs none.

    Raises:
      RequestError: one is another.
    """
    for host in hosts:
        found = _HOST.fullmatch(host.lower())
        if not found or found[1] not in names:
            raise RequestError(
                "A server that listens to its own machine alone must be called "
                f"{', '.join(sorted(names))}; got the Host {shown(host)}. Use one of them, or "
                "start it with another --host.",
                HTTPStatus.MISDIRECTED_REQUEST,
            )


class Connection(H11Protocol):
    """Uvicorn's connection, which closes if no head of a request becomes whole.

    Uvicorn waits for the first one without end, and the connections that it holds are counted.

    Attributes:
      head_seconds: that it takes at least; twice as many at most.
    """

    head_seconds: float = 10.0
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio calls it."""
        super().connection_made(transport)
        self._look_later(idle=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_later(self, idle: bool) -> None:
        seen = self.scope  # another one with each request
        self._look = self.loop.call_later(self.head_seconds, self._close_if_idle, idle, seen)

    def _close_if_idle(self, was_idle: bool, seen: object) -> None:
        idle = self.conn.their_state is h11.IDLE and self.scope is seen
        if idle and was_idle:
            self.transport.close()
        else:
            self._look_later(idle)
