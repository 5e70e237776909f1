"""Level 1: what has no rounding
==============================

Signs, masks, rankings, slices, grid codes and bit counts. Inputs that a port's type does
not hold are rounded on the way in, so decisions are compared by their margin; on numbers
of few bits that margin is exact, and so is the rule for ties.
"""

from dataclasses import asdict

import numpy as np

from subbit import reference
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.layers import draw_preset
from subbit.conformance.cases.registry import operation
from subbit.conformance.inputs.families import CONTINUOUS, SUMMABLE
from subbit.conformance.target import Port
from subbit.reference.bounds.baselines.rtn import grid_codes_margin
from subbit.reference.bounds.rounding import Rounded
from subbit.reference.bounds.zones.grids import bell_split_margin
from subbit.reference.bounds.zones.salient import rank_columns_margin
from subbit.reference.notation import SignOfZero
from subbit.reference.zones.partition import Partition

ZEROS: tuple[SignOfZero, ...] = (0, 1)
TIED = ("tied", "integer", "constant_magnitude", "all_equal", "zeros")


@operation(1)
def _sign(port: Port, judge: Judge, draw: Draw) -> None:
    """Signs, with both rules for zero."""
    x = draw.weights()
    x = np.where(draw.rng.random(x.shape) < 0.2, -0.0, x)
    zero = draw.pick("zero", ZEROS)
    read = judge.arithmetic.read(x)
    margin = Rounded(np.abs(x), read.error, judge.arithmetic)
    judge.decision("sign", port.sign(x, zero), reference.sign(x, zero), margin)


@operation(1)
def _bell_split(port: Port, judge: Judge, draw: Draw) -> None:
    """Masks of a given threshold."""
    key = np.abs(draw.weights())
    columns = draw.columns(key.shape[1])
    closed = draw.pick("closed", (True, False))
    threshold = float(draw.rng.choice(key.ravel())) * draw.pick("times", (1.0, 1.0, 0.5, 1.1))
    found = port.bell_split(key, columns, threshold, closed=closed)
    wanted = reference.bell_split(key, columns, threshold, closed=closed)
    margin = bell_split_margin(key, threshold, arithmetic=judge.arithmetic)
    # Outside the columns nothing is cut, and masks are exactly empty.
    margin = Rounded(
        np.where(columns, margin.value, 1.0),
        np.where(columns, margin.error, 0.0),
        judge.arithmetic,
    )
    for name, mask, right in zip(("concentrated", "sparse"), found, wanted, strict=True):
        judge.decision(name, mask, right, margin)
    both = [host(mask) for mask in found]
    judge.exact("the two masks together", both[0] ^ both[1], np.broadcast_to(columns, key.shape))


@operation(1)
def _rank_columns(port: Port, judge: Judge, draw: Draw) -> None:
    """Columns by decreasing score; among equal ones, the lower number first."""
    scores = draw.weights(rows=(1, 1))[0]
    ranking = host(port.rank_columns(scores))
    judge.exact("the columns, sorted", np.sort(ranking), np.arange(len(scores)))
    judge.choice("order", rank_columns_margin(scores, ranking, arithmetic=judge.arithmetic))


@operation(1)
def _rank_in_rows(port: Port, judge: Judge, draw: Draw) -> None:
    """Ranks in sorted rows, on numbers that every type holds."""
    rows = np.sort(draw.weights(CONTINUOUS if draw.beside else TIED), axis=1)
    values = np.concatenate([rows[:, ::2], rows[:, ::3] + 0.25], axis=1)
    if draw.beside:
        values = draw.values("values", rows.shape, CONTINUOUS)
    right = draw.pick("right", (True, False))
    found = port.rank_in_rows(rows, values, right=right)
    judge.exact("ranks", found, reference.rank_in_rows(rows, values, right=right))


@operation(1)
def _block_slices(port: Port, judge: Judge, draw: Draw) -> None:
    """Blocks that cover the columns."""
    width, size = draw.number("width", 1, 600), draw.number("block size", 1, 300)
    found = [(s.start, s.stop) for s in port.block_slices(width, size)]
    judge.exact("slices", found, [(s.start, s.stop) for s in reference.block_slices(width, size)])


@operation(1)
def _breakpoint_grid(port: Port, judge: Judge, draw: Draw) -> None:
    """All distinct values, as the port's type holds them."""
    key = np.abs(draw.weights(CONTINUOUS + TIED, columns=(1, 20)))
    key = judge.arithmetic.held(key)
    judge.exact("breakpoints", port.breakpoint_grid(key), np.unique(key))


@operation(1)
def _dead_inputs(port: Port, judge: Judge, draw: Draw) -> None:
    """Inputs that never fired."""
    H = draw.hessian(draw.number("width", 1, 40), ("dead", "iid", "integer"))
    judge.exact("dead inputs", port.dead_inputs(H), np.diag(H) == 0)


@operation(1)
def _magnitude_saliency(port: Port, judge: Judge, draw: Draw) -> None:
    """The weights themselves."""
    W = draw.weights()
    judge.bound("scores", port.magnitude_saliency(W), judge.arithmetic.read(W))


@operation(1)
def _grid_codes(port: Port, judge: Judge, draw: Draw) -> None:
    """Codes on a given grid."""
    W, bits = draw.weights(), draw.pick("bits", (1, 2, 3, 4, 8))
    scale, zero = reference.minmax_grid(W, bits)
    if draw.pick("grid", ("fitted", "whole")) == "whole":
        scale = np.ones(len(W))
        W = np.round(2 * W[:, :20].clip(-9, 9)) / 2
    codes = host(port.grid_codes(W, scale, zero, bits))
    wanted = reference.grid_codes(W, scale, zero, bits)
    margin = grid_codes_margin(W, scale, zero, bits, arithmetic=judge.arithmetic)
    # Quotients by a power of two are exact, and halves go to the even side.
    exactly = np.frexp(scale)[0][:, None] == 0.5
    held = judge.arithmetic.read(W).error == 0.0
    margin = Rounded(margin.value, np.where(exactly & held, 0.0, margin.error), judge.arithmetic)
    judge.decision("codes", codes, wanted, margin)
    apart = np.abs(codes.astype(int) - wanted) if codes.shape == wanted.shape else np.array(9)
    judge.true("codes are at most one apart", np.all(apart <= 1))


@operation(1, "residual_binarize", name="exact_binarization", keeps=True)
def _exact_binarization(port: Port, judge: Judge, draw: Draw) -> None:
    """On numbers of few bits in groups of 2ᵏ entries nothing is rounded, ties included."""
    order, mode = draw.pick("order", (1, 2, 3)), draw.mode()
    # Each order's mean and scale add the bits of a count to the initial six.
    spare = (int(np.finfo(judge.arithmetic.dtype).nmant) - 5) // (2 * order)
    width = draw.pick("width", [2**k for k in range(min(spare, 4) + 1)])
    W = draw.values("W", (draw.number("rows", 1, 4), width), SUMMABLE)
    found = port.residual_binarize(W, order=order, **mode)
    wanted = reference.residual_binarize(W, order=order, **mode)
    for own, right in zip(found.planes, wanted.planes, strict=True):
        judge.exact("signs", own.sign, right.sign)
        exactly = judge.arithmetic.exactly(right.row_scale)
        judge.bound("scales", own.row_scale, exactly.kept_as("scales"))
    if wanted.mean is not None:
        exactly = judge.arithmetic.exactly(wanted.mean)
        judge.bound("means", found.mean, exactly.kept_as("means"))


@operation(
    1,
    "salient_search",
    "bell_split_search",
    "choose_salient",
    "choose_split",
    name="first_minimum",
)
def _first_minimum(port: Port, judge: Judge, draw: Draw) -> None:
    """Of candidates that are equally good to the last bit, the first one tried is chosen."""
    T, columns = np.array([[1.0, 1.0, 2.0, 2.0]]), np.ones(4, dtype=np.bool_)
    thresholds = draw.rng.permutation([1.0, 1.5, 1.75])
    counts = draw.rng.permutation([0, 2, 4])
    draw.said |= {"thresholds": thresholds.tolist(), "counts": counts.tolist()}
    found = port.bell_split_search(T, columns, thresholds)
    judge.exact("threshold", found.choice, thresholds[0])
    judge.exact(
        "count", port.salient_search(np.ones((1, 4)), np.arange(4), counts).choice, counts[0]
    )
    _minimum_in_block(port, judge, draw)


def _minimum_in_block(port: Port, judge: Judge, draw: Draw) -> None:
    """The same where the port tries its own candidates, as many as there are columns."""
    width = draw.number("tried", 2, 9)
    everything, least = np.ones(width, dtype=np.bool_), draw.pick("least", (0, 1))

    # Whatever is salient, a row of equal magnitudes leaves no error.
    W = draw.rng.choice([-1.0, 1.0], (2, width))
    zones = Partition(counts=(least, width))
    found = host(port.choose_salient(W, W**2, everything, zones))
    judge.exact("columns that equal the others", found, np.arange(width) < least)

    # Columns of two magnitudes leave none if the larger ones are salient.
    large = np.arange(width) >= draw.pick("small columns", (1, width // 2))
    found = host(port.choose_salient(W * (1 + large), W**2 * (1 + large), everything, zones))
    judge.exact("columns that stand out", found, large)

    # Nor do rows of one magnitude each: the first threshold parts them, the last does not.
    W = np.ones((4, 1 + width // 3)) * [[1.0], [2.0], [2.0], [2.0]]
    columns = np.ones(W.shape[1], dtype=np.bool_)
    found = host(port.choose_split(W, W**2, columns, Partition(grid="breakpoints"))[1])
    judge.exact("entries above the first threshold", found, W > 1)


def _layer(draw: Draw) -> reference.QuantizedLayer:
    W = draw.weights(CONTINUOUS + TIED, columns=(4, 40))
    method = draw.pick("record of", ("rtn", "gptq", "billm"))
    dead = draw.pick("inputs", ("iid", "dead"))
    H = draw.hessian(W.shape[1], (dead,))
    _, config = draw_preset(draw, method)
    if method == "gptq":
        config = config.changed(activation_order=draw.pick("activation order", (False, True)))
    return getattr(reference, reference.METHODS[method].entry)(W, H, config)


@operation(1)
def _nominal_bits(port: Port, judge: Judge, draw: Draw) -> None:
    """Signs of kept weights, salient ones twice."""
    layer = _layer(draw)
    wanted = reference.nominal_bits(layer)
    allowed = 4 * judge.arithmetic.unit_roundoff * wanted
    judge.bound(
        "bits",
        port.nominal_bits(layer),
        Rounded(np.array(wanted), np.array(allowed), judge.arithmetic),
    )


@operation(1, decides=False)
def _payload_bits(port: Port, judge: Judge, draw: Draw) -> None:
    """Bits of everything that a decoder needs, by part."""
    layer, size = _layer(draw), draw.pick("float bits", (16, 32))
    for record in (layer, _with_column_scales(draw)):
        found = asdict(port.payload_bits(record, float_bits=size))
        for part, wanted in asdict(reference.payload_bits(record, float_bits=size)).items():
            judge.exact(part, found.get(part), wanted)


def _with_column_scales(draw: Draw) -> reference.QuantizedLayer:
    """A layer in which some columns have no entry of a group, and need no scale there."""
    W = draw.weights(CONTINUOUS, columns=(4, 24))
    config = reference.METHODS["arb-rc"].presets["paper"]
    config = config.changed(iterations=1, block_size=16, counts=(1, 2))
    return reference.arb_llm_layer(W, draw.hessian(W.shape[1], ("iid",)), config)


@operation(
    1, "billm_parameter_bits", "billm_storage_bits", "billm_storing_bits", name="published_bits"
)
def _published_bits(port: Port, judge: Judge, draw: Draw) -> None:
    """The papers' formulas."""
    r, size = draw.pick("salient share", (0.0, 0.1, 0.5, 1.0)), draw.number("block size", 1, 600)
    n, m = draw.number("rows", 1, 4096), size * draw.number("blocks", 1, 9)
    c = draw.number("salient columns", 0, m)
    for name, arguments in (
        ("billm_parameter_bits", (r,)),
        ("billm_storing_bits", (size,)),
        ("billm_storage_bits", (n, m, c, size)),
    ):
        wanted = np.array(float(getattr(reference, name)(*arguments)))
        allowed = 8 * judge.arithmetic.unit_roundoff * np.abs(wanted)
        found = getattr(port, name)(*arguments)
        judge.bound(name, found, Rounded(wanted, allowed, judge.arithmetic))


@operation(1)
def _arb_storage_bits(port: Port, judge: Judge, draw: Draw) -> None:
    """All bits of an ARB-LLM layer; the last block may be narrower."""
    n, m = draw.number("rows", 1, 4096), draw.number("columns", 1, 4096)
    c, size = draw.number("salient columns", 0, m), draw.number("block size", 1, 600)
    rows, columns = draw.pick("numbers", ((7, 0), (10, 0), (4, 4), (6, 6), (0, 1)))
    found = port.arb_storage_bits(n, m, c, size, rows=rows, columns=columns)
    wanted = reference.arb_storage_bits(n, m, c, size, rows=rows, columns=columns)
    judge.exact("bits", found, wanted)
