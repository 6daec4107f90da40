"""Arrays that grow on disk: what a run knows of its corpus need not fit into memory.

Pages that were read count as the process's memory until `release`, if the array is large, or until
the system needs them.

Each `DiskArray` of a `Scratch` lies in a file without a name, which the system removes with the
process, however that ends. It is read through a memory map; `release` gives the pages of large ones
back.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

_BUFFER = 1 << 20
_SMALL_BYTES = 16 << 20  # what is smaller stays in memory once it was read


class DiskArray:
    """Rows of one dtype, appended and then read; made by `Scratch.array`.

    Args:
      file: without a name, empty.
      dtype: of the numbers.
      columns: numbers of a row; 0 for a plain list of numbers.
    """

    def __init__(self, file: IO[bytes], dtype: npt.DTypeLike, columns: int) -> None:
        self._file = file
        self._dtype = np.dtype(dtype)
        self._columns = columns
        self._map: mmap.mmap | None = None

    def append(self, values: npt.NDArray[Any]) -> None:
        """Adds rows at the end; OSError where the disk is full."""
        self._file.write(np.ascontiguousarray(values, self._dtype).data)

    def view(self) -> npt.NDArray[Any]:
        """All rows, read-only: [N] or [N, columns]; nothing may be appended afterwards."""
        shape = (-1, self._columns) if self._columns else (-1,)
        self._file.flush()
        if not os.fstat(self._file.fileno()).st_size:  # nothing cannot be mapped
            return np.empty((0, *shape[1:]), self._dtype)
        if self._map is None:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(self._map, self._dtype).reshape(shape)

    def fileno(self) -> int:
        """The file's number, for `os.pread` and the like."""
        return self._file.fileno()

    def release(self) -> None:
        """Takes the pages read so far out of this process, if many; reading brings them back."""
        if self._map is not None and len(self._map) > _SMALL_BYTES:
            self._map.madvise(mmap.MADV_DONTNEED)


class Scratch:
    """Makes arrays on one disk and gives all of them up together.

    Args:
      folder: a folder of the disk to use: that of the outputs, which must have room anyway.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = folder
        self._files = contextlib.ExitStack()
        self._arrays: list[DiskArray] = []

    def array(self, dtype: npt.DTypeLike, columns: int = 0) -> DiskArray:
        """An empty array."""
        self._arrays.append(DiskArray(self.file(), dtype, columns))
        return self._arrays[-1]

    def file(self) -> IO[bytes]:
        """An empty file."""
        file = tempfile.TemporaryFile(dir=self._folder, buffering=_BUFFER)  # noqa: SIM115
        return self._files.enter_context(file)

    def release(self) -> None:
        """Gives back the memory of what was read so far of large arrays."""
        for array in self._arrays:
            array.release()

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()  # the disk space is free once no view is left
