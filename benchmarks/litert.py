"""int8 models of LiteRT beside the same encoder as a float32 SavedModel.

    python -m benchmarks.litert --init_checkpoint all-MiniLM-L6-v2
    python -m benchmarks.litert --size bert-base

Prints the size of the file against that of float32 weights, the cosine of vectors, and the time of
a sequence, batch 1, at some lengths; both sides take turns on the same inputs, on as many threads.
A size instead of a checkpoint means random weights, whose speed and size are those of real ones,
but whose cosine tells little. bert-base takes five minutes and 4 GB.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.config import BertConfig, named_config
from bert_tf.conversion import huggingface, initialize
from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling.encoder import build_encoder
from saved_models.litert import ENCODER, export_litert, outputs_of
from saved_models.litert_runner import Card, LiteRunner

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Options:
    """What to measure: `init_checkpoint` (a Hugging Face folder), or else a named `size`."""

    init_checkpoint: str | None
    size: str
    lengths: tuple[int, ...]
    threads: int
    rounds: int


class Saved:
    """The encoder as a SavedModel, loaded again; called with ids."""

    def __init__(self, model: keras.Model, folder: Path) -> None:
        module = tf.Module()
        module.weights = [variable.value for variable in named_variables(model).values()]

        @tf.function(autograph=False)
        def serve_ids(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return outputs_of(ENCODER, model, inputs)

        names = ("input_word_ids", "input_mask", "input_type_ids")
        function = serve_ids.get_concrete_function(
            **{name: tf.TensorSpec([None, None], tf.int32, name=name) for name in names}
        )
        tf.saved_model.save(module, str(folder), signatures={"serve_ids": function})
        self._loaded = tf.saved_model.load(str(folder))

    def __call__(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """The last layer's vectors."""
        call = self._loaded.signatures["serve_ids"]
        outputs = call(**{name: tf.constant(value) for name, value in inputs.items()})
        return outputs["sequence_output"].numpy()


def milliseconds(function: Callable[..., Any], inputs: dict[str, np.ndarray]) -> float:
    """Of one call: the median of a few."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        function(inputs)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def encoder_of(options: Options) -> tuple[keras.Model, BertConfig, Path, bool]:
    """The model, its sizes, its vocabulary and whether that is lower-cased."""
    if options.init_checkpoint is None:
        config = named_config(options.size)
        return build_encoder(config, seed=1), config, ROOT / "tests/goldens/vocab.txt", True
    config = huggingface.read_config(options.init_checkpoint)
    model = build_encoder(config)
    initialize.load_weights(model, options.init_checkpoint)
    return model, config, *huggingface.find_vocabulary(options.init_checkpoint)


def run(options: Options) -> None:
    """Exports, compares and measures; prints what was found."""
    model, config, vocab_file, do_lower_case = encoder_of(options)
    print(f"{options.init_checkpoint or options.size}: {config.num_hidden_layers} layers of "
          f"{config.hidden_size}, {model.count_params() / 1e6:.1f} million weights, "
          f"{options.threads} threads")  # fmt: skip
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        float32 = Saved(model, Path(folder) / "saved")
        for length in options.lengths:
            target = Path(folder) / f"lite_{length}"
            card = Card(ENCODER, do_lower_case, length)
            fidelity = export_litert(ENCODER, model, vocab_file, card, target)
            int8 = LiteRunner(target, options.threads)
            ids = draw.integers(5, config.vocab_size, [1, length], np.int32)
            inputs = {"input_word_ids": ids, "input_mask": ids * 0 + 1, "input_type_ids": ids * 0}
            for side in (float32, int8.run):  # the first calls make plans and take memory
                milliseconds(side, inputs)
            times = [
                (milliseconds(float32, inputs), milliseconds(int8.run, inputs))
                for _ in range(options.rounds)
            ]
            ours, theirs = (statistics.median(each) for each in zip(*times, strict=True))
            ratio = statistics.median(one / other for one, other in times)
            print(
                f"{length:4} tokens: float32 SavedModel {ours:7.2f} ms, int8 LiteRT {theirs:7.2f} "
                f"ms, {ratio:.2f}x as fast; {fidelity}",
                flush=True,
            )


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Options from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--init_checkpoint", help="a Hugging Face folder")
    parser.add_argument("--size", default="bert-mini", help="random weights of this size")
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args(arguments)
    return Options(
        given.init_checkpoint, given.size, tuple(given.lengths), given.threads, given.rounds
    )


if __name__ == "__main__":
    chosen = parse()
    tf.config.threading.set_intra_op_parallelism_threads(chosen.threads)
    run(chosen)
