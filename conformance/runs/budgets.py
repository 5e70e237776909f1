"""How much each decoder block keeps
=================================

A method that prunes to N:M keeps N of every M weights on average; a budget says how
many each decoder block keeps. It is planned before quantization, over all decoder blocks
of the *dense* model and all linears in them, whichever of them a run quantizes. So runs
that differ only in their blocks or parts share one plan, and the first k blocks of a run
are those of a run that stops at k.

========== ===== ================================================================
symbol     shape meaning
========== ===== ================================================================
N, M             kept, of each M consecutive columns, on average
``values`` (L,)  a measurement of each of the L decoder blocks
``kept``   (L,)  number that each decoder block keeps
========== ===== ================================================================

``norm`` is the rule of STBLLM's paper, ``outlier`` that of its code, ``coarse`` the coarse
stage of PBS2P. A rule is a `Measure`, a number for one decoder block, and a decision from
all numbers. It may use weights, inputs of linears, or the input and output of a decoder
block: one pass of the calibration sequences through the dense model provides all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from subbit.conformance.models.base import DecoderModel, Float32, Tokens
from subbit.reference import (
    block_cosine,
    coarse_budget,
    layer_importance,
    norm_budget,
    outlier_budget,
    outlier_share,
    ria_importance,
)
from subbit.reference.notation import Array, Indices

from .calibrate import Step, advance, check_finite, embed, ignore, warn_unreached

OUTLIER_THRESHOLD = 6.0
"""Multiple of the mean score above which a score is an outlier, as in STBLLM's demo.

The default of its code is 3.
"""

Needs: TypeAlias = Literal["nothing", "weights", "pass"]


class Measure:
    """A number for one decoder block; this one is always 0.

    Parameters
    ----------
    model : DecoderModel
        The dense model.
    index : int
        The decoder block.
    """

    def __init__(self, model: DecoderModel, index: int) -> None:
        self.model, self.index = model, index

    def capture(self, name: str, activations: Float32) -> None:
        """Receive the input of one or several linears, as in `Witness`.

        Parameters
        ----------
        name : str
            `Linear.input_name`.
        activations : ndarray of float32, shape (b, L, m) or (1, T, m)
            Inputs for a few sequences.
        """

    def passed(self, before: Float32, after: Float32) -> None:
        """Receive the input and the output of the decoder block, as in `Witness`.

        Parameters
        ----------
        before, after : ndarray of float32, shape (b, L, d)
            Input and output for the same sequences.
        """

    def value(self) -> float:
        """Return the number, after all sequences have passed.

        Returns
        -------
        float
            The number.
        """
        return 0.0


class WeightNorm(Measure):
    """The L2 norm of all weights of a decoder block's linears, taken as one vector."""

    def value(self) -> float:
        """Return the norm.

        Returns
        -------
        float
            ``ω_l = (Σ_linears ‖W‖_F²)^½``.
        """
        linears = self.model.linears(self.index)
        norms = [np.linalg.norm(self.model.weight(self.index, x.name)) for x in linears]
        return float(np.linalg.norm(norms))


class OutlierShare(Measure):
    """Share of a decoder block's weights that are far more important than the mean.

    Importance is RIA's, with the norms of the linears' inputs over all sequences and the
    exponent ½. All linears count as one array.

    Parameters
    ----------
    model : DecoderModel
        The dense model.
    index : int
        The decoder block.
    """

    def __init__(self, model: DecoderModel, index: int) -> None:
        super().__init__(model, index)
        self.squares: dict[str, Array] = {}
        self.sequences = 0

    def capture(self, name: str, activations: Float32) -> None:
        """Add up the squares of the inputs.

        Parameters
        ----------
        name : str
            `Linear.input_name`.
        activations : ndarray of float32, shape (b, L, m) or (1, T, m)
            Inputs for a few sequences.
        """
        total = self.squares.setdefault(name, np.zeros(activations.shape[-1]))
        total += np.square(activations, dtype=np.float64).sum(axis=(0, 1))

    def passed(self, before: Float32, after: Float32) -> None:  # noqa: ARG002  (both are passed)
        """Count the sequences.

        Parameters
        ----------
        before, after : ndarray of float32, shape (b, L, d)
            Input and output for the same sequences.
        """
        self.sequences += len(before)

    def norms(self, name: str) -> Array:
        """Return the norm of each column of an input.

        Parameters
        ----------
        name : str
            `Linear.input_name`.

        Returns
        -------
        ndarray of float64, shape (m,)
            ``(1/N Σ_s ‖X_{s,j}‖²)^½``, as `input_norms` computes it from a Hessian; ones
            for an expert that no token reaches, as from the identity.
        """
        if not (name in self.squares and self.squares[name].any()):
            warn_unreached(self.index, name)
            widths = {x.input_name: x.shape[1] for x in self.model.linears(self.index)}
            return np.ones(widths[name])
        squares = self.squares[name]
        check_finite(f"model: {name} of decoder block {self.index} holds", squares)
        return np.asarray(np.sqrt(squares / self.sequences))

    def value(self) -> float:
        """Return the share in percent.

        Returns
        -------
        float
            ``100 · #{R > threshold · mean R} / #R``.
        """
        scores = [
            ria_importance(self.model.weight(self.index, x.name), self.norms(x.input_name))
            for x in self.model.linears(self.index)
        ]
        return outlier_share(scores, OUTLIER_THRESHOLD)


class BlockCosine(Measure):
    """The mean cosine between a decoder block's input and output, over all tokens.

    Parameters
    ----------
    model : DecoderModel
        The dense model.
    index : int
        The decoder block.
    """

    def __init__(self, model: DecoderModel, index: int) -> None:
        super().__init__(model, index)
        self.total, self.tokens = 0.0, 0

    def passed(self, before: Float32, after: Float32) -> None:
        """Add up the cosines.

        Parameters
        ----------
        before, after : ndarray of float32, shape (b, L, d)
            Input and output for the same sequences.
        """
        tokens = before.shape[0] * before.shape[1]
        self.total += tokens * block_cosine(before.astype(np.float64), after.astype(np.float64))
        self.tokens += tokens

    def value(self) -> float:
        """Return the mean.

        Returns
        -------
        float
            From -1 to 1.
        """
        return float(np.clip(self.total / self.tokens, -1.0, 1.0))


def _coarse(values: Array, keep: int, group: int, *, repair: bool = False) -> Indices:
    return coarse_budget(layer_importance(values), keep, group, repair=repair)


def _uniform(values: Array, keep: int, _group: int) -> Indices:
    return np.full(len(values), keep)


@dataclass(frozen=True)
class Rule:
    """How a budget is planned.

    Parameters
    ----------
    needs : {"nothing", "weights", "pass"}
        Whether it uses the weights of decoder blocks, or sequences passed through them.
    measure : callable
        Creates the `Measure` of a decoder block: ``measure(model, index)``.
    decide : callable
        ``decide(values, keep, group)`` returns the number that each decoder block keeps.
    """

    needs: Needs
    measure: Callable[[DecoderModel, int], Measure]
    decide: Callable[[Array, int, int], Indices]


BUDGETS: Mapping[str, Rule] = MappingProxyType(
    {
        "uniform": Rule("nothing", Measure, _uniform),
        "norm": Rule("weights", WeightNorm, norm_budget),
        "norm-exact": Rule("weights", WeightNorm, partial(norm_budget, repair=True)),
        "outlier": Rule("pass", OutlierShare, outlier_budget),
        "outlier-exact": Rule("pass", OutlierShare, partial(outlier_budget, repair=True)),
        "coarse": Rule("pass", BlockCosine, _coarse),
        "coarse-exact": Rule("pass", BlockCosine, partial(_coarse, repair=True)),
    }
)
"""The rules by name. Those ending in ``-exact`` keep N on average; the others need not."""


def count_budget_steps(model: DecoderModel, budget: str) -> int:
    """Return the number of `step` calls while planning a budget.

    Parameters
    ----------
    model : DecoderModel
        The model.
    budget : str
        A key of `BUDGETS`, or another budget, for which nothing is planned.

    Returns
    -------
    int
        One per decoder block, or 0 if none is measured.
    """
    return 0 if budget not in BUDGETS or BUDGETS[budget].needs == "nothing" else model.n_blocks


def _measure_blocks(model: DecoderModel, budget: str, sequences: Tokens, step: Step) -> list[float]:
    """Measure each decoder block, keeping one array of hidden states."""
    rule, values = BUDGETS[budget], []
    hidden = embed(model, sequences) if rule.needs == "pass" else None
    for index in range(model.n_blocks):
        measure = rule.measure(model, index)
        if hidden is not None:
            advance(model, index, hidden, measure)
        values.append(measure.value())
        if rule.needs != "nothing":
            step(f"budget, block {index}")
    return values


def plan_kept(
    model: DecoderModel,
    budget: str,
    pattern: tuple[int, int],
    sequences: Tokens,
    step: Step = ignore,
) -> tuple[int, ...]:
    """Return how many of every M weights each decoder block keeps.

    Parameters
    ----------
    model : DecoderModel
        The dense model; not changed.
    budget : str
        A key of `BUDGETS`.
    pattern : tuple of int
        N and M.
    sequences : ndarray of int64, shape (N, L)
        Calibration sequences.
    step : callable, optional
        Called after each decoder block; see `count_budget_steps`.

    Returns
    -------
    tuple of int, length L
        From 1 to M; M prunes nothing.

    Raises
    ------
    SubbitError
        If weights or activations are not finite.

    Examples
    --------
    >>> from subbit.conformance.models.tiny import tiny_model
    >>> model = tiny_model()
    >>> plan_kept(model, "norm", (4, 8), model.tokenize("to be or not to be")[None])
    (5, 5, 5)
    """
    keep, group = pattern
    values = _measure_blocks(model, budget, sequences, step)
    return tuple(int(count) for count in BUDGETS[budget].decide(np.array(values), keep, group))
