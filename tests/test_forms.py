"""What a call carries, in JSON and safetensors: nothing is lost on the way there and back."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from subbit import reference
from subbit.conformance.cases.asked import snapshot_of, taken
from subbit.conformance.cases.names import CALLS, bad_of
from subbit.conformance.programs.arrays import DTYPES, INLINE, Tensors
from subbit.conformance.programs.calls import (
    ProgramError,
    read_answer,
    read_call,
    read_error,
    write_call,
    write_error,
)
from subbit.conformance.programs.forms import CONFIGS, RECORDS, Codec, FormError, Handle, Other
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.reference.errors import ArgumentError, HessianError

# Arrays in the message, and in a file beside it.
WAYS = (INLINE, 0)


def carried(codec, form):
    """A form on the other side, after text and bytes."""
    text = json.dumps(form, allow_nan=False)
    outside = load(save(codec.tensors.outside)) if codec.tensors.outside else {}
    callbacks = codec.callbacks
    return json.loads(text), Codec(Tensors(0, outside), call=lambda name: callbacks[name])


def there_and_back(value, inline=INLINE):
    codec = Codec(Tensors(inline))
    form, other = carried(codec, codec.write(value))
    return other.read(form)


@pytest.mark.parametrize("inline", WAYS)
@pytest.mark.parametrize("name", [name for name in CALLS if name not in CLASSES])
def test_each_function_is_called_alike_and_answers_alike(name, inline):
    codec = Codec(Tensors(inline))
    form, other = carried(codec, write_call(name, (), CALLS[name], codec))
    call = read_call(name, form, other)
    assert call.keys() == CALLS[name].keys() == PROTOCOL[name].contract.kinds.keys()
    function = getattr(reference, name)
    wanted = taken(function(**CALLS[name]))
    assert snapshot_of(taken(function(**call))) == snapshot_of(wanted)
    codec = Codec(Tensors(inline))
    form, other = carried(codec, codec.write(function(**CALLS[name])))
    found = read_answer(name, form, other)
    assert isinstance(found, Iterator) == isinstance(function(**CALLS[name]), Iterator)
    assert snapshot_of(taken(found)) == snapshot_of(wanted)


@pytest.mark.parametrize("name", list(CALLS))
def test_what_has_to_be_refused_arrives_as_such(name):
    """So a program can be asked all that a port in Python is asked."""
    function = getattr(reference, name)
    for argument, what, wrong in bad_of(name):
        codec = Codec()
        form, other = carried(codec, write_call(name, (), {**CALLS[name], argument: wrong}, codec))
        with pytest.raises(ArgumentError) as caught, np.errstate(all="ignore"):
            taken(function(**read_call(name, form, other)))
        assert caught.value.argument.partition(".")[0] == argument, what


def test_arguments_left_out_are_given():
    form = write_call("masked_mean", ([[1.0, 2.0]],), {}, Codec())
    assert form["mask"] is None
    assert form["W"]["shape"] == [1, 2]
    assert write_call("sign", ([1.0],), {}, Codec())["zero"] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.float16, np.int64])
def test_numbers_come_in_one_type(dtype):
    form = write_call("masked_mean", (np.ones((1, 2), dtype=dtype),), {}, Codec())
    assert form["W"]["dtype"] == "F64"


def test_what_a_type_does_not_hold_is_not_converted():
    form = write_call("rank_columns", (np.array([2**53 + 1]),), {}, Codec())
    assert form["scores"]["dtype"] == "I64"
    form = write_call("masked_mean", ([[1.0]], [[1.0]]), {}, Codec())
    assert form["mask"]["dtype"] == "F64"


def test_a_call_must_have_all_arguments_and_no_others():
    with pytest.raises(FormError, match="sign: expected the arguments x, zero, got x"):
        read_call("sign", {"x": 1.0}, Codec())
    with pytest.raises(TypeError):
        write_call("sign", (1.0,), {"one": 1}, Codec())


@pytest.mark.parametrize("kind", CONFIGS.values(), ids=CONFIGS)
def test_configurations(kind):
    config = kind()
    form = Codec().write(config)
    assert form["settings"].keys() == config.written().keys()
    assert repr(there_and_back(config)) == repr(config)


@pytest.mark.parametrize("method", reference.METHODS)
def test_presets(method):
    for preset in reference.METHODS[method].presets.values():
        assert there_and_back(preset) == preset


NUMBERS = st.floats() | st.integers() | st.booleans() | st.none() | st.text()


@given(st.recursive(NUMBERS, lambda inner: st.lists(inner).map(tuple), max_leaves=8))
def test_numbers_text_and_sequences(value):
    found = there_and_back(value)
    assert repr(found) == repr(value)


@pytest.mark.parametrize("inline", WAYS)
@pytest.mark.parametrize("dtype", DTYPES.values())
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 1)])
def test_arrays(dtype, shape, inline):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    for value in (array, array.T):
        found = there_and_back(value, inline)
        assert found.dtype == value.dtype
        assert np.array_equal(found, value)
        assert found.shape == value.shape


def test_numbers_that_are_written_as_such():
    form = {"dtype": "F64", "shape": [2, 2], "data": [1, 0.5, {"real": "nan"}, {"real": "-inf"}]}
    assert Codec().read(form).tolist()[0] == [1.0, 0.5]
    assert Codec().read(form)[1, 1] == -np.inf
    assert Codec().read({"dtype": "BOOL", "shape": [2], "data": [1, False]}).tolist() == [1, 0]


def test_objects_callbacks_and_anything_else():
    assert there_and_back(Handle("o3")) == Handle("o3")
    assert there_and_back(len) is len
    assert isinstance(there_and_back(np.array([1j])), Other)
    assert repr(there_and_back(np.array(["a"]))).startswith("an array of shape (1,)")
    assert isinstance(there_and_back(np.ma.masked_array([1.0])), Other)
    assert isinstance(there_and_back(Other("it")), Other)


WRONG = [
    ({"what": 1}, "expected one of dtype, real, .*, got"),
    ({"dtype": "BF16", "shape": [1], "data": [1]}, "dtype: expected one of F64, .*, got BF16"),
    ({"dtype": "F64", "shape": [2], "data": [1]}, "array: expected 2 elements"),
    ({"dtype": "F64", "shape": 2, "data": [1]}, "shape: expected a list of lengths, got 2"),
    ({"dtype": "F64", "shape": [1]}, "array: expected dtype, shape and one of"),
    ({"dtype": "F64", "shape": [1], "data": [1], "base64": ""}, "array: expected dtype"),
    ({"dtype": "F64", "shape": [1], "tensor": "a"}, "tensor: .* file, which has none, got a"),
    ({"dtype": "F64", "shape": [1], "base64": "?"}, "base64: expected bytes of float64"),
    ({"dtype": "F64", "shape": [1], "base64": "AA=="}, "base64: expected bytes of float64"),
    ({"dtype": "I8", "shape": [1], "data": [300]}, "data: expected a flat list of int8"),
    ({"dtype": "I8", "shape": [1], "data": [0.5]}, "data: expected elements of int8"),
    ({"dtype": "F64", "shape": [1], "data": 1}, "data: expected a flat list, got 1"),
    ({"dtype": "F64", "shape": [1], "data": [[1.0]]}, "data: expected a flat list"),
    ({"real": "one"}, "real: expected one of nan, inf, -inf"),
    ({"slice": 3}, "slice: expected its two ends, got 3"),
    ({"record": "Group", "fields": {}}, "record: expected one of BinaryGroup, .*, got Group"),
    (
        {"record": "Search", "fields": {"candidates": 1}},
        "Search: expected the fields candidates, o",
    ),
    ({"record": "Search"}, "fields: expected an object, got None"),
    ({"config": "Nothing", "settings": {}}, "config: expected one of ARBLLM, "),
    ({"config": "GPTQ", "settings": {"bits": 99}}, "bits: expected a whole number"),
    ({"config": "GPTQ", "settings": {"bit": 2}}, "bit"),
    ({"callback": "c0"}, "callback: expected none here, got c0"),
]


@pytest.mark.parametrize(("form", "said"), WRONG)
def test_a_form_that_cannot_be_read_is_one_sentence(form, said):
    with pytest.raises((FormError, TypeError), match=said):
        Codec().read([form])


ERRORS = [
    ArgumentError("W", "finite numbers", "NaN"),
    HessianError("H", "a positive definite matrix", "another"),
    MemoryError("too much"),
    ValueError("odd"),
    TypeError("odd"),
    ProgramError("odd"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_errors(error):
    found = read_error(json.loads(json.dumps(write_error(error))))
    assert type(found) is type(error)
    assert str(found) == str(error)


def test_other_errors_keep_their_names():
    assert str(read_error(write_error(KeyError("a")))) == "KeyError: 'a'"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"kind": "argument", "argument": "W"},
        {"kind": "argument", "argument": "W", "expected": "x", "got": 3},
        {"kind": "crash", "message": "x"},
        {"kind": "other", "message": 3},
    ],
)
def test_an_error_that_is_none(form):
    with pytest.raises(FormError, match="error: expected a kind among hessian, argument, memory"):
        read_error(form)


def test_all_records_are_known():
    assert {"Plane", "BinaryGroup", "QuantizedLayer", "Zone", "Trace"} <= RECORDS.keys()
