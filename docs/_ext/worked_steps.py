"""Worked examples: the steps that all methods share, and the walk over the blocks of a layer.

A method's steps are made of the public functions of ``subbit.reference``, one after the other. The
walk compares what they end in with what the method's own layer routine returns, bit for bit, so an
example that no longer does what the method does is an error, not a wrong page.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import worked_panels as show
from worked_panels import Bars, Curves, Line, Panel, few, number

from subbit import reference as ref
from subbit.reference.blocks import Block, LayerState
from subbit.reference.layer import BinaryGroup, QuantizedBlock, QuantizedLayer
from subbit.reference.notation import Array, Mask
from subbit.reference.zones.partition import Partition

Equation = tuple[str, str, str, str]
"""Paper, label, function and file of an equation."""


class WorkedError(AssertionError):
    """The steps of an example do not end where the method does."""


@dataclass(frozen=True, eq=False)
class Step:
    """A step of a worked example.

    Parameters
    ----------
    title : str
        What happens.
    text : str
        How, with names of functions in backticks.
    equations : sequence of Equation
        What is computed.
    panels : sequence of Panel
        What came out.
    is_loop : bool
        Whether it is a loop of refinement.
    """

    title: str
    text: str
    equations: Sequence[Equation]
    panels: Sequence[Panel]
    is_loop: bool = False


@dataclass(frozen=True, eq=False)
class Walk:
    """A layer on its way through a method.

    Parameters
    ----------
    state : LayerState
        The prepared layer.
    weights : ndarray of float64, shape (n, m)
        The weights that quantization starts from.
    expected : QuantizedLayer
        What the method's layer routine returns.
    block_steps : callable
        Returns the steps of a block, and its record.
    free : ndarray of bool, shape (n, m), optional
        The weights that feedback may move.
    """

    state: LayerState
    weights: Array
    expected: QuantizedLayer
    block_steps: Callable[[Block], tuple[list[Step], QuantizedBlock]]
    free: Mask | None = None


def same(made: Array, expected: Array, what: str) -> None:
    """Require two arrays to be equal bit for bit."""
    if not np.array_equal(made, expected):
        raise WorkedError(f"{what}: the steps of the example end in other values than the method")


def close(made: Array, expected: Array, what: str) -> None:
    """Require two forms of a computation to agree up to rounding."""
    if not np.allclose(made, expected, rtol=1e-9, atol=1e-12):
        raise WorkedError(f"{what}: the steps of the example end in other values than the method")


def walk(made: Walk) -> Iterator[Step]:
    """Yield the steps of the first block, its feedback, and what becomes of the layer."""
    loop, current = made.state.loop, made.weights
    slices = ref.block_slices(current.shape[1], loop.block_size)
    blocks: list[QuantizedBlock] = []
    yield calibrated(made.state, slices[0])
    for place, columns in enumerate(slices):
        block = made.state.block(current, columns)
        steps, record = made.block_steps(block)
        if loop.column_feedback:
            own = made.state.prepared.factor[columns, columns]
            movable = None if made.free is None else made.free[:, columns]
            record = ref.assign_columns(block.weights, own, record, free=movable)
            steps = [*steps, assigned(record)]
        same(record.decode(), made.expected.blocks[place].decode(), f"block {place}")
        _, moved, E = ref.compensate_step(
            current,
            made.state.prepared.factor,
            columns,
            lambda *_, record=record: record,
            mode=loop.compensation,
            free=made.free,
        )
        if place == 0:
            yield from steps
            yield decoded(block, record, made.state.weights[:, columns])
            if len(slices) > 1:
                yield fed_forward(current, moved, E, slices[1], made)
        current = moved
        blocks.append(record)
    layer = QuantizedLayer(current.shape, tuple(blocks))
    same(layer.decode(), made.expected.decode(), "the layer")
    same(current, layer.decode(), "the layer")
    yield finished(made, layer)


def calibrated(state: LayerState, columns: slice) -> Step:
    """Show the weights of the first block and what calibration knows of its columns."""
    H, U = state.prepared.damped, state.prepared.factor
    rows = np.stack([np.diag(H)[columns], np.diag(U)[columns]])  # (2, k)
    words = [[few(v) for v in row] for row in rows]
    beside = show.Cells(
        "Of each column: the diagonals of H + λI and of U",
        words,
        [[""] * len(row) for row in words],
        rows / rows.max(axis=1, keepdims=True),
        names=("H", "U"),
    )
    return Step(
        "Weights and calibration",
        "The first block before anything is done to it. The inputs of the calibration text are "
        "known by their Hessian alone. It is damped and inverted once for the layer: `U` is the "
        "factor of the inverse. Where its diagonal is large, the columns to the right can make up "
        "for a column's error.",
        (
            ("subbit", "Eq. (9)", "damp", "reference/hessian.py"),
            ("BiLLM", "Alg. 1", "inverse_factor", "reference/hessian.py"),
        ),
        (show.numbers("Weights of the block", state.weights[:, columns]), beside),
    )


SCORED: dict[str, Equation] = {
    "trailing": ("BiLLM", "Alg. 2", "trailing_saliency", "reference/zones/saliency.py"),
    "inverse_hessian": (
        "BiLLM",
        "Eq. (3)",
        "inverse_hessian_saliency",
        "reference/zones/saliency.py",
    ),
    "magnitude": ("subbit", "Eq. (10)", "magnitude_saliency", "reference/zones/saliency.py"),
}


def scored(block: Block, score: str) -> Step:
    """Show the saliency scores."""
    return Step(
        "Saliency scores",
        "How much each weight matters. A large weight does, and so does one whose error cannot be "
        "made up for.",
        (SCORED[score],),
        (show.percent("Scores", np.abs(block.scores)),),
    )


def salient_columns(block: Block, how: Partition, entries: Mask | None = None) -> tuple[Step, Mask]:
    """Rank the columns and show the search for how many of them are salient."""
    W, S, alive = block.weights, block.scores, block.alive
    chosen = ref.choose_salient(W, S, alive, how, entries=entries)
    totals = np.where(alive, ref.column_saliency(S), -1.0)
    ranking = ref.rank_columns(totals)[: np.count_nonzero(alive)]
    low, high = (min(count, len(ranking)) for count in how.counts)
    search = ref.salient_search(
        how.searched(W, S),
        ranking,
        np.arange(low, high + 1),
        orders=how.search_orders,
        **how.binarizer,
        entries=entries,
    )
    same(np.sort(ranking[: search.choice]), np.flatnonzero(chosen), "salient columns")
    named = f"columns {', '.join(map(str, ranking[: search.choice]))}"
    # (k,) -> (1, k)
    summed = replace(
        show.percent("Summed scores of the columns", totals[None]), marked=chosen, names=("Σ",)
    )
    return Step(
        "Salient columns",
        "Scores are summed over each column and the columns ranked. For every count the leading "
        "columns and the rest are binarized on their own; the count with the least error of the "
        f"{how.search_on} is kept. Here that is {search.choice}: {named}. (A block of 128 columns "
        f"would try {how.counts[0]} to {how.counts[1]}; this one has only {len(alive)}.)",
        (
            ("BiLLM", "Alg. 2", "column_saliency", "reference/zones/salient.py"),
            ("BiLLM", "Alg. 2", "rank_columns", "reference/zones/salient.py"),
            ("BiLLM", "Eq. (5)", "salient_search_direct", "reference/zones/salient.py"),
        ),
        (summed, searched("salient columns", search, "Squared error by number of salient columns")),
    ), chosen


def searched(across: str, search: ref.Search, caption: str) -> Curves:
    """Show the candidates of a search and their errors, the chosen one marked."""
    xs = [float(x) for x in search.candidates]
    ys = [float(y) for y in search.objectives]
    names = [few(x) if x != int(x) else number(x, 0) for x in xs]
    point = (xs[search.best], ys[search.best])
    return Curves(caption, across, "squared error", (Line(caption, xs, ys, names),), point)


def thresholds(across: str, search: ref.Search) -> Curves:
    """Show the candidates of a threshold."""
    return searched(across, search, "Squared error by threshold")


def groups_of(block: Block, masks: dict[str, Mask], salient: Mask | None) -> show.Cells:
    """Show the weights on the colors of their groups."""
    marked = None if salient is None or not salient.any() else salient
    return show.grouped("Weights, colored by group", block.weights, masks, marked=marked)


def sign_planes(groups: Sequence[BinaryGroup], salient: Mask | None) -> list[Panel]:
    """Show the first signs of all groups together, and the second ones where there are any."""
    panels: list[Panel] = []
    marked = None if salient is None or not salient.any() else salient
    for order, name in enumerate(("First signs", "Second signs, of what the first ones left")):
        having = [group for group in groups if len(group.planes) > order]
        if any(group.mask.any() for group in having):
            sign = np.sum([group.planes[order].sign for group in having], axis=0)
            inside = np.any([group.mask for group in having], axis=0)
            panels.append(show.signs(name, sign, inside, marked=marked))
    return panels


BINARIZED: tuple[Equation, ...] = (
    ("BiLLM", "Eq. (1)", "binarize_once", "reference/groups/binarize.py"),
    ("BiLLM", "Eq. (2)", "sign", "reference/signs.py"),
    ("BiLLM", "Eq. (6)", "residual_binarize", "reference/groups/binarize.py"),
    ("BiLLM", "Eq. (7)", "residual_binarize", "reference/groups/binarize.py"),
)


def binarized(groups: Sequence[BinaryGroup], salient: Mask | None) -> list[Step]:
    """Show the signs and the levels of groups that are binarized as in BiLLM."""
    return [
        Step(
            "Signs",
            "Each weight becomes a sign: white is plus, black is minus. A salient weight gets a "
            "second sign, that of what is left when the first has been decoded.",
            BINARIZED[1:3],
            sign_planes(groups, salient),
        ),
        Step(
            "Scales",
            "Of each row and group, the mean magnitude: the scale with the least squared error for "
            "these signs. Salient groups have a second one, the mean magnitude of what is left. "
            "These numbers and the signs are all that is stored, besides which weight is in which "
            "group.",
            (BINARIZED[0], BINARIZED[3]),
            (show.levels("Scales of each row", groups),),
        ),
    ]


def assigned(record: QuantizedBlock) -> Step:
    """Show the signs of a block whose columns were assigned one by one."""
    groups = [group for group in record.groups if isinstance(group, BinaryGroup)]
    return Step(
        "Feedback between columns",
        "Groups and levels stay, but signs are chosen again, column by column: each weight takes "
        "the nearest value that its group has for it, and its error moves the columns to its "
        "right in the block.",
        (
            ("subbit", "Eq. (93)", "_assigned", "reference/assign.py"),
            ("GPTQ", "Alg. 1", "compensate_columns", "reference/columns.py"),
        ),
        sign_planes(groups, record.salient),
    )


def decoded(block: Block, record: QuantizedBlock, dense: Array) -> Step:
    """Show the block's image and its error, also from the weights before any was pruned."""
    W, Q = block.weights, record.decode()
    parts = [(g.name, float(np.sum((W - Q)[g.mask] ** 2))) for g in record.groups]
    rest = float(np.sum((W - Q) ** 2)) - sum(error for _, error in parts)
    if rest > 1e-9 * np.sum(W**2):
        parts.append(("pruned", rest))
    largest = float(np.abs(W).max())
    said = (
        f"What a decoder makes of it, and what is missing. The squared error is "
        f"{few(float(np.sum((W - Q) ** 2)))} of {few(float(np.sum(W**2)))}, or "
        f"{ref.weight_error(W, Q) / np.sum(W**2):.1%}. On the outputs, where inputs that are large "
        f"or correlated count more, it is {ref.relative_error(W, Q, block.gram):.1%}."
    )
    if not np.array_equal(W, dense):
        whole = ref.relative_error(dense, Q, block.gram)
        said += f" With what pruning took away it is {whole:.1%}."
    return Step(
        "The decoded block",
        said,
        (
            ("subbit", "Eq. (1)", "BinaryGroup.decode", "reference/binary.py"),
            ("subbit", "Eq. (4)", "relative_error", "reference/objective.py"),
        ),
        (
            show.numbers("Decoded values Q", Q, largest=largest),
            show.numbers("Error W − Q, in the same tints", W - Q, largest=largest),
            Bars("Squared error by group", ("group", "squared error"), parts),
        ),
    )


FED: dict[str, tuple[str, tuple[Equation, ...]]] = {
    "exact": (
        (
            "The error is divided by the block of `U` on the diagonal, a triangular solve. Its "
            "product with the rows of `U` moves the columns to the right to where they make up "
            "for it best."
        ),
        (("GPTQ", "Eq. (4)", "feedback", "reference/compensate.py"),),
    ),
    "released": (
        (
            "The error is divided by the diagonal of `U`, as in the released code, and its product "
            "with the rows of `U` is subtracted from the columns to the right."
        ),
        (("BiLLM", "Alg. 1", "feedback", "reference/compensate.py"),),
    ),
    "none": ("The columns to the right stay as they are: this layer is better without it.", ()),
}


def fed_forward(W: Array, moved: Array, E: Array, columns: slice, made: Walk) -> Step:
    """Show how the error of a block moves the next one."""
    said, equations = FED[made.state.loop.compensation]
    step: Equation = ("BiLLM", "Alg. 1", "_advance", "reference/compensate.py")
    if made.free is not None:
        step = ("subbit", "Eq. (48)", "_advance", "reference/compensate.py")
        said += " Pruned weights stay at zero."
    before, after = W[:, columns], moved[:, columns]
    most, first = float(np.abs(W).max()), columns.start
    moves = float(np.abs(after - before).max())
    return Step(
        "Error feedback",
        f"{said} The largest move in the next block is {few(moves)}.",
        (*equations, step) if equations else (),
        (
            show.numbers("The error in the units that are fed forward, E", E),
            show.numbers("The next block before", before, first=first, largest=most),
            show.numbers("The next block after", after, first=first, largest=most),
        ),
    )


def finished(made: Walk, layer: QuantizedLayer) -> Step:
    """Show the last block and what the layer has become."""
    W, H = made.state.weights, made.state.prepared.damped
    block = layer.blocks[-1]
    masks = {g.name: g.mask for g in block.groups if g.mask.any()}
    bits = ref.payload_bits(layer)
    parts = [
        (name.replace("_", " "), value / bits.weights)
        for name, value in vars(bits).items()
        if value and name != "weights"
    ]
    return Step(
        "The whole layer",
        "The next block goes through the same steps, and the layer is done: its error on the "
        f"outputs is {ref.relative_error(W, layer.decode(), H):.1%}. Signs alone are "
        f"{ref.nominal_bits(layer):.2f} bits per weight, all that a decoder needs "
        f"{bits.per_weight:.2f}. A layer this small pays dearly for its scales: each serves a few "
        "weights, where a block of 128 columns shares it among many more.",
        (
            ("BiLLM", "Eq. (14)", "nominal_bits", "reference/storage/bits.py"),
            ("subbit", "Eq. (19)", "payload_bits", "reference/storage/bits.py"),
        ),
        (
            show.grouped(
                "The last block decoded, colored by group",
                block.decode(),
                masks,
                marked=block.salient,
                first=block.start,
            ),
            Bars("Payload bits per weight of this layer", ("part", "bits per weight"), parts),
        ),
    )


def configured(method: str, preset: str, **changes: Any) -> Any:  # noqa: ANN401
    """Return a preset of a method with changed switches."""
    return ref.METHODS[method].presets[preset].changed(**changes)
