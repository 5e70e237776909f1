"""Is pruning and binarization better than binarization alone?
============================================================

PBS2P's first abstract says so: "total error after pruning and binarization below that of
binarization alone". Here N:8 is compared with 8:8, which is no pruning, on one block of
many kinds of weights and inputs. Both use PBS2P's own fit to the same objective.

========== ======= ===============================================================
symbol     shape   meaning
========== ======= ===============================================================
``W``      (n, k)  weights of one block
``H``      (k, k)  Hessian of its inputs, for scores and the calibrated error
``P``      (n, k)  kept entries, N of every 8
``L1``             ``‖W - Ŵ‖²``, relative to ``‖W‖²``
``L2``             ``Tr(R H Rᵀ)``, relative to that of ``Ŵ = 0``
========== ======= ===============================================================

Why it is possible: ``P ∘ αB`` has a third level, zero, where binarized weights have two.
When it holds: `gains_by_pruning`, exactly, for one row and one scale. By how much, for
i.i.d. weights and long rows: `limit_error`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from math import comb
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtri

from subbit import reference as ref
from subbit.conformance.models.base import DecoderModel, Tokens
from subbit.conformance.runs.calibrate import advance, block_hessians, embed
from subbit.reference.errors import check_count, check_mask, check_matrix
from subbit.reference.notation import Array, Mask
from subbit.reference.pruning.cfs import FineScore
from subbit.reference.pruning.spbo import StepMean, StepSigns

Objective: TypeAlias = Literal["L1", "L2"]
Builder: TypeAlias = Callable[[np.random.Generator, tuple[int, int]], Array]

GROUP, WIDTH = 8, 128
DENSITIES = (8, 7, 6, 5, 4, 3, 2)
CLAIMED = (6, 5, 4)
"""Densities of the paper's tables."""
LEAST = 1e-12
"""Relative errors below it are rounding; weights with two levels have no other."""


def _near_binary(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.choice([-1.0, 1.0], shape) + 0.1 * rng.standard_normal(shape)


def _column_scaled(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return rng.standard_normal(shape) * rng.lognormal(sigma=0.7, size=shape[1])


FAMILIES: Mapping[str, Builder] = MappingProxyType(
    {
        "Gaussian": lambda rng, shape: rng.standard_normal(shape),
        "Laplace": lambda rng, shape: rng.laplace(size=shape),
        "uniform": lambda rng, shape: rng.uniform(-1.0, 1.0, shape),
        "t3": lambda rng, shape: rng.standard_t(3, shape),
        "Gaussian + 0.5": lambda rng, shape: rng.standard_normal(shape) + 0.5,
        "column-scaled": _column_scaled,
        "near-binary": _near_binary,
        "binary": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    }
)
"""Distributions of weights."""

QUANTILES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "Gaussian": lambda u: float(ndtri((1.0 + u) / 2.0)),
        "Laplace": lambda u: float(-np.log1p(-u)),
        "uniform": lambda u: u,
    }
)
"""Quantile functions of the magnitudes, for some distributions."""


def limit_error(quantile: Callable[[float], float], keep: int, group: int = GROUP) -> float:
    """Return the relative error of i.i.d. weights pruned by magnitude, for long rows.

    Parameters
    ----------
    quantile : callable
        Quantile function of the magnitudes, on (0, 1).
    keep, group : int
        N and M.

    Returns
    -------
    float
        ``‖W - Ŵ‖² / ‖W‖²`` in the limit, with the best single scale and no mean.

    Raises
    ------
    ArgumentError
        If N is not from 1 to M.

    Notes
    -----
    A magnitude at the quantile u is kept if fewer than N of the M - 1 others are larger,
    so with probability ``p(u) = P(Bin(M - 1, 1 - u) < N)``. With the quantile function
    ``q``, the error is ``1 - (M / N) (∫ q p)² / ∫ q²``.

    Examples
    --------
    >>> [round(limit_error(QUANTILES["uniform"], keep), 3) for keep in (8, 6, 4)]
    [0.25, 0.16, 0.218]
    """
    check_count("keep", keep, 1, check_count("group", group))
    ways = [comb(group - 1, larger) for larger in range(keep)]

    def kept(u: float) -> float:
        chances = (w * (1.0 - u) ** i * u ** (group - 1 - i) for i, w in enumerate(ways))
        return quantile(u) * sum(chances)

    mean = quad(kept, 0.0, 1.0)[0]
    square = quad(lambda u: quantile(u) ** 2, 0.0, 1.0)[0]
    return float(1.0 - group / keep * mean**2 / square)


def gains_by_pruning(W: Array, kept: Mask) -> Mask:
    """Return which rows gain from pruning, with one scale, no mean and white inputs.

    Parameters
    ----------
    W : ndarray of float64, shape (n, k)
        Weights.
    kept : ndarray of bool, shape (n, k)
        Kept entries, at least one in every row.

    Returns
    -------
    ndarray of bool, shape (n,)
        Whether ``P ∘ αB`` has a smaller error than ``αB``, each with its best scale.

    Raises
    ------
    ArgumentError
        If a shape differs, a number is not finite or a row keeps nothing.

    Notes
    -----
    The error of a row is ``Σ w² - (Σ_K |w|)² / |K|``. So pruning to K is better if and
    only if ``(Σ_K |w|)² / |K| > (Σ |w|)² / k``: the mean of the kept magnitudes must exceed
    the average magnitude by a factor of more than ``(k / |K|)^½``. A tie is no gain.

    Examples
    --------
    >>> import numpy as np
    >>> kept = np.array([[True, True, False, False]] * 2)
    >>> gains_by_pruning(np.array([[2.0, -2, 1, 1], [3, -3, 1, 1]]), kept)
    array([False,  True])
    """
    sizes = np.abs(check_matrix("W", W))
    mask = check_mask("kept", kept, sizes.shape)
    counts = mask.sum(axis=1)
    check_count("kept", int(counts.min()), 1)
    left, all_of_them = np.sum(sizes, axis=1, where=mask), np.sum(sizes, axis=1)
    return np.asarray(sizes.shape[1] * left**2 > counts * all_of_them**2)


@dataclass(frozen=True, eq=False)
class Case:
    """A block of weights and the Hessian of its inputs.

    Parameters
    ----------
    name : str
        Its distribution, or its place in a model.
    W : ndarray of float64, shape (n, k)
        Weights.
    H : ndarray of float64, shape (k, k)
        Hessian, damped.
    """

    name: str
    W: Array
    H: Array


@dataclass(frozen=True)
class Setting:
    """The varied settings.

    Parameters
    ----------
    score : str, default "obs"
        The fine score.
    signs : {"frozen", "resigned"}, default "frozen"
        Whether signs are recomputed after each step.
    mean : {"masked", "shared"}, default "masked"
        Value that pruned weights decode to.
    grouped : bool, default False
        Whether the block is divided as in the canonical reading, or is one group.
    """

    score: FineScore = "obs"
    signs: StepSigns = "frozen"
    mean: StepMean = "masked"
    grouped: bool = False

    def __str__(self) -> str:
        words = [self.score, self.signs, self.mean, *(["groups"] if self.grouped else [])]
        return ", ".join(words)

    def config(self, keep: int) -> ref.PBS2P:
        """Return PBS2P's configuration.

        Parameters
        ----------
        keep : int
            How many of 8 are kept.

        Returns
        -------
        PBS2P
            The canonical reading, with exact levels, and this setting.
        """
        return (
            ref.METHODS["pbs2p"]
            .presets["exact"]
            .changed(
                keep=(keep, GROUP),
                fine_score=self.score,
                signs=self.signs,
                mean=self.mean,
                partitioned=self.grouped,
            )
        )


SETTINGS = tuple(
    Setting(*choice)
    for choice in product(get_args(FineScore), get_args(StepSigns), get_args(StepMean))
)
"""All scores, signs and means, in one group."""
GROUPED = (Setting(grouped=True), Setting("magnitude", grouped=True))
"""The same question for a block that starts with four groups."""


@dataclass(frozen=True)
class Outcome:
    """Errors of a case in a setting.

    Parameters
    ----------
    case, setting : str
        Names of the case and the setting.
    objective : {"L1", "L2"}
        The objective fitted and measured.
    errors : tuple of float
        Relative errors at N of 8 for every N in `DENSITIES`, the first without pruning.
    """

    case: str
    setting: str
    objective: Objective
    errors: tuple[float, ...]

    def ratio(self, keep: int) -> float:
        """Return the error at N:8 relative to that without pruning.

        Parameters
        ----------
        keep : int
            N.

        Returns
        -------
        float
            Below 1 if the claim holds; infinite if there was no error to begin with.
        """
        error, alone = self.errors[DENSITIES.index(keep)], self.errors[0]
        if alone > LEAST:
            return error / alone
        return float("inf") if error > LEAST else 1.0

    @property
    def holds(self) -> bool:
        """Whether the claim holds at every density of the paper's tables."""
        return all(self.ratio(keep) < 1.0 for keep in CLAIMED)


def _correlated(rng: np.random.Generator, width: int) -> Array:
    mixing = np.eye(width) + 0.5 * rng.standard_normal((width, width)) / np.sqrt(width)
    X = rng.standard_normal((4, 2 * width, width)) @ mixing * rng.lognormal(sigma=0.7, size=width)
    return ref.damp(ref.accumulate_hessian(X))


def synthetic_cases(rows: int, seed: int = 0) -> list[Case]:
    """Draw a block from every distribution; all have the same correlated inputs.

    Parameters
    ----------
    rows : int
        Rows in each.
    seed : int, default 0
        Seed.

    Returns
    -------
    list of Case
        Blocks in the order of `FAMILIES`, 128 columns each.

    Examples
    --------
    >>> [case.name for case in synthetic_cases(1)][:3]
    ['Gaussian', 'Laplace', 'uniform']
    """
    H = _correlated(np.random.default_rng(seed), WIDTH)
    draw = ((name, np.random.default_rng([seed, i])) for i, name in enumerate(FAMILIES))
    return [Case(name, FAMILIES[name](rng, (rows, WIDTH)), H) for name, rng in draw]


def real_cases(
    model: DecoderModel,
    sequences: Tokens,
    rows: int,
    *,
    blocks: Iterable[int] = (0, 10),
    kinds: Iterable[str] = ("q", "o", "down"),
) -> list[Case]:
    """Take a block of columns from some linears of a model.

    Parameters
    ----------
    model : DecoderModel
        The model, at full precision.
    sequences : ndarray of int64, shape (N, L)
        Calibration sequences.
    rows : int
        Maximum rows of each.
    blocks : iterable of int
        Decoder blocks; those that the model lacks are ignored.
    kinds : iterable of str
        Kinds of projections.

    Returns
    -------
    list of Case
        The middle 128 columns, or all if there are fewer, with inputs of the dense model.
    """
    wanted = [index for index in blocks if index < model.n_blocks]
    hidden, cases = embed(model, sequences), []
    for index in range(max(wanted, default=-1) + 1):
        if index in wanted:
            linears = [x for x in model.linears(index) if x.kind in set(kinds)]
            found = block_hessians(model, index, hidden, {x.input_name for x in linears})
            for x in linears:
                W, H = model.weight(index, x.name), found[x.input_name]
                cases.append(_cut(f"{index}.{x.kind}", W[:rows], H))
        advance(model, index, hidden)
    return cases


def _cut(name: str, W: Array, H: Array) -> Case:
    width = min(WIDTH, W.shape[1] // GROUP * GROUP)
    start = (W.shape[1] - width) // (2 * GROUP) * GROUP
    part = slice(start, start + width)
    return Case(name, np.asarray(W[:, part], dtype=np.float64), ref.damp(H[part, part]))


def measure(case: Case, setting: Setting, objective: Objective) -> Outcome:
    """Prune and binarize a block at every density.

    Parameters
    ----------
    case : Case
        The block.
    setting : Setting
        The setting.
    objective : {"L1", "L2"}
        Objective to fit and measure. Scores use the case's Hessian for both.

    Returns
    -------
    Outcome
        The errors.

    Examples
    --------
    >>> outcome = measure(synthetic_cases(8)[0], Setting("magnitude"), "L1")
    >>> outcome.holds, outcome.ratio(4) < 0.8
    (True, True)
    """
    W, alive = case.W, np.ones(case.W.shape[1], dtype=np.bool_)
    gram = case.H / 2.0 if objective == "L2" else np.eye(len(alive))
    saliency = ref.inverse_hessian_saliency(W, case.H) if objective == "L2" else W**2
    errors = []
    for keep in DENSITIES:
        config = setting.config(keep)
        masks = ref.pruning_masks(W, case.H, alive, config)
        made = ref.pbs2p_block(W, saliency, masks, alive, config, gram=gram)
        errors.append(ref.relative_error(W, made.decode(), gram))
    return Outcome(case.name, str(setting), objective, tuple(errors))


def shares_that_gain(case: Case) -> tuple[float, ...]:
    """Return the share of rows for which the exact condition promises a gain.

    Parameters
    ----------
    case : Case
        The block.

    Returns
    -------
    tuple of float
        Shares for N of 8 by magnitude, for every N in `CLAIMED`.

    Examples
    --------
    >>> shares_that_gain(synthetic_cases(8)[0]), shares_that_gain(synthetic_cases(8)[-1])
    ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    """
    masks = (ref.nm_mask(np.abs(case.W), keep, GROUP) for keep in CLAIMED)
    return tuple(float(np.mean(gains_by_pruning(case.W, mask))) for mask in masks)
