"""Serves SavedModels over HTTP, with the REST protocol of TensorFlow Serving.

    python -m saved_models.serve --model reviews=reviews_model --model questions=squad_model

Needs the extra `serve` of this package. Then http://127.0.0.1:8501/ is a page to try the models
in, and POST /v1/models/NAME:predict answers, as TensorFlow Serving does. A folder is what
`saved_models.export` wrote, or holds versions of it named 1/, 2/, ..., of which the newest is
served; --model_config_file serves more of them, by labels too. Requests that come at the same time
are computed together. SIGTERM ends the server when all requests it has are answered. Starting
takes five seconds, and a second or more for each model.
"""

from __future__ import annotations

import socket
import sys

from absl import flags as absl_flags

from bert_tf import flags

try:
    import uvicorn

    from saved_models.serving.app import Server
    from saved_models.serving.connections import Connection, names_of
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "saved_models.serve needs starlette, uvicorn and prometheus-client, but "
        f"{error.name} is not installed. Install them: pip install 'bert-tf[serve]', or "
        "pip install starlette uvicorn prometheus-client."
    ) from error
from saved_models.serving.batching import Batching
from saved_models.serving.limits import Limits
from saved_models.serving.model_config import read_model_config
from saved_models.serving.models import load_models, parse_models

_GRACE_SECONDS = 60  # for running requests, after SIGTERM
_MOST_CONNECTIONS = 1000  # beyond them, answers are 503


def define_flags() -> None:
    """All flags of this command."""
    limits, batching = Limits(), Batching()
    absl_flags.DEFINE_multi_string("model", [], "NAME=FOLDER; may be given several times.")
    absl_flags.DEFINE_string(
        "model_config_file", None, "Models, versions and labels, as TensorFlow Serving reads them."
    )
    absl_flags.DEFINE_string("host", "127.0.0.1", "Address to listen at; 0.0.0.0: all of them.")
    absl_flags.DEFINE_integer("port", 8501, "Port to listen at; 0: any free one, which is said.")
    absl_flags.DEFINE_integer("max_batch_size", batching.rows, "Instances computed together.")
    absl_flags.DEFINE_float(
        "batch_wait_ms", batching.seconds * 1000, "How long a request waits for others."
    )
    absl_flags.DEFINE_integer("max_queue", limits.queue, "Instances that may wait.")
    absl_flags.DEFINE_integer("max_instances", limits.instances, "Instances of a request.")
    absl_flags.DEFINE_integer("max_body_bytes", limits.body_bytes, "Bytes of a request.")
    absl_flags.DEFINE_integer("max_text_bytes", limits.text_bytes, "Bytes of one string.")
    absl_flags.DEFINE_integer(
        "max_axis", limits.axis, "Tokens or places of a row, where a request holds numbers."
    )
    absl_flags.DEFINE_integer(
        "max_answer_values", limits.answer_values, "Numbers or strings of an answer."
    )
    absl_flags.adopt_module_key_flags(flags)


def bound(host: str, port: int) -> socket.socket:
    """A socket with its address; it refuses connections until the server listens.

    Raises:
      OSError: the address is taken, or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's delay only where it sees that a socket is TCP; with it, each answer
    # takes 40 ms more.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except (OSError, OverflowError) as error:
        made.close()
        raise OSError(
            f"--host and --port must be a free address of this machine; {host}:{port}: {error}. "
            "Take another port, or end what listens there."
        ) from None
    return made


def main() -> None:
    """Loads the models, then serves until a signal comes."""
    values = flags.FLAGS
    limits = Limits(
        body_bytes=values.max_body_bytes,
        instances=values.max_instances,
        text_bytes=values.max_text_bytes,
        queue=values.max_queue,
        axis=values.max_axis,
        answer_values=values.max_answer_values,
    )
    batching = Batching(values.max_batch_size, values.batch_wait_ms / 1000, limits.queue)
    configs = parse_models(values.model)
    if values.model_config_file:
        configs += read_model_config(values.model_config_file)
    with bound(values.host, values.port) as sock:
        models = load_models(configs)
        host, port = sock.getsockname()[:2]
        place = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"{', '.join(models)}: http://{place}:{port}/\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            Server(models, batching, limits).app(names_of(values.host, host)),
            http=Connection,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            limit_concurrency=_MOST_CONNECTIONS,
        )
        uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    flags.launch(define_flags, main)
