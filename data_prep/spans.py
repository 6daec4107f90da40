"""Reads spans of a large file of tokens, without a memory map.

Spans lie all over a corpus. Through a map each of them brings the pages around it into the process,
until it holds the whole file; `pread` brings the span alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from bert_tf.compiled import compiled
from data_prep.pairs import END_A, END_B, START_A, START_B

Longs = npt.NDArray[np.int64]

MAPPED_BYTES = 32 << 20  # so much of a file may be mapped as well


@intrinsic
def _pread(typing_context: Any, file: Any, address: Any, size: Any, offset: Any) -> Any:
    """The system's pread: (file number, address of memory, bytes, place in the file) -> bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number, long = ir.IntType(32), ir.IntType(64)
        form = ir.FunctionType(long, [number, long, long, long])
        function = cgutils.get_or_insert_function(builder.module, form, "pread")
        return builder.call(function, arguments)

    return types.int64(types.int32, types.int64, types.int64, types.int64), generate


def read_spans(file: int, dtype: npt.DTypeLike, pairs: Longs) -> npt.NDArray[Any]:
    """The tokens of `pairs`, one part after the other; `pairs` count in these afterwards.

    Raises:
      OSError: the file cannot be read, or ends before a span does.
    """
    spans = ((START_A, END_A), (START_B, END_B))
    size = sum(int((pairs[:, end] - pairs[:, start]).sum()) for start, end in spans)
    tokens = np.empty(size, dtype)
    missing = _read(file, pairs, tokens)
    if missing >= 0:
        raise OSError(
            f"Tokens from {missing} on could not be read from the scratch folder: its disk has an "
            "error, or something cut the file."
        )
    return tokens


@compiled
def _read(file: int, pairs: Longs, tokens: npt.NDArray[np.integer]) -> int:
    """Fills `tokens`; the first token that could not be read, or -1."""
    width, base, at = tokens.itemsize, tokens.ctypes.data, 0
    for row in range(len(pairs)):
        pair = pairs[row]
        for part in range(2):
            start, end = START_A + 2 * part, END_A + 2 * part
            first, count = pair[start], pair[end] - pair[start]
            pair[start], pair[end] = at, at + count
            done = 0
            while done < count * width:
                got = _pread(
                    np.int32(file), base + at * width + done, count * width - done,
                    first * width + done,
                )  # fmt: skip
                if got <= 0:
                    return first
                done += got
            at += count
    return -1
