"""One run of create_pretraining_data: what it is told, and the manifest of what it writes."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from bert_tf.inputs.records import Manifest, pretraining_schema
from bert_tf.tokenization import FullTokenizer
from data_prep.corpus_store import Source
from data_prep.mixing import Mixture
from data_prep.options import DataError, GenerationOptions
from data_prep.readers import AS_IT_IS, Reading


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the command: where from, where to, and how."""

    input_files: tuple[str, ...]
    output_files: tuple[str, ...]
    vocab_file: str
    do_lower_case: bool
    options: GenerationOptions
    workers: int = 1
    scratch_dir: str | None = None
    reading: Reading = AS_IT_IS
    mixture: Mixture | None = None
    truncate_share: float = 0.0
    second_files: tuple[str, ...] = ()
    second_options: GenerationOptions | None = None

    @property
    def phases(self) -> list[tuple[tuple[str, ...], GenerationOptions]]:
        """Output files, and what they hold; two such pairs where sequences get longer."""
        first = (self.output_files, self.options)
        return [first, (self.second_files, self.second_options)] if self.second_options else [first]

    @property
    def source(self) -> Source:
        """Text and vocabulary, and the folder for what is known of them."""
        return Source(
            self.input_files,
            self.vocab_file,
            self.do_lower_case,
            self.scratch_dir or str(Path(self.output_files[0]).parent),
            self.reading,
            self.mixture,
            self.truncate_share,
            self.options.random_seed if self.truncate_share else 0,
        )

    @property
    def names(self) -> list[str]:
        """All files that are read or written, apart from scratch files."""
        outputs = [name for files, _ in self.phases for name in files]
        return [*self.input_files, self.vocab_file, *outputs]

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise DataError(
                f"--num_workers must be at least 1, or 0 for all cores; got {self.workers}."
            )
        if not 0.0 <= self.truncate_share <= 1.0:
            raise DataError(f"--truncate_share must be from 0 to 1; got {self.truncate_share}.")
        outputs = [os.path.realpath(name) for files, _ in self.phases for name in files]
        twice = sorted({name for name in outputs if outputs.count(name) > 1})
        if twice:
            raise DataError(
                f"The outputs name {', '.join(twice)} more than once. Give each its own name."
            )
        inputs = {os.path.realpath(name) for name in (*self.input_files, self.vocab_file)}
        both = sorted(inputs.intersection(outputs))
        if both:
            raise DataError(
                f"{', '.join(both)} is input and output at once. Write to another name."
            )


def manifest_of(
    run: Run, files: Sequence[str], options: GenerationOptions, tokenizer: FullTokenizer
) -> Manifest:
    """The manifest of record files; their writers set the counts.

    Args:
      run: see `Run`.
      files: a phase's.
      options: of this phase.
      tokenizer: of the run.
    """
    return Manifest(
        schema=pretraining_schema(options.max_seq_length, options.max_predictions_per_seq),
        vocab_size=max(tokenizer.inv_vocab) + 1,  # lines: a token that stands twice takes two ids
        vocab_sha256=hashlib.sha256(Path(run.vocab_file).read_bytes()).hexdigest(),
        do_lower_case=run.do_lower_case,
        seed=options.random_seed,
        flags={
            "input_file": ",".join(run.input_files),
            "output_file": ",".join(files),
            "vocab_file": run.vocab_file,
            "do_lower_case": run.do_lower_case,
            **dataclasses.asdict(options),
            **dataclasses.asdict(run.reading),
            "mixture": run.mixture and dataclasses.asdict(run.mixture),
            "truncate_share": run.truncate_share,
        },
    )
