"""What whole layers have in common
================================

States and scores that follow from a port's own record, and what a layer reaches in all. It
may exceed the reference's by the share :data:`SLACK` of it, for decisions that rounding
took and the blocks after them.
"""

from collections.abc import Sequence

import numpy as np

from subbit import reference
from subbit.conformance.cases.judge import Judge
from subbit.conformance.families import Array
from subbit.reference import Partition, QuantizedLayer, bounds_hessian
from subbit.reference.rounding import Rounded

SLACK = 0.1
INPUTS = ("iid", "ar0.5", "scaled", "positive", "dead")


def judge_objective(judge: Judge, W: Array, H: Array, layer: QuantizedLayer, best: Array) -> None:
    """Judge what a layer reaches, on the Hessian with its mean diagonal added once more.

    Parameters
    ----------
    judge : Judge
        Who collects.
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    layer : QuantizedLayer
        The port's record.
    best : ndarray of float64, shape (n, m)
        What the reference's record decodes to.
    """
    S = H + np.diag(H).mean() * np.eye(len(H)) + np.eye(len(H)) * 2.0**-40
    own, least = (reference.calibrated_error_trace(W, Q, S) for Q in (layer.decode(), best))
    energy = reference.calibrated_error_trace(W, np.zeros(W.shape), S)
    allowed = SLACK * least + judge.arithmetic.unit_roundoff * 64 * energy
    judge.objective("objective of the layer", own, least, allowed)


def prepared_bound(judge: Judge, H: Array, percdamp: float) -> tuple[Rounded, Rounded]:
    """Return a port's damped Hessian and inverse factor.

    Parameters
    ----------
    judge : Judge
        Who says how it computes.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    percdamp : float
        Damping relative to the mean diagonal.

    Returns
    -------
    damped, factor : Rounded
        Shape (m, m).
    """
    damped = bounds_hessian.damp_bound(H, percdamp, arithmetic=judge.arithmetic)
    return damped, bounds_hessian.inverse_factor_bound(damped, arithmetic=judge.arithmetic)


def scores_bound(
    states: Sequence[Rounded],
    prepared: tuple[Rounded, Rounded],
    config: Partition,
    layer: QuantizedLayer,
) -> list[Rounded]:
    """Return the scores of each block.

    Parameters
    ----------
    states : sequence of Rounded
        What each block was quantized from, shape (n, k).
    prepared : tuple of Rounded
        Damped Hessian and inverse factor, shape (m, m).
    config : Partition
        The configuration.
    layer : QuantizedLayer
        The port's record.

    Returns
    -------
    list of Rounded
        The scores, shape (n, k) each.
    """
    damped, factor = prepared
    found = []
    for state, block in zip(states, layer.blocks, strict=True):
        arithmetic, part = state.arithmetic, block.columns
        if config.score == "magnitude":
            found.append(state)
        elif config.score == "trailing":
            found.append(
                bounds_hessian.trailing_saliency_bound(
                    state, factor[part, part], arithmetic=arithmetic
                )
            )
        else:
            # Each column's score has its own divisor; the other columns stand for nothing.
            value, error = np.zeros((2, *layer.shape))
            value[:, part], error[:, part] = state.value, state.error
            everything = bounds_hessian.inverse_hessian_saliency_bound(
                Rounded(value, error, arithmetic), damped, arithmetic=arithmetic
            )
            found.append(everything[:, part])
    return found
