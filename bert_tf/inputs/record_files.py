"""TFRecord files and their manifests.

A file is a row of frames: length (uint64), masked CRC-32C of the length, payload, masked CRC of
the payload. The format has no end mark, so a file cut between two frames looks whole; the
manifest beside each file (`.NAME.manifest.json`) holds the count that tells.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import glob
import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import google_crc32c

from bert_tf.files import EarlySync, sync, write_text
from bert_tf.inputs.record_schema import RecordError, RecordSchema

_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_MANIFEST_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """How a record file was made; `records` and `size` (bytes) are set by its writer."""

    schema: RecordSchema
    vocab_size: int | None = None
    vocab_sha256: str | None = None
    do_lower_case: bool | None = None
    seed: int | None = None
    flags: dict[str, Any] = dataclasses.field(default_factory=dict)
    records: int = 0
    size: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values for json.dump."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"version": _MANIFEST_VERSION, **fields, "schema": self.schema.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Manifest:
        """The inverse of `to_json`; KeyError, TypeError or ValueError on anything else."""
        if values.pop("version") != _MANIFEST_VERSION:
            raise ValueError(f"its version must be {_MANIFEST_VERSION}")
        return cls(**{**values, "schema": RecordSchema.from_json(values["schema"])})


def manifest_path(path: str | os.PathLike[str]) -> Path:
    """`.NAME.manifest.json` beside NAME: a dot file, so that no glob on NAME meets it."""
    path = Path(path)
    return path.with_name(f".{path.name}.manifest.json")


def _partial_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


class RecordWriter:
    """Writes one TFRecord file that appears under its name only when it is complete.

    Bytes go to `.NAME.partial` in the same directory, locked against a second writer. As a
    context manager it publishes on a clean exit and leaves nothing after an exception; a
    partial file of a killed run is overwritten by the next one. Several files that belong
    together: `write_together`.

    Raises:
      RecordError: another writer has the path open, or it is a directory.
    """

    def __init__(self, path: str | os.PathLike[str], manifest: Manifest | None = None) -> None:
        self.path = Path(path)
        if self.path.is_dir():  # the renaming at the end would fail
            raise RecordError(
                f"{path}: is a directory, but records go to one file. Name a file in it."
            )
        self.records = 0
        self._manifest = manifest
        self._partial = _partial_path(self.path)
        self._file = _open_locked(self._partial)
        self._headers: dict[int, bytes] = {}
        self._early_sync = EarlySync(self._file.fileno())

    def write(self, record: bytes) -> None:
        """Appends one serialized record."""
        size = len(record)
        header = self._headers.get(size)
        if header is None:
            length = size.to_bytes(8, "little")
            header = self._headers[size] = length + _masked_crc(length)
        self._file.write(b"".join((header, record, _masked_crc(record))))
        self.records += 1

    def write_frames(self, frames: memoryview, records: int) -> None:
        """Appends `records` records that are framed already (`frames.FrameEncoder`)."""
        self._file.write(frames)
        self.records += records
        self._early_sync.grown(self._file.tell())

    def finish(self) -> None:
        """Brings every byte to the disk, still under the temporary name."""
        self._file.flush()
        self._early_sync.finish()

    def publish(self) -> None:
        """Gives the finished file its name, and writes its manifest."""
        described = manifest_path(self.path)
        # An older manifest must never stand beside newer records, nor the other way round.
        described.unlink(missing_ok=True)
        size = self._partial.stat().st_size
        os.replace(self._partial, self.path)
        if self._manifest is not None:
            manifest = dataclasses.replace(self._manifest, records=self.records, size=size)
            text = json.dumps(manifest.to_json(), indent=1, sort_keys=True) + "\n"
            write_text(described, text)
        sync(self.path.parent)
        self._close()

    def discard(self) -> None:
        """Removes the temporary file; the name keeps what it had."""
        if not self._file.closed:
            self._partial.unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        try:
            self._early_sync.close()
        finally:
            self._file.close()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.finish()
                self.publish()
        finally:
            self.discard()


@contextlib.contextmanager
def write_together(
    paths: Sequence[str | os.PathLike[str]], manifest: Manifest | None = None
) -> Iterator[list[RecordWriter]]:
    """Writers for files that appear only when all of them are complete."""
    writers: list[RecordWriter] = []
    try:
        for path in paths:
            writers.append(RecordWriter(path, manifest))
        yield writers
        for writer in writers:
            writer.finish()
        for writer in writers:
            writer.publish()
    finally:
        for writer in writers:
            writer.discard()


def _open_locked(partial: Path) -> IO[bytes]:
    while True:
        file = os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b", 1 << 20)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise RecordError(
                f"{partial}: another writer has this output open; two writers would mix their "
                "records. Wait for it, or write to another name."
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                file.truncate(0)
                return file
        # Between our open and our lock the other writer gave this file its final name.
        file.close()


def _masked_crc(data: bytes) -> bytes:
    """CRC-32C, rotated and shifted as TFRecord wants it, little endian."""
    crc = google_crc32c.value(data)
    return _CRC.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def read_records(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The serialized records of a TFRecord file, each checked against its CRC.

    Raises:
      RecordError: naming file, record, byte and rule where a frame is torn or damaged.
    """
    with open(path, "rb", 1 << 20) as file:
        size = os.fstat(file.fileno()).st_size
        index = at = 0
        while at < size:
            length = _frame_length(path, index, at, file.read(_HEADER.size), size)
            record = file.read(length)
            if file.read(_CRC.size) != _masked_crc(record):
                raise _damaged(path, index, at, "the checksum of its bytes does not match")
            yield record
            at += _HEADER.size + length + _CRC.size
            index += 1


def count_records(path: str | os.PathLike[str]) -> int:
    """How many whole records a file holds, from the frame headers alone (payloads unread).

    Raises:
      RecordError: as `read_records`, apart from damage inside a payload.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        index = at = 0
        while at < size:
            header = os.pread(descriptor, _HEADER.size, at)
            at += _HEADER.size + _frame_length(path, index, at, header, size) + _CRC.size
            index += 1
        return index
    finally:
        os.close(descriptor)


def _frame_length(
    path: str | os.PathLike[str], index: int, at: int, header: bytes, size: int
) -> int:
    if len(header) < _HEADER.size:
        raise _damaged(
            path, index, at, f"a header has {_HEADER.size} bytes, the file ends after {len(header)}"
        )
    length, _ = _HEADER.unpack(header)
    if header[8:] != _masked_crc(header[:8]):
        raise _damaged(
            path, index, at, "the checksum of its length does not match (is this a TFRecord file?)"
        )
    left = size - at - _HEADER.size - _CRC.size
    if length > left:
        raise _damaged(
            path, index, at, f"it should have {length} bytes, the file has room for {max(left, 0)}"
        )
    return int(length)


def _damaged(path: str | os.PathLike[str], index: int, at: int, rule: str) -> RecordError:
    return RecordError(
        f"{os.fspath(path)}: record {index} at byte {at}: {rule}. "
        "The file is cut or damaged: copy or write it again."
    )


def read_manifest(path: str | os.PathLike[str]) -> Manifest | None:
    """The manifest of a record file, None where it has none.

    Raises:
      RecordError: there is one, but it cannot be read.
    """
    described = manifest_path(path)
    try:
        text = described.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return Manifest.from_json(json.loads(text))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{described}: not a manifest of record files ({error!r}). Remove it to read "
            "the records without one, or write them again."
        ) from error


def verify_count(path: str | os.PathLike[str]) -> int:
    """The number of records of a file that is whole, as far as headers and manifest tell.

    Raises:
      RecordError: the file is empty, damaged, or not what its manifest says.
    """
    records = count_records(path)
    manifest = read_manifest(path)
    if manifest is not None and records != manifest.records:
        raise RecordError(
            f"{os.fspath(path)}: holds {records} of {manifest.records} records that its "
            f"manifest ({manifest_path(path).name}) lists. Copy or write the file again; "
            "if it was changed on purpose, remove the manifest."
        )
    if records == 0:
        raise RecordError(f"{os.fspath(path)}: holds no records. Write it again or leave it out.")
    size = os.stat(path).st_size
    if manifest is not None and size != manifest.size:
        raise RecordError(
            f"{os.fspath(path)}: has {size} bytes, its manifest says {manifest.size}: the file "
            "was replaced. Copy or write it again; if on purpose, remove the manifest."
        )
    return records


def match_files(patterns: str | Iterable[str]) -> list[str]:
    """Files that a comma-separated list (or sequence) of names and globs matches.

    Each pattern's files are sorted; a file that two patterns match is listed twice, as the
    original reads it twice.

    Raises:
      RecordError: a pattern matches no file.
    """
    listed = patterns.split(",") if isinstance(patterns, str) else list(patterns)
    found: list[str] = []
    for pattern in listed:
        names = [pattern] if os.path.exists(pattern) else glob.glob(pattern)
        files = sorted(name for name in names if not os.path.isdir(name))
        if not files:
            raise RecordError(
                f"No file matches {pattern!r} (of {','.join(listed)!r}). Give names or globs of "
                "files that exist, separated by commas."
            )
        found.extend(files)
    return found


def find_record_files(patterns: str | Iterable[str]) -> list[str]:
    """`match_files`, with each file once."""
    return list(dict.fromkeys(match_files(patterns)))
