"""Round-to-nearest: signs with a scale, and the uniform grid."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from subbit.conformance import compare
from subbit.conformance.inputs.families import ALL, SUMMABLE, Drawn, Weights
from subbit.conformance.inputs.strategies import matrices, weights
from subbit.conformance.oracles import exact, exact_gptq
from subbit.conformance.target import Port

Matrix = Weights | Drawn
widths = st.sampled_from([1, 2, 3, 8])
sizes = st.sampled_from([None, 1, 3, 16, 128])
GRIDDED = tuple(family for family in ALL if family not in ("spiky", "huge_range"))


def _slices(port: Port, width: int, size: int | None) -> list[slice]:
    return list(port.block_slices(width, size or width))


@pytest.mark.parametrize("center", [True, False])
@given(matrix=matrices(), size=sizes)
def test_signs_are_one_group_of_binarization(
    port: Port, matrix: Matrix, size: int | None, *, center: bool
) -> None:
    """``μ + α sign(w - μ)`` per row and group of columns; without a mean, the XNOR form."""
    W = matrix.values
    config = port.RTN(kind="sign", group_size=size, center=center)
    parts = [
        port.residual_binarize(W[:, s], center=center).decode()
        for s in _slices(port, W.shape[1], size)
    ]
    assert compare.exact(port.rtn_layer(W, None, config).decode(), np.hstack(parts)) == 0


@given(matrix=matrices(GRIDDED), size=sizes, bits=widths)
def test_codes_are_nearest_and_zero_is_kept(
    port: Port, bits: int, matrix: Matrix, size: int | None
) -> None:
    """Every level is the nearest, no error exceeds half a step, zero decodes to zero."""
    W = matrix.values
    result = port.rtn_layer(W, None, port.RTN(kind="minmax", bits=bits, group_size=size))
    assert [(b.start, b.stop) for b in result.blocks] == [
        (s.start, s.stop) for s in _slices(port, W.shape[1], size)
    ]
    for block in result.blocks:
        group, part = block.groups[0], W[:, block.columns]
        assert group.bits == bits
        assert group.codes.max() <= 2**bits - 1
        assert compare.exact(group.zero, np.round(group.zero)) == 0
        levels = group.scale[:, None] * (np.arange(2**bits) - group.zero[:, None])
        nearest = np.abs(part[:, :, None] - levels[:, None, :]).min(axis=2)
        allowed = port.gamma(8) * (np.abs(part) + 2**bits * group.scale[:, None])
        error = np.abs(part - group.decode())
        assert compare.objective(error, nearest, allowed) <= 1
        assert compare.objective(error, group.scale[:, None] / 2, allowed) <= 1
        assert not group.decode()[part == 0].any()


@given(matrix=weights((*SUMMABLE, "gauss"), rows=(1, 3), columns=(1, 8)), bits=widths)
def test_exact_grid(port: Port, bits: int, matrix: Weights) -> None:
    """Scale, zero point and codes against rational numbers, except for ties."""
    W = port.held(matrix.values)
    grid = exact_gptq.Grid.fit(exact.rational(W), bits)
    rows: Any = exact.rational(W)
    shares = [min(*row, exact.ZERO) / s for row, s in zip(rows, grid.scale, strict=True)]
    clear = port.gamma(2**10)
    assume(all(abs(q - q // 1 - Fraction(1, 2)) > clear for q in shares if any(rows.ravel())))
    group = port.rtn_layer(W, None, port.RTN(kind="minmax", bits=bits)).blocks[0].groups[0]
    scale = exact.floats(grid.scale)
    assert compare.bound(group.scale, scale, port.gamma(3) * scale) <= 1
    zero_rows = np.asarray(~W.any(axis=1))
    assert compare.exact(group.zero[~zero_rows], np.array(grid.zero)[~zero_rows]) == 0
    for i, j in np.ndindex(W.shape):
        margin = float(grid.margin(i, rows[i, j]))
        expected = float(grid.level(i, grid.code(i, rows[i, j])))
        if margin > clear * scale[i] and not zero_rows[i]:
            allowed = clear * scale[i] * 2**bits
            assert compare.bound(group.decode()[i, j], expected, allowed) <= 1
    assert not group.decode()[zero_rows].any()


@pytest.mark.parametrize("settings", [{"kind": "sign"}, {"kind": "sign", "center": False}])
@given(matrix=matrices(), power=st.sampled_from([2, -3]))
def test_scaling_of_signs(
    port: Port, settings: dict[str, object], matrix: Matrix, power: int
) -> None:
    """``W → cW`` gives ``cQ``, bit for bit for a power of two."""
    W, config = matrix.values, port.RTN(**settings)
    scaled = port.rtn_layer(2.0**power * W, None, config).decode()
    assert compare.exact(scaled, 2.0**power * port.rtn_layer(W, None, config).decode()) == 0


@given(matrix=matrices(GRIDDED), power=st.sampled_from([2, -3]), bits=widths)
def test_scaling_of_grids(port: Port, bits: int, matrix: Matrix, power: int) -> None:
    """``W → cW`` gives ``cQ``, bit for bit for a power of two; zero rows stay zero."""
    W, config = matrix.values, port.RTN(kind="minmax", bits=bits)
    scaled = port.rtn_layer(2.0**power * W, None, config).decode()
    assert compare.exact(scaled, 2.0**power * port.rtn_layer(W, None, config).decode()) == 0


@given(matrix=matrices())
def test_the_hessian_is_not_looked_at(port: Port, matrix: Matrix) -> None:
    """Round-to-nearest uses only the weights."""
    W = matrix.values
    H = np.diag(np.arange(W.shape[1]) + 1.0)
    assert compare.exact(port.rtn_layer(W, H).decode(), port.rtn_layer(W, None).decode()) == 0
