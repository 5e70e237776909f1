"""Level 3: every setting of every method
=======================================

A layer for each row of a covering design: any two settings of a method meet in all pairs of
their sampled values within a bounded number of rows. What a port answers is compared with
the reference as a whole. Two correct ports part at a decision that rounding makes, so the
reference is asked again with weights and Hessian moved by a few roundings of the port's
arithmetic: where its own answer jumps, nothing is said, and elsewhere a port may deviate by
a multiple of what the moves change.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS, Array
from subbit.conformance.inputs.moved import TRIES, answer_moved, live_condition, reordered
from subbit.conformance.target import Port
from subbit.reference import QuantizedLayer
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.contracts.kind import Call, Kind
from subbit.reference.contracts.room import REFERENCE, Arrays
from subbit.reference.contracts.scalars import Choice
from subbit.reference.contracts.settings import Switches, domains, later_settings
from subbit.reference.errors import ArgumentError
from subbit.reference.notation import Indices

SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "block_size": (24, 16, 48),
    "percdamp": (0.01, 0.2, 0.001),
    "search_orders": ((1, 1), (2, 1), (2, 2)),
    "counts": ((5, 7), (6, 9), (8, 8)),
    "splits": (1, 2),
    "iterations": (3, 0, 1),
    "calibrated_iterations": (3, 0, 1),
    "eps": (0.0, 0.05),
    "calibrated_eps": (0.0, 0.05),
    "keep": ((4, 8), (2, 4), (8, 8), (5, 8)),
    "exponent": (1.0, 0.5, 0.0),
    "factor": (2.0, 1.5),
    "levels": (20, 7),
    "quantiles": (9, 4),
    "parts": (2, 3),
    "sweeps": (0, 2),
    "bits": (2, 1, 4),
    "group_size": (None, 16, 5),
    "low_share": (0.9, 0.5),
    "high_bits": (8, 3),
    # Scales alone take a small layer up to twelve bits per weight.
    "payload": (13.0, 64.0),
    "codes": (
        ("1", "2", "3", "4"),
        ("0", "1", "1:16", "2:16", "3:16", "2", "3"),
        ("0", "2:16"),
    ),
    "column_power": (1.0, 0.5, 0.0),
    "rank_step": (1, 2),
    "ridge": (0.03, 0.3),
    "power_steps": (5, 1),
    "shrinkage": (0.0, 0.4),
    "seed": (0, 3),
}
"""Values of the settings whose domain is not a list."""
SPARSE: tuple[Mapping[str, Any], ...] = (
    {"keep": (4, 8), "sparsity": None},
    {"keep": (2, 4), "sparsity": None},
    {"keep": None, "sparsity": 0.5},
)
"""A pattern or a share: one excludes the other."""
Samples = dict[str, tuple[Mapping[str, Any], ...]]
Place = tuple[str, int]
Pair = tuple[Place, Place]
METHODS: Mapping[str, type[Switches]] = {
    "billm": reference.BiLLM,
    "arb_llm": reference.ARBLLM,
    "stbllm": reference.STBLLM,
    "pbs2p": reference.PBS2P,
    "gptq": reference.GPTQ,
    "pb_llm": reference.PBLLM,
    "sparsegpt": reference.SparseGPT,
    "wanda": reference.Wanda,
    "typed_groups": reference.TypedGroups,
    "sign_product": reference.SignProduct,
    "hbllm": reference.HBLLM,
}
ROWS, WIDTH = 3, 48
"""A layer of several blocks, each wide enough that no threshold fits all that it cuts: then
rounding alone would choose one. Its width is a multiple of every M."""
FAMILIES = tuple(name for name in CONTINUOUS if name != "shifted")
"""A mean far larger than the spread costs digits that moves do not show."""
INPUTS = ("dead", "iid", "dead", "ar0.9")
CANDIDATES = 4
SPREAD = 32.0
"""How many times what moves change a correct port may deviate by."""
ROUNDINGS = 2.0**6
"""Roundings of the largest weight that every value may be off by, whatever moves change."""
JUMP = 1e-3
"""Share of the largest weight from which on a change is a jump."""


def samples_of(kind: type[Switches]) -> Samples:
    """Return the values of each setting that are tried.

    Parameters
    ----------
    kind : type
        Class of the configuration.

    Returns
    -------
    dict of str to tuple
        Settings by factor of the design; settings that exclude each other are one factor, and
        those added later have cases of their own.

    Examples
    --------
    >>> samples_of(reference.GPTQ)["bits"]
    ({'bits': 2}, {'bits': 1}, {'bits': 4})
    """
    found: Samples = {}
    for name, domain in domains(kind).items():
        if name in later_settings(kind):
            continue
        values = domain.options if isinstance(domain, Choice) else SAMPLES.get(name, ())
        found[name] = tuple({name: value} for value in values if _takes(domain, name, value))
    if "sparsity" in found:
        del found["sparsity"]
        found["keep"] = SPARSE
    return found


def _takes(domain: Kind, name: str, value: Any) -> bool:  # noqa: ANN401
    """Tell whether a setting may have a value, whatever the others are."""
    try:
        domain.check(name, value, Call({}, Arrays(), REFERENCE))
    except ArgumentError:
        return False
    return True


def design(kind: type[Switches]) -> tuple[Switches, ...]:
    """Return configurations in which all pairs of sampled values meet.

    Parameters
    ----------
    kind : type
        Class of the configuration.

    Returns
    -------
    tuple of configuration
        Early ones have most pairs that are new.

    Examples
    --------
    >>> len(design(reference.BiLLM)) < 40
    True
    """
    samples = samples_of(kind)
    rng, names = np.random.default_rng(0), sorted(samples)
    open_pairs = {
        ((a, x), (b, y))
        for a, b in combinations(names, 2)
        for x in range(len(samples[a]))
        for y in range(len(samples[b]))
    }
    rows: list[Switches] = []
    while open_pairs:
        tried = [_row(samples, open_pairs, rng) for _ in range(CANDIDATES)]
        row = max(tried, key=lambda one: len(_pairs(one) & open_pairs))
        new = _pairs(row) & open_pairs
        open_pairs -= new
        try:
            rows.append(kind(**_settings_of(samples, row.items())))
        except ArgumentError:
            # Two of its values exclude each other; what else it has comes again.
            open_pairs |= new if len(new) > 1 else set()
            open_pairs -= _excluded(kind, samples, new)
    return tuple(rows)


def _settings_of(samples: Samples, places: Iterable[tuple[str, int]]) -> dict[str, Any]:
    return {n: x for name, place in places for n, x in samples[name][place].items()}


def _row(samples: Samples, open_pairs: set[Pair], rng: np.random.Generator) -> dict[str, int]:
    """Choose the values one after another, each for the most new pairs."""
    row: dict[str, int] = {}
    first = sorted(open_pairs)[int(rng.integers(len(open_pairs)))]
    row.update(dict(first))
    for name in rng.permutation(sorted(set(samples) - set(row))):
        gains = [
            sum(_pair((str(name), place), other) in open_pairs for other in row.items())
            for place in range(len(samples[name]))
        ]
        best = [place for place, gain in enumerate(gains) if gain == max(gains)]
        row[str(name)] = best[int(rng.integers(len(best)))]
    return row


def _pair(one: Place, other: Place) -> Pair:
    return (one, other) if one < other else (other, one)


def _pairs(row: Mapping[str, int]) -> set[Pair]:
    return {_pair(one, other) for one, other in combinations(row.items(), 2)}


def _excluded(kind: type[Switches], samples: Samples, pairs: set[Pair]) -> set[Pair]:
    found = set()
    for pair in pairs:
        try:
            kind(**_settings_of(samples, pair))
        except ArgumentError:
            found.add(pair)
    return found


@cache
def designs() -> Mapping[str, tuple[Switches, ...]]:
    """Return the designs of all methods.

    Returns
    -------
    mapping of str to tuple of configuration
        By method.

    Examples
    --------
    >>> designs()["billm"] == design(reference.BiLLM)
    True
    """
    return {method: design(kind) for method, kind in METHODS.items()}


def judge_decoded(
    judge: Judge,
    layer: QuantizedLayer,
    W: Array,
    H: Array,
    reading: Callable[[Array, Array], QuantizedLayer],
    *,
    coupled: bool = False,
    sorted_together: int = 1,
) -> None:
    """Compare a layer with the reference's, where neither rounding nor a tie decides.

    Parameters
    ----------
    judge : Judge
        Collects the comparisons.
    layer : QuantizedLayer
        The port's record.
    W : ndarray of float64, shape (n, m)
        Weights.
    H : ndarray of float64, shape (m, m)
        Proxy Hessian.
    reading : callable
        ``reading(W, H)`` is the reference's record.
    coupled : bool, default False
        Whether groups are fitted to each other: together they are as badly conditioned as
        the inputs are, which moves of the inputs do not show.
    sorted_together : int, default 1
        Columns that the method sorts together; which of equal ones come first is free.
    """
    expected = reading(W, H)
    found, wanted = np.asarray(layer.decode()), expected.decode()
    judge.form("shape", found.shape, wanted.shape)
    largest, unit = np.abs(W).max(), judge.arithmetic.unit_roundoff
    condition = live_condition(H) if coupled else 1.0
    allowed = np.full(wanted.shape, condition * ROUNDINGS * unit * largest)
    if found.shape == wanted.shape and np.any(~(np.abs(found - wanted) <= allowed)):
        for seed in range(TRIES):
            order = reordered(H, sorted_together, seed)
            other = _answer_otherwise(judge, W, H, reading, order=order, seed=seed)
            allowed = np.maximum(allowed, SPREAD * np.abs(other - wanted))
    allowed = np.where(allowed > SPREAD * JUMP * largest, np.inf, allowed)
    judge.bound("decoded weights", found, Rounded(wanted, allowed, judge.arithmetic))
    if np.isfinite(allowed).all():
        judge.form("blocks", _form(layer), _form(expected))


def _answer_otherwise(
    judge: Judge,
    W: Array,
    H: Array,
    reading: Callable[[Array, Array], QuantizedLayer],
    *,
    order: Indices,
    seed: int,
) -> Array:
    """Return what the reference decodes after a move, with its columns in another order."""

    def ordered(W: Array, H: Array) -> Array:
        return reading(W[:, order], H[np.ix_(order, order)]).decode()

    other = np.empty_like(W)
    other[:, order] = answer_moved(ordered, W, H, seed, arithmetic=judge.arithmetic)
    return other


def _sorted_together(config: Switches, width: int) -> int:
    switches = config.switches()
    if switches.get("activation_order"):
        return width
    pattern = switches.get("keep", (1, 1))
    # Without a pattern a share of each row is kept.
    return width if pattern is None else int(pattern[1])


def _form(layer: QuantizedLayer) -> list[str]:
    """Describe blocks: their columns, pattern, and names and orders or codes of their groups."""
    return [
        f"{b.start}:{b.stop} {b.pattern} "
        + " ".join(
            f"{g.name}/{getattr(g, 'code', len(getattr(g, 'planes', ())))}" for g in b.groups
        )
        for b in layer.blocks
    ]


def with_column_feedback(config: Switches) -> Switches:
    """Return a configuration whose columns feed forward inside their blocks.

    Parameters
    ----------
    config : configuration
        A configuration of a block method.

    Returns
    -------
    configuration
        The same otherwise; exact compensation takes the place of the released one.

    Examples
    --------
    >>> with_column_feedback(reference.BiLLM(compensation="released"))
    BiLLM(column_feedback=True)
    """
    released = config.switches()["compensation"] == "released"
    changes = {"compensation": "exact"} if released else {}
    return config.changed(column_feedback=True, **changes)


def takes_column_feedback(kind: type[Switches]) -> bool:
    """Return whether the columns of a method's blocks can feed forward.

    Parameters
    ----------
    kind : type
        The class of its configurations.

    Returns
    -------
    bool
        False as well where the configuration refuses it.

    Examples
    --------
    >>> takes_column_feedback(reference.BiLLM), takes_column_feedback(reference.HBLLM)
    (True, False)
    """
    if "column_feedback" not in later_settings(kind):
        return False
    try:
        with_column_feedback(kind())
    except ArgumentError:
        return False
    return True


def _settings(method: str, *, columns: bool = False) -> Callable[[Port, Judge, Draw], None]:
    entry = f"{method}_layer"
    correct: Any = getattr(reference, entry)

    def examine(port: Port, judge: Judge, draw: Draw) -> None:
        rows = designs()[method]
        config = rows[draw.seed % len(rows)]
        config = with_column_feedback(config) if columns else config
        draw.said["row"] = draw.seed % len(rows)
        draw.said["settings"] = config
        # Last columns that make no group of M.
        width = WIDTH - 3 * (config.switches().get("tail") == "dense")
        W = draw.values("W", (ROWS, width), FAMILIES)
        H = draw.hessian(width, (INPUTS[draw.seed % len(INPUTS)],))
        layer = getattr(port, entry)(W, H, config)
        coupled = config.switches().get("sweeps", 0) > 0
        judge_decoded(
            judge,
            layer,
            W,
            H,
            lambda W, H: correct(W, H, config),
            coupled=coupled,
            sorted_together=_sorted_together(config, width),
        )

    return examine


for _method in METHODS:
    operation(
        3, f"{_method}_layer", name=f"{_method}_layer_settings", share=1.5, numbered=True, large=()
    )(_settings(_method))

for _method, _kind in METHODS.items():
    if takes_column_feedback(_kind):
        _name = f"{_method}_layer_feedback_settings"
        operation(3, f"{_method}_layer", name=_name, share=0.5, numbered=True, large=())(
            _settings(_method, columns=True)
        )
