"""Choice of the weights to keep
=============================

Which score ranks the weights that STBLLM, arXiv 2408.01803, keeps, and what becomes of the
others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.scalars import Share
from subbit.reference.contracts.settings import Pattern, Switches
from subbit.reference.hessian import PreparedHessian
from subbit.reference.notation import Array
from subbit.reference.zones.saliency import obs_saliency, trailing_saliency

from .sparsity import (
    Axis,
    Standardize,
    Tail,
    input_norms,
    magnitude_importance,
    ria_importance,
    standardized_importance,
    wanda_importance,
)

Importance: TypeAlias = Literal[
    "standardized", "ria", "wanda", "magnitude", "obs", "trailing", "sparsegpt"
]
Pruned: TypeAlias = Literal["zero", "binarize"]
Start: TypeAlias = Literal["pruned", "dense"]
Free: TypeAlias = Literal["kept", "all"]


@dataclass(frozen=True, repr=False)
class Pruning(Switches):
    """Choice of the weights to keep, and treatment of the others.

    Parameters
    ----------
    keep : tuple of int, default (4, 8)
        S-7. ``(N, M)``: N of every M weights are kept. The code counts pruned ones instead.
        With N = M nothing is pruned.
    tail : {"error", "dense"}, default "error"
        Treatment of the last columns if M does not divide the width.
    importance : str, default "standardized"
        S-1. Which weights matter: ``"standardized"`` Eq. (2), ``"ria"`` the code,
        ``"wanda"``, ``"magnitude"``, ``"obs"`` and ``"trailing"`` the two scores of optimal
        brain surgery; ``"sparsegpt"`` takes the mask, and with ``start="pruned"`` the
        weights, of SparseGPT.
    standardize : {"before", "after", "none"}, default "before"
        S-2. Where Eq. (2) standardizes: before or after the factor of the inputs.
    exponent : float, default 1.0
        S-1. Power of the inputs' norms in Eq. (2) and in RIA; 1/2 in the code.
    axis : {"row", "matrix"}, default "row"
        S-2. Axis over which Eq. (2) takes mean and deviation; the text does not say.
    pruned : {"zero", "binarize"}, default "zero"
        S-5. Whether pruned weights are zero in the result, or binarized like the others
        (code).
    start : {"pruned", "dense"}, default "pruned"
        S-5. Whether quantization starts from the pruned weights, or from the dense ones, so
        that the pruning error is fed forward too.
    free : {"kept", "all"}, default "kept"
        S-5. Whether feedback moves only the kept weights, or all weights (code). A pruned
        weight that has drifted is part of the error of its block.

    Examples
    --------
    >>> Pruning(keep=(8, 8)).prunes, Pruning().strict
    (False, True)
    """

    keep: tuple[int, int] = (4, 8)
    tail: Tail = "error"
    importance: Importance = "standardized"
    standardize: Standardize = "before"
    exponent: float = 1.0
    axis: Axis = "row"
    pruned: Pruned = "zero"
    start: Start = "pruned"
    free: Free = "kept"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {"keep": Pattern(), "exponent": Share()}

    @property
    def prunes(self) -> bool:
        """Whether some weights are pruned at all."""
        return self.keep[0] < self.keep[1]

    @property
    def strict(self) -> bool:
        """Whether some weights are pruned and zero in the result."""
        return self.prunes and self.pruned == "zero"


PRUNING = Pruning()


def importance_of(W: Array, H: Array, prepared: PreparedHessian, config: Pruning) -> Array:
    """Return the scores that rank the weights of a layer.

    Parameters
    ----------
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian, not damped.
    prepared : PreparedHessian
        Its damped form and inverse factor.
    config : Pruning
        The configuration.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Scores.

    Examples
    --------
    >>> import numpy as np
    >>> from subbit.reference.hessian import prepare_hessian
    >>> H, config = np.eye(2), Pruning(importance="magnitude")
    >>> importance_of(np.array([[1.0, -2.0]]), H, prepare_hessian(H, 0.01), config)
    array([[1., 2.]])
    """
    match config.importance:
        case "standardized":
            return standardized_importance(
                W,
                input_norms(H),
                exponent=config.exponent,
                standardize=config.standardize,
                axis=config.axis,
            )
        case "ria":
            return ria_importance(W, input_norms(H), exponent=config.exponent)
        case "wanda":
            return wanda_importance(W, input_norms(H))
        case "obs":
            return obs_saliency(W, prepared.damped)
        case "trailing":
            return trailing_saliency(W, prepared.factor)
    return magnitude_importance(W)
