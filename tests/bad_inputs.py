"""Planted mistakes, and the line that each gives; `python -m tests.bad_inputs` prints the table.

Each case is a command line, run as the command runs it, apart from the process: flags are parsed,
`main` is called, and what it writes to standard error before it exits with 1 is the message.
"""

import contextlib
import gzip
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import tensorflow as tf
from absl import flags as absl_flags

from bert_tf import convert_checkpoint, fill_mask, flags, run_pretraining
from bert_tf.conversion import tf1
from bert_tf.inputs.records import (
    Feature,
    Manifest,
    RecordSchema,
    RecordWriter,
    pretraining_schema,
    read_records,
)
from data_prep import build_vocab, create_pretraining_data
from tests.support import small

SCHEMA = pretraining_schema(small.LENGTH, small.PREDICTIONS)
ENCODER = "bert/encoder/layer_1/output/dense/kernel"


class World:
    """A folder in which mistakes are planted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.records = folder / "records.tfrecord"
        self._copy_records(self.records)

    def text(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path

    def config(self, **changes: Any) -> Path:
        values = json.loads(small.CONFIG.read_text(encoding="utf-8")) | changes
        return self.text("config.json", json.dumps(values))

    def _copy_records(self, path: Path, **changes: Mapping[int, Mapping[str, Any]]) -> None:
        with RecordWriter(path, Manifest(SCHEMA)) as writer:
            for index, record in enumerate(read_records(small.RECORDS)):
                if change := changes.get(f"record_{index}"):
                    values = SCHEMA.decode(record)
                    for name, value in change.items():
                        values[name][0] = value
                    record = SCHEMA.encode(values)
                writer.write(record)

    def with_id(self, index: int, **first_values: Any) -> Path:
        """Records of which one has another first value in a feature."""
        path = self.folder / "changed.tfrecord"
        self._copy_records(path, **{f"record_{index}": first_values})
        return path

    def frames(self) -> list[int]:
        ends, at = [0], 0
        for record in read_records(self.records):
            at += len(record) + 16
            ends.append(at)
        return ends

    def cut(self, size: int) -> Path:
        os.truncate(self.records, size)
        return self.records

    def flipped(self, at: int) -> Path:
        data = bytearray(self.records.read_bytes())
        data[at] ^= 1
        self.records.write_bytes(data)
        return self.records

    def checkpoint(self, prefix: Path, change: Callable[[dict[str, Any]], object]) -> Path:
        """The golden checkpoint, changed."""
        tensors = small.tensors(small.CHECKPOINT)
        change(tensors)
        prefix.parent.mkdir(exist_ok=True)
        tf1.write_checkpoint(str(prefix), tensors)
        return prefix

    def damaged(self, prefix: Path) -> Path:
        """The golden checkpoint with a flipped byte in its data."""
        self.checkpoint(prefix, lambda tensors: None)
        data = Path(f"{prefix}.data-00000-of-00001")
        content = bytearray(data.read_bytes())
        content[0] ^= 1  # of the first weight; slots are not read for --init_checkpoint
        data.write_bytes(content)
        return prefix


Flags = dict[str, Any]


class Case(NamedTuple):
    """A mistake: flags that differ from those of a run that works, and the message."""

    mistake: str
    plant: Callable[[World], Flags]
    message: str  # regular expression
    command: str = "run_pretraining"


def pretraining_flags(world: World) -> Flags:
    return {
        "bert_config_file": small.CONFIG,
        "input_file": world.records,
        "output_dir": world.out,
        "do_train": True,
        "max_seq_length": small.LENGTH,
        "max_predictions_per_seq": small.PREDICTIONS,
        "train_batch_size": 16,
        "num_train_steps": 2,
        "num_warmup_steps": 0,
    }


def mask_flags(world: World) -> Flags:
    return {
        "bert_config_file": small.CONFIG,
        "vocab_file": small.VOCAB,
        "init_checkpoint": small.CHECKPOINT,
        "sentence": "the [MASK] is near .",
    }


def data_flags(world: World) -> Flags:
    return {
        "input_file": small.GOLDENS / "corpus.txt",
        "output_file": world.folder / "made.tfrecord",
        "vocab_file": small.VOCAB,
    }


def vocab_flags(world: World) -> Flags:
    return {
        "input_file": small.GOLDENS / "corpus.txt",
        "output_file": world.folder / "vocab.txt",
        "vocab_size": 400,
    }


def convert_flags(world: World) -> Flags:
    return {"input": small.CHECKPOINT, "output": world.folder / "model.keras"}


Commands = Mapping[str, tuple[Callable[[], None], Callable[[World], Flags]]]
COMMANDS: Commands = {
    "run_pretraining": (
        lambda: flags.launch(run_pretraining.define_flags, run_pretraining.main),
        pretraining_flags,
    ),
    "fill_mask": (lambda: flags.launch(fill_mask.define_flags, fill_mask.main), mask_flags),
    "convert_checkpoint": (
        lambda: flags.launch(convert_checkpoint.define_flags, convert_checkpoint.main),
        convert_flags,
    ),
    "create_pretraining_data": (create_pretraining_data.main, data_flags),
    "build_vocab": (build_vocab.main, vocab_flags),
}


def _only_damaged(world: World) -> Flags:
    world.damaged(world.out / "model.ckpt-200")
    return {}


def _wrong_kind(world: World) -> Flags:
    features = [*SCHEMA.features[:-1], Feature("next_sentence_labels", "float", 1)]
    schema = RecordSchema(tuple(features))
    path = world.folder / "kind.tfrecord"
    with RecordWriter(path) as writer:
        for record in read_records(small.RECORDS):
            values = SCHEMA.decode(record)
            values["next_sentence_labels"] = values["next_sentence_labels"].astype("float32")
            writer.write(schema.encode(values))
    return {"input_file": path}


def _other_task(world: World) -> Flags:
    return {"input_file": small.GOLDENS / "mrpc" / "train.tf_record"}


def _infinite(world: World) -> Flags:
    def change(tensors: dict[str, Any]) -> None:
        tensors["bert/embeddings/LayerNorm/gamma"][0] = float("inf")

    prefix = world.checkpoint(world.folder / "infinite", change)
    return {"init_checkpoint": prefix}


def _keep(*prefixes: str) -> Callable[[dict[str, Any]], None]:
    def change(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            if name.startswith(prefixes):
                del tensors[name]

    return change


def _gzipped(world: World) -> Flags:
    path = world.folder / "records.gz"
    path.write_bytes(gzip.compress(world.records.read_bytes()))
    return {"input_file": path}


def _cased(world: World) -> Flags:
    folder = world.folder / "cased_L-12_H-768_A-12"
    world.checkpoint(folder / "bert_model.ckpt", lambda tensors: None)
    return {"init_checkpoint": folder / "bert_model.ckpt"}


def _no_mask_in_vocabulary(world: World) -> Flags:
    words = small.VOCAB.read_text(encoding="utf-8").replace("[MASK]\n", "[MOSK]\n")
    return {"vocab_file": world.text("vocab_without.txt", words)}


CASES = (
    Case(
        "no such config file",
        lambda w: {"bert_config_file": w.folder / "none.json"},
        r"there is no file .*none\.json\. Give the path",
    ),
    Case(
        "a config that is no JSON",
        lambda w: {"bert_config_file": w.text("c.json", '{"vocab_size": 484')},
        r"A config must be JSON text, but .*c\.json is not",
    ),
    Case(
        "a misspelt key in the config",
        lambda w: {"bert_config_file": w.config(hiden_size=32)},
        r"'hiden_size' \(did you mean 'hidden_size'\?\)",
    ),
    Case(
        "a size in quotes",
        lambda w: {"bert_config_file": w.config(hidden_size="32")},
        r"config\.json: hidden_size must be a whole number, but is '32'",
    ),
    Case(
        "heads that do not divide the hidden size",
        lambda w: {"bert_config_file": w.config(num_attention_heads=3)},
        r"hidden_size must be a multiple of num_attention_heads, but 32 is not one of 3",
    ),
    Case(
        "no --input_file",
        lambda w: {"input_file": None},
        r"--input_file must name the records .* but is empty\. .*create_pretraining_data",
    ),
    Case(
        "a pattern that matches nothing",
        lambda w: {"input_file": w.folder / "*.records"},
        r"No file matches '.*\*\.records'",
    ),
    Case(
        "an empty record file",
        lambda w: {"input_file": w.text("empty.tfrecord", "")},
        r"empty\.tfrecord: holds no records\. Write it again or leave it out",
    ),
    Case(
        "text in place of records",
        lambda w: {"input_file": small.GOLDENS / "corpus.txt"},
        r"corpus\.txt: record 0 at byte 0: .*is this a TFRecord file\?",
    ),
    Case("compressed records", _gzipped, r"records\.gz: record 0 at byte 0: .*TFRecord file\?"),
    Case(
        "records cut in the middle of one",
        lambda w: {"input_file": w.cut(w.frames()[100] + 50)},
        r"records\.tfrecord: record 100 at byte \d+: it should have \d+ bytes, .* room for \d+",
    ),
    Case(
        "records cut between two",
        lambda w: {"input_file": w.cut(w.frames()[100])},
        r"records\.tfrecord: holds 100 of 196 records that its manifest",
    ),
    Case(
        "a flipped byte in a record",
        lambda w: {"input_file": w.flipped(w.frames()[100] + 40)},
        r"records\.tfrecord: record 100 at byte \d+: the checksum of its bytes does not match",
    ),
    Case(
        "an id beyond the vocabulary, first record",
        lambda w: {"input_file": w.with_id(0, input_ids=484)},
        r"changed\.tfrecord, record 0: input_ids must be in \[0, 484\), but holds 484\. Use the",
    ),
    Case(
        "an id beyond the vocabulary, later record",
        lambda w: {"input_file": w.with_id(150, masked_lm_ids=30000), "num_train_steps": 13},
        r"changed\.tfrecord, record 150: masked_lm_ids must be in \[0, 484\), but holds 30000",
    ),
    Case(
        "a negative token type",
        lambda w: {"input_file": w.with_id(3, segment_ids=-1), "num_train_steps": 13},
        r"changed\.tfrecord, record 3: segment_ids must be in \[0, 2\), but holds -1",
    ),
    Case(
        "a masked position beyond the sequence",
        lambda w: {"input_file": w.with_id(0, masked_lm_positions=64)},
        r"masked_lm_positions must be in \[0, 64\), but holds 64",
    ),
    Case(
        "another --max_seq_length than the records'",
        lambda w: {"max_seq_length": 32},
        r"record 0: Feature 'input_ids' must hold 32 values; the record has 64\. Read with the",
    ),
    Case(
        "--max_seq_length beyond the model's positions",
        lambda w: {"max_seq_length": 2048},
        r"--max_seq_length is 2048, but .* max_position_embeddings = \d+\. Make sequences",
    ),
    Case(
        "another --max_predictions_per_seq than the records'",
        lambda w: {"max_predictions_per_seq": 20},
        r"'masked_lm_positions' must hold 20 values; the record has 10",
    ),
    Case(
        "a feature of another kind",
        _wrong_kind,
        r"'next_sentence_labels' must be of kind int64; the record has float",
    ),
    Case(
        "records of another task",
        _other_task,
        r"train\.tf_record, record 0: .*Feature 'input_ids' must hold 64 values",
    ),
    Case(
        "a batch larger than the data",
        lambda w: {"train_batch_size": 256, "shuffle": False},
        r"Without shuffling, a training batch takes 256 records .* holds only 196\. Lower",
    ),
    Case(
        "a batch that replicas and accumulation do not divide",
        lambda w: {"train_batch_size": 18, "logical_cpus": 2, "gradient_accumulation_steps": 4},
        r"18, which does not divide evenly into 2 replicas x 4 accumulation steps = 8 parts",
    ),
    Case(
        "an evaluation batch that replicas do not divide",
        lambda w: {"eval_batch_size": 7, "logical_cpus": 2, "do_eval": True},
        r"--eval_batch_size is 7, which does not divide evenly among 2 replicas",
    ),
    Case(
        "no such checkpoint",
        lambda w: {"init_checkpoint": w.folder / "none.ckpt"},
        r"No readable checkpoint at .*none\.ckpt: it takes .*none\.ckpt\.index and",
    ),
    Case(
        "a checkpoint named by a file",
        lambda w: {"init_checkpoint": f"{small.CHECKPOINT}.index"},
        r"named by its prefix, without \.index or \.data-\.\.\., .* Drop the ending",
    ),
    Case(
        "a folder without a checkpoint",
        lambda w: {"init_checkpoint": w.folder},
        r"the directory .* holds none that its file \"checkpoint\" names",
    ),
    Case(
        "a checkpoint of another size",
        lambda w: {
            "bert_config_file": w.config(hidden_size=48),
            "init_checkpoint": small.CHECKPOINT,
        },
        r"config does not fit the checkpoint .*word_embeddings is \[484, 32\] in the checkpoint "
        r"and \[484, 48\] in the model",
    ),
    Case(
        "a checkpoint of fewer layers",
        lambda w: {
            "bert_config_file": w.config(num_hidden_layers=3),
            "init_checkpoint": small.CHECKPOINT,
        },
        r"Missing in the checkpoint: bert/encoder/layer_2/.* and 10 more\. Left over .*: none\.",
    ),
    Case(
        "a checkpoint that lacks a variable of the encoder",
        lambda w: {"init_checkpoint": w.checkpoint(w.folder / "lacks", _keep(ENCODER))},
        rf"Missing in the checkpoint: {ENCODER}\. Left over in the checkpoint: none\.",
    ),
    Case(
        "a checkpoint with more layers than the config",
        lambda w: {
            "bert_config_file": w.config(num_hidden_layers=1),
            "init_checkpoint": small.CHECKPOINT,
        },
        r"Left over in the checkpoint: bert/encoder/layer_1/.* and 10 more\. Use the bert_config",
    ),
    Case(
        "a checkpoint with a flipped byte",
        lambda w: {"init_checkpoint": w.damaged(w.folder / "flipped")},
        r"The checkpoint .*flipped is damaged: .* cannot be read .* Copy it again",
    ),
    Case(
        "only damaged checkpoints in --output_dir",
        _only_damaged,
        r"None of the 1 checkpoints in .*out can be read whole\. Move them away",
    ),
    Case(
        "neither --do_train nor --do_eval",
        lambda w: {"do_train": False},
        r"At least one of --do_train and --do_eval must be given",
    ),
    Case(
        "evaluation of nothing",
        lambda w: {"do_train": False, "do_eval": True},
        r"nothing to evaluate: --output_dir=.* holds no checkpoint and no --init_checkpoint",
    ),
    Case(
        "--use_tpu without a TPU's name",
        lambda w: {"use_tpu": True},
        r"--use_tpu needs to know which TPU: give --tpu",
    ),
    Case(
        "the strategy tpu without a TPU",
        lambda w: {"distribution_strategy": "tpu"},
        r"--distribution_strategy=tpu needs --tpu",
    ),
    Case(
        "a TPU under another strategy",
        lambda w: {"distribution_strategy": "mirrored", "tpu": "local"},
        r"--tpu=local runs under --distribution_strategy=tpu, but mirrored was asked for",
    ),
    Case(
        "a TPU that is not there",
        lambda w: {"tpu": "grpc://127.0.0.1:1"},
        r"No TPU could be reached by --tpu=grpc://127\.0\.0\.1:1 \(.*refused\)\. --tpu takes",
    ),
    Case(
        "workers without TF_CONFIG",
        lambda w: {"distribution_strategy": "multi_worker_mirrored"},
        r"needs the cluster in the environment variable TF_CONFIG, but it is empty",
    ),
    Case(
        "a flag that does not exist",
        lambda w: {"learning_rat": 1},
        r"Unknown command line flag 'learning_rat'. Did you mean: learning_rate",
    ),
    Case(
        "an argument that is no flag",
        lambda w: {"": "train"},
        r"These arguments belong to no flag: train\. Write --flag=value",
    ),
    Case(
        "an optimizer that does not exist",
        lambda w: {"optimizer": "sgd"},
        r"optimizer.*sgd.*should be one of.*adam\|adamw\|lamb",
    ),
    Case(
        "a learning rate of zero",
        lambda w: {"learning_rate": 0},
        r"--learning_rate must be above 0, but is 0\.0",
    ),
    Case(
        "a negative warm-up",
        lambda w: {"num_warmup_steps": -1},
        r"--num_warmup_steps must not be negative, but is -1",
    ),
    Case(
        "no accumulation step",
        lambda w: {"gradient_accumulation_steps": 0},
        r"--gradient_accumulation_steps must be at least 1, but is 0",
    ),
    Case(
        "--output_dir is a file",
        lambda w: {"output_dir": w.text("file", "x")},
        r"--output_dir=.*file must be a directory, but is a file\. Name another",
    ),
    Case(
        "--output_dir below a file",
        lambda w: {"output_dir": w.text("file", "x") / "out"},
        r"--output_dir=.*out cannot be made: .*Not a directory",
    ),
    Case(
        "--output_dir in a bucket",
        lambda w: {"output_dir": "gs://bucket/model"},
        r"--output_dir must name a directory on this machine .* but is gs://bucket/model\. Mount",
    ),
    Case(
        "--input_file in a bucket",
        lambda w: {"input_file": f"{w.records},gs://bucket/*.tfrecord"},
        r"--input_file must name files on this machine .*gs://bucket/\*\.tfrecord\. Mount",
    ),
    Case(
        "a negative seed",
        lambda w: {"seed": -1},
        r"--seed must be in \[0, 2\*\*32\), but is -1\. Use another",
    ),
    Case(
        "weights that are not finite",
        _infinite,
        r"The loss or gradient of step 0 is not finite; .* Try a lower --learning_rate",
    ),
    Case(
        "a sentence without [MASK]",
        lambda w: {"sentence": "the sea is near"},
        r"--sentence must hold \[MASK\] where a word is to be guessed: 'the sea is near'",
        "fill_mask",
    ),
    Case(
        "a vocabulary of another size",
        lambda w: {"vocab_file": w.text("v.txt", small.VOCAB.read_text("utf-8") + "more\n")},
        r"it holds 485 tokens and the config says vocab_size = 484\. Use the --vocab_file",
        "fill_mask",
    ),
    Case(
        "a vocabulary without [UNK]",
        lambda w: {"vocab_file": w.text("v.txt", "[CLS]\nsea\n")},
        r"The vocabulary must hold \[UNK\], but .*v\.txt",
        "fill_mask",
    ),
    Case(
        "a cased checkpoint, lower-cased",
        _cased,
        r"cased_L-12_H-768_A-12 is a cased model, but do_lower_case=True .* --do_lower_case=False",
        "fill_mask",
    ),
    Case(
        "a checkpoint without the head that guesses",
        lambda w: {"init_checkpoint": w.checkpoint(w.folder / "headless", _keep("cls/"))},
        r"Filling masks needs the head .* lacks cls/predictions/.*not a fine-tuned one",
        "fill_mask",
    ),
    Case(
        "a conversion without the config",
        lambda w: {},
        r"--bert_config_file is needed to read the checkpoint",
        "convert_checkpoint",
    ),
    Case(
        "a conversion into the same format",
        lambda w: {"output": w.folder / "model.ckpt"},
        r"--input and --output must have different forms, but .* are both tf1\. .*--output_format",
        "convert_checkpoint",
    ),
    Case(
        "a .keras file that is none",
        lambda w: {"input": w.text("bad.keras", "x"), "output": w.folder / "model.ckpt"},
        r"bad\.keras must be a Keras model file of this project, but cannot be read",
        "convert_checkpoint",
    ),
    Case(
        "text without a sentence",
        lambda w: {"input_file": w.text("empty.txt", "\n\n")},
        r"no (text|sentence|document|words)",
        "create_pretraining_data",
    ),
    Case(
        "a vocabulary without [MASK]",
        _no_mask_in_vocabulary,
        r"The vocabulary needs .*\[MASK\] missing among its 484 tokens",
        "create_pretraining_data",
    ),
    Case(
        "an output that is the input",
        lambda w: {
            "input_file": (copy := Path(shutil.copy(small.GOLDENS / "corpus.txt", w.folder))),
            "output_file": copy,
        },
        r"corpus\.txt is input and output at once\. Write to another name",
        "create_pretraining_data",
    ),
    Case(
        "more than a whole as a probability",
        lambda w: {"masked_lm_prob": 1.5},
        r"--masked_lm_prob must be above 0 and at most 1; got 1\.5",
        "create_pretraining_data",
    ),
    Case(
        "a vocabulary smaller than its alphabet",
        lambda w: {"vocab_size": 20},
        r"--vocab_size",
        "build_vocab",
    ),
)


def message_of(case: Case, folder: Path, commands: Commands = COMMANDS) -> str:
    """What a person reads after the mistake: standard error, without progress lines.

    Args:
        case: The mistake.
        folder: An empty folder to plant it in.
        commands: The commands that there are, each with the flags of a run that works.

    Raises:
        AssertionError: If the command did not end with exit status 1.
    """
    world = World(folder)
    command, usual = commands[case.command]
    chosen = {**usual(world), **case.plant(world)}
    line = [f"--{name}={value}" if name else str(value) for name, value in chosen.items()
            if value is not None]  # fmt: skip
    known, errors = set(absl_flags.FLAGS), io.StringIO()
    strategy = small.mirrored() if chosen.get("logical_cpus") else None
    try:
        with (
            mock.patch.object(sys, "argv", [case.command, *line]),
            mock.patch.object(tf.distribute, "MirroredStrategy", return_value=strategy),
            contextlib.redirect_stderr(errors),
            contextlib.redirect_stdout(errors),
        ):
            command()
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    finally:
        for name in set(absl_flags.FLAGS) - known:
            delattr(absl_flags.FLAGS, name)
        absl_flags.FLAGS.unparse_flags()
    assert code == 1, f"no mistake was found, exit status {code}: {errors.getvalue()}"
    return errors.getvalue()


def error_line(output: str) -> str:
    """The message in a command's output."""
    for mark in ("error: ", "FATAL Flags parsing error:\n"):
        _, found, rest = output.rpartition(mark)
        if found:
            lines = rest.strip().splitlines()
            return lines[0].strip() if mark == "error: " else " ".join(lines[0].split())
    return f"(no message) {output}"


def print_table(cases: Sequence[Case], commands: Commands) -> None:
    """Prints every mistake with its line."""
    for number, case in enumerate(cases, start=1):
        with tempfile.TemporaryDirectory() as folder:
            text = error_line(message_of(case, Path(folder), commands))
            where = f"{case.command}: {case.mistake}"
            print(f"{number:>2}. {where}\n    {text.replace(folder, '...')}", flush=True)
    print(f"{len(cases)} mistakes.")


def main() -> None:
    print_table(CASES, COMMANDS)


if __name__ == "__main__":
    main()
