"""The examples in the reference's docstrings give the same on the fast path."""

import doctest
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from subbit import reference
from subbit.fast import port as ports
from subbit.reference.billm import CORRECTED
from subbit.reference.errors import SubbitError

NAMES = sorted(set(ports.functions()) & set(reference.__all__))


def run(example, names):
    """The value of an expression, None for a statement, or the error it raises."""
    try:
        code = compile(example.source, "<example>", "eval")
    except SyntaxError:
        return exec(example.source, names)  # noqa: S102
    try:
        return eval(code, names)  # noqa: S307
    except SubbitError as error:
        return str(error)


def assert_alike(ours, theirs):
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_alike(a, b)
    elif is_dataclass(theirs):
        for field in fields(theirs):
            assert_alike(getattr(ours, field.name), getattr(theirs, field.name))
    elif isinstance(theirs, np.ndarray):
        assert ours.shape == theirs.shape
        assert ours.dtype.kind == theirs.dtype.kind
        assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-5)
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_the_reference(port, name):
    examples = doctest.DocTestParser().get_examples(getattr(reference, name).__doc__)
    both = [{n: getattr(p, n) for n in reference.__all__} for p in (port, reference)]
    for names in both:
        names |= {"np": np, "CORRECTED": CORRECTED}
    assert examples
    for example in examples:
        assert_alike(*(run(example, names) for names in both))
