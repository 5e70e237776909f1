"""Refinement
==========

ARB-LLM, arXiv 2410.03129, sections 3.2 and 3.3: the settings of the loops of ``arb``,
``arb_x`` and ``arb_rc``, and the record of their steps.

A loop runs through *half steps*. Each minimizes the objective over one block of variables
while the others stay fixed, so the objective never rises. The loops are generators of half
steps, ``(name, group)``; the function that returns the answer takes the last of them, and
:func:`trace_objective` evaluates them all.

Differences between paper and code: ERRATA D-1 to D-7, D-13 and D-17.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from subbit.reference.contracts.door import contract
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import Flags, symmetric
from subbit.reference.contracts.scalars import Share
from subbit.reference.contracts.settings import Switches
from subbit.reference.contracts.words import ROUNDS, WEIGHTS
from subbit.reference.errors import ArgumentError
from subbit.reference.layer import BinaryGroup
from subbit.reference.least_squares import EpsKind
from subbit.reference.notation import Array, Mask, SignOfZero
from subbit.reference.objective import calibrated_error_trace, weight_error
from subbit.reference.records import HalfSteps

Divisor: TypeAlias = Literal["entries", "width"]
InitialSigns: TypeAlias = Literal["centered", "plain"]
CalibratedStart: TypeAlias = Literal["standard", "refined"]
Precision: TypeAlias = Literal["float64", "float32"]
Levels: TypeAlias = Literal["alternate", "exact"]

Steps: TypeAlias = Iterator[tuple[str, BinaryGroup]]


@dataclass(frozen=True, repr=False)
class Refinement(Switches):
    """How groups are refined; the defaults are the paper's.

    Parameters
    ----------
    iterations : int, default 15
        Rounds on the weight error, ``T``.
    calibrated_iterations : int, default 15
        Rounds of each fit on the calibrated error.
    divisor : {"entries", "width"}, default "entries"
        D-1. Divisor of the initial sums: the group's entries in the row (code), or the
        width of the block (Algorithm 1 as printed).
    initial_signs : {"centered", "plain"}, default "centered"
        D-2. Initial signs of ``W - μ`` (Eq. (1), code) or of ``W`` (Algorithm 1).
    sign_zero : {1, 0}, default 1
        D-3. Sign of zero; 0 in the code.
    eps : float, default 0.0
        D-5. Number added to denominators on the weight error; 1e-8 in the code. With 0,
        a variable whose denominator vanishes stays unchanged.
    calibrated_eps : float, default 0.0
        D-7. The same on the calibrated error; 1e-10 in the code.
    eps_kind : {"absolute", "relative"}, default "absolute"
        Whether the two are absolute, or relative to the mean denominator of all rows. Beyond
        paper and code: a relative eps keeps the result equivariant to the scale of the
        weights.
    calibrated_start : {"standard", "refined"}, default "standard"
        D-6. Whether ARB-X starts from the initial values (paper) or from the refined ones
        (code).
    mean_denominator : {"float64", "float32"}, default "float64"
        D-13. Precision of the denominator of first-order calibrated means.
    levels : {"alternate", "exact"}, default "alternate"
        Beyond paper and code: means and scales by alternation, or jointly by least squares.

    Examples
    --------
    >>> Refinement().iterations, Refinement(eps=1e-8).eps
    (15, 1e-08)
    """

    iterations: int = 15
    calibrated_iterations: int = 15
    divisor: Divisor = "entries"
    initial_signs: InitialSigns = "centered"
    sign_zero: SignOfZero = 1
    eps: float = 0.0
    calibrated_eps: float = 0.0
    eps_kind: EpsKind = "absolute"
    calibrated_start: CalibratedStart = "standard"
    mean_denominator: Precision = "float64"
    levels: Levels = "alternate"

    DOMAINS: ClassVar[Mapping[str, Kind]] = {
        "iterations": ROUNDS,
        "calibrated_iterations": ROUNDS,
        "eps": Share(),
        "calibrated_eps": Share(),
    }


REFINEMENT = Refinement()


@dataclass(frozen=True, eq=False)
class Trace:
    """The objective along a refinement.

    Parameters
    ----------
    names : tuple of str
        Name of each half step; the first is ``"start"``.
    objectives : ndarray of float64, shape (steps,)
        The objective after each half step.
    group : BinaryGroup
        The last state.

    Examples
    --------
    >>> from subbit.reference import arb_steps
    >>> W = [[3.0, 1.0, -1.0, -2.0]]
    >>> made = trace_objective(W, arb_steps(W))
    >>> made.names[:4]
    ('start', 'mean', 'scale', 'signs')
    """

    names: tuple[str, ...]
    objectives: Array
    group: BinaryGroup


@contract(
    2,
    W=WEIGHTS,
    steps=HalfSteps(
        text="Half steps, such as :func:`~subbit.reference.groups.arb.arb_steps` yields."
    ),
    S=symmetric(
        "k",
        (
            "Gram matrix of the inputs. With it the objective is the calibrated error, "
            "otherwise the weight error."
        ),
    ),
    entries=Flags(
        ("n", "k"),
        text=(
            "Entries whose weights count; by default those of the group at each step. Steps "
            "that prune take entries from the group; if listed here, their weight is error."
        ),
        whole=False,
        chosen=True,
    ),
)
def trace_objective(
    W: Array,
    steps: Iterable[tuple[str, BinaryGroup]],
    S: Array | None = None,
    *,
    entries: Mask | None = None,
) -> Trace:
    """Evaluate the objective after every half step of a refinement.

    Returns
    -------
    Trace
        Names, objectives, and the last state.

    References
    ----------
    ARB-LLM, arXiv 2410.03129, Eqs. (1) and (9).

    Examples
    --------
    >>> from subbit.reference import arb_steps
    >>> W = [[4.0, 1.0, 1.0, 0.0]]
    >>> trace_objective(W, arb_steps(W)).objectives[[0, -1]].round(2).tolist()
    [2.75, 0.67]
    """
    names, objectives, group = [], [], None
    for name, group in steps:
        own = np.where(group.mask if entries is None else entries, W, 0.0)
        image = group.decode()
        names.append(name)
        objectives.append(
            weight_error(own, image) if S is None else calibrated_error_trace(own, image, S)
        )
    if group is None:
        raise ArgumentError("steps", "at least one step", "none")
    return Trace(tuple(names), np.array(objectives), group)
