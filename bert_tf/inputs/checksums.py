"""CRC-32C, compiled: by the processor's own instruction where it has one, else by tables.

Every record is summed up whole; with tables that takes as long as making it.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bert_tf.compiled import compiled

_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
# What is compiled here depends on it; numba keeps code by the processor that it is for.
HAS_INSTRUCTION = bool(llvm.get_host_cpu_features().get("sse4.2"))


def _tables() -> npt.NDArray[np.uint32]:
    """uint32 [8, 256]: table k is the CRC-32C of a byte with k zero bytes after it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    tables = [table]
    for _ in range(7):
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & 0xFF])
    return np.array(tables, np.uint32)


_TABLES = _tables()


@intrinsic
def _instruction(typing_context: Any, crc: Any, word: Any) -> Any:
    """uint64 (crc, eight bytes) -> crc: SSE 4.2's crc32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        long = ir.IntType(64)
        function = builder.module.declare_intrinsic(
            "llvm.x86.sse42.crc32.64.64", (), ir.FunctionType(long, [long, long])
        )
        return builder.call(function, arguments)

    return types.uint64(types.uint64, types.uint64), generate


@compiled
def _words_by_instruction(data: npt.NDArray[np.uint8], start: int, words: int) -> np.uint32:
    crc, at = np.uint64(_ALL), np.uint64(start)
    for _ in range(words):
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[at + np.uint64(k)]) << np.uint64(8 * k)
        crc = _instruction(crc, word)
        at += np.uint64(8)
    return np.uint32(crc)


@compiled
def _words_by_tables(data: npt.NDArray[np.uint8], start: int, words: int) -> np.uint32:
    crc, at = np.uint32(_ALL), np.uint64(start)
    for _ in range(words):
        low = crc ^ (
            np.uint32(data[at])
            | np.uint32(data[at + np.uint64(1)]) << np.uint32(8)
            | np.uint32(data[at + np.uint64(2)]) << np.uint32(16)
            | np.uint32(data[at + np.uint64(3)]) << np.uint32(24)
        )
        crc = (
            _TABLES[7, low & np.uint32(0xFF)]
            ^ _TABLES[6, low >> np.uint32(8) & np.uint32(0xFF)]
            ^ _TABLES[5, low >> np.uint32(16) & np.uint32(0xFF)]
            ^ _TABLES[4, low >> np.uint32(24) & np.uint32(0xFF)]
            ^ _TABLES[3, data[at + np.uint64(4)]]
            ^ _TABLES[2, data[at + np.uint64(5)]]
            ^ _TABLES[1, data[at + np.uint64(6)]]
            ^ _TABLES[0, data[at + np.uint64(7)]]
        )
        at += np.uint64(8)
    return crc


_crc_of_words = _words_by_instruction if HAS_INSTRUCTION else _words_by_tables


@compiled
def crc32c(data: npt.NDArray[np.uint8], start: int, end: int) -> np.int64:
    """CRC-32C (Castagnoli) of data[start:end]."""
    words = (end - start) // 8
    crc = _crc_of_words(data, start, words)
    for at in range(start + 8 * words, end):
        crc = crc >> np.uint32(8) ^ _TABLES[0, (crc ^ np.uint32(data[np.uint64(at)])) & 0xFF]
    return np.int64(crc) ^ _ALL
