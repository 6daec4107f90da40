"""Files that appear under their names only when they are whole and on the disk."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

# A file of a killed run is overwritten by the next one, and easy to recognize.
PARTIAL = ".partial-"

_SYNC_BYTES = 8 << 20  # are worth a sync of their own


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary name in the same directory; what is written there replaces `path`.

    The name keeps the ending of `path`, since some writers choose their format by it. After an
    exception the temporary file is removed and `path` is as it was.

    Raises:
        OSError: If the directory is not there or not writable.
    """
    target = Path(path)
    partial = target.with_name(f"{PARTIAL}{target.name}")
    try:
        yield partial
        sync(partial)
        os.replace(partial, target)
        sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a folder in the same directory that becomes `path`, which must not be there.

    After an exception nothing is left. Files in it that must outlive a crash are the caller's to
    `sync`.

    Raises:
        OSError: If the directory cannot be made or written.
    """
    target = Path(path)
    partial = target.with_name(f"{PARTIAL}{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 file with the line ends of `text`, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """An open UTF-8 file that gets its name when the block ends well."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file
        file.flush()


def sync(path: str | os.PathLike[str]) -> None:
    """Brings a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class EarlySync:
    """Brings a file to the disk while it is written, so that `finish` finds little left.

    A thread of its own does it, one time after another. To tell the system to begin with writing
    is not enough: most of a sync is then still to come, where the disk has a cache of its own.

    Args:
      descriptor: of the file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread = ThreadPoolExecutor(1, "sync")
        self._running: Future[None] | None = None
        self._begun = 0

    def grown(self, size: int) -> None:
        """Says how many bytes were written; OSError where some did not come to the disk."""
        if size - self._begun >= _SYNC_BYTES and (self._running is None or self._running.done()):
            self._wait()
            self._begun = size
            self._running = self._thread.submit(os.fsync, self._descriptor)

    def finish(self) -> None:
        """Every byte is on the disk afterwards; OSError as above, which the system says once."""
        self._wait()
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Waits for a sync that runs; the file may be closed afterwards."""
        self._thread.shutdown()

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()
