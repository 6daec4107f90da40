"""Writes vectors of the tokens of texts, from any layers of a BERT.

    python -m bert_tf.extract_features --input_file=sentences.txt --output_file=vectors.jsonl \\
      --vocab_file=vocab.txt --bert_config_file=bert_config.json \\
      --init_checkpoint=bert_model.ckpt --layers=-1,-2,-3,-4 --max_seq_length=128

A text a line, pairs parted by " ||| ". The JSON lines are those of the 2018 release, all of whose
flags keep name, default and meaning: texts over --max_seq_length are cut, and counted;
--long_texts=window reads them in overlapping windows and writes the vectors of all their tokens,
each from the window that shows most around it. A progress line tells the pace; --shards lets a run
that was stopped go on where it was.
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags, task_flags
from bert_tf.inputs.examples import file_digest
from bert_tf.inputs.packing import TRUNCATE
from bert_tf.tasks import feature_files, features
from bert_tf.tasks.feature_files import Row
from bert_tf.training import extraction, reports, runtime

_TEXTS_AT_ONCE = 256


def define_flags() -> None:
    """All flags of this command."""
    flags.define_model()
    flags.define_vocabulary()
    flags.define_runtime()
    define, choose = absl_flags.DEFINE_string, absl_flags.DEFINE_enum
    define("input_file", None, "Texts, one a line.", required=True)
    define("output_file", None, "File of vectors to write.", required=True)
    define("layers", "-1,-2,-3,-4", "Layers, counted from the last one, -1.")
    absl_flags.DEFINE_integer("max_seq_length", 128, "Most tokens of a text.")
    absl_flags.DEFINE_integer("batch_size", 32, "Texts of a batch.")
    absl_flags.DEFINE_bool("use_one_hot_embeddings", False, "Accepted for old command lines.")
    formats = [feature_files.JSONL, feature_files.NPZ, feature_files.TFRECORD]
    choose("format", feature_files.JSONL, formats, "Format of the output.")
    choose("dtype", "float32", ["float32", "float16"], "Type of the numbers.")
    choose("pooling", features.NONE, features.POOLINGS, "One vector for a text, of its tokens.")
    choose("layer_mix", features.NONE, features.MIXES, "One vector for a token, of the layers.")
    absl_flags.DEFINE_integer("shards", 1, "Files to write; finished ones are not redone.")
    task_flags.define_long_texts()
    for module in (flags, task_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def _parse_layers(text: str) -> list[int]:
    try:
        return [int(layer) for layer in text.split(",")]
    except ValueError:
        raise ValueError(f"--layers must be numbers with commas, but is {text!r}.") from None


class Extraction:
    """What the shards of a run share."""

    def __init__(self) -> None:
        values = flags.FLAGS
        self.task = features.FeatureTask(
            flags.config_from_flags(),
            values.max_seq_length,
            _parse_layers(values.layers),
            values.pooling,
            values.layer_mix,
        )
        self.tokenizer = flags.tokenizer_from_flags()
        stride = task_flags.stride_from_flags()
        self.featurizer = features.TextFeaturizer(self.tokenizer, values.max_seq_length, stride)
        self.extractor = extraction.Extractor(
            self.task,
            runtime.start(flags.runtime_from_flags()),
            values.init_checkpoint,
            values.batch_size,
        )

    def rows(self, begin: int, end: int) -> Iterator[Row]:
        """Vectors of texts `begin` to `end`."""
        texts = itertools.islice(features.read_texts(flags.FLAGS.input_file), begin, end)
        chunks = self.featurizer.chunks(texts, _TEXTS_AT_ONCE)
        # What is counted are sequences: of texts in windows, nobody knows how many there are.
        total = end - begin if flags.FLAGS.long_texts == TRUNCATE else None
        for chunk, outputs in self.extractor.run(chunks, total):
            yield from feature_files.rows(
                chunk, self.task.of_texts(chunk, outputs), flags.FLAGS.dtype, self._names
            )

    @property
    def _names(self) -> Mapping[int, str] | None:
        """Tokens by their ids, where vectors are of tokens."""
        return self.tokenizer.inv_vocab if self.task.token_outputs else None


def main() -> None:
    """Writes all shards that are not there yet."""
    values = flags.FLAGS
    if values.shards < 1:
        raise ValueError(f"--shards must be at least 1, but is {values.shards}.")
    run = Extraction()
    count = sum(1 for _ in features.read_texts(values.input_file))
    names = ("layers", "max_seq_length", "dtype", "pooling", "layer_mix", "init_checkpoint")
    more = ("format", "precision", "long_texts", "doc_stride")
    key = {name: values[name].value for name in (*names, *more)}
    key["input"] = file_digest(values.input_file)
    write = feature_files.WRITERS[values.format]
    paths = feature_files.shard_paths(Path(values.output_file), values.shards)
    for path, (begin, end) in zip(paths, extraction.slices(count, len(paths)), strict=True):
        if values.shards > 1 and feature_files.is_done(path, key):
            reports.say(f"{path} is done already.")
            continue
        write(path, run.rows(begin, end))
        if values.shards > 1:
            feature_files.mark_done(path, key)
    if said := run.featurizer.report():
        reports.say(said)
    reports.say(f"{count} texts: {', '.join(map(str, paths[:3]))}")


if __name__ == "__main__":
    flags.launch(define_flags, main)
