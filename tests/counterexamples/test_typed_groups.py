"""Claims about typed groups that sound true and are false, each with an instance that shows it.

The names are those of the property catalog of ``conformance/``; what is true has its
property test there.
"""

import itertools

import numpy as np

from subbit import reference
from subbit.conformance.cases.zones.energy import bits_of, error_left
from subbit.reference import TypedGroups


def test_Z6_a_tied_ratio_may_lose_to_a_kept_map():
    """False: "±3 and ±1 with one scale leave no more than ±s and 0, since 1:3 is nearly the best".

    Proven for two free scales only. Where all but the largest are zero, the kept map is exact.
    """
    x = np.array([[4.0] + [0.0] * 15])
    step = reference.fit_steps(x, np.ones(16), "1:16")
    levels = np.where(np.arange(16) == 0, 3.0, 1.0)
    tied = np.sum((x - step[:, None] * levels) ** 2)
    kept = np.sum((x - reference.residual_binarize(x, x != 0.0).decode()) ** 2)
    assert kept == 0.0
    assert tied > 0.6 * np.sum(x**2)


def test_Z7_greedy_is_not_optimal_with_unequal_widths():
    """False: "the largest fall per bit first is the best choice": the last step must fit, too.

    The narrow group has the larger fall per bit. After its step the wide one's no longer fits.
    """
    energies, codes = np.array([2.0, 1.9]), ("1", "2")
    rows, widths = 1, (20, 16)
    bits = [{code: bits_of(code, (rows, k), 0, 0) for code in codes} for k in widths]
    budget = sum(own["1"] for own in bits) + 20
    found = reference.allocate_codes(
        energies, rows, sum(widths), 20, budget, codes=codes, row_bits=0, column_bits=0
    )
    best = min(
        (
            choice
            for choice in itertools.product(codes, repeat=2)
            if sum(own[code] for own, code in zip(bits, choice, strict=True)) <= budget
        ),
        key=lambda choice: error_left(energies, choice),
    )
    assert (found, best) == (("1", "2"), ("2", "1"))


def test_Z7_greedy_is_not_optimal_where_falls_do_not_decrease():
    """False for codes with falls that increase: two small steps are better together.

    Without the code of one plane, the first step takes two planes and leaves nothing for the
    second group, though one plane each would leave less.
    """
    energies = np.array([1.0, 1.0])
    whole = {"row_bits": 0, "column_bits": 0}
    with_one, without = (
        reference.allocate_codes(energies, 16, 32, 16, 6 + 2 * 256, codes=codes, **whole)
        for codes in (("0", "1", "2"), ("0", "2"))
    )
    assert (with_one, without) == (("1", "1"), ("2", "0"))
    assert error_left(energies, with_one) < error_left(energies, without)


def _errors(config, tokens, seed):
    """Relative errors of a layer, on inputs that it is calibrated on and on others."""
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((4, 16)), rng.standard_normal((2, tokens, 16))
    H, other = X[0].T @ X[0], X[1].T @ X[1]
    Q = reference.typed_groups_layer(W, H, config).decode()
    return [reference.relative_error(W, Q, S) for S in (H, other)]


def test_Z2_more_sweeps_may_raise_the_error_on_other_inputs():
    """False: "sweeps never raise the error", of inputs that were not calibrated on.

    Z2 is about the Hessian that is swept under. Eight tokens say little about sixteen columns.
    """
    config = TypedGroups(payload=64.0, codes=("1",), percdamp=1e-3, group_size=16)
    before, after = (_errors(config.changed(sweeps=n), 8, 4) for n in (0, 2))
    assert after[0] < 0.6 * before[0]
    assert after[1] > 1.2 * before[1]


def test_columns_of_high_energy_first_are_not_always_better():
    """False: "the order of energies never leaves more than columns as they come"."""
    config, lost = TypedGroups(payload=64.0, codes=("2",), group_size=16), []
    for seed in (0, 12):
        rng = np.random.default_rng(seed)
        W = rng.standard_normal((4, 16)) * np.exp(rng.standard_normal(16))
        X = rng.standard_normal((48, 16)) @ (np.eye(16) + 0.4 * rng.standard_normal((16, 16)))
        ordered, plain = (
            reference.typed_groups_layer(W, X.T @ X, config.changed(order=order)).decode()
            for order in ("energy", "none")
        )
        lost.append([reference.relative_error(W, Q, X.T @ X) for Q in (ordered, plain)])
    assert lost[0][0] < 0.9 * lost[0][1]
    assert lost[1][0] > 1.1 * lost[1][1]


def test_a_refitted_step_may_be_farther_off_than_the_one_before():
    """False: "the exponent nearest to the best step is never worse than another one".

    It is nearest by its logarithm, and the error is a square of the difference. So a sweep takes
    it only where the error falls.
    """
    best = 1.022
    nearest = int(reference.code_exponents([best], [1.0])[0])
    assert nearest == 1
    assert abs(2.0 ** (nearest / 16) - best) > abs(1.0 - best)
