"""The REST protocol of TensorFlow Serving: JSON to arrays and back, as pure functions.

A request names values by row, `{"instances": [{"text_a": "..."}, ...]}`, or by column,
`{"inputs": {"text_a": ["...", ...]}}`; with a single input its values may stand there bare. The
answer is `{"predictions": [...]}`, or `{"outputs": {...}}`, likewise bare with a single output.
Bytes are `{"b64": "..."}`. Source: tensorflow.org/tfx/serving/api_rest.

It differs in one thing: NaN and infinities, which are no JSON, are refused in requests, and null in
answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from saved_models.serving.limits import Limits, RequestError, shown, too_much
from saved_models.serving.tensors import B64, Spec, is_object, tensor_infos, to_array, to_json

Arrays = dict[str, np.ndarray]

DEFAULT_SIGNATURE = "serving_default"
_FORMATS = ("instances", "inputs")
_KEYS = ("signature_name", *_FORMATS)


@dataclass(frozen=True)
class Signature:
    """A function of a SavedModel: its name, inputs and outputs."""

    name: str
    inputs: Mapping[str, Spec]
    outputs: Mapping[str, Spec]


@dataclass(frozen=True)
class Request:
    """A request as arrays.

    Attributes:
      signature: that is called.
      arrays: one of each of its inputs.
      rows: length of their first axis; 1 where they have none.
      by_row: whether the answer is by row, as the request was.
    """

    signature: Signature
    arrays: Arrays
    rows: int
    by_row: bool


def parse_body(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
      RequestError: it is none, or not UTF-8, nested too deeply, or holds NaN.
    """
    try:
        payload = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise RequestError(
            f"The body must be UTF-8; byte {error.start} is 0x{body[error.start]:02x}. Encode it, "
            'or send bytes as {"b64": "..."}.'
        ) from None
    except RecursionError:
        raise RequestError(
            "The body must not be nested deeper than its tensors have axes; it is hundreds of "
            "levels deep. Send nested lists of the signature's shape."
        ) from None
    except ValueError as error:
        raise RequestError(
            f"The body must be JSON; {error}; it starts with "
            f'{shown(body[:40].decode(errors="replace"))}. Send {{"instances": [...]}}.'
        ) from None
    if not isinstance(payload, dict):
        raise RequestError(
            f'The body must be a JSON object; got {shown(payload)}. Send {{"instances": [...]}}.'
        )
    return payload


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def parse_request(
    payload: Mapping[str, Any], signatures: Mapping[str, Signature], limits: Limits
) -> Request:
    """The request in a JSON object.

    Raises:
      RequestError: it does not fit a signature, or is above a limit.
    """
    if unknown := sorted(set(payload) - set(_KEYS)):
        raise RequestError(
            f"A request holds {', '.join(_KEYS)} only; got {shown(unknown)}. Leave them out."
        )
    name = payload.get("signature_name", "")
    signature = signatures.get(name or DEFAULT_SIGNATURE) if isinstance(name, str) else None
    if signature is None:
        raise RequestError(
            f"signature_name must be one of the model's; got {shown(name)}. It has "
            f"{', '.join(sorted(signatures))}."
        )
    present = [key for key in _FORMATS if key in payload]
    if len(present) != 1:
        raise RequestError(
            "A request must hold either instances or inputs; got "
            f"{' and '.join(present) or 'neither'}. {_way_out(signature)}"
        )
    by_row = present == ["instances"]
    columns = (_from_rows if by_row else _from_columns)(payload[present[0]], signature, limits)
    arrays = {
        name: to_array(name, columns[name], spec, limits) for name, spec in signature.inputs.items()
    }
    return Request(signature, arrays, _rows(arrays, limits), by_row)


def _way_out(signature: Signature) -> str:
    row = dict.fromkeys(signature.inputs, "...")
    return f'Send {{"instances": [{json.dumps(row)}]}}.'


def _from_rows(instances: Any, signature: Signature, limits: Limits) -> dict[str, Any]:
    """Values of each input, one for each instance."""
    if not isinstance(instances, list) or not instances:
        raise RequestError(
            f"instances must be a list with at least one; got {shown(instances)}. "
            f"{_way_out(signature)}"
        )
    _check_rows(len(instances), limits)
    names = list(signature.inputs)
    if len(names) == 1:
        (only,) = names
        return {only: [row[only] if is_object(row, names) else row for row in instances]}
    for number, row in enumerate(instances):
        if not is_object(row, names):
            got = f"the keys {shown(sorted(row))}" if isinstance(row, dict) else shown(row)
            raise RequestError(
                f"An instance of {signature.name} must be an object with {', '.join(names)}; "
                f"number {number} is {got}. {_way_out(signature)}"
            )
    return {name: [row[name] for row in instances] for name in names}


def _from_columns(inputs: Any, signature: Signature, limits: Limits) -> dict[str, Any]:
    names = list(signature.inputs)
    if is_object(inputs, names):
        return dict(inputs)
    if len(names) == 1 and not (isinstance(inputs, dict) and inputs.keys() != {B64}):
        return {names[0]: inputs}
    got = f"the keys {shown(sorted(inputs))}" if isinstance(inputs, dict) else shown(inputs)
    raise RequestError(
        f"inputs of {signature.name} must be an object with {', '.join(names)}; got {got}. Send "
        f'{{"inputs": {json.dumps({name: ["..."] for name in signature.inputs})}}}.'
    )


def _check_rows(rows: int, limits: Limits) -> None:
    if rows > limits.instances:
        raise too_much(
            f"A request may hold {limits.instances} instances; got {rows}. Send them in several "
            "requests; the server makes batches of them."
        )


def _rows(arrays: Arrays, limits: Limits) -> int:
    lengths = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(set(lengths.values())) > 1:
        raise RequestError(
            f"All inputs must have the same number of rows; got {shown(lengths)}. Send one value "
            "of each input for each row."
        )
    rows = next(iter(lengths.values()), 1)
    _check_rows(rows, limits)
    return rows


def encode_answer(request: Request, outputs: Arrays) -> bytes:
    """The body that answers a request.

    Raises:
      RequestError: it is by row, but an output has no axis of rows.
    """
    if request.by_row and (other := sorted(without_rows(outputs, request.rows))):
        raise RequestError(
            f"Answers to instances have a row for each; {', '.join(other)} of "
            f"{request.signature.name} have none. Send inputs instead."
        )
    values = {name: to_json(name, array) for name, array in outputs.items()}
    if not request.by_row:
        columns = next(iter(values.values())) if len(values) == 1 else values
        return encode({"outputs": columns})
    if len(values) == 1:
        rows = next(iter(values.values()))
    else:
        rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    # One by one: while json encodes, no other thread runs.
    return b'{"predictions": [' + b", ".join(encode(row) for row in rows) + b"]}"


def without_rows(outputs: Arrays, rows: int) -> list[str]:
    """Names of the outputs whose first axis is not the rows."""
    return [name for name, array in outputs.items() if array.shape[:1] != (rows,)]


def encode(payload: Any) -> bytes:
    """JSON as UTF-8."""
    return json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()


def metadata(name: str, version: int, signatures: Mapping[str, Signature]) -> dict[str, Any]:
    """What GET .../metadata answers."""
    described = {
        key: {
            "inputs": tensor_infos(signature.inputs),
            "outputs": tensor_infos(signature.outputs),
            "method_name": "tensorflow/serving/predict",
        }
        for key, signature in signatures.items()
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": described}},
    }
