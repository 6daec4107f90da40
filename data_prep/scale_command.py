"""Flags and words of scale mode and of reports, for the commands that have them."""

from __future__ import annotations

import sys

from absl import flags, logging

from data_prep.options import NOT_UTF8, DataError
from data_prep.report import write_report
from data_prep.scale import Finished
from data_prep.statistics import Findings
from data_prep.verify_shards import verify


def define_scale() -> None:
    """--shards and what belongs to it; --report."""
    flags.DEFINE_integer(
        "shards",
        None,
        "Scale mode: so many files, --output_file with -00000-of-0000N and so on after it. The "
        "tokenized text stays in --scratch_dir for the next run.",
    )
    flags.DEFINE_bool("verify", False, "Compare finished shards with their manifest, no more.")
    flags.DEFINE_string("report", None, "HTML file to write that shows what the records are like.")


def require_input(names: list[str]) -> None:
    """These flags must be given, but not with --verify, which reads no text."""
    for name in names:
        flags.register_multi_flags_validator(
            [name, "verify"],
            lambda values, name=name: values["verify"] or values[name] is not None,
            f"Flag --{name} must have a value other than None.",
        )


def show(finished: Finished, report: str | None) -> None:
    """Says what a run in scale mode has made, and writes its report."""
    sys.stderr.write(finished.input_report)
    warn_of(finished.findings.facts["documents"], finished.dropped_bytes)
    for note in finished.notes:
        path = finished.manifest.parent.with_name(note.name)
        sys.stdout.write(f"{path}: {note.records} records, SHA-256 {note.sha256}\n")
    tell(report, finished.findings)
    sys.stdout.write(
        f"manifest: {finished.manifest}\ntokenized text, for the next run: {finished.corpus}\n"
    )


def tell(report: str | None, findings: Findings) -> None:
    """Says what the records of a run are like, and writes its report."""
    sys.stdout.write(f"{findings.text()}\n")
    if report:
        write_report(report, findings)
        sys.stdout.write(f"report: {report}\n")


def warn_of(documents: int, dropped_bytes: int) -> None:
    """Warns of what is odd about the text."""
    if dropped_bytes:
        logging.warning(NOT_UTF8, dropped_bytes)
    if documents == 1:
        logging.warning(
            "The input is one document: its random next sentences come from itself, as in the "
            "original. Put a blank line between documents."
        )


def verify_shards(output: str, shards: int | None, threads: int) -> int:
    """Says what is wrong with finished shards; the exit status."""
    if shards is None:
        raise DataError("--verify needs --shards: it compares shards with their manifest.")
    faults = verify(output, shards, threads)
    for fault in faults:
        sys.stderr.write(f"error: {fault}\n")
    if not faults:
        sys.stdout.write(f"{output}: all {shards} shards are as written\n")
    return 1 if faults else 0
