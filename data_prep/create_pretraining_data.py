"""Text to TFRecords of masked LM and next sentence examples, as the 2018 script makes them.

Input: one sentence a line, a blank line between documents; running text with
--sentence_splitter; JSON lines and Parquet, a document a row.

    python data_prep/create_pretraining_data.py \\
        --input_file='text/*.txt' --output_file=records.tfrecord --vocab_file=vocab.txt \\
        --do_lower_case=True --max_seq_length=128 --max_predictions_per_seq=20 --dupe_factor=5

The records equal the original's, one for one and in order, for every seed. Outputs appear under
their names when all are complete. What is known of the text meanwhile lies on disk, about as much
as the outputs will take (--scratch_dir). The process itself keeps some 300 MB, whatever the size of
the text: beyond that 8 bytes an example, 8 a sentence and 8 a document.

With --shards=N the records are others, of the same distribution, in N files that any number of
processes and machines can share in making; a run that was killed goes on where it was (`scale`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

if not __package__:  # started as a script: the packages lie beside this file's folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from absl import app, flags, logging
from tqdm import tqdm

from bert_tf.inputs.records import (
    RecordError,
    RecordWriter,
    write_together,
)
from bert_tf.tokenization import FullTokenizer
from data_prep import flag_groups, scale_command
from data_prep.block_tokens import TokenBlock
from data_prep.documents import Corpus, build_corpus, tokenize_blocks, total_size
from data_prep.drawn import Drawn
from data_prep.examples import Batches, draw_examples, written_batches
from data_prep.generation_run import Run, manifest_of
from data_prep.options import (
    DataError,
    GenerationOptions,
    VocabularyIds,
    error_line,
)
from data_prep.report import check_report
from data_prep.scale import ScaleRun, create_shards
from data_prep.scale_command import (
    define_scale,
    require_input,
    show,
    tell,
    verify_shards,
    warn_of,
)
from data_prep.statistics import Counting, Findings
from data_prep.store import Scratch


def define_flags() -> None:
    """The flags of the 2018 script (same names, defaults and meaning), and more behind them."""
    defaults = GenerationOptions()
    flag_groups.define_reading()
    flags.DEFINE_string("output_file", None, "TFRecord files to write, comma-separated.")
    flags.DEFINE_string("vocab_file", None, "The vocabulary, one token a line.")
    flags.DEFINE_bool("do_lower_case", True, "Lower-case the text (uncased vocabularies).")
    flags.DEFINE_bool(
        "do_whole_word_mask", defaults.do_whole_word_mask, "Mask all pieces of a word or none."
    )
    flags.DEFINE_integer("max_seq_length", defaults.max_seq_length, "Tokens of an example.")
    flags.DEFINE_integer(
        "max_predictions_per_seq",
        defaults.max_predictions_per_seq,
        "Masked tokens of an example at most.",
    )
    flags.DEFINE_integer("random_seed", defaults.random_seed, "Seed of all draws.")
    flags.DEFINE_integer(
        "dupe_factor", defaults.dupe_factor, "Passes over the text, each masked differently."
    )
    flags.DEFINE_float("masked_lm_prob", defaults.masked_lm_prob, "Share of tokens to mask.")
    flags.DEFINE_float(
        "short_seq_prob",
        defaults.short_seq_prob,
        "Probability of documents cut into shorter examples than --max_seq_length.",
    )
    flags.DEFINE_integer(
        "num_workers",
        0,
        "Threads that tokenize and encode; 0: one for each core that this process may use. The "
        "records do not depend on it.",
    )
    flags.DEFINE_alias("workers", "num_workers")
    flags.DEFINE_string(
        "scratch_dir",
        None,
        "Folder on a local disk for what is known of the text meanwhile, about as much as the "
        "records; default: that of the first output.",
    )
    flags.DEFINE_float(
        "truncate_share",
        0.0,
        "Share of the lines that lose a random part of their end, as noise; the original's README "
        "advises 0.02.",
    )
    flag_groups.define_choices()
    flag_groups.define_second_phase()
    define_scale()
    for module in (flag_groups, scale_command):
        flags.adopt_module_key_flags(module)  # so that --help shows them
    flags.mark_flag_as_required("output_file")
    require_input(["input_file", "vocab_file"])


def run_from_flags(values: flags.FlagValues) -> Run:
    """Checks the flags and finds the input files; DataError or RecordError where they fail."""
    names = [field.name for field in dataclasses.fields(GenerationOptions)]
    options = GenerationOptions(**{name: values[name].value for name in names})
    second = None
    if values.second_output_file:
        second = dataclasses.replace(
            options,
            max_seq_length=values.second_max_seq_length,
            max_predictions_per_seq=values.second_max_predictions_per_seq,
        )
    files, mixture = flag_groups.files_from(values, options.random_seed)
    run = Run(
        input_files=tuple(files),
        output_files=_names(values["output_file"]),
        vocab_file=values.vocab_file,
        do_lower_case=values.do_lower_case,
        options=options,
        scratch_dir=values.scratch_dir,
        workers=_workers(values),
        reading=flag_groups.reading_from(values),
        mixture=mixture,
        truncate_share=values.truncate_share,
        second_files=_names(values["second_output_file"]) if second else (),
        second_options=second,
    )
    if values.report:
        check_report(values.report, run.names)
    return run


def _workers(values: flags.FlagValues) -> int:
    return values.num_workers or len(os.sched_getaffinity(0))


def scale_run(run: Run, shards: int) -> ScaleRun:
    """The same in scale mode; DataError for what is of the exact mode alone."""
    if run.second_options:
        raise DataError(
            "--second_output_file is of the exact mode. With --shards, start the command again "
            "with the second lengths: the tokenized text is kept."
        )
    manifest = manifest_of(run, run.output_files, run.options, _tokenizer(run))
    output = ",".join(run.output_files)
    return ScaleRun(run.source, output, shards, run.options, manifest, run.workers)


def _names(flag: flags.Flag) -> tuple[str, ...]:
    names = tuple(flag.value.split(","))
    if "" in names:
        raise DataError(f"--{flag.name} holds an empty name: {flag.value!r}.")
    return names


def create_records(run: Run, told: Callable[[Findings], None] | None = None) -> dict[str, int]:
    """Reads, draws and writes; the number of records of each output file.

    Args:
      run: see `Run`.
      told: called at the end with what the records of the first phase are like.

    Raises:
      DataError, RecordError, OSError: nothing has appeared under the output names.
    """
    tokenizer = _tokenizer(run)
    counting = Counting(tokenizer, run.options) if told else None
    vocabulary = VocabularyIds.from_vocab(tokenizer.vocab)
    for name in itertools.chain(*(files for files, _ in run.phases)):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
    scratch_folder = run.source.scratch_dir
    with contextlib.ExitStack() as outputs, Scratch(scratch_folder) as scratch:
        # Opened before hours of work: an output that cannot be written, or that another run
        # writes, should be said at once.
        writers = [
            outputs.enter_context(
                write_together(files, manifest_of(run, files, options, tokenizer))
            )
            for files, options in run.phases
        ]
        corpus = _read(run, tokenizer, scratch, counting)
        for (files, options), group in zip(run.phases, writers, strict=True):
            drawn = _draw(options, corpus, vocabulary, scratch)
            observe = [counting.observe] if counting and files == run.output_files else []
            batches = written_batches(
                drawn, corpus, vocabulary, options, scratch, len(group), run.workers, *observe
            )
            _write(batches, len(drawn.order), group)
        for writer in itertools.chain.from_iterable(writers):
            writer.finish()  # all bytes of all phases are on the disk before any name appears
        counts = {str(writer.path): writer.records for group in writers for writer in group}
    if told and counting:
        manifest = manifest_of(run, run.output_files, run.options, tokenizer)
        told(counting.findings(corpus, manifest.flags))
    return counts


def _write(batches: Batches, total: int, writers: list[RecordWriter]) -> None:
    bar = tqdm(total=total, desc="writing", unit="rec", mininterval=0.5)
    with bar, contextlib.closing(batches):  # on an error too: its threads read files given up then
        for batch in batches:
            for writer, (frames, records) in zip(writers, batch, strict=True):
                writer.write_frames(frames, records)
                bar.update(records)


def _tokenizer(run: Run) -> FullTokenizer:
    tokenizer = run.source.tokenizer()
    lines = max(tokenizer.inv_vocab) + 1
    if len(tokenizer.vocab) < lines:
        logging.warning(
            "%d lines of %s repeat a token; the last one counts, as in the original.",
            lines - len(tokenizer.vocab),
            run.vocab_file,
        )
    return tokenizer


def _read(
    run: Run, tokenizer: FullTokenizer, scratch: Scratch, counting: Counting | None = None
) -> Corpus:
    size, dropped = total_size(run.input_files), 0

    def counted(blocks: Iterator[TokenBlock]) -> Iterator[TokenBlock]:
        nonlocal dropped
        for block in blocks:
            dropped += block.dropped_bytes
            if counting:
                counting.words.look(block)
            yield block

    with tqdm(total=size, desc="reading", unit="B", unit_scale=True, mininterval=0.5) as bar:
        text = run.source.text(run.input_files, bar.update)
        blocks = counting.words.taken(text.blocks()) if counting else text.blocks()
        tokenized = run.source.noisy(counted(tokenize_blocks(blocks, tokenizer, run.workers)))
        corpus = build_corpus(tokenized, max(tokenizer.inv_vocab) + 1, scratch)
    sys.stderr.write(text.report())
    warn_of(corpus.documents, dropped + text.dropped_bytes)
    return corpus


def _draw(
    options: GenerationOptions, corpus: Corpus, vocabulary: VocabularyIds, scratch: Scratch
) -> Drawn:
    passes = corpus.documents * options.dupe_factor
    with tqdm(total=passes, desc="drawing", unit="doc", mininterval=0.5) as bar:
        rng = random.Random(options.random_seed)
        return draw_examples(corpus, vocabulary, options, rng, scratch, bar.update)


def _main(arguments: Sequence[str]) -> int:
    try:
        if len(arguments) > 1:
            raise DataError(
                f"These arguments belong to no flag: {' '.join(arguments[1:])}. "
                "Write --flag=value; switches take --name=True or --name=False."
            )
        values = flags.FLAGS
        if values.verify:
            return verify_shards(values.output_file, values.shards, _workers(values))
        run = run_from_flags(values)
        if values.shards is not None:
            show(create_shards(scale_run(run, values.shards)), values.report)
            return 0
        told = functools.partial(tell, values.report) if values.report else None
        counts = create_records(run, told)
    except (DataError, RecordError, OSError) as error:
        sys.stderr.write(error_line(error))
        return 1
    empty = [name for name, records in counts.items() if not records]
    if empty:
        logging.warning("No record was left for %s: name fewer output files.", ", ".join(empty))
    for name, records in counts.items():
        sys.stdout.write(f"{name}: {records} records\n")
    return 0


def main() -> None:
    """Entry point: parses the command line and runs."""
    define_flags()
    app.run(_main)


if __name__ == "__main__":
    main()
