"""Sentence vectors: the mean of the last layer's tokens, scaled to a length of 1.

    python -m bert_tf.embed --init_checkpoint=all-MiniLM-L6-v2 --input_file=sentences.txt \\
      --output_file=vectors.npy

Texts come one a line, from --input_file or else standard input. Those over --max_seq_length are
read in overlapping windows, whose means are weighted by their tokens (--long_texts=truncate cuts
them, as sentence-transformers does); how many there were is said. The product of two vectors is
their cosine: with all-MiniLM-L6-v2, "A man is eating food." and "A man is eating a piece of
bread." have 0.755. A progress line tells the pace; a few sentences take ten seconds, most of them
to start TensorFlow.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags as absl_flags

from bert_tf import flags, task_flags
from bert_tf.inputs.packing import WINDOW
from bert_tf.tasks import feature_files, features
from bert_tf.tasks.feature_files import Row
from bert_tf.training import extraction, reports, runtime

_TEXTS_AT_ONCE = 2048
_LAST = -1


def define_flags() -> None:
    """All flags of this command."""
    flags.define_model()
    flags.define_vocabulary()
    flags.define_runtime()
    absl_flags.DEFINE_string("input_file", None, "Texts, one a line; default: standard input.")
    absl_flags.DEFINE_string("output_file", None, "File of vectors to write.", required=True)
    formats = [feature_files.NPY, feature_files.NPZ, feature_files.JSONL]
    absl_flags.DEFINE_enum("format", None, formats, "Default: what the output's name ends in.")
    absl_flags.DEFINE_enum("dtype", "float32", ["float32", "float16"], "Type of the numbers.")
    absl_flags.DEFINE_integer("max_seq_length", 256, "Most tokens of a text.")
    absl_flags.DEFINE_integer("batch_size", 32, "Texts of a batch.")
    task_flags.define_long_texts(WINDOW)
    for module in (flags, task_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def _format(output: Path, chosen: str | None) -> str:
    found = chosen or output.suffix.removeprefix(".")
    if found not in (feature_files.NPY, feature_files.NPZ, feature_files.JSONL):
        raise ValueError(
            f"--output_file must end in .npy, .npz or .jsonl, or --format say which, but is "
            f"{output}."
        )
    return found


def _texts(input_file: str | None) -> Iterator[features.Text]:
    if input_file:
        yield from features.read_texts(input_file)
        return
    for number, line in enumerate(sys.stdin):
        yield features.split_pair(number, line)


def main() -> None:
    """Embeds all texts."""
    values, output = flags.FLAGS, Path(flags.FLAGS.output_file)
    write = feature_files.WRITERS[_format(output, values.format)]
    task = features.FeatureTask(
        flags.config_from_flags(), values.max_seq_length, [_LAST], features.MEAN
    )
    featurizer = features.TextFeaturizer(
        flags.tokenizer_from_flags(), values.max_seq_length, task_flags.stride_from_flags()
    )
    chunks = featurizer.chunks(_texts(values.input_file), _TEXTS_AT_ONCE)
    started = runtime.start(flags.runtime_from_flags())
    extractor = extraction.Extractor(task, started, values.init_checkpoint, values.batch_size)

    def rows() -> Iterator[Row]:
        for chunk, outputs in extractor.run(chunks):
            vectors = {
                name: list(features.normalized(np.stack(each)))
                for name, each in task.of_texts(chunk, outputs).items()
            }
            yield from feature_files.rows(chunk, vectors, values.dtype)

    count = write(output, rows())
    if said := featurizer.report():
        reports.say(said)
    reports.say(f"{count} texts: {output}")


if __name__ == "__main__":
    flags.launch(define_flags, main)
