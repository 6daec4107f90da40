"""What the commands that hand scale mode to an engine have in common.

An engine is a function that does some work for every item of a list, in any order, in whichever
processes; what the work makes lies in files that all of them reach.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags

from bert_tf.inputs.records import RecordError
from data_prep import scale
from data_prep.corpus_store import Source, tokenize_part
from data_prep.create_pretraining_data import run_from_flags, scale_run
from data_prep.options import DataError, error_line
from data_prep.scale import Finished, ScaleRun
from data_prep.scale_command import show
from data_prep.shards import ShardJob, ShardNote, make_shard, read_note

Engine = Callable[[Callable[[Any], object], Sequence[Any]], None]


def create_shards(run: ScaleRun, engine: Engine) -> Finished:
    """All shards, or those that are missing (errors as `scale.create_shards`).

    The engine tokenizes the input files and makes the shards, one by one each; the pairs in between
    are drawn here.
    """

    def tokenize(source: Source, parts: Sequence[Sequence[str]]) -> None:
        engine(functools.partial(tokenize_file, source), list(enumerate(parts)))

    def make_all(job: ShardJob) -> Iterator[ShardNote]:
        engine(functools.partial(make_shard, job), range(job.shards))
        notes = (read_note(job, shard) for shard in range(job.shards))
        return (note for note in notes if note is not None)

    return scale.create_shards(run, make_all, tokenize)


def tokenize_file(source: Source, part: tuple[int, Sequence[str]]) -> None:
    """`corpus_store.tokenize_part` of a number and the files of one part."""
    tokenize_part(source, *part)


def run_command(values: flags.FlagValues, engine: Engine) -> int:
    """Does what the flags say; the exit status."""
    try:
        if values.verify:
            raise DataError("--verify needs no engine: give it to create_pretraining_data.")
        if values.shards is None:
            raise DataError("--shards must say how many shards to make.")
        run = scale_run(run_from_flags(values), values.shards)
        show(create_shards(run, engine), values.report)
    except (DataError, RecordError, OSError) as error:
        sys.stderr.write(error_line(error))
        return 1
    return 0
