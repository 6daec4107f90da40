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

from bert_tf.compiled import compiled, inlined
from bert_tf.unaligned import load_8

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

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


def _instruction(bits: int) -> Any:
    """SSE 4.2's crc32 as a compiled function: (crc, word of so many bits) -> crc."""

    @intrinsic
    def step(typing_context: Any, crc: Any, word: Any) -> Any:
        wide = 64 if bits == 64 else 32  # what the instruction keeps a sum in

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            form = ir.FunctionType(ir.IntType(wide), [ir.IntType(wide), ir.IntType(bits)])
            name = f"llvm.x86.sse42.crc32.{wide}.{bits}"
            return builder.call(builder.module.declare_intrinsic(name, (), form), arguments)

        total = types.Integer.from_bitwidth(wide, signed=False)
        return total(total, types.Integer.from_bitwidth(bits, signed=False)), generate

    return step


_add_8, _add_1 = _instruction(64), _instruction(8)


@compiled
def _sum_word_by_instruction(crc: np.uint32, word: np.uint64) -> np.uint32:
    return np.uint32(_add_8(np.uint64(crc), word))


@compiled
def _sum_by_instruction(data: Bytes, start: int, end: int, crc: np.uint32) -> np.uint32:
    """`crc`, the sum of what came before, and data[start:end] summed up."""
    total, at = np.uint64(crc), np.uint64(start)
    for _ in range((end - start) // 8):
        total = _add_8(total, load_8(data, at))
        at += np.uint64(8)
    rest = np.uint32(total)
    for _ in range((end - start) % 8):
        rest = _add_1(rest, data[at])
        at += np.uint64(1)
    return rest


@inlined
def _begin(data: Bytes, start: int, size: int) -> np.uint64:
    """The sum of the first size % 8 + 8 bytes, so that whole words are left.

    Zeros in front change nothing where a sum begins with 0. The usual beginning, all bits set, is
    the same as 0 and the first four bytes inverted.
    """
    odd = np.uint64(size % 8)
    bits = np.uint64(8) * odd
    first = load_8(data, np.uint64(start)) ^ np.uint64(_ALL)
    sum_ = _add_8(np.uint64(0), first << (np.uint64(56) - bits) << np.uint64(8))
    return _add_8(sum_, load_8(data, np.uint64(start) + odd) ^ np.uint64(_ALL) >> bits)


@compiled
def _sum_four_by_instruction(data: Bytes, starts: Longs, ends: Longs, sums: Longs) -> None:
    """A sum takes three cycles a word, of which the processor can give two to other sums."""
    words = np.min(ends - starts) // 8 - 1
    if words < 1:
        for k in range(4):
            rest = _sum_by_instruction(data, starts[k], ends[k], np.uint32(_ALL))
            sums[k] = np.int64(rest) ^ _ALL
        return
    sizes = ends - starts
    a, b = _begin(data, starts[0], sizes[0]), _begin(data, starts[1], sizes[1])
    c, d = _begin(data, starts[2], sizes[2]), _begin(data, starts[3], sizes[3])
    # Where the common words begin, so that the loop has one counter.
    at_a, at_b = (np.uint64(starts[0] + sizes[0] % 8 + 8), np.uint64(starts[1] + sizes[1] % 8 + 8))
    at_c, at_d = (np.uint64(starts[2] + sizes[2] % 8 + 8), np.uint64(starts[3] + sizes[3] % 8 + 8))
    for word in range(words):
        ahead = np.uint64(8 * word)
        a = _add_8(a, load_8(data, at_a + ahead))
        b = _add_8(b, load_8(data, at_b + ahead))
        c = _add_8(c, load_8(data, at_c + ahead))
        d = _add_8(d, load_8(data, at_d + ahead))
    sums[0], sums[1], sums[2], sums[3] = a, b, c, d
    for k in range(4):
        total = np.uint64(sums[k])
        for at in range(starts[k] + sizes[k] % 8 + 8 + 8 * words, ends[k], 8):
            total = _add_8(total, load_8(data, np.uint64(at)))
        sums[k] = np.int64(total) ^ _ALL


@compiled
def _sum_word_by_tables(crc: np.uint32, word: np.uint64) -> np.uint32:
    word ^= np.uint64(crc)
    crc = np.uint32(0)
    for k in range(8):
        crc = np.uint32(crc ^ _TABLES[7 - k, word >> np.uint64(8 * k) & np.uint64(0xFF)])
    return crc


@compiled
def _sum_by_tables(data: Bytes, start: int, end: int, crc: np.uint32) -> np.uint32:
    """As `_sum_by_instruction`."""
    at = np.uint64(start)
    for _ in range((end - start) // 8):
        crc = _sum_word_by_tables(crc, load_8(data, at))
        at += np.uint64(8)
    for _ in range((end - start) % 8):
        crc = crc >> np.uint32(8) ^ _TABLES[0, (crc ^ np.uint32(data[at])) & 0xFF]
        at += np.uint64(1)
    return np.uint32(crc)


@compiled
def _sum_four_by_tables(data: Bytes, starts: Longs, ends: Longs, sums: Longs) -> None:
    for k in range(4):
        sums[k] = np.int64(_sum_by_tables(data, starts[k], ends[k], np.uint32(_ALL))) ^ _ALL


_sum = _sum_by_instruction if HAS_INSTRUCTION else _sum_by_tables
_sum_word = _sum_word_by_instruction if HAS_INSTRUCTION else _sum_word_by_tables
_sum_four = _sum_four_by_instruction if HAS_INSTRUCTION else _sum_four_by_tables


@compiled
def crc32c(data: Bytes, start: int, end: int) -> np.int64:
    """CRC-32C (Castagnoli) of data[start:end]."""
    return np.int64(_sum(data, start, end, np.uint32(_ALL))) ^ _ALL


@compiled
def crc32c_of_word(word: np.uint64) -> np.int64:
    """CRC-32C of eight bytes, little-endian."""
    return np.int64(_sum_word(np.uint32(_ALL), word)) ^ _ALL


@compiled
def crc32c_of_four(data: Bytes, starts: Longs, ends: Longs, sums: Longs) -> None:
    """Sets sums[k] to the CRC-32C of data[starts[k] : ends[k]]; int64 [4] each."""
    _sum_four(data, starts, ends, sums)
