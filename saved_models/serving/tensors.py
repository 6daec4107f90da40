"""Values of JSON as arrays of a signature's types and shapes, and back."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saved_models.serving.limits import Limits, RequestError, shown, too_much

B64 = "b64"
_MOST_AXES = 32  # that every NumPy can hold
# Kinds of NumPy's types, as they are called in JSON.
_KINDS = {"O": "a string", "b": "true or false", "i": "a whole number", "f": "a number"}
# NumPy's names of types that TensorFlow calls otherwise.
_DTYPES = {
    "object": "DT_STRING",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "float16": "DT_HALF",
}


@dataclass(frozen=True)
class Spec:
    """What a tensor of a signature is.

    Attributes:
      dtype: name of a NumPy type; strings are "object".
      shape: None for an axis of any length; None alone for any number of axes.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


def is_object(value: Any, names: Sequence[str]) -> bool:
    """Whether a value is an object with these keys."""
    return isinstance(value, dict) and value.keys() == set(names)


def to_array(name: str, value: Any, spec: Spec, limits: Limits) -> np.ndarray:
    """Nested lists as an array of the type and shape of `spec`.

    Raises:
      RequestError: they have another shape or other values, or too many of them.
    """
    rank = _depth(name, value) if spec.shape is None else len(spec.shape)
    leaves, shape = [value], []
    for axis in range(rank):
        lengths = {len(each) if isinstance(each, list) else None for each in leaves}
        expected = spec.shape[axis] if spec.shape else None
        if len(lengths) != 1 or not (length := lengths.pop()) or expected not in (None, length):
            raise RequestError(
                f"{name} must be nested lists of the shape {_shape_text(spec)}, none of them empty "
                f"and those of an axis equally long; got {shown(value)}. Fill short ones up, or "
                "send requests of one shape each."
            )
        is_last = axis == rank - 1 and spec.dtype != "object"
        longest = limits.axis if is_last else limits.choices
        if axis and expected is None and length > longest:
            raise too_much(
                f"{name} may hold {longest} values along axis {axis}; got {length}. Send "
                "shorter lists there."
            )
        if len(leaves) * length > limits.values:
            raise too_much(
                f"{name} may hold {limits.values} values; got {len(leaves) * length} or more. Send "
                "fewer in a request."
            )
        leaves = list(itertools.chain.from_iterable(leaves))
        shape.append(length)
    dtype = np.dtype(spec.dtype)
    read = _text if dtype.kind == "O" else _number
    array = np.empty(len(leaves), dtype)
    for place, leaf in enumerate(leaves):
        array[place] = read(name, leaf, dtype, limits)
    return array.reshape(shape)


def _depth(name: str, value: Any) -> int:
    """Lists around the first value: the rank where a signature leaves it open."""
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    if depth > _MOST_AXES:
        raise RequestError(
            f"{name} may have {_MOST_AXES} axes; got lists nested {depth} deep. Send fewer levels."
        )
    return depth


def _shape_text(spec: Spec) -> str:
    axes = ["rows", *("any" if axis is None else str(axis) for axis in (spec.shape or ())[1:])]
    return f"[{', '.join(axes)}]"


def _text(name: str, value: Any, dtype: np.dtype, limits: Limits) -> bytes:
    """A string of JSON, or {"b64": ...}, as bytes."""
    try:
        if isinstance(value, str):
            text = value.encode("utf-8")
        elif is_object(value, [B64]) and isinstance(value[B64], str):
            text = base64.b64decode(value[B64], validate=True)
        else:
            raise _wrong(name, value, dtype)
    except UnicodeEncodeError:
        raise RequestError(
            f"{name} must be text that UTF-8 can hold; got {shown(value)}, with half of a "
            "surrogate pair. Send both halves, or none."
        ) from None
    except (binascii.Error, ValueError):
        raise RequestError(
            f"{B64} must be base64 with its padding; got {shown(value)}. Encode the bytes anew."
        ) from None
    if len(text) > limits.text_bytes:
        raise too_much(
            f"A string of {name} may have {limits.text_bytes} bytes; got {len(text)}. Cut it, or "
            "send its parts."
        )
    return text


def _number(name: str, value: Any, dtype: np.dtype, limits: Limits) -> Any:
    del limits
    if dtype.kind == "b":
        if not isinstance(value, bool):
            raise _wrong(name, value, dtype)
        return value
    whole = isinstance(value, int) and not isinstance(value, bool)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if not whole:
            raise _wrong(name, value, dtype)
        if not bounds.min <= value <= bounds.max:
            raise RequestError(
                f"{name} must lie from {bounds.min} to {bounds.max} ({dtype}); got {shown(value)}. "
                "Send a number that fits."
            )
        return value
    if not whole and not isinstance(value, float):
        raise _wrong(name, value, dtype)
    if abs(value) > float(np.finfo(dtype).max):
        raise RequestError(
            f"{name} must be a finite number of {dtype}; got {shown(value)}. Send one that fits."
        )
    return value


def _wrong(name: str, value: Any, dtype: np.dtype) -> RequestError:
    wanted = _KINDS.get(dtype.kind, str(dtype))
    return RequestError(
        f"{name} must hold {wanted} ({'string' if dtype.kind == 'O' else dtype}) at each place; "
        f"got {shown(value)}. Send {wanted} there."
    )


def to_json(name: str, array: np.ndarray) -> Any:
    """An array as nested lists: not finite numbers as null, what is no text as {"b64": ...}."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _mapped(array.tolist(), lambda value: value if math.isfinite(value) else None)
    if array.dtype.kind in "OS":
        always = name.endswith("_bytes")  # as TensorFlow Serving does
        return _mapped(array.tolist(), lambda value: _encoded(value, always))
    return array.tolist()


def _mapped(value: Any, change: Any) -> Any:
    return [_mapped(each, change) for each in value] if isinstance(value, list) else change(value)


def _encoded(value: bytes, always: bool) -> str | dict[str, str]:
    if not always:
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return {B64: base64.b64encode(value).decode("ascii")}


def tensor_infos(specs: Mapping[str, Spec]) -> dict[str, Any]:
    """Inputs or outputs of a signature, as the protocol describes them."""
    return {
        name: {
            "dtype": _DTYPES.get(spec.dtype, f"DT_{spec.dtype.upper()}"),
            "tensor_shape": {
                "dim": [
                    {"size": str(-1 if axis is None else axis), "name": ""}
                    for axis in spec.shape or ()
                ],
                "unknown_rank": spec.shape is None,
            },
            "name": name,
        }
        for name, spec in specs.items()
    }
