"""Labeled inputs
===============

Inputs are named by a family, a seed and a shape, so a failing example prints in one line
and can be rebuilt anywhere: ``Weights("t3", 7, (2, 40)).values``. The families are those
that have exposed false claims about these methods.

=================== ==============================================================
weights             content
=================== ==============================================================
gauss, t3           smooth, and heavy-tailed
shifted             row means far from zero
outlier_columns     a few columns five to eight times larger
tied, integer       few distinct values; all sums exact
constant_magnitude  one magnitude per row
all_equal           one value per row
zero_rows, zeros    some rows, or everything, zero
zero_columns        some columns zero
huge_range          rows from 1e-30 to 1e30
spiky               entries from 1e-8 to 1e8
=================== ==============================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Generator: TypeAlias = np.random.Generator
Builder: TypeAlias = Callable[[Generator, tuple[int, ...]], Array]

MODES: Mapping[str, dict[str, Any]] = {
    "mean-free": {"center": False, "sign_zero": 1},
    "mean-free-zero": {"center": False, "sign_zero": 0},
    "affine": {"center": True, "sign_zero": 1},
    "released": {"center": True, "sign_zero": 0},
}
"""Settings of the binarizer: ``mean-free`` is the paper's, ``released`` the released code's."""


MANTISSA = 30
"""Bits kept of a library function's results, whose last bits differ between processors."""


def steady(values: Array) -> Array:
    """Round numbers to :data:`MANTISSA` bits.

    Parameters
    ----------
    values : ndarray of float64, any shape
        Numbers from ``exp``, ``log`` or ``power``.

    Returns
    -------
    ndarray of float64, shape of `values`
        Numbers that every processor agrees on; more bits than float32 holds.

    Examples
    --------
    >>> steady(np.array([1.0 + 2.0**-52, 3.0]))
    array([1., 3.])
    """
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(mantissa, MANTISSA)), exponent - MANTISSA)


def gram(X: Array, factor: float) -> Array:
    """Sum the outer products of inputs in a fixed order, not one that a library chooses.

    Parameters
    ----------
    X : ndarray of float64, shape (t, m)
        Inputs, one token per row.
    factor : float
        Factor of the sum.

    Returns
    -------
    ndarray of float64, shape (m, m)
        ``factor · XᵀX``, symmetric, and the same on every processor.

    Examples
    --------
    >>> gram(np.array([[1.0, 2.0], [0.0, 1.0]]), 2.0)
    array([[ 2.,  4.],
           [ 4., 10.]])
    """
    total = np.zeros((X.shape[1],) * 2)
    for token in X:
        total += token[:, None] * token
    return total * factor


def _gauss(rng: Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def _t3(rng: Generator, shape: tuple[int, ...]) -> Array:
    return steady(rng.standard_t(3, shape))


def _shifted(rng: Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape) + 3 * rng.standard_normal((*shape[:-1], 1))


def _outlier_columns(rng: Generator, shape: tuple[int, ...]) -> Array:
    values = rng.standard_normal(shape)
    few = rng.random(shape[-1]) < max(0.05, 1 / shape[-1])
    values[..., few] *= rng.uniform(5, 8, int(few.sum()))
    return values


def _tied(rng: Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5], shape)


def _integer(rng: Generator, shape: tuple[int, ...]) -> Array:
    return rng.integers(-9, 10, shape).astype(np.float64)


def _constant_magnitude(rng: Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice([-1.5, 1.5], shape) * 2.0 ** rng.integers(-3, 4, (*shape[:-1], 1))


def _all_equal(rng: Generator, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(rng.integers(-8, 9, (*shape[:-1], 1)) / 4, shape).astype(np.float64)


def _zero_rows(rng: Generator, shape: tuple[int, ...]) -> Array:
    return np.where(rng.random((*shape[:-1], 1)) < 0.5, rng.standard_normal(shape), 0.0)


def _zero_columns(rng: Generator, shape: tuple[int, ...]) -> Array:
    return np.where(rng.random(shape[-1]) < 0.7, rng.standard_normal(shape), 0.0)


def _zeros(_rng: Generator, shape: tuple[int, ...]) -> Array:
    return np.zeros(shape)


def _huge_range(rng: Generator, shape: tuple[int, ...]) -> Array:
    return steady(rng.standard_normal(shape) * 10.0 ** rng.uniform(-30, 30, (*shape[:-1], 1)))


def _spiky(rng: Generator, shape: tuple[int, ...]) -> Array:
    return steady(rng.standard_normal(shape) * 10.0 ** rng.uniform(-8, 8, shape))


WEIGHTS: Mapping[str, Builder] = {
    "gauss": _gauss,
    "t3": _t3,
    "shifted": _shifted,
    "outlier_columns": _outlier_columns,
    "tied": _tied,
    "integer": _integer,
    "constant_magnitude": _constant_magnitude,
    "all_equal": _all_equal,
    "zero_rows": _zero_rows,
    "zero_columns": _zero_columns,
    "zeros": _zeros,
    "huge_range": _huge_range,
    "spiky": _spiky,
}


def _far(rng: Generator, shape: tuple[int, ...], _tiny: float) -> Array:
    mean = rng.choice([-2000.0, 2000.0], (*shape[:-1], 1))
    return rng.standard_normal(shape) + mean


def _tiny(rng: Generator, shape: tuple[int, ...], tiny: float) -> Array:
    return np.asarray(rng.standard_normal(shape) * tiny * 2.0 ** rng.integers(-8, 9, shape))


def _bare_rows(rng: Generator, shape: tuple[int, ...], _tiny: float) -> Array:
    return _zero_rows(rng, shape)


def _bare_columns(rng: Generator, shape: tuple[int, ...], _tiny: float) -> Array:
    return _zero_columns(rng, shape)


def _one_level(rng: Generator, shape: tuple[int, ...], _tiny: float) -> Array:
    return _all_equal(rng, shape)


DEGENERATE: Mapping[str, Callable[[Generator, tuple[int, ...], float], Array]] = {
    "tiny": _tiny,
    "far from zero": _far,
    "rows of zeros": _bare_rows,
    "columns of zeros": _bare_columns,
    "one value per row": _one_level,
}
"""Weights at the limits, by name, for the least normal number: a mean of 2000 times the spread,
numbers that a port may flush to zero, groups without anything to fit."""
ALL = tuple(WEIGHTS)
CONTINUOUS = ("gauss", "t3", "shifted", "outlier_columns")
"""Families in which exact ties have probability zero."""
SUMMABLE = ("tied", "integer", "constant_magnitude", "all_equal", "zeros")
"""Families of few bits: every sum is exact, so ties are decided exactly."""


def _iid(rng: Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def _autoregressive(rho: float) -> Builder:
    def build(rng: Generator, shape: tuple[int, ...]) -> Array:
        values = rng.standard_normal(shape)
        for j in range(1, shape[-1]):
            fresh = np.sqrt(1 - rho**2) * values[..., j]
            values[..., j] = rho * values[..., j - 1] + fresh
        return values

    return build


def _low_rank(rng: Generator, shape: tuple[int, ...]) -> Array:
    rank = max(1, shape[-1] // 4)
    left, right = rng.standard_normal((*shape[:-1], rank)), rng.standard_normal((rank, shape[-1]))
    factors = np.zeros(shape)
    for r in range(rank):
        factors += left[..., r, None] * right[r]
    return factors + 0.1 * rng.standard_normal(shape)


def _positive(rng: Generator, shape: tuple[int, ...]) -> Array:
    return np.abs(rng.standard_normal(shape)) + 0.1


def _scaled(rng: Generator, shape: tuple[int, ...]) -> Array:
    return steady(rng.standard_normal(shape) * rng.lognormal(size=shape[-1]))


def _outlier_inputs(rng: Generator, shape: tuple[int, ...]) -> Array:
    values = rng.standard_normal(shape)
    values[..., rng.integers(0, shape[-1], 8)] *= 20
    return values


def _dead(rng: Generator, shape: tuple[int, ...]) -> Array:
    return np.where(rng.random(shape[-1]) < 0.8, rng.standard_normal(shape), 0.0)


ACTIVATIONS: Mapping[str, Builder] = {
    "iid": _iid,
    "ar0.5": _autoregressive(0.5),
    "ar0.9": _autoregressive(0.9),
    "ar0.99": _autoregressive(0.99),
    "low_rank": _low_rank,
    "positive": _positive,
    "scaled": _scaled,
    "outlier_inputs": _outlier_inputs,
    "dead": _dead,
    "integer": _integer,
}
LIVE = tuple(name for name in ACTIVATIONS if name not in ("dead", "integer"))
"""Activations without an input that is always zero."""


@dataclass(frozen=True)
class Weights:
    """A weight matrix by name.

    Parameters
    ----------
    family : str
        One of :data:`WEIGHTS`.
    seed : int
        Seed of its generator.
    shape : tuple of int
        (n, m).

    Examples
    --------
    >>> Weights("all_equal", 1, (1, 3)).values
    array([[0., 0., 0.]])
    """

    family: str
    seed: int
    shape: tuple[int, int]

    @cached_property
    def values(self) -> Array:
        """The matrix, float64, shape (n, m)."""
        return WEIGHTS[self.family](np.random.default_rng(self.seed), self.shape)


@dataclass(frozen=True)
class Drawn:
    """A small matrix drawn entry by entry, so hypothesis can shrink it.

    Parameters
    ----------
    rows : tuple of tuple of float
        The entries.
    family : str, default "drawn"
        Its name.
    """

    rows: tuple[tuple[float, ...], ...]
    family: str = "drawn"

    @cached_property
    def values(self) -> Array:
        """The matrix, float64, shape (n, m)."""
        return np.array(self.rows, dtype=np.float64)


@dataclass(frozen=True)
class Activations:
    """Calibration inputs by name.

    Parameters
    ----------
    family : str
        One of :data:`ACTIVATIONS`.
    seed : int
        Seed of its generator.
    shape : tuple of int
        (N, L, m).
    """

    family: str
    seed: int
    shape: tuple[int, int, int]

    @cached_property
    def values(self) -> Array:
        """The inputs, float64, shape (N, L, m)."""
        return ACTIVATIONS[self.family](np.random.default_rng(self.seed), self.shape)

    @cached_property
    def hessian(self) -> Array:
        """``2/N Σ_s X_sᵀ X_s``, shape (m, m), computed here, not by a port."""
        return gram(self.values.reshape(-1, self.shape[-1]), 2 / self.shape[0])


@dataclass(frozen=True)
class Masks:
    """A mask by name, for a matrix of any shape.

    Parameters
    ----------
    kind : str
        ``full``, ``half``, ``few`` (about one entry in twenty), ``one`` (a single entry
        per row), ``gaps`` (about half of the rows empty), ``columns`` (whole columns) or ``none``.
    seed : int
        Seed of its generator.
    """

    kind: str
    seed: int

    def of(self, shape: tuple[int, int]) -> Mask:
        """Return the mask for that shape.

        Parameters
        ----------
        shape : tuple of int
            (n, k).

        Returns
        -------
        ndarray of bool, shape (n, k)
            The mask.
        """
        rng = np.random.default_rng(self.seed)
        uniform = rng.random(shape)
        if self.kind == "one":
            return np.asarray(np.arange(shape[1]) == rng.integers(0, shape[1], (shape[0], 1)))
        if self.kind == "columns":
            return np.broadcast_to(uniform[:1] < 0.5, shape).copy()
        if self.kind == "gaps":
            return np.asarray((uniform < 0.5) & (rng.random((shape[0], 1)) < 0.5))
        density = {"full": 1.0, "half": 0.5, "few": 0.05, "none": 0.0}[self.kind]
        return np.asarray(uniform < density)
