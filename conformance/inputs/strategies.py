"""Hypothesis strategies
=====================

Search strategies over the labeled inputs of :mod:`subbit.conformance.inputs.families`: a
family, a seed and a shape are drawn, and the arrays are built from them. In addition,
small arrays are drawn entry by entry, so hypothesis can shrink those to a minimum.
"""

from typing import TypeAlias

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.strategies import SearchStrategy

from subbit.conformance.inputs.families import (
    ACTIVATIONS,
    ALL,
    CONTINUOUS,
    LIVE,
    Activations,
    Drawn,
    Masks,
    Weights,
)

Span: TypeAlias = tuple[int, int]
Layer: TypeAlias = tuple[Weights, Activations]


def seeds() -> SearchStrategy[int]:
    """Draw seeds of generators.

    Returns
    -------
    SearchStrategy of int
        From 0 to 2³² - 1.
    """
    return st.integers(0, 2**32 - 1)


def weights(
    families: tuple[str, ...] = ALL, *, rows: Span = (1, 5), columns: Span = (1, 40)
) -> SearchStrategy[Weights]:
    """Draw weight matrices of the named families.

    Parameters
    ----------
    families : tuple of str, optional
        Families to choose from.
    rows, columns : tuple of int
        Least and largest lengths.

    Returns
    -------
    SearchStrategy of Weights
        Labeled matrices.
    """
    shape = st.tuples(st.integers(*rows), st.integers(*columns))
    return st.builds(Weights, st.sampled_from(families), seeds(), shape)


def drawn(*, rows: Span = (1, 3), columns: Span = (1, 8)) -> SearchStrategy[Drawn]:
    """Draw small matrices, each entry by itself.

    Parameters
    ----------
    rows, columns : tuple of int
        Least and largest lengths.

    Returns
    -------
    SearchStrategy of Drawn
        Whole numbers, or floats between 1e-30 and 1e30 in magnitude, or zero.
    """
    magnitude = st.floats(2.0**-100, 2.0**100)
    signed = st.builds(lambda value, s: value * s, magnitude, st.sampled_from([-1.0, 0.0, 1.0]))
    whole = st.integers(-16, 16).map(float)
    shape = st.tuples(st.integers(*rows), st.integers(*columns))
    arrays = st.one_of(
        shape.flatmap(lambda s: npst.arrays(np.float64, s, elements=whole)),
        shape.flatmap(lambda s: npst.arrays(np.float64, s, elements=signed)),
    )
    return arrays.map(lambda a: Drawn(tuple(tuple(map(float, row)) for row in a)))


def matrices(
    families: tuple[str, ...] = ALL, *, rows: Span = (1, 5), columns: Span = (1, 40)
) -> SearchStrategy[Weights | Drawn]:
    """Draw from labeled families and small drawn matrices together.

    Parameters
    ----------
    families, rows, columns
        As for :func:`weights`.

    Returns
    -------
    SearchStrategy
        Matrices.
    """
    return st.one_of(weights(families, rows=rows, columns=columns), drawn())


def masks() -> SearchStrategy[Masks]:
    """Draw masks of all kinds.

    Returns
    -------
    SearchStrategy of Masks
        Labeled masks.
    """
    kinds = ("full", "half", "few", "one", "gaps", "columns")
    return st.builds(Masks, st.sampled_from(kinds), seeds())


def activations(
    families: tuple[str, ...] = tuple(ACTIVATIONS),
    *,
    sequences: Span = (1, 4),
    tokens: Span = (4, 24),
    inputs: Span = (1, 32),
) -> SearchStrategy[Activations]:
    """Draw calibration inputs.

    Parameters
    ----------
    families : tuple of str, optional
        Families to choose from.
    sequences, tokens, inputs : tuple of int
        Least and largest lengths of the three axes.

    Returns
    -------
    SearchStrategy of Activations
        Labeled inputs.
    """
    shape = st.tuples(st.integers(*sequences), st.integers(*tokens), st.integers(*inputs))
    return st.builds(Activations, st.sampled_from(families), seeds(), shape)


@st.composite
def layers(
    draw: st.DrawFn,
    families: tuple[str, ...] = CONTINUOUS,
    inputs: tuple[str, ...] = LIVE,
    *,
    rows: Span = (1, 6),
    columns: Span = (2, 48),
) -> Layer:
    """Draw a weight matrix and inputs that fit it.

    Parameters
    ----------
    draw : callable
        Supplied by hypothesis.
    families, inputs : tuple of str
        Families of the weights and of the inputs.
    rows, columns : tuple of int
        Least and largest lengths of the weight matrix.

    Returns
    -------
    tuple of Weights and Activations
        The layer.
    """
    W = draw(weights(families, rows=rows, columns=columns))
    width = (W.shape[1], W.shape[1])
    return W, draw(activations(inputs, tokens=(8, 24), inputs=width))
