"""Files that appear under their names only when they are whole and on the disk."""

import contextlib
import ctypes
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

# A file of a killed run is overwritten by the next one, and easy to recognize.
PARTIAL = ".partial-"

_BEGIN_WRITING = 2  # SYNC_FILE_RANGE_WRITE of Linux


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


def begin_sync(descriptor: int, start: int, size: int) -> None:
    """Lets the disk begin with bytes that were written to a file, so that `sync` waits less.

    It waits for a full queue alone, and promises nothing, not even an error; some systems have no
    such call.
    """
    begin = _sync_file_range()
    if begin and size:  # to the system, a size of 0 is all the rest of the file
        begin(descriptor, start, size, _BEGIN_WRITING)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function
