"""Level 1: how many weights each layer keeps
===========================================

Whole numbers that are rounded from real ones: a port may differ by one where the real
number is within its rounding of a half; repaired ones may differ within the loss that
rounding explains.
"""

import numpy as np
import numpy.typing as npt

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS, Array
from subbit.conformance.target import Port
from subbit.reference.bounds.rounding import Rounded


def _sizes(draw: Draw) -> tuple[int, int]:
    group = draw.pick("M", (1, 2, 4, 8, 8, 8, 16))
    return draw.number("N", 1, group), group


def _shares(draw: Draw) -> Array:
    """Draw norms or outlier shares: continuous, tied, or nothing at all."""
    count = draw.number("layers", 1, 40)
    few = () if draw.beside else ("tied", "equal", "zeros", "one")
    kind = draw.pick("kind", ("continuous", "continuous", "continuous", *few))
    if kind == "continuous":
        return draw.between(lambda rng: rng.gamma(1.0, size=count))
    if kind == "tied":
        return draw.rng.integers(0, 4, size=count) / 2.0
    values = np.full(count, 0.0 if kind == "zeros" else 0.5)
    values[draw.rng.integers(count)] *= 3.0 if kind == "one" else 1.0
    return values


def _judge_rounded(
    judge: Judge, found: object, wanted: npt.ArrayLike, wishes: Array, scale: float
) -> None:
    """Compare whole numbers by how far the real ones lie from a half."""
    margin = np.abs(np.abs(wishes - np.floor(wishes)) - 0.5)
    allowed = 16 * len(wishes) * judge.arithmetic.unit_roundoff * scale
    judge.decision(
        "N", found, wanted, Rounded(margin, np.full(len(wishes), allowed), judge.arithmetic)
    )


def _judge_repaired(
    judge: Judge, found: object, wishes: Array, keep: int, ends: tuple[int, int]
) -> None:
    """Compare by sum, range and loss."""
    low, high = ends
    own = host(found).astype(np.int64)
    best = reference.repair_budget(wishes, keep, low, high)
    judge.form("number of layers", own.shape, best.shape)
    if own.shape != best.shape:
        return
    judge.exact("sum", own.sum(), len(own) * keep)
    judge.true("all are in their range", own.min() >= low and own.max() <= high)
    reached, least = (float(np.sum((n - wishes) ** 2)) for n in (own, best))
    # A wish is off by the rounding of its mean; so then is the loss of each step from the best.
    wrong = 16 * len(own) * judge.arithmetic.unit_roundoff * max(high, float(np.ptp(wishes)))
    allowed = 2 * wrong * float(np.abs(own - best).sum()) + 1e-12 * least
    judge.objective("loss of rounding", reached, least, allowed, flushed=0.0)


@operation(1)
def _norm_budget(port: Port, judge: Judge, draw: Draw) -> None:
    """The paper's rule, as printed and with the mean repaired."""
    norms, (keep, group) = _shares(draw), _sizes(draw)
    share = norms / norms.sum() if norms.any() else np.full(len(norms), 1.0 / len(norms))
    wishes = group * share + (1.0 - share) * keep
    repair = draw.pick("repair", (False, True))
    found = port.norm_budget(norms, keep, group, repair=repair)
    if repair:
        _judge_repaired(judge, found, wishes - wishes.mean() + keep, keep, (1, group))
        return
    wanted = reference.norm_budget(norms, keep, group)
    _judge_rounded(judge, found, wanted, wishes, float(group))


@operation(1)
def _outlier_share(port: Port, judge: Judge, draw: Draw) -> None:
    """Scores far above the mean of all linears of a layer."""
    shapes = [draw.shape((1, 5), (1, 20)) for _ in range(draw.number("linears", 1, 4))]
    scores = [np.abs(draw.values("scores", shape, CONTINUOUS)) for shape in shapes]
    threshold = draw.pick("threshold", (0.0, 0.5, 1.0, 3.0, 6.0))
    flat = np.concatenate([part.ravel() for part in scores])
    allowed = 4 * flat.size * judge.arithmetic.unit_roundoff * threshold * flat.mean()
    allowed = allowed + 2 * judge.arithmetic.unit_roundoff * flat
    close = np.count_nonzero(np.abs(flat - threshold * flat.mean()) <= allowed)
    wanted = reference.outlier_share(scores, threshold)
    error = 100.0 * close / flat.size + 8 * judge.arithmetic.unit_roundoff * wanted
    found = host(port.outlier_share(scores, threshold))
    judge.choice("percent", Rounded(np.abs(found - wanted), np.array(error), judge.arithmetic))


@operation(1)
def _outlier_budget(port: Port, judge: Judge, draw: Draw) -> None:
    """The released rule, as is and with the mean repaired."""
    outliers, (keep, group) = _shares(draw), _sizes(draw)
    spread = draw.pick("spread", (0.0, 2.0, 2.0, 3.5))
    promote = draw.pick("promote", (True, False))
    repair = draw.pick("repair", (False, False, False, True))
    found = port.outlier_budget(
        outliers, keep, group, spread=spread, promote=promote, repair=repair
    )
    span = float(np.ptp(outliers))
    z = spread * ((outliers - outliers.min()) / span) if span else np.zeros(len(outliers))
    z = z - z.mean()
    if repair:
        _judge_repaired(judge, found, keep + z, keep, (1, group))
        return
    wanted = reference.outlier_budget(outliers, keep, group, spread=spread, promote=promote)
    _judge_rounded(judge, found, wanted, z, max(spread, 1.0))


@operation(1)
def _repair_budget(port: Port, judge: Judge, draw: Draw) -> None:
    """Whole numbers with an exact mean; on numbers of few bits, with the rule for ties."""
    low = draw.number("low", 0, 4)
    high = low + draw.number("range", 0, 8)
    keep = int(draw.rng.integers(low, high + 1))
    count = draw.number("layers", 1, 40)
    if draw.beside:
        wishes = draw.between(lambda rng: rng.uniform(low - 2, high + 2, count))
        found = port.repair_budget(wishes, keep, low, high)
        _judge_repaired(judge, found, wishes, keep, (low, high))
        return
    wishes = draw.rng.integers(8 * low - 16, 8 * high + 17, size=count) / 8.0
    wanted = reference.repair_budget(wishes, keep, low, high)
    judge.exact("N", port.repair_budget(wishes, keep, low, high), wanted)
