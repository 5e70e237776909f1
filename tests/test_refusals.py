"""Level 0 rejects ports that repair what they have to refuse, and ports that refuse by accident."""

import functools
import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.names import CALLS, bad_of
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.protocol import CLASSES, PROTOCOL
from subbit.reference.bounds.rounding import Arithmetic
from subbit.reference.contracts.kinds import Flags, Nested, Numbers, Symmetric


def repaired(name, argument, repair):
    """The function, which repairs an argument before it looks at it."""
    function = getattr(reference, name)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def changed(*places, **names):
        bound = signature.bind(*places, **names)
        if argument in bound.arguments:
            bound.arguments[argument] = repair(bound.arguments[argument])
        return function(*bound.args, **bound.kwargs)

    return changed


def symmetrized(H):
    H = np.asarray(H)
    numbers = H.ndim == 2 and H.shape[0] == H.shape[1] and H.dtype.kind in "fiu"
    return (H + H.T) / 2 if numbers else H


def definite(H):
    H = np.asarray(H)
    if H.ndim != 2 or H.shape[0] != H.shape[1] or H.dtype.kind != "f" or not np.isfinite(H).all():
        return H
    if not np.array_equal(H, H.T) or not (np.diag(H) >= 0.0).any():
        return H
    values, vectors = np.linalg.eigh(H)
    least = 1e-3 * np.abs(values).max()
    return (vectors * np.maximum(values, least)) @ vectors.T if values.min() < 0.0 else H


def without_nan(x):
    x = np.asarray(x)
    return np.nan_to_num(x) if x.dtype.kind == "f" else x


def nested(masks):
    masks = np.asarray(masks)
    return np.logical_and.accumulate(masks) if masks.dtype == np.bool_ else masks


def as_flags(mask):
    return None if mask is None else np.asarray(mask) != 0


REPAIRS = {
    "symmetrized": (Symmetric, symmetrized),
    "made definite": (Symmetric, definite),
    "NaN taken for zero": (Numbers, without_nan),
    "masks made nested": (Nested, nested),
    "numbers taken for flags": (Flags, as_flags),
}
DEFINITE = {
    name
    for name in CALLS
    for argument, what, _ in bad_of(name)
    if "indefinite matrix with" in what and argument in {"H", "S"}
}
PAIRS = [
    (name, argument, what)
    for name in PROTOCOL
    if name not in CLASSES
    for argument, kind in PROTOCOL[name].contract.kinds.items()
    for what, (of, _) in REPAIRS.items()
    if isinstance(kind, of) and (what != "made definite" or name in DEFINITE)
]


@pytest.mark.parametrize(("name", "argument", "what"), PAIRS)
def test_an_argument_that_is_repaired_is_noticed(name, argument, what):
    wrong = repaired(name, argument, REPAIRS[what][1])
    honest = {function: getattr(reference, function) for function in reference.__all__}
    port = SimpleNamespace(**honest | {name: wrong})
    item = OPERATIONS[f"interface_{name}"]
    found = [item.check(port, Arithmetic(), seed) for seed in seeds_of(item, "quick")]
    assert any(f"`{argument}`" in one.message for one in found if one.status == "failed")


def test_every_kind_of_refusal_is_asked_for():
    """And each only where the reference refuses it."""
    said = {what for name in CALLS for _, what, _ in bad_of(name)}
    assert said >= {
        "a matrix that is asymmetric",
        "a matrix that is slightly asymmetric",
        "a matrix that is indefinite",
        "an indefinite matrix with a positive diagonal",
        "masks that grow",
        "an entry that comes back",
        "signs outside the mask",
        "a number twice",
        "a number beyond the last",
        "negative numbers",
        "an order too high",
    }


def test_the_valid_calls_pass_every_argument():
    """What is left out, or None, has nothing to be made wrong from."""
    for name, call in CALLS.items():
        assert set(call) == set(PROTOCOL[name].contract.kinds), name
        assert all(value is not None for value in call.values()), name
