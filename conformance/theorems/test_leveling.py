"""Steps of levels, their exponents, and the energies and scales of columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.cases.groups.leveling import LEVELED, errors_of
from subbit.conformance.inputs.families import CONTINUOUS, Array, Weights
from subbit.conformance.inputs.strategies import Layer, layers, seeds, weights
from subbit.conformance.target import Port
from subbit.reference.bounds.zones import energy as energy_bounds
from subbit.reference.leveled import CODES, Code

every_code = pytest.mark.parametrize("code", LEVELED)
some = weights(CONTINUOUS, columns=(1, 40))


def _importance(seed: int, width: int) -> Array:
    return np.asarray(np.exp2(np.random.default_rng(seed).integers(-4, 5, width).astype(float)))


@every_code
@given(matrix=some, seed=seeds())
def test_a_step_is_no_worse_than_the_typical_one(
    port: Port, code: Code, matrix: Weights, seed: int
) -> None:
    """Nor than zero, nor than half and twice the typical step, after these are refitted."""
    X = port.held(matrix.values)
    w = _importance(seed, X.shape[1])
    steps = np.asarray(port.fit_steps(X, w, code), dtype=np.float64)
    reached, energy = errors_of(X, w, code, steps), X**2 @ w
    assert np.all(reached <= energy * (1.0 + port.gamma(64)))
    if CODES[code].planes > 1 and not CODES[code].large:
        typical = CODES[code].step * np.sqrt(energy / w.sum())
        for factor in (0.5, 1.6):
            other = errors_of(X, w, code, factor * typical)
            assert np.all(reached <= other + port.gamma(2**8) * energy)


@pytest.mark.parametrize("code", ["1", "1:16", "2:16", "3:16"])
@given(matrix=some, seed=seeds(), share=st.sampled_from([0.5, 0.99, 1.01, 2.0]))
def test_where_levels_do_not_depend_on_the_step_it_is_the_best(
    port: Port, code: Code, share: float, matrix: Weights, seed: int
) -> None:
    """Least squares: no other step leaves less."""
    X = port.held(matrix.values)
    w = _importance(seed, X.shape[1])
    steps = np.asarray(port.fit_steps(X, w, code), dtype=np.float64)
    own, other = (errors_of(X, w, code, factor * steps) for factor in (1.0, share))
    assert np.all(own <= other + port.gamma(2**8) * (X**2 @ w))


@every_code
@given(matrix=some, seed=seeds(), power=st.sampled_from([3, -5]))
def test_steps_scale(port: Port, code: Code, power: int, matrix: Weights, seed: int) -> None:
    """Powers of two scale them, those on the weights do not; both bit for bit."""
    X, factor = matrix.values, 2.0**power
    w = _importance(seed, X.shape[1])
    steps = port.fit_steps(X, w, code)
    assert compare.exact(port.fit_steps(factor * X, w, code), factor * steps) == 0
    assert compare.exact(port.fit_steps(X, factor * w, code), steps) == 0


@every_code
@given(matrix=some, seed=seeds())
def test_signs_do_not_matter_to_steps(port: Port, code: Code, matrix: Weights, seed: int) -> None:
    """Grids are symmetric: rows and their negatives have the same steps, bit for bit."""
    w = _importance(seed, matrix.shape[1])
    steps = port.fit_steps(matrix.values, w, code)
    assert compare.exact(port.fit_steps(-matrix.values, w, code), steps) == 0


@given(seed=seeds(), n=st.integers(1, 40))
def test_a_coded_step_is_off_by_a_thirty_second_of_an_octave(port: Port, seed: int, n: int) -> None:
    """Where it is not clamped; exponents of coded steps are themselves."""
    rng = np.random.default_rng(seed)
    steps, reference = (port.held(np.exp2(rng.uniform(-3, 3, n))) for _ in "ab")
    exponent = np.asarray(port.code_exponents(steps, reference)).astype(int)
    coded = reference * np.exp2(exponent / 16)
    assert np.all(np.abs(np.log2(coded / steps)) <= 1 / 32 + port.gamma(256))
    again = port.code_exponents(port.held(coded), reference)
    assert compare.exact(np.asarray(again), exponent) == 0


@given(power=st.integers(-100, 100))
def test_exponents_at_their_ends(port: Port, power: int) -> None:
    """Powers of two are exact, beyond 127 and -128 they are clamped; and zeros."""
    steps = np.array([2.0**power, 0.0, 1.0, 0.0])
    reference = np.array([1.0, 1.0, 0.0, 0.0])
    wanted = [min(max(16 * power, -128), 127), -128, 0, 0]
    assert compare.exact(np.asarray(port.code_exponents(steps, reference)), np.array(wanted)) == 0


@given(layer=layers())
def test_energies_are_what_columns_add_to_the_output(port: Port, layer: Layer) -> None:
    """``Tr(W_:j H_jj W_:jᵀ) / n``: the calibrated error of a layer without the column."""
    W, H = layer[0].values, layer[1].hessian
    found = port.column_energies(W, H)
    bound = energy_bounds.column_energies_bound(W, H, arithmetic=port.arithmetic)
    for j in range(len(H)):
        without = np.where(np.arange(len(H)) == j, 0.0, W)
        lost = np.trace((W - without) @ H @ (W - without).T) / len(W)
        assert abs(found[j] - lost) <= 2.0 * bound.error[j]


@given(matrix=weights(CONTINUOUS), power=st.sampled_from([7, -9]))
def test_columns_divided_by_their_scales_are_alike(port: Port, matrix: Weights, power: int) -> None:
    """With power 1 all columns have the same root mean square; the layer's scale is left out."""
    W = matrix.values
    scales = port.column_scales(W)
    alike = np.sqrt(np.mean((W / scales) ** 2, axis=0))
    assert compare.bound(alike, np.full(len(alike), alike[0]), port.gamma(2**9) * alike[0]) <= 1
    assert compare.exact(port.column_scales(2.0**power * W), scales) == 0
    assert compare.exact(port.column_scales(W, 0.0), np.ones(len(scales))) == 0
