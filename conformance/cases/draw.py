"""Cases from seeds
================

A case is a seed: its generator draws family, shapes and switches, and reports what it drew.
Small seeds draw small shapes, so searching for a smaller seed finds a smaller case.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from subbit.conformance.cases.pinned import pinned_seeds
from subbit.conformance.inputs.families import (
    ACTIVATIONS,
    ALL,
    CONTINUOUS,
    DEGENERATE,
    LIVE,
    MODES,
    WEIGHTS,
    Array,
    Generator,
    Mask,
    Masks,
    gram,
)

T = TypeVar("T")

LAYOUTS = 5
"""Ways in which cases hand over their arrays, in turn."""
NARROW = 4
"""The one with a smaller type: numbers of its cases are drawn so that float32 holds them."""
Span = tuple[int, int]

WIDE, TALL, NEAR, BARE, PAIRED, BROAD, VAST = (n * 2**32 for n in range(1, 8))
"""Cases that are larger than the others in one direction, those that lie beside a decision, and
degenerate ones; seeds from each on are such cases."""
LONGEST = 6
"""How much longer than the least an axis is in a case beside a decision."""
SIZES: Mapping[int, Mapping[str, int]] = {
    WIDE >> 32: {"columns": 131, "width": 131, "tokens": 67, "tried": 259, "thresholds": 259},
    TALL >> 32: {"rows": 259, "columns": 5, "width": 5, "tokens": 67},
    PAIRED >> 32: {"columns": 37, "width": 37, "tokens": 40},
    BROAD >> 32: {"columns": 73, "width": 73, "tokens": 76},
    VAST >> 32: {"rows": 37, "columns": 293, "width": 293},
}
"""Least sizes in these cases: more columns than a row in registers, a block of threads or a word
of bits has; more rows than a slab and than a block of threads; more candidates than threads. Two
and three columns for each lane of a warp, none of the numbers a multiple of 32. More than one
round of loops that a compiler unrolls fourfold, over rows of a warp and over columns of a lane."""

STRICT = 8
"""One case in so many asks a port's strict twin, if it has one; some large ones do, too."""

MODERATE = tuple(name for name in ALL if name != "huge_range")
"""Families whose squares stay within the range of float32."""
MASKS = ("full", "half", "few", "one", "gaps", "columns")
BARE_MASKS = ("gaps", "few", "none", "full")


def is_near(seed: int) -> bool:
    """Tell whether a case lies beside a decision.

    Parameters
    ----------
    seed : int
        The case.

    Returns
    -------
    bool
        True from :data:`NEAR` on.

    Examples
    --------
    >>> is_near(5), is_near(NEAR + 5)
    (False, True)
    """
    return seed >> 32 == NEAR >> 32


@dataclass(frozen=True)
class Blend:
    """A place on the way from one input to another.

    Parameters
    ----------
    share : float
        Share of the second input, from 0 to 1.
    attempt : int
        Seed of the second input, beside the case's own.
    dtype : str
        The type that holds the numbers.
    """

    share: float
    attempt: int
    dtype: str


def is_strict(seed: int) -> bool:
    """Return whether a case asks a port's strict twin, see :mod:`subbit.conformance.target`.

    Parameters
    ----------
    seed : int
        The case.

    Returns
    -------
    bool
        True for every eighth seed, none of them among the first five, and for one case of each
        number of columns that a lane may have in registers.

    Examples
    --------
    >>> [seed for seed in range(16) if is_strict(seed)]
    [5, 13]
    """
    return seed in {WIDE, PAIRED, BROAD} or seed % STRICT == LAYOUTS


class Draw:
    """Labeled draws of one case.

    Parameters
    ----------
    seed : int
        The case.
    blend : Blend, optional
        Place between its input and another one.
    dtype : str, default "float64"
        The port's type.

    Examples
    --------
    >>> draw = Draw(3)
    >>> draw.pick("order", (1, 2, 3)) in (1, 2, 3), "order" in draw.label
    (True, True)
    """

    def __init__(self, seed: int, blend: Blend | None = None, dtype: str = "float64") -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.said: dict[str, object] = {}
        self.least = SIZES.get(seed >> 32, {})
        self.beside, self._blend = is_near(seed), blend
        self.bare, self._dtype = seed >> 32 == BARE >> 32, dtype
        if blend is not None:
            self.rng, self._second = (
                np.random.default_rng((seed, blend.attempt, n)) for n in (0, 1)
            )
            self.said["share"] = blend.share

    @property
    def label(self) -> str:
        """Description of the drawn values."""
        return ", ".join(f"{name} {value}" for name, value in self.said.items())

    def pick(self, name: str, options: Sequence[T]) -> T:
        """Draw one of several settings.

        Parameters
        ----------
        name : str
            Name of the setting.
        options : sequence
            The settings.

        Returns
        -------
        object
            One of them.
        """
        value = options[int(self.rng.integers(len(options)))]
        self.said[name] = value
        return value

    def number(self, name: str, low: int, high: int) -> int:
        """Draw a whole number, a small one where the seed is small.

        Parameters
        ----------
        name : str
            What it counts.
        low, high : int
            The range, ends included.

        Returns
        -------
        int
            The number.
        """
        number = self.seed & (2**32 - 1)
        if name in self.least:
            low = high = max(low, self.least[name] + int(self.rng.integers(LAYOUTS)))
        elif self.least:
            # Whatever else is counted stays small.
            number = 1
        elif self.beside or self.bare:
            number = LONGEST
        value = int(self.rng.integers(low, min(high, low + 1 + number) + 1))
        self.said[name] = value
        return value

    def _held(self, x: Array) -> Array:
        """Round to float32 in the case that hands over arrays of that type."""
        if self.seed % LAYOUTS != NARROW or self.beside or self.seed in pinned_seeds():
            return x
        # A power of two brings the largest number to about 1, whatever the family's range.
        _, power = np.frexp(np.abs(x).max(initial=0.0))
        return np.asarray(np.ldexp(x, -power).astype(np.float32).astype(np.float64))

    def mode(self) -> dict[str, Any]:
        """Draw a setting of the binarizer.

        Returns
        -------
        dict
            The switches `center` and `sign_zero`.
        """
        return MODES[self.pick("mode", tuple(MODES))]

    def shape(self, rows: Span = (1, 6), columns: Span = (1, 70)) -> tuple[int, int]:
        """Draw the shape of a matrix.

        Parameters
        ----------
        rows, columns : tuple of int
            Least and largest lengths.

        Returns
        -------
        tuple of int
            (n, k).
        """
        return self.number("rows", *rows), self.number("columns", *columns)

    def values(self, name: str, shape: tuple[int, ...], families: Sequence[str] = ALL) -> Array:
        """Draw values of one family of weights.

        Parameters
        ----------
        name : str
            Name of the values.
        shape : tuple of int
            Their shape.
        families : sequence of str
            Families to choose from.

        Returns
        -------
        ndarray of float64
            The values.
        """
        # Large cases are there for their sizes, and few numbers lie between those of few bits.
        special = self.least or self.beside
        plain = tuple(f for f in families if f in CONTINUOUS) if special else ()
        if self.bare and set(families) & set(CONTINUOUS):
            kind = tuple(DEGENERATE)[(self.seed - BARE) % len(DEGENERATE)]
            self.said[name] = kind
            # The least normal number is where rounding ends to be relative.
            return DEGENERATE[kind](self.rng, shape, float(np.finfo(self._dtype).tiny))
        build = WEIGHTS[self.pick(name, plain or tuple(families))]
        return self._held(self.between(lambda rng: build(rng, shape), blends=bool(plain)))

    def between(self, build: Callable[[Generator], Array], *, blends: bool = True) -> Array:
        """Draw numbers; beside a decision, between two inputs and as the port's type holds them.

        Parameters
        ----------
        build : callable
            ``build(rng)`` draws them.
        blends : bool, default True
            Whether numbers between two inputs are inputs too.

        Returns
        -------
        ndarray of float64
            The numbers.
        """
        drawn, blend = build(self.rng), self._blend
        if blend is None or not blends:
            return drawn
        between = (1.0 - blend.share) * drawn + blend.share * build(self._second)
        return between.astype(blend.dtype).astype(np.float64)

    def weights(
        self,
        families: Sequence[str] = ALL,
        *,
        rows: Span = (1, 6),
        columns: Span = (1, 70),
    ) -> Array:
        """Draw a weight matrix.

        Parameters
        ----------
        families : sequence of str
            Families to choose from.
        rows, columns : tuple of int
            Least and largest lengths.

        Returns
        -------
        ndarray of float64, shape (n, k)
            The matrix.
        """
        return self.values("W", self.shape(rows, columns), families)

    def mask(self, shape: tuple[int, int]) -> Mask:
        """Draw a mask.

        Parameters
        ----------
        shape : tuple of int
            (n, k).

        Returns
        -------
        ndarray of bool
            The mask.
        """
        kinds: tuple[str, ...] = ("full", "half") if self.least else MASKS
        if self.bare:
            # Small numbers are many, so that their sums stand out.
            kinds = BARE_MASKS if (self.seed - BARE) % len(DEGENERATE) else ("full",)
        return Masks(self.pick("mask", kinds), int(self.rng.integers(2**32))).of(shape)

    def inputs(self, width: int, families: Sequence[str] = LIVE, *, longest: int = 40) -> Array:
        """Draw calibration inputs.

        Parameters
        ----------
        width : int
            Number of inputs m.
        families : sequence of str
            Families to choose from.
        longest : int, default 40
            Largest number of tokens per sequence.

        Returns
        -------
        ndarray of float64, shape (N, L, m)
            The inputs.
        """
        shape = (self.number("sequences", 1, 4), self.number("tokens", 2, longest), width)
        build = ACTIVATIONS[self.pick("X", tuple(families))]
        return self._held(self.between(lambda rng: build(rng, shape)))

    def hessian(self, width: int, families: Sequence[str] = LIVE) -> Array:
        """Draw a proxy Hessian from enough tokens to be well conditioned.

        Parameters
        ----------
        width : int
            Number of inputs m.
        families : sequence of str
            Families of inputs to choose from.

        Returns
        -------
        ndarray of float64, shape (m, m)
            ``2/N Σ XᵀX``.
        """
        shape = (self.number("sequences", 1, 3), 3 * width + 4, width)
        build = ACTIVATIONS[self.pick("X", tuple(families))]
        factor = 2 / shape[0]
        return self._held(
            self.between(lambda rng: gram(build(rng, shape).reshape(-1, width), factor))
        )

    def columns(self, width: int) -> Mask:
        """Draw columns that take part.

        Parameters
        ----------
        width : int
            Number of columns.

        Returns
        -------
        ndarray of bool
            The columns.
        """
        density = self.pick("columns taken", (1.0, 0.7, 0.3))
        return np.asarray(self.rng.random(width) < density)


__all__ = ["ALL", "CONTINUOUS", "LIVE", "MODERATE", "Draw"]
