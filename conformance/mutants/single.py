"""Mutants of single functions: levels 1 and 2."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Function,
    Mutant,
    answers,
    each,
    epsilon,
    given,
    single,
    tail,
)

_ARGUMENTS = {
    "masked_mean": "W",
    "masked_scale": "W",
    "binarize_once": "R",
    "residual_binarize": "W",
    "weight_error": "W",
    "calibrated_error": "X",
    "calibrated_error_trace": "W",
    "relative_error": "W",
    "proxy_loss": "W",
    "column_saliency": "S",
    "accumulate_hessian": "X",
    "inverse_hessian_saliency": "W",
    "obs_saliency": "W",
    "trailing_saliency": "W",
    "salient_search": "target",
    "salient_search_direct": "target",
    "bell_split_search": "target",
    "bell_split_search_direct": "target",
    "interval_errors": "X",
    "prefix_errors": "X",
    "maximum_grid": "key",
    "quantile_grid": "key",
    "minmax_grid": "W",
    "magnitude_saliency": "W",
    "feedback": "D",
}
"""Functions that a lower precision and a forgotten last column make wrong."""


def _search(change: Any) -> Any:  # noqa: ANN401
    return lambda found: replace(found, objectives=change(found.objectives))


def _scaled(factor: float) -> Any:  # noqa: ANN401
    return lambda x: factor * x


def _flipped(x: Any) -> Any:  # noqa: ANN401
    return np.flip(x, axis=-1)


def _more(part: str) -> Change:
    return lambda payload: replace(payload, **{part: getattr(payload, part) + 1})


def _one_more(group: reference.BinaryGroup) -> reference.BinaryGroup:
    planes = tuple(replace(p, row_scale=p.row_scale * (1 + 1e-9)) for p in group.planes)
    return replace(group, planes=planes)


def _plain(name: str, **settings: Any) -> Function:  # noqa: ANN401
    (argument,) = settings
    return given(name, argument, lambda _: settings[argument])


SPECIFIC: dict[str, dict[str, Function]] = {
    "sign": {
        "zero is negative": given("sign", "x", lambda x: np.where(x == 0, -1.0, x)),
        "sign of zero ignored": _plain("sign", zero=1),
        "other sign of zero": given("sign", "zero", lambda zero: 1 - zero),
        "negated": answers("sign", lambda s: -s),
    },
    "bell_split": {
        ">= for >": given("bell_split", "closed", lambda closed: not closed),
        "masks swapped": answers("bell_split", lambda masks: masks[::-1]),
        "all columns": given("bell_split", "columns", np.ones_like),
        "half of the threshold": given("bell_split", "threshold", _scaled(0.5)),
    },
    "rank_columns": {
        "ascending": given("rank_columns", "scores", lambda s: -np.asarray(s)),
        "ties: higher number first": given("rank_columns", "scores", _flipped),
        "last column forgotten": answers("rank_columns", lambda r: r[:-1]),
        "signless": answers("rank_columns", np.sort),
    },
    "rank_in_rows": {
        "other side": given("rank_in_rows", "right", lambda right: not right),
        "one too many": answers("rank_in_rows", lambda r: r + 1),
        "first row for all": given(
            "rank_in_rows", "rows", lambda r: np.broadcast_to(r[:1], np.shape(r))
        ),
        "last entry forgotten": answers("rank_in_rows", lambda r: np.minimum(r, r.max() - 1)),
    },
    "block_slices": {
        "short last block dropped": answers("block_slices", lambda s: s[:-1] or s * 2),
        "last block too wide": lambda width, block_size: [
            slice(s, s + block_size) for s in range(0, width, block_size)
        ],
        "one column each": given("block_slices", "block_size", lambda _: 1),
        "reversed": lambda width, block_size: [
            slice(s.start, s.stop + 1) for s in reference.block_slices(width, block_size)
        ],
    },
    "breakpoint_grid": {
        "without the largest": answers("breakpoint_grid", lambda b: b[:-1]),
        "descending, repeated": answers("breakpoint_grid", lambda b: np.append(b, b[-1:])),
        "between values": answers("breakpoint_grid", lambda b: b + 0.25),
        "with zero": answers("breakpoint_grid", lambda b: np.append(-1.0, b)),
    },
    "dead_inputs": {
        "alive ones": answers("dead_inputs", np.logical_not),
        "none": answers("dead_inputs", np.zeros_like),
        "all": answers("dead_inputs", np.ones_like),
        "shifted by one": answers("dead_inputs", lambda d: np.append(d[1:], ~d[:1])),
    },
    "magnitude_saliency": {
        "magnitudes": answers("magnitude_saliency", np.abs),
        "squares": answers("magnitude_saliency", np.square),
    },
    "grid_codes": {
        "half up": lambda W, scale, zero, bits: np.clip(
            np.floor(np.asarray(W) / scale[:, None] + 0.5) + zero[:, None], 0, 2**bits - 1
        ).astype(np.uint8),
        "floor": given("grid_codes", "W", lambda W: W - 0.1),
        "one bit less": given("grid_codes", "bits", lambda bits: max(bits - 1, 1)),
        "zero point ignored": given("grid_codes", "zero", np.zeros_like),
        "wrapped": answers("grid_codes", lambda codes: codes ^ (codes == codes.max())),
    },
    "exact_binarization": {
        "sign of zero ignored": _plain("residual_binarize", sign_zero=1),
        "other sign of zero": given("residual_binarize", "sign_zero", lambda zero: 1 - zero),
        "eps in the weights": given("residual_binarize", "W", epsilon),
        "one order": _plain("residual_binarize", order=1),
    },
    "first_minimum": {
        "last threshold": answers(
            "bell_split_search", lambda s: replace(s, candidates=s.candidates[::-1])
        ),
        "last count": answers(
            "salient_search", lambda s: replace(s, candidates=s.candidates[::-1])
        ),
        "sorted thresholds": given("bell_split_search", "thresholds", np.sort),
        "sorted counts": given("salient_search", "counts", np.sort),
        "all columns salient": answers("choose_salient", np.ones_like),
        "nothing sparse": answers("choose_split", lambda s: (s[0] | s[1], s[0] & s[1])),
    },
    "nominal_bits": {
        "a bit more": answers("nominal_bits", lambda b: b + 1),
        "whole": answers("nominal_bits", lambda b: np.ceil(b + 1e-6)),
        "one for all": answers("nominal_bits", lambda b: 1.0 if b > 1 else 2.0),
        "relative 1e-9": answers("nominal_bits", _scaled(1 + 1e-9)),
    },
    "payload_bits": {
        part: answers("payload_bits", _more(part))
        for part in ("signs", "scales", "group_map", "means", "column_map", "zero_points")
    },
    "published_bits": {
        "salient once": answers("billm_parameter_bits", lambda b: b + 1e-3),
        "no block map": answers("billm_storing_bits", lambda _: 1.0),
        "group bit of salient ones": lambda n, m, c, k: (
            reference.billm_storage_bits(n, m, c, k) - n * c - 1
        ),
        "blocks rounded down": answers("billm_storage_bits", lambda b: b - 112),
    },
    "arb_storage_bits": {
        "second signs forgotten": given("arb_storage_bits", "c", lambda _: 0),
        "narrow blocks forgotten": lambda n, m, c, k, *, rows, columns=0: (
            reference.arb_storage_bits(n, m, c, k, rows=rows, columns=columns)
            - 16 * rows * n * (m % k > 0)
        ),
        "column scales forgotten": given("arb_storage_bits", "columns", lambda _: 0),
        "no group bit for salient weights": lambda n, m, c, k, *, rows, columns=0: (
            reference.arb_storage_bits(n, m, c, k, rows=rows, columns=columns) - n * c
        ),
        "no column map": lambda n, m, c, k, *, rows, columns=0: (
            reference.arb_storage_bits(n, m, c, k, rows=rows, columns=columns) - m
        ),
        "float32 scales": given("arb_storage_bits", "rows", lambda rows: 2 * rows),
    },
    "masked_mean": {
        "mask ignored": given("masked_mean", "mask", lambda _: None),
        "eps": answers("masked_mean", epsilon),
    },
    "masked_scale": {
        "mean not removed": given("masked_scale", "mean", lambda _: None),
        "mask ignored": given("masked_scale", "mask", lambda _: None),
        "eps": answers("masked_scale", epsilon),
    },
    "binarize_once": {
        "mean not removed": _plain("binarize_once", center=False),
        "sign of zero ignored": _plain("binarize_once", sign_zero=1),
        "signs outside the mask": answers("binarize_once", each(lambda s: s | (s == 0), 2)),
        "eps in the scale": answers("binarize_once", each(epsilon, 1)),
    },
    "residual_binarize": {
        "mean not removed": _plain("residual_binarize", center=False),
        "one order": _plain("residual_binarize", order=1),
        "sign of zero ignored": _plain("residual_binarize", sign_zero=1),
        "scales off by 1e-9": answers("residual_binarize", _one_more),
    },
    "weight_error": {
        "root": answers("weight_error", np.sqrt),
        "eps": answers("weight_error", epsilon),
    },
    "calibrated_error": {
        "root": answers("calibrated_error", np.sqrt),
        "mean over tokens": answers("calibrated_error", _scaled(0.5)),
    },
    "calibrated_error_trace": {
        "diagonal only": given("calibrated_error_trace", "S", lambda S: np.diag(np.diag(S))),
        "triangle only": given("calibrated_error_trace", "S", np.triu),
    },
    "relative_error": {
        "diagonal only": given("relative_error", "S", lambda S: np.diag(np.diag(S))),
        "root": answers("relative_error", np.sqrt),
    },
    "proxy_loss": {
        "not halved": answers("proxy_loss", _scaled(2)),
        "diagonal only": given("proxy_loss", "H", lambda H: np.diag(np.diag(H))),
    },
    "column_saliency": {
        "signed sums": lambda S: np.abs(np.sum(S, axis=0)),
        "mean": lambda S: np.mean(np.abs(S), axis=0),
    },
    "accumulate_hessian": {
        "not doubled": answers("accumulate_hessian", _scaled(0.5)),
        "per token": lambda X: reference.accumulate_hessian(
            np.reshape(X, (-1, 1, np.shape(X)[-1]))
        ),
    },
    "damp": {
        "mean before dead inputs": lambda H, percdamp=0.01: (
            reference.damp(H, 0.0) + percdamp * np.diag(H).mean() * np.eye(len(H))
        ),
        "absolute": lambda H, percdamp=0.01: reference.damp(H, 0.0) + percdamp * np.eye(len(H)),
        "dead inputs kept": lambda H, percdamp=0.01: (
            np.asarray(H) + percdamp * np.diag(H).mean() * np.eye(len(H))
        ),
        "float32": answers("damp", single),
        "largest instead of mean": lambda H, percdamp=0.01: (
            reference.damp(H, 0.0) + percdamp * np.diag(H).max() * np.eye(len(H))
        ),
    },
    "inverse_factor": {
        "transposed": answers("inverse_factor", np.transpose),
        "of H": lambda H: np.linalg.cholesky(H).T,
        "other order": lambda H: np.linalg.inv(np.linalg.cholesky(H)).T,
        "float32": answers("inverse_factor", single),
        "eps on the diagonal": given("inverse_factor", "H", lambda H: H + 1e-6 * np.eye(len(H))),
    },
    "prepare_hessian": {
        "not damped": _plain("prepare_hessian", percdamp=1e-9),
        "transposed": answers("prepare_hessian", lambda p: replace(p, factor=p.factor.T)),
        "dead inputs forgotten": answers(
            "prepare_hessian", lambda p: replace(p, dead=np.zeros_like(p.dead))
        ),
        "float32": given("prepare_hessian", "H", single),
        "damped twice": answers(
            "prepare_hessian", lambda p: replace(p, damped=reference.damp(p.damped))
        ),
    },
    "inverse_hessian_saliency": {
        "not squared": reference.obs_saliency,
        "no inverse": lambda W, H: np.asarray(W) ** 2 * np.diag(H) ** 2,
    },
    "obs_saliency": {
        "squared": reference.inverse_hessian_saliency,
        "no inverse": lambda W, H: np.asarray(W) ** 2 * np.diag(H),
    },
    "trailing_saliency": {
        "not squared": lambda W, U: np.asarray(W) ** 2 / np.diag(U),
        "eps": answers("trailing_saliency", epsilon),
    },
    "feedback": {
        "transposed factor": lambda D, U_block, mode: reference.feedback(
            D, np.diag(np.diag(U_block)) + np.triu(U_block, 1)[::-1, ::-1].T, mode
        ),
        "released for exact": given(
            "feedback", "mode", lambda mode: "released" if mode == "exact" else mode
        ),
        "exact for released": given(
            "feedback", "mode", lambda mode: "exact" if mode == "released" else mode
        ),
        "negated": answers("feedback", lambda E: -E),
    },
    "minmax_grid": {
        "zero point not rounded": lambda W, bits: (
            reference.minmax_grid(W, bits)[0],
            -np.minimum(np.min(W, axis=1), 0) / reference.minmax_grid(W, bits)[0],
        ),
        "2^b levels apart": answers("minmax_grid", each(_scaled(1.1), 0)),
    },
    "maximum_grid": {
        "to the maximum": answers("maximum_grid", _scaled(10 / 9)),
        "eps": answers("maximum_grid", epsilon),
        "always nine": _plain("maximum_grid", levels=9),
    },
    "quantile_grid": {
        "nearest": lambda key, levels=81: np.quantile(
            key, np.linspace(0.1, 0.9, levels), method="nearest"
        ),
        "0.05 to 0.95": lambda key, levels=81: np.quantile(key, np.linspace(0.05, 0.95, levels)),
    },
    "prefix_errors": {
        "one column less": given("prefix_errors", "counts", lambda c: np.maximum(c - 1, 0)),
        "all entries": given("prefix_errors", "part", lambda _: None),
        "mean not removed": _plain("prefix_errors", center=False),
    },
    "gram_cost_ratio": {
        "made in every round": given("gram_cost_ratio", "rounds", lambda _: 1),
        "one sequence": given("gram_cost_ratio", "batch", lambda _: 1),
        "rows for columns": given("gram_cost_ratio", "k", lambda k: k + 1),
        "the other way round": answers("gram_cost_ratio", lambda ratio: 1 / ratio),
        "float32": answers("gram_cost_ratio", single),
    },
    "interval_errors": {
        "mean not removed": _plain("interval_errors", center=False),
        "half thresholds": given("interval_errors", "thresholds", _scaled(0.5)),
        "all columns": given("interval_errors", "part", np.ones_like),
    },
}
for _name in ("salient_search", "salient_search_direct"):
    SPECIFIC[_name] = {
        "orders swapped": given(_name, "orders", lambda orders: (orders[0] + 1, orders[1])),
        "mean not removed": _plain(_name, center=False),
        "ranking reversed": given(_name, "ranking", _flipped),
        "all entries": given(_name, "entries", lambda _: None),
        "root": answers(_name, _search(np.sqrt)),
    }
for _name in ("bell_split_search", "bell_split_search_direct"):
    SPECIFIC[_name] = {
        ">= for >": given(_name, "closed", lambda closed: not closed),
        "mean not removed": _plain(_name, center=False),
        "all columns": given(_name, "columns", np.ones_like),
        "root": answers(_name, _search(np.sqrt)),
    }


def _functions(operation: str) -> dict[str, Function]:
    found = dict(SPECIFIC.get(operation, {}))
    argument = _ARGUMENTS.get(operation)
    if argument is not None:
        found["lower precision than declared"] = given(operation, argument, single)
        found["last column forgotten"] = given(operation, argument, tail)
    return found


_REPLACED = {
    ("exact_binarization", ""): "residual_binarize",
    ("first_minimum", "threshold"): "bell_split_search",
    ("first_minimum", "count"): "salient_search",
    ("first_minimum", "salient"): "choose_salient",
    ("first_minimum", "sparse"): "choose_split",
    ("published_bits", "salient once"): "billm_parameter_bits",
    ("published_bits", "no block map"): "billm_storing_bits",
    ("published_bits", "b"): "billm_storage_bits",
}
"""Replaced function of an operation that is not one, by the operation and a part of the name."""


def _replaced(operation: str, name: str) -> str:
    for (owner, part), function in _REPLACED.items():
        if owner == operation and part in name:
            return function
    return operation


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of single functions.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation in SPECIFIC:
        for name, function in _functions(operation).items():
            yield Mutant(operation, name, {_replaced(operation, name): function})
