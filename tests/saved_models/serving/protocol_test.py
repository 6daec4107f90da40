"""The REST protocol: which JSON means what, and what is said to JSON that means nothing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saved_models.serving import protocol
from saved_models.serving.limits import Limits, RequestError
from saved_models.serving.protocol import Signature
from saved_models.serving.tensors import Spec

TEXTS = Spec("object", (None,))
FLOATS = Spec("float32", (None,))
ONE = Signature("serving_default", {"text": TEXTS}, {"value": FLOATS})
TWO = Signature("two", {"a": TEXTS, "b": TEXTS}, {"value": FLOATS, "label": TEXTS})
CHOICES = Signature("choices", {"choices": Spec("object", (None, None))}, {"value": FLOATS})
IDS = Signature("ids", {"ids": Spec("int32", (None, 3))}, {"value": FLOATS})
NUMBERS = Signature("numbers", {"x": FLOATS}, {"value": FLOATS})
FLAGS = Signature("flags", {"x": Spec("bool", (None,))}, {"value": FLOATS})
SCALAR = Signature("scalar", {"text": TEXTS, "length": Spec("int32", ())}, {"value": FLOATS})
PLACES = Signature("places", {"x": Spec("int32", (None, None, None))}, {"value": FLOATS})
ANY = Signature("any", {"x": Spec("int64", None)}, {"value": FLOATS})
SIGNATURES = {
    each.name: each for each in (ONE, TWO, CHOICES, IDS, NUMBERS, FLAGS, SCALAR, PLACES, ANY)
}
LIMITS = Limits(instances=4, text_bytes=20, values=12, axis=11, choices=7)


def parse(payload):
    return protocol.parse_request(payload, SIGNATURES, LIMITS)


def arrays(payload):
    return {name: array.tolist() for name, array in parse(payload).arrays.items()}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        # Rows: bare values where there is one input, objects always.
        ({"instances": ["é", "b"]}, {"text": ["é".encode(), b"b"]}),
        ({"signature_name": "", "instances": ["a"]}, {"text": [b"a"]}),
        ({"instances": [{"text": "a"}, {"text": ""}]}, {"text": [b"a", b""]}),
        ({"instances": [{"b64": "AP8="}]}, {"text": [b"\x00\xff"]}),
        ({"instances": [{"text": {"b64": "AP8="}}]}, {"text": [b"\x00\xff"]}),
        ({"signature_name": "two", "instances": [{"a": "1", "b": "2"}]},
         {"a": [b"1"], "b": [b"2"]}),
        # Columns.
        ({"inputs": ["a", "b"]}, {"text": [b"a", b"b"]}),
        ({"inputs": {"text": ["a"]}}, {"text": [b"a"]}),
        ({"signature_name": "two", "inputs": {"a": ["1"], "b": ["2"]}}, {"a": [b"1"], "b": [b"2"]}),
        ({"signature_name": "scalar", "inputs": {"text": ["a", "b"], "length": 7}},
         {"text": [b"a", b"b"], "length": 7}),
        # Shapes and types.
        ({"signature_name": "choices", "instances": [["a", "b"], ["c", "d"]]},
         {"choices": [[b"a", b"b"], [b"c", b"d"]]}),
        ({"signature_name": "ids", "instances": [[1, 2, 3]]}, {"ids": [[1, 2, 3]]}),
        ({"signature_name": "numbers", "instances": [1, 2.5]}, {"x": [1.0, 2.5]}),
        ({"signature_name": "flags", "instances": [True, False]}, {"x": [True, False]}),
        ({"signature_name": "any", "instances": [[[1], [2]]]}, {"x": [[[1], [2]]]}),
    ],
)  # fmt: skip
def test_request_is_read(payload, expected):
    assert arrays(payload) == expected


@pytest.mark.parametrize(
    ("payload", "status", "message"),
    [
        ({}, 400, "either instances or inputs; got neither. Send"),
        ({"instances": ["a"], "inputs": ["a"]}, 400, "got instances and inputs"),
        ({"instance": ["a"]}, 400, 'only; got ["instance"]. Leave them out'),
        ({"instances": []}, 400, "a list with at least one; got []"),
        ({"instances": "a"}, 400, 'a list with at least one; got "a"'),
        ({"instances": None}, 400, "got null"),
        ({"instances": ["a"] * 5}, 413, "may hold 4 instances; got 5. Send them in several"),
        ({"inputs": ["a"] * 5}, 413, "may hold 4 instances; got 5"),
        ({"instances": ["a"], "signature_name": "x"}, 400, 'model\'s; got "x". It has any'),
        ({"instances": ["a"], "signature_name": ["x"]}, 400, 'got ["x"]'),
        ({"instances": ["a"], "signature_name": None}, 400, "got null"),
        ({"instances": [1]}, 400, "text must hold a string (string) at each place; got 1. Send"),
        ({"instances": [None]}, 400, "got null"),
        ({"instances": [["a"]]}, 400, 'got ["a"]'),
        ({"instances": [{"txt": "a"}]}, 400, 'got {"txt": "a"}'),
        ({"instances": [{"b64": "!"}]}, 400, 'base64 with its padding; got {"b64": "!"}'),
        ({"instances": [{"b64": 1}]}, 400, 'got {"b64": 1}'),
        ({"instances": ["\ud800"]}, 400, 'UTF-8 can hold; got "\\ud800"'),
        ({"instances": ["é" * 11]}, 413, "may have 20 bytes; got 22. Cut it"),
        ({"inputs": "a"}, 400, "nested lists of the shape [rows]"),
        ({"inputs": {"txt": ["a"]}}, 400, 'an object with text; got the keys ["txt"]'),
        ({"inputs": {}}, 400, "got the keys []"),
        ({"signature_name": "two", "instances": ["a"]}, 400, 'number 0 is "a"'),
        ({"signature_name": "two", "instances": [{"a": "", "b": ""}, {"a": ""}]}, 400,
         'number 1 is the keys ["a"]. Send {"instances": [{"a": "...", "b": "..."}]}.'),
        ({"signature_name": "two", "inputs": {"a": ["1"], "b": ["2", "3"]}}, 400,
         'the same number of rows; got {"a": 1, "b": 2}'),
        ({"signature_name": "two", "inputs": ["a"]}, 400, 'got ["a"]. Send {"inputs": {"a": ['),
        ({"signature_name": "choices", "instances": [["a", "b"], ["c"]]}, 400,
         "[rows, any], none of them empty and those of an axis equally long"),
        ({"signature_name": "choices", "instances": [[]]}, 400, "got [[]]"),
        ({"signature_name": "choices", "instances": [["a"] * 7] * 2}, 413, "12 values; got 14 or"),
        ({"signature_name": "choices", "instances": [["a"] * 8]}, 413,
         "choices may hold 7 values along axis 1; got 8. Send shorter lists there."),
        ({"signature_name": "places", "instances": [[[1]] * 8]}, 413, "7 values along axis 1"),
        ({"signature_name": "places", "instances": [[[1] * 12]]}, 413, "11 values along axis 2"),
        ({"signature_name": "any", "instances": [[1] * 12]}, 413, "11 values along axis 1; got 12"),
        ({"signature_name": "any", "instances": json.loads("[" * 33 + "1" + "]" * 33)}, 400,
         "x may have 32 axes; got lists nested 33 deep. Send fewer levels."),
        ({"signature_name": "ids", "instances": [[1, 2]]}, 400, "the shape [rows, 3]"),
        ({"signature_name": "ids", "instances": [[1, 2, 3.0]]}, 400, "a whole number (int32)"),
        ({"signature_name": "ids", "instances": [[1, 2, True]]}, 400, "got true"),
        ({"signature_name": "ids", "instances": [[1, 2, 2**31]]}, 400,
         "from -2147483648 to 2147483647 (int32); got 2147483648"),
        ({"signature_name": "numbers", "instances": [True]}, 400, "a number (float32)"),
        ({"signature_name": "numbers", "instances": [1e39]}, 400, "a finite number of float32"),
        ({"signature_name": "numbers", "instances": [10**4000]}, 400, "a finite number of float32"),
        ({"signature_name": "numbers", "instances": [float("inf")]}, 400, "got Infinity"),
        ({"signature_name": "flags", "instances": [1]}, 400, "true or false (bool)"),
        ({"signature_name": "scalar", "instances": [{"text": "a", "length": 1}]}, 400, "got [1]"),
    ],
)  # fmt: skip
def test_refused(payload, status, message):
    with pytest.raises(RequestError) as caught:
        parse(payload)
    assert caught.value.status == status
    assert message in caught.value.message
    caught.value.message.encode()  # can be sent


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "must be JSON; Expecting value"),
        (b"{", "must be JSON; Expecting property name"),
        (b'{"instances": [NaN]}', "NaN is no number of JSON"),
        (b'{"instances": [-Infinity]}', "-Infinity is no number of JSON"),
        (b"\xff\xfe{\x00", "must be UTF-8; byte 0 is 0xff"),
        (b'["a"]', 'a JSON object; got ["a"]'),
        (b"[" * 100_000, "hundreds of levels deep"),
        (b'{"a":' * 100_000, "hundreds of levels deep"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "must be JSON; Exceeds the limit"),
    ],
)
def test_body_is_refused(body, message):
    with pytest.raises(RequestError) as caught:
        protocol.parse_body(body)
    assert caught.value.status == 400
    assert message in caught.value.message
    caught.value.message.encode()


def answer(payload, outputs):
    return json.loads(protocol.encode_answer(parse(payload), outputs))


def test_answers_have_the_form_of_their_request():
    labels, values = np.array([b"x", "é".encode()], object), np.array([0.5, -1], np.float32)
    rows = {"instances": ["a", "b"]}
    columns = {"inputs": ["a", "b"]}
    assert answer(rows, {"value": values}) == {"predictions": [0.5, -1.0]}
    assert answer(columns, {"value": values}) == {"outputs": [0.5, -1.0]}
    both = {"value": values, "label": labels}
    assert answer(rows, both) == {
        "predictions": [{"value": 0.5, "label": "x"}, {"value": -1.0, "label": "é"}]
    }
    assert answer(columns, both) == {"outputs": {"value": [0.5, -1.0], "label": ["x", "é"]}}


def test_values_that_json_has_not():
    payload = {"inputs": ["a"]}
    outputs = {
        "value": np.array([[np.nan, np.inf, 1]], np.float32),
        "text": np.array([[b"\xff", b"ok"]], object),
        "raw_bytes": np.array([b"ok"], object),
    }
    assert answer(payload, outputs)["outputs"] == {
        "value": [[None, None, 1.0]],
        "text": [[{"b64": "/w=="}, "ok"]],
        "raw_bytes": [{"b64": "b2s="}],
    }


def test_rows_need_outputs_with_rows():
    with pytest.raises(RequestError, match=r"value of serving_default have none. Send inputs"):
        answer({"instances": ["a"]}, {"value": np.float32(1)})
    assert answer({"inputs": ["a"]}, {"value": np.float32(1)}) == {"outputs": 1.0}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "a", "b", "x", "b64", "ids"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from([*SIGNATURES, "none"]), st.sampled_from(["instances", "inputs"]), JSON)
def test_anything_is_read_or_refused(signature, form, value):
    refusal = None
    try:
        request = parse({"signature_name": signature, form: value})
    except RequestError as error:
        refusal = error
    if refusal:
        assert 400 <= refusal.status < 500
        assert refusal.message
        return
    specs = SIGNATURES[signature].inputs
    assert request.arrays.keys() == specs.keys()
    for name, array in request.arrays.items():
        assert array.dtype == specs[name].dtype
        assert specs[name].shape is None or array.ndim == len(specs[name].shape)


def test_metadata_is_that_of_tensorflow_serving():
    found = protocol.metadata("m", 3, {"ids": IDS})
    assert found["model_spec"] == {"name": "m", "signature_name": "", "version": "3"}
    assert found["metadata"]["signature_def"]["signature_def"]["ids"] == {
        "inputs": {
            "ids": {
                "dtype": "DT_INT32",
                "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}],
                    "unknown_rank": False,
                },
                "name": "ids",
            }
        },
        "outputs": {
            "value": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
                "name": "value",
            }
        },
        "method_name": "tensorflow/serving/predict",
    }


def test_limits_are_checked():
    for name, called in [
        ("queue", "--max_queue"),
        ("receive_seconds", "Limits.receive_seconds"),
        ("values", "Limits.values"),
    ]:
        with pytest.raises(ValueError, match=rf"^{called} must be at least 1; got 0. Raise it."):
            Limits(**{name: 0})
