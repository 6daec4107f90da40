"""Writes a SavedModel that loads through TF Hub: `hub.load(DIR)` or `tf.saved_model.load(DIR)`.

    python -m saved_models.export --export_type=preprocessor --vocab_file=vocab.txt \\
      --do_lower_case=True --max_seq_length=128 --export_dir=preprocess

    python -m saved_models.export --export_type=encoder --vocab_file=vocab.txt \\
      --bert_config_file=bert_config.json --init_checkpoint=bert_model.ckpt --export_dir=encoder

A preprocessor takes strings and gives `input_word_ids`, `input_mask` and `input_type_ids`, in place
of `bert_en_uncased_preprocess/3`; an encoder takes these and gives vectors, in place of
`bert_en_uncased_L-12_H-768_A-12/4`. Before the folder gets its name, a fresh process that imports
TensorFlow and tensorflow-text only loads it and compares its answers with the tokenizer's. Takes a
minute.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.files import new_folder, write_text
from bert_tf.inputs.features import PackedFeatures, pack
from bert_tf.tokenization import FullTokenizer
from saved_models.encoder import Source, save_encoder
from saved_models.preprocessing import Preprocessor

VERIFY = Path(__file__).with_name("verify.py")
# What the rules of the tokenizer are about, in few words.
TEXTS = [
    "",
    "The keeper of the lighthouse isn't here; he left at 7:30 for $12.50.",
    "Ein Café in Orléans, ΟΔΟΣ und ΟΔΟΣΑ, 東京タワー, 한국어, İstanbul.",
    "tab\tand\nnew line, soft\u00adhyphen, zero\u200bwidth, e\u0301, [MASK] [UNK] \u2028 end",
    "a" * 200 + " " + "b" * 201 + " é" * 150,
]


def define_flags() -> None:
    """All flags of this command."""
    absl_flags.DEFINE_enum("export_type", None, ["preprocessor", "encoder"], "What.", required=True)
    absl_flags.DEFINE_string("export_dir", None, "Folder to write; it must be new.", required=True)
    absl_flags.DEFINE_integer("max_seq_length", 128, "Tokens of an input, [CLS] and [SEP] too.")
    flags.define_model()  # a Hugging Face folder brings its vocabulary
    flags.define_vocabulary()


def expected_answers(tokenizer: FullTokenizer, max_seq_length: int) -> list[dict[str, Any]]:
    """Calls of a preprocessor and what the tokenizer in Python says to them."""
    cls, sep = (tokenizer.vocab[token] for token in ("[CLS]", "[SEP]"))
    packed = [
        pack(tokenizer.encode(text), max_seq_length=max_seq_length, cls_id=cls, sep_id=sep)
        for text in TEXTS
    ]
    pairs = [
        pack(
            tokenizer.encode(first),
            tokenizer.encode(second),
            max_seq_length=max_seq_length,
            cls_id=cls,
            sep_id=sep,
        )
        for first, second in itertools.pairwise(TEXTS)
    ]
    words = [_words(tokenizer, text) for text in TEXTS]
    parts = [[[word[part] for word in line] for line in words] for part in range(3)]
    return [
        {"call": "", "texts": TEXTS, "expected": _named(packed)},
        {"call": "bert_pack_inputs", "texts": TEXTS, "expected": _named(pairs)},
        {"call": "tokenize", "texts": TEXTS, "expected": parts[0]},
        {"call": "tokenize_with_offsets", "texts": TEXTS, "expected": parts},
    ]


def _words(tokenizer: FullTokenizer, text: str) -> list[tuple[list[int], list[int], list[int]]]:
    """Ids, first bytes and ends of the pieces of each word of a text."""
    places = [0, *itertools.accumulate(len(char.encode()) for char in text)]
    words: list[tuple[list[int], list[int], list[int]]] = []
    for token, (start, end) in zip(*tokenizer.tokenize_with_offsets(text), strict=True):
        if not token.startswith("##"):
            words.append(([], [], []))
        for part, value in zip(
            words[-1], (tokenizer.vocab[token], places[start], places[end]), strict=True
        ):
            part.append(value)
    return words


def _named(packed: list[PackedFeatures]) -> dict[str, list[list[int]]]:
    """Packed inputs by their published names."""
    names = {
        "input_word_ids": "input_ids",
        "input_mask": "input_mask",
        "input_type_ids": "segment_ids",
    }
    return {name: [getattr(one, ours) for one in packed] for name, ours in names.items()}


def verify(folder: Path, cases: list[dict[str, Any]]) -> str:
    """Runs `verify.py` in a fresh process; what it says.

    Raises:
        RuntimeError: the folder does not load there, or answers otherwise.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(cases, file)
        file.flush()
        command = [sys.executable, str(VERIFY), str(folder), file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"The export does not work in a fresh process: {last}")
    return done.stdout.strip()


def export_preprocessor(
    vocab_file: Path, do_lower_case: bool, max_seq_length: int, export_dir: Path
) -> str:
    """Writes and verifies a preprocessor; what the verification says.

    Raises:
        ValueError: the folder is there, or the length has no room for text.
        MissingTokenError: the vocabulary lacks a special token. Nothing was written.
    """
    _check_new(export_dir)
    tokenizer = FullTokenizer(vocab_file, do_lower_case)
    with new_folder(export_dir) as partial:
        tf.saved_model.save(Preprocessor(vocab_file, do_lower_case, max_seq_length), str(partial))
        card = {
            "type": "preprocessor",
            "do_lower_case": do_lower_case,
            "max_seq_length": max_seq_length,
            "vocab_size": max(tokenizer.inv_vocab) + 1,
            "vocab_sha256": hashlib.sha256(vocab_file.read_bytes()).hexdigest(),
        }
        write_text(partial / "model_card.json", json.dumps(card, indent=1) + "\n")
        said = verify(partial, expected_answers(tokenizer, max_seq_length))
    return said.replace(str(partial), str(export_dir))


def _check_new(export_dir: Path) -> None:
    if export_dir.exists():
        raise ValueError(
            f"--export_dir must be new, but {export_dir} is there. Remove it, or name another "
            "folder."
        )


def export_encoder(source: Source, export_dir: Path) -> str:
    """Writes and verifies an encoder; what the verification says.

    Raises:
        ValueError: the folder is there, or something does not fit the checkpoint; see
            `Source.load`. Nothing was written.
    """
    _check_new(export_dir)
    with new_folder(export_dir) as partial:
        said = verify(partial, save_encoder(source, partial))
    return said.replace(str(partial), str(export_dir))


def main() -> None:
    """Exports what the flags name."""
    values = flags.FLAGS
    vocab_file, do_lower_case = flags.vocab_file_from_flags()
    export_dir = Path(values.export_dir)
    if values.export_type == "encoder":
        if not values.init_checkpoint:
            raise ValueError("--init_checkpoint must name the model to export, but is empty.")
        config = flags.config_from_flags()
        source = Source(config, values.init_checkpoint, vocab_file, do_lower_case)
        said = export_encoder(source, export_dir)
    else:
        said = export_preprocessor(vocab_file, do_lower_case, values.max_seq_length, export_dir)
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    flags.launch(define_flags, main)
