"""Whole words to and from bytes that lie anywhere, for compiled code.

Byte by byte, a word would be eight instructions. Words are little-endian, as all processors are
that numba compiles for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _address(context: Any, builder: Any, kind: Any, data: Any, at: Any, bits: int) -> Any:
    """LLVM's pointer to a word of `bits` at byte `at` of an array of bytes."""
    memory = cgutils.create_struct_proxy(kind)(context, builder, data).data
    return builder.bitcast(builder.gep(memory, [at]), ir.IntType(bits).as_pointer())


def _load(bits: int) -> Any:
    @intrinsic
    def load(typing_context: Any, data: Any, at: Any) -> Any:
        word = types.Integer.from_bitwidth(bits, signed=False)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            memory, place = arguments
            address = _address(context, builder, data, memory, place, bits)
            return builder.load(address, align=1)

        return word(data, types.uint64), generate

    return load


def _store(bits: int) -> Any:
    @intrinsic
    def store(typing_context: Any, data: Any, at: Any, value: Any) -> Any:
        word = types.Integer.from_bitwidth(bits, signed=False)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            memory, place, number = arguments
            address = _address(context, builder, data, memory, place, bits)
            builder.store(number, address, align=1)
            return context.get_dummy_value()

        return types.void(data, types.uint64, word), generate

    return store


# load(data: uint8 array, at) -> word; store(data, at, word). Nobody checks whether `at` is inside.
load_8: Callable[..., Any] = _load(64)
store_8: Callable[..., Any] = _store(64)
store_4: Callable[..., Any] = _store(32)
