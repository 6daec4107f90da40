"""The manifest beside a record file, from what it was made of."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from bert_tf.inputs.records import Manifest, pretraining_schema
from bert_tf.tokenization import FullTokenizer
from data_prep.corpus_store import Source
from data_prep.options import GenerationOptions


def record_manifest(
    source: Source,
    tokenizer: FullTokenizer,
    options: GenerationOptions,
    output: str,
    **more_flags: Any,
) -> Manifest:
    """What training reads before it reads records.

    Args:
      source: text and vocabulary.
      tokenizer: that of the source.
      options: see `GenerationOptions`.
      output: the flag.
      **more_flags: others than those of the exact mode.
    """
    return Manifest(
        schema=pretraining_schema(options.max_seq_length, options.max_predictions_per_seq),
        vocab_size=max(tokenizer.inv_vocab) + 1,  # lines: a token that stands twice takes two ids
        vocab_sha256=hashlib.sha256(Path(source.vocab_file).read_bytes()).hexdigest(),
        do_lower_case=source.do_lower_case,
        seed=options.random_seed,
        flags={
            "input_file": ",".join(source.input_files),
            "output_file": output,
            **more_flags,
            "vocab_file": source.vocab_file,
            "do_lower_case": source.do_lower_case,
            **dataclasses.asdict(options),
            **dataclasses.asdict(source.reading),
        },
    )
