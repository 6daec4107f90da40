"""What a server counts, in the text format of Prometheus.

Names of models are those that are served, so that no request can add a series.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
UNKNOWN = ""  # the model of a request that names none of ours
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "bert_tf_requests",
            "Predictions by status.",
            ["model", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "bert_tf_request_seconds",
            "From the request's head to its answer.",
            ["model"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rows = Histogram(
            "bert_tf_batch_rows",
            "Instances computed together.",
            ["model", "version"],
            buckets=_ROWS,
            registry=self._registry,
        )
        self._waiting = Gauge(
            "bert_tf_waiting_rows",
            "Instances in the queue.",
            ["model", "version"],
            registry=self._registry,
        )

    def batches(self, model: str, version: int) -> Callable[[int], None]:
        """Takes the rows of each batch of a version."""
        rows = self._rows.labels(model, str(version))
        return lambda count: rows.observe(count)

    def watch(self, model: str, version: int, waiting: Callable[[], int]) -> None:
        """Shows how many instances wait for a version."""
        self._waiting.labels(model, str(version)).set_function(waiting)

    def answered(self, model: str, status: int, seconds: float) -> None:
        """Counts a prediction."""
        self._requests.labels(model, str(status)).inc()
        self._seconds.labels(model).observe(seconds)

    def text(self) -> bytes:
        """All of them, as `CONTENT_TYPE`."""
        return generate_latest(self._registry)
