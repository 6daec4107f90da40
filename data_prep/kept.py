"""Work that outlives a crash: arrays in the files of a folder, and a journal of what is whole.

    folder/
        journal.json     what the arrays are for, how many steps of work are in them, their rows
        NAME.bin         one file for each array

Rows are appended as they are made. Every now and then the files are brought to the disk and the
journal after them; whoever opens the folder again cuts what came later and goes on from there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bert_tf.files import sync, write_text
from data_prep.store import DiskArray, Scratch

Layout = Mapping[str, tuple[npt.DTypeLike, int]]  # name -> dtype and columns, as `Scratch.array`

_JOURNAL = "journal.json"
_SECONDS_BETWEEN_KEEPS = 0.25
_BUFFER = 1 << 20


class KeptArrays:
    """Arrays that are made step by step and go on where the last life stopped.

    Args:
      folder: made if it is not there.
      layout: the arrays.
      label: what the arrays are for; those of another label are thrown away.

    Attributes:
      steps: how many steps of work are in the arrays.
      facts: what the caller noted with these steps; plain values for JSON.
      complete: whether all steps are.
    """

    def __init__(self, folder: str | os.PathLike[str], layout: Layout, label: str) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._label = label
        journal = self._read_journal(layout)
        self.steps: int = journal["steps"]
        self.facts: dict[str, Any] = journal["facts"]
        self.complete: bool = journal["complete"]
        self._sizes = {name: _row_size(*layout[name]) for name in layout}
        self._files: dict[str, IO[bytes]] = {}
        self._arrays: dict[str, DiskArray] = {}
        for name, (dtype, columns) in layout.items():
            path = self._path(name)
            mode = "r+b" if path.exists() else "w+b"
            file = self._files[name] = path.open(mode, buffering=_BUFFER)
            file.truncate(journal["rows"][name] * self._sizes[name])
            file.seek(0, os.SEEK_END)
            self._arrays[name] = DiskArray(file, dtype, columns)
        self._kept_at = time.monotonic()

    def append(self, name: str, rows: npt.NDArray[Any]) -> None:
        """Adds rows to an array; OSError where the disk is full."""
        self._arrays[name].append(rows)

    def keep(self, steps: int, facts: dict[str, Any], complete: bool = False) -> None:
        """Says that the arrays hold so many steps; now and then this reaches the disk.

        Args:
          steps: from the very start.
          facts: to be found again in `facts`.
          complete: nothing follows; this always reaches the disk.
        """
        self.steps, self.facts, self.complete = steps, facts, complete
        if not complete and time.monotonic() < self._kept_at + _SECONDS_BETWEEN_KEEPS:
            return
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        write_text(self._folder / _JOURNAL, json.dumps(self._journal()))
        self._kept_at = time.monotonic()

    def _journal(self) -> dict[str, Any]:
        rows = {name: file.tell() // self._sizes[name] for name, file in self._files.items()}
        return {
            "label": self._label,
            "steps": self.steps,
            "rows": rows,
            "facts": self.facts,
            "complete": self.complete,
        }

    def _read_journal(self, layout: Layout) -> dict[str, Any]:
        """The journal, if the folder holds all it speaks of; else that of nothing."""
        nothing = {"steps": 0, "rows": dict.fromkeys(layout, 0), "facts": {}, "complete": False}
        with contextlib.suppress(OSError, ValueError, KeyError):
            journal = json.loads((self._folder / _JOURNAL).read_text(encoding="utf-8"))
            whole = all(
                self._path(name).stat().st_size >= journal["rows"][name] * _row_size(*layout[name])
                for name in layout
            )
            if whole and journal["label"] == self._label:
                return dict(journal)
        # It must not come to speak of rows that another label's have overwritten.
        (self._folder / _JOURNAL).unlink(missing_ok=True)
        return nothing

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.bin"

    def close(self) -> None:
        """Closes the files; `keep` what should last before."""
        for file in self._files.values():
            file.close()

    def __enter__(self) -> KeptArrays:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _row_size(dtype: npt.DTypeLike, columns: int) -> int:
    return np.dtype(dtype).itemsize * max(columns, 1)


class OpenArrays:
    """Arrays of a folder, read-only through memory maps; several processes share the pages.

    Raises:
      OSError: a file is not there.
    """

    def __init__(self, folder: str | os.PathLike[str], layout: Layout) -> None:
        self._arrays: dict[str, DiskArray] = {}
        self._views: dict[str, npt.NDArray[Any]] = {}
        for name, (dtype, columns) in layout.items():
            with Path(folder, f"{name}.bin").open("rb") as file:
                self._arrays[name] = DiskArray(file, dtype, columns)
                self._views[name] = self._arrays[name].view()  # outlives the open file

    def view(self, name: str) -> npt.NDArray[Any]:
        """All rows of an array."""
        return self._views[name]

    def release(self) -> None:
        """Gives back the memory of what was read so far."""
        for array in self._arrays.values():
            array.release()


class NamedScratch(Scratch):
    """A scratch whose arrays are files with names, to stay.

    Args:
      folder: of the files.
      names: of the arrays, in the order in which they will be asked for.
    """

    def __init__(self, folder: str | os.PathLike[str], names: Sequence[str]) -> None:
        super().__init__(folder)
        self._paths = iter([Path(folder, f"{name}.bin") for name in names])
        self._made: list[tuple[Path, DiskArray]] = []

    def array(self, dtype: npt.DTypeLike, columns: int = 0) -> DiskArray:
        """An empty array with the next name."""
        path = next(self._paths)
        file = self._files.enter_context(path.open("w+b", buffering=_BUFFER))
        self._made.append((path, DiskArray(file, dtype, columns)))
        self._arrays.append(self._made[-1][1])
        return self._made[-1][1]

    def sync(self) -> None:
        """Brings all arrays to the disk."""
        for path, array in self._made:
            array.view()  # flushes
            sync(path)


@contextlib.contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Waits until nobody else has the lock, however the one before ended, and takes it."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
