"""What a server accepts, and the error that says what it does not.

Every request that is refused gets one sentence with the rule, what was received, and the way out.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

_LONGEST_SHOWN = 80  # characters of a value in a message
_WITHOUT_FLAG = ("values", "choices", "receive_seconds")


class RequestError(Exception):
    """A request that cannot be answered.

    Attributes:
      status: of HTTP; 4xx is the sender's to mend.
      message: the rule, what was received, and the way out.
    """

    def __init__(self, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = int(status)
        self.message = message


@dataclass(frozen=True)
class Limits:
    """The most that one request may bring, ask for, and that may wait.

    Attributes:
      body_bytes: of a request.
      instances: of a request.
      text_bytes: of one string, in UTF-8.
      values: strings or numbers of one input, all instances together.
      axis: numbers along the last axis, if the signature leaves it open and it is not the first:
        tokens or places.
      choices: the same of strings and of axes between: each is computed.
      answer_values: strings or numbers of an answer.
      queue: instances that wait for a model.
      receive_seconds: until a request's body must be here.

    Raises:
      ValueError: a limit is below 1.
    """

    body_bytes: int = 300_000
    instances: int = 128
    text_bytes: int = 100_000
    values: int = 65_536
    axis: int = 512
    choices: int = 64
    answer_values: int = 2_000_000
    queue: int = 512
    receive_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not value >= 1:
                kind = "Limits." if field.name in _WITHOUT_FLAG else "--max_"
                raise ValueError(f"{kind}{field.name} must be at least 1; got {value}. Raise it.")


def too_much(message: str) -> RequestError:
    """The error for a request above a limit."""
    return RequestError(message, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def shown(value: Any) -> str:
    """A value as JSON, cut, for a message; what cannot be encoded is escaped."""
    try:
        text = json.dumps(value)  # ASCII: a message must be sendable whatever it cites
    except (TypeError, ValueError, RecursionError):
        text = ascii(type(value).__name__)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
