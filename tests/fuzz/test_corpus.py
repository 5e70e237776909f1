"""What was found once, as literal calls that every port of this project refuses or answers."""

import time
import warnings

import numpy as np
import pytest

from subbit import reference
from subbit.conformance.target import resolve
from subbit.reference.errors import SubbitError

W = np.array([[1.0, -2.0, 3.0, -4.0], [0.5, 0.25, -0.125, 2.0]])
H = np.array([[4.0, 1, 0, 0], [1, 3, 0, 0], [0, 0, 2, 0.5], [0, 0, 0.5, 1]])
ALL = np.ones((2, 4), dtype=bool)
HIDDEN = np.ma.masked_array(W, W > 2)


def group(**changes):
    plane = {"sign": np.where(W < 0, -1, 1).astype(np.int8), "row_scale": np.array([2.5, 1.0])}
    plane |= {key: changes.pop(key) for key in list(changes) if key in plane}
    planes = (reference.Plane(**plane),)
    return reference.BinaryGroup(**({"name": "all", "mask": ALL, "planes": planes} | changes))


def one_group(block, columns):
    made = reference.residual_binarize(np.asarray(block)[:, columns])
    return reference.QuantizedBlock(columns.start, columns.stop, (made,))


NAN, WITH_NAN = float("nan"), np.where(W > 2, np.nan, W)
STUCK = group(row_scale=np.array([np.nan, 1.0]))

REFUSED = {
    "a dictionary for a configuration": (lambda p: p.arb(W, config={}), "config: expected"),
    "a configuration of another method": (
        lambda p: p.billm_layer(W, H, reference.GPTQ()),
        "config: expected a BiLLM",
    ),
    "a string for a configuration": (lambda p: p.rtn_layer(W, H, "sign"), "config: expected"),
    "a choice as an array": (lambda p: p.arb(W, ALL, order=np.array([1])), "order: expected one"),
    "a choice as an array of words": (
        lambda p: p.compensate(W, H, one_group, block_size=2, mode=np.array(["exact"])),
        "mode: expected one of",
    ),
    "a choice as a number": (
        lambda p: p.binarize_once(W, ALL, center=True, sign_zero=1.0),
        "sign_zero: expected one of",
    ),
    "ragged lists": (lambda p: p.masked_mean([[1.0, 2.0], [3.0]]), "W: expected an array"),
    "ragged lists of flags": (
        lambda p: p.masked_mean(W, [[True], [True, False]]),
        "mask: expected an array",
    ),
    "counts beyond the columns": (
        lambda p: p.prefix_errors(W, [1, 5], order=1, center=False, sign_zero=1),
        "counts: expected numbers from 0 to 4",
    ),
    "a negative place": (
        lambda p: p.salient_search(W, [0, -1], [1], orders=(2, 1), center=False, sign_zero=1),
        "ranking: expected numbers from 0 to 3",
    ),
    "places that are no whole numbers": (
        lambda p: p.salient_search(W, [0.0, 1.0], [1], orders=(2, 1), center=False, sign_zero=1),
        "ranking: expected a list of whole numbers",
    ),
    "a range beyond the columns": (
        lambda p: p.compensate_step(W, H, slice(0, 9), one_group, mode="none"),
        "columns: expected a whole number",
    ),
    "none of every none": (
        lambda p: p.nm_mask(W, keep=0, group=0),
        "expected a whole number from 1",
    ),
    "N:M of zeros in a configuration": (
        lambda p: p.sparsegpt_layer(W, H, reference.SparseGPT(keep=(0, 0), sparsity=None)),
        "keep: expected a whole number",
    ),
    "signs of another type": (
        lambda p: p.refine_mean(W, group(sign=np.ones((2, 4)))),
        "group.sign: expected an array of shape",
    ),
    "planes that are no planes": (
        lambda p: p.refine_mean(W, group(planes=(0, 0))),
        "group: expected planes",
    ),
    "a group's hidden entries": (
        lambda p: p.refine_mean(W, group(mask=np.ma.masked_array(ALL, ALL))),
        "group: expected a mask",
    ),
    "a word for a number": (lambda p: p.damp(H, "x"), "percdamp: expected a number"),
    "a word for a number, by name": (lambda p: p.damp(H, percdamp="x"), "percdamp: expected"),
    "a negative eps": (
        lambda p: p.refine_scale(W, group(), 0, eps=-1.0, eps_kind="absolute"),
        "eps: expected",
    ),
    "a NaN": (lambda p: p.sign(NAN), "x: expected finite numbers"),
    "NaN to binarize": (
        lambda p: p.binarize_once(WITH_NAN, ALL, center=False, sign_zero=1),
        "R: expected finite numbers",
    ),
    "NaN in prefixes": (
        lambda p: p.prefix_errors(WITH_NAN, [1], order=1, center=False, sign_zero=1),
        "X: expected finite numbers",
    ),
    "a mean refined from a NaN scale": (lambda p: p.refine_mean(W, STUCK), "finite numbers"),
    "signs refined from a NaN scale": (
        lambda p: p.refine_signs(W, STUCK, sign_zero=1),
        "finite numbers",
    ),
    "a scale refined from a NaN scale": (
        lambda p: p.refine_scale(W, STUCK, 0, eps=0.0, eps_kind="absolute"),
        "finite numbers",
    ),
    "levels of a NaN scale": (
        lambda p: p.calibrate_levels(W, STUCK, H, config=reference.Refinement()),
        "finite numbers",
    ),
    "reciprocals that overflow": (
        lambda p: p.layer_importance([1e-310, 0.5], kind="reciprocal"),
        "cosines: expected numbers whose answer is finite",
    ),
    "a billion orders": (
        lambda p: p.residual_binarize(W, order=10**9),
        "order: expected a whole number from 1 to 64",
    ),
    "a quintillion columns in a group": (
        lambda p: p.rank_patterns(ALL, 2, 10**18),
        "group: expected a whole number from 1 to 65536",
    ),
    "a billion blocks": (lambda p: p.block_slices(10**9, 1), "width: expected a whole number"),
    "a billion levels": (
        lambda p: p.quantile_grid(W, levels=10**9),
        "levels: expected a whole number",
    ),
    "a layer without blocks": (
        lambda p: p.QuantizedLayer((3, 16), ()).decode(),
        "blocks: expected blocks that hold columns 0 to 16",
    ),
    "hidden weights": (lambda p: p.masked_mean(HIDDEN), "W: expected an array without hidden"),
    "hidden weights in a list": (
        lambda p: p.masked_mean(list(HIDDEN)),
        "W: expected an array without hidden",
    ),
    "one hidden number": (
        lambda p: p.masked_mean([[1.0, np.ma.masked]]),
        "W: expected an array without hidden",
    ),
    "hidden flags": (
        lambda p: p.masked_mean(W, np.ma.masked_array(ALL, ALL)),
        "mask: expected an array without hidden",
    ),
    "a hidden Hessian": (
        lambda p: p.damp(np.ma.masked_array(H, H > 3), 0.01),
        "H: expected an array without hidden",
    ),
    "hidden places": (
        lambda p: p.prefix_errors(
            W, np.ma.masked_array([1, 2], [True, False]), order=1, center=False, sign_zero=1
        ),
        "counts: expected an array without hidden",
    ),
}
ANSWERED = {
    "a masked array that hides nothing": lambda p: p.masked_mean(np.ma.masked_array(W)),
    "scores of a tiny Hessian": lambda p: p.obs_saliency(W, 1e-300 * H),
    "a Hessian below the normal numbers": lambda p: p.inverse_hessian_saliency(W, 1e-310 * H),
}


@pytest.fixture(scope="module", params=["reference", "fast:simulated"])
def port(request):
    return resolve(request.param)


def ending(call, port):
    """What comes of a call, with warnings as errors, in little time."""
    begun = time.process_time()
    try:
        with warnings.catch_warnings(action="error"):
            answer = call(port)
    except SubbitError as error:
        answer = error
    assert time.process_time() - begun < 5
    return answer


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name, port):
    call, said = REFUSED[name]
    error = ending(call, port)
    assert isinstance(error, SubbitError), error
    assert said in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", ANSWERED)
def test_it_is_answered_or_refused(name, port):
    answer = ending(ANSWERED[name], port)
    if not isinstance(answer, SubbitError):
        assert np.isfinite(np.asarray(answer)).all()


@pytest.mark.parametrize("written", ["in place", "kept"])
def test_a_callback_cannot_change_the_callers_array(written, port):
    kept, weights = [], W.astype(np.float32)

    def quantize(block, columns):
        kept.append(block)
        made = one_group(block, columns)
        if written == "in place" and block.flags.writeable:
            block[:] = 0.0
        return made

    before = weights.copy()
    made = port.compensate(weights, H, quantize, block_size=2, mode="exact")
    assert np.array_equal(weights, before)
    # What the callback was given stays what it was, too.
    assert np.array_equal(kept[0], before)
    plain = port.compensate(weights, H, one_group, block_size=2, mode="exact")
    assert np.array_equal(made.layer.decode(), plain.layer.decode())
