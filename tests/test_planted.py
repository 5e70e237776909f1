"""Small errors are noticed: what may hide under the bounds of an operation is listed by name."""

import sys

import numpy as np
import pytest

from project import some
from subbit import reference
from subbit.conformance.cases import OPERATIONS
from subbit.conformance.cases.seeds import seeds_of
from subbit.conformance.mutants.planted import parts_of, planted
from subbit.reference.bounds.rounding import Arithmetic

SINGLE = Arithmetic("float32")
"""What the ports declare; their sums are straight, so no float32 port is held to less."""
SHARES = (2.0**-14, 2.0**-12, 2.0**-10)
"""Errors that are planted. The least has to be noticed, except in the parts below; for those, the
others show how large one has to be."""
COMPUTED = [name for name, item in OPERATIONS.items() if item.level > 0]
ONLY_SIGNS = "only signs are compared; the levels that are passed on are, by the level-2 operation"
ONLY_ORDER = "a mask depends on the order of scores alone, which a common factor does not change"
RUNNING = "a float32 port that forms objectives from straight running sums of a row loses as much"
HIDDEN = {
    "exact_signs": {
        "refine_signs, mean": ONLY_SIGNS,
        "refine_signs, row_scale": ONLY_SIGNS,
        "refine_rc_signs, row_scale": ONLY_SIGNS,
        "refine_rc_signs, column_scale": ONLY_SIGNS,
    },
    "nm_mask_of_importance": {
        f"{score}_importance, answer": ONLY_ORDER
        for score in ("magnitude", "wanda", "ria", "standardized")
    },
    "bell_split_search": {"bell_split_search, objectives": RUNNING},
    "trisection_search": {"trisection_search, objectives": RUNNING},
}
"""Parts of answers in which the smallest error is not noticed, each with the reason."""


def noticed(name, function, part, share):
    """The number of cases until one fails; 0 if none does."""
    item = OPERATIONS[name]
    port = planted(name, function, part, share).port
    tried = enumerate(seeds_of(item, "ci"), 1)
    failed = (n for n, seed in tried if item.check(port, SINGLE, seed).status == "failed")
    return next(failed, 0)


@pytest.mark.parametrize("name", some(COMPUTED))
def test_planted_errors_are_noticed(name):
    """`pytest -rP` shows after how many cases each is."""
    item = OPERATIONS[name]
    hidden = set()
    for function, parts in parts_of(item, seeds_of(item, "ci")).items():
        for part in sorted(parts):
            cases = {}
            for share in SHARES:
                cases[share] = noticed(name, function, part, share)
                if cases[share]:
                    break
            said = ", ".join(f"2^{np.log2(x):.0f}: {n or 'never'}" for x, n in cases.items())
            sys.stdout.write(f"{name}, {part} of {function}: {said}\n")
            if not cases[SHARES[0]]:
                hidden.add(f"{function}, {part}")
    assert hidden == set(HIDDEN.get(name, {}))


def test_what_is_hidden_is_about_operations_that_exist():
    assert set(HIDDEN) <= set(COMPUTED)
    assert all(len(reason) > 20 for parts in HIDDEN.values() for reason in parts.values())


def test_an_error_is_planted_in_one_part_only():
    W = np.array([[1.0, -2.0, 4.0]])
    honest = reference.residual_binarize(W, order=2, center=True)
    made = planted("residual_binarize", "residual_binarize", "mean", 0.5).port.residual_binarize(
        W, order=2, center=True
    )
    assert np.array_equal(made.mean, 1.5 * honest.mean)
    for own, right in zip(made.planes, honest.planes, strict=True):
        assert np.array_equal(own.row_scale, right.row_scale)
        assert np.array_equal(own.sign, right.sign)


def test_errors_are_planted_in_classes_generators_and_tuples():
    X = np.array([[[1.0, 3.0]]])
    port = planted("hessian_in_batches", "HessianAccumulator", "answer", 1.0).port
    accumulator = port.HessianAccumulator(2)
    accumulator.add(X)
    assert np.array_equal(accumulator.hessian(), 2.0 * reference.accumulate_hessian(X))
    W = np.array([[1.0, -2.0, 4.0]])
    port = planted("arb_steps", "arb_steps", "row_scale", 1.0).port
    (_, first), *_ = port.arb_steps(W)
    (_, right), *_ = reference.arb_steps(W)
    assert np.array_equal(first.planes[0].row_scale, 2.0 * right.planes[0].row_scale)
    scale, zero = planted("minmax_grid", "minmax_grid", "answer 1", 1.0).port.minmax_grid(W, 2)
    wanted = reference.minmax_grid(W, 2)
    assert np.array_equal(scale, 2.0 * wanted[0])
    assert np.array_equal(zero, wanted[1])
