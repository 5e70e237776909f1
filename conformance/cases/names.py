"""Level 0: names, signatures, types and refusals
=============================================

Each function of the protocol is called like the reference's, returns the same kinds of
numbers, and refuses the same arguments, with an exception that names the argument.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance import protocol
from subbit.conformance.cases.draw import Draw
from subbit.conformance.cases.judge import Judge, host
from subbit.conformance.cases.refused import wrong_for
from subbit.conformance.cases.registry import Operation, operation
from subbit.conformance.target import Port
from subbit.reference.errors import ArgumentError

_W = np.array([[1.0, -2.0, 0.5, 3.0], [0.25, 1.5, -1.0, 2.0]])
_H = np.diag([2.0, 1.0, 4.0, 1.0])
_SQUARE = np.triu(np.full((4, 4), 0.25)) + np.eye(4)
_NORMS = np.array([1.0, 0.5, 2.0, 0.25])
_PART = np.array([True, True, False, True])
_SALIENT = np.array([True, False, False, False])
_MODE = {"center": False, "sign_zero": 1}
_REFINED = {"order": 2, "config": reference.Refinement(iterations=1), "name": "all"}
_GROUP = reference.arb_start(_W, _W > 0)
_SCALED = reference.rc_start(_W, _W > 0)
_SHORT = reference.ARBLLM(iterations=1, grid="maximum", counts=(1, 2))
_STEPWISE = reference.SPBO(keep=(1, 2), calibrated_iterations=2)
_PRUNED = reference.PBS2P(keep=(1, 2), calibrated_iterations=2, grid="maximum", counts=(1, 2))
_STRUCTURED = reference.STBLLM(keep=(1, 2), levels=5, counts=(1, 2))
_CODED = reference.TypedGroups(payload=64.0, group_size=2, sweeps=1)
_FITTED = reference.QuantizedBlock(0, 4, (_GROUP,))
_LEVELED = reference.typed_groups_layer(_W, _H, _CODED)
_FACTORED = reference.SignProduct(payload=64.0, iterations=2, sweeps=1)
_PRODUCT = reference.sign_product_layer(_W, _H, _FACTORED)
_TRANSFORMED = reference.HBLLM(counts=(1, 2), quantiles=5)
_NESTED = np.stack([np.abs(_W) > 0.25, np.abs(_W) > 1.0])
_EPS = {"eps": 1e-3, "eps_kind": "relative"}


def _quantize(W: Any, columns: slice) -> reference.QuantizedBlock:  # noqa: ANN401
    group = reference.residual_binarize(host(W)[:, columns])
    return reference.QuantizedBlock(columns.start, columns.stop, (group,))


CALLS: Mapping[str, Mapping[str, Any]] = {
    "HessianAccumulator": {"width": 4},
    "accumulate_cross": {"D": np.stack([_W, -_W]), "X": np.stack([_W, 2 * _W])},
    "accumulate_hessian": {"X": np.stack([_W, -_W])},
    "admm_step": {"W": _W, "left": _W[:, :1], "right": _W[:1], "left_dual": _W[:, 1:2]}
    | {"right_dual": _W[1:], "penalty": 0.5, "ridge": 0.03, "steps": 5, "solves": "jacobi"},
    "allocate_codes": {"energies": [4.0, 1.0], "rows": 2, "width": 4, "group_size": 2}
    | {"budget": 200.0, "codes": ("0", "1", "2"), "row_bits": 8, "column_bits": 16},
    "arb": {"W": _W, "mask": _W > 0} | _REFINED,
    "arb_llm_block": {"W": _W, "S": _W**2, "alive": _PART, "config": _SHORT}
    | {"gram": _H, "salient": _SALIENT, "start": 0},
    "arb_llm_layer": {"W": _W, "H": _H, "config": _SHORT},
    "arb_rc": {"W": _W, "mask": _W > 0, "column_signs": "fixed"} | _REFINED,
    "arb_rc_steps": {"W": _W, "mask": _W > 0, "column_signs": "fixed"} | _REFINED,
    "arb_start": {"W": _W, "mask": _W > 0} | _REFINED,
    "arb_steps": {"W": _W, "mask": _W > 0} | _REFINED,
    "arb_x": {"W": _W, "mask": _W > 0, "S": _H} | _REFINED,
    "arb_x_steps": {"W": _W, "mask": _W > 0, "S": _H} | _REFINED,
    "bell_split": {"key": np.abs(_W), "columns": _PART, "threshold": 1.0, "closed": True},
    "bell_split_search": {"target": _W, "columns": _PART, "thresholds": [1.0, 2.0], "closed": True}
    | {"orders": (1, 2)}
    | _MODE,
    "bell_split_search_direct": {
        "target": _W,
        "columns": _PART,
        "thresholds": [1.0],
        "key": np.abs(_W),
        "closed": True,
    }
    | {"orders": (1, 2)}
    | _MODE,
    "assign_columns": {"W": _W, "U": _SQUARE, "block": _FITTED, "free": _W > 0},
    "billm_block": {"W": _W, "S": _W**2, "alive": _PART, "config": reference.BiLLM()}
    | {"salient": _SALIENT, "start": 0},
    "billm_layer": {"W": _W, "H": _H, "config": reference.BiLLM()},
    "billm_parameter_bits": {"r": 0.5},
    "billm_storage_bits": {"n": 2, "m": 4, "c": 1, "k": 2},
    "billm_storing_bits": {"block_size": 4},
    "binarize_once": {"R": _W, "mask": _W > 0} | _MODE,
    "block_cosine": {"x": _W, "y": -_W},
    "block_slices": {"width": 4, "block_size": 3},
    "breakpoint_grid": {"key": np.abs(_W)},
    "calibrate_levels": {"target": _W, "group": _GROUP, "S": _H}
    | {"config": reference.Refinement()},
    "calibrated_error": {"W": _W, "Q": -_W, "X": _W},
    "calibrated_error_trace": {"W": _W, "Q": -_W, "S": _H},
    "calibrated_mean": {"W": _W, "group": _GROUP, "S": _H, "precision": "float32"} | _EPS,
    "calibrated_scale": {"W": _W, "group": _GROUP, "S": _H, "plane": 0} | _EPS,
    "calibrated_sums": {"target": _W, "group": _GROUP, "S": _H},
    "calibrated_split_search": {"target": _W, "columns": _PART, "thresholds": [1.0, 2.0], "S": _H}
    | {"image": -_W, "key": np.abs(_W), "orders": (1, 2), "closed": False}
    | _MODE,
    "choose_column_groups": {"W": _W, "S": _W**2, "alive": _PART, "salient": _PART & (_W[0] > 0)}
    | {"config": reference.ColumnGroups(split_error="outputs"), "gram": _H, "image": -_W},
    "choose_kept": {"W": _W, "H": _H, "config": _STRUCTURED},
    "choose_regions": {"W": _W, "S": _W**2, "part": _PART, "config": _STRUCTURED.zones},
    "choose_salient": {"W": _W, "S": _W**2, "alive": _PART, "config": reference.Partition()}
    | {"blocks": 1, "entries": _W > 0},
    "choose_split": {"W": _W, "S": _W**2, "columns": _PART, "config": reference.Partition()},
    "coarse_budget": {"importance": _NORMS, "keep": 4, "group": 8, "low": 2, "high": 6}
    | {"rule": "interpolated", "repair": True},
    "code_exponents": {"steps": np.array([0.5, 2.0]), "reference": np.array([1.0, 3.0])},
    "column_energies": {"W": _W, "H": _H},
    "column_saliency": {"S": _W},
    "column_scales": {"W": _W, "power": 0.5},
    "compensate": {"W": _W, "U": _SQUARE, "quantize_block": _quantize, "block_size": 2}
    | {"mode": "exact", "free": _W > 0},
    "compensate_step": {"W": _W, "U": _SQUARE, "columns": slice(0, 2)}
    | {"quantize_block": _quantize, "mode": "released", "free": _W > 0},
    "damp": {"H": _H, "percdamp": 0.01},
    "dead_inputs": {"H": _H},
    "feedback": {"D": _W, "U_block": _SQUARE, "mode": "exact"},
    "fine_scores": {"W": _W, "H": _H, "score": "trailing"},
    "fit_steps": {"X": _W, "weights": _NORMS, "code": "2"},
    "gptq_layer": {"W": _W, "H": _H, "config": reference.GPTQ()},
    "grid_codes": {"W": _W, "scale": np.ones(2), "zero": np.ones(2), "bits": 2},
    "haar": {"X": _W, "axis": "rows"},
    "hbllm_block": {"W": _W, "S": _W**2, "alive": _PART, "config": _TRANSFORMED, "start": 0},
    "hbllm_layer": {"W": _W, "H": _H, "config": _TRANSFORMED},
    "index_floor": {"layer": reference.rtn_layer(_W)},
    "input_norms": {"H": _H},
    "interval_errors": {"X": _W, "thresholds": np.array([1.0]), "closed": True, "part": _W > 0}
    | {"orders": (1, 2)}
    | _MODE,
    "inverse_factor": {"H": _H},
    "inverse_haar": {"C": _W, "axis": "columns"},
    "inverse_hessian_saliency": {"W": _W, "H": _H},
    "joint_signs": {"Z": _W, "u": np.ones((2, 1)), "v": np.full((2, 4), 0.5)},
    "magnitude_importance": {"W": _W},
    "layer_importance": {"cosines": np.array([0.5, 0.25, 0.75]), "kind": "reciprocal"},
    "magnitude_saliency": {"W": _W},
    "masked_mean": {"W": _W, "mask": _W > 0},
    "masked_scale": {"W": _W, "mask": _W > 0, "mean": np.ones(2)},
    "maximum_grid": {"key": np.abs(_W), "levels": 5},
    "minmax_grid": {"W": _W, "bits": 2},
    "nm_mask": {"scores": _W, "keep": 1, "group": 2, "tail": "dense"},
    "nominal_bits": {"layer": reference.rtn_layer(_W)},
    "norm_budget": {"norms": _NORMS, "keep": 4, "group": 8, "repair": True},
    "obs_saliency": {"W": _W, "H": _H},
    "outlier_budget": {"outliers": _NORMS, "keep": 4, "group": 8, "spread": 2.0}
    | {"promote": True, "repair": False},
    "outlier_share": {"scores": [_W, _W[0]], "threshold": 1.5},
    "pattern_bits": {"keep": 4, "group": 8},
    "pattern_entropy": {"keep": 4, "group": 8},
    "payload_bits": {"layer": reference.rtn_layer(_W), "float_bits": 16},
    "pbs2p_block": {"W": _W, "S": _W**2, "masks": _NESTED, "alive": _PART, "config": _PRUNED}
    | {"gram": _H, "salient": _SALIENT, "start": 0},
    "pbs2p_layer": {"W": _W, "H": _H, "config": _PRUNED},
    "pb_llm_layer": {"W": _W, "H": _H, "config": reference.PBLLM()},
    "prefix_errors": {"X": _W, "counts": np.array([1, 2]), "order": 1, "part": _W > 0} | _MODE,
    "prepare_hessian": {"H": _H, "percdamp": 0.01},
    "project_rank_one": {"M": _W, "steps": 5},
    "propagated_weights": {"W": _W, "H": _H, "cross": _SQUARE}
    | {"config": reference.Propagation(beta=0.5), "residual": -_W},
    "proxy_loss": {"W": _W, "Q": -_W, "H": _H},
    "pruning_masks": {"W": _W, "H": _H, "alive": _PART, "config": _PRUNED}
    | {"unit": np.array([1.0, 0.5, 2.0, 0.25])},
    "quantile_grid": {"key": np.abs(_W), "levels": 5},
    "rank_columns": {"scores": np.array([1.0, 3.0, 2.0])},
    "rank_in_rows": {"rows": np.sort(_W, axis=1), "values": _W, "right": True},
    "rank_patterns": {"mask": np.abs(_W) > 1.25, "keep": 1, "group": 2},
    "rc_start": {"W": _W, "mask": _W > 0} | _REFINED,
    "refine_column_scale": {"W": _W, "group": _SCALED, "plane": 0} | _EPS,
    "refine_mean": {"W": _W, "group": _GROUP},
    "refine_rc_signs": {"W": _W, "group": _SCALED, "sign_zero": 1},
    "refine_row_scale": {"W": _W, "group": _SCALED, "plane": 0} | _EPS,
    "refine_scale": {"W": _W, "group": _GROUP, "plane": 0} | _EPS,
    "refine_zones": {"W": _W, "zones": (reference.Zone("sparse", _W > 0, 1),)}
    | {"config": reference.ARBLLM(algorithm="arb_x"), "gram": _H},
    "refine_signs": {"W": _W, "group": _GROUP, "sign_zero": 1},
    "refit_column_scales": {"W": _W, "H": _H, "layer": _PRODUCT},
    "refit_row_scales": {"W": _W, "H": _H, "layer": _PRODUCT},
    "relative_error": {"W": _W, "Q": -_W, "S": _H},
    "removal_loss": {"W": _W, "H": _H, "removed": _W > 1},
    "removal_mask": {"W": _W, "H": _H, "keep": 1, "group": 2},
    "removal_move": {"W": _W, "H": _H, "removed": _W > 1},
    "repair_budget": {"wishes": _NORMS, "keep": 4, "low": 1, "high": 8},
    "residual_binarize": {"W": _W, "mask": _W > 0, "order": 2, "name": "all"} | _MODE,
    "ria_importance": {"W": _W, "norms": _NORMS, "exponent": 0.5},
    "row_mask": {"scores": _W, "sparsity": 0.5},
    "row_split": {"X": _W, "levels": 5, "scale": "rms", "share_mean": False, "sign_zero": 1},
    "rtn_layer": {"W": _W, "H": _H, "config": reference.RTN()},
    "salient_search": {"target": _W, "ranking": [1, 0, 3], "counts": [1, 2], "orders": (1, 1)}
    | {"entries": _W > 0}
    | _MODE,
    "salient_search_direct": {
        "target": _W,
        "ranking": [1, 0, 3],
        "counts": [1, 2],
        "orders": (1, 1),
    }
    | {"entries": _W > 0}
    | _MODE,
    "sign_product_layer": {"W": _W, "H": _H, "config": _FACTORED},
    "sign": {"x": _W, "zero": 1},
    "solve_levels": {"W": _W, "group": _GROUP},
    "sparsegpt_layer": {"W": _W, "H": _H, "config": reference.SparseGPT(keep=(1, 2))},
    "sparsegpt_prune": {"W": _W, "H": _H, "config": reference.SparseGPT(keep=(1, 2))},
    "spbo": {"W": _W, "mask": _W > -2, "masks": _NESTED, "S": _H, "order": 2, "name": "all"}
    | {"config": _STEPWISE},
    "spbo_schedule": {"scores": _W, "keep": 1, "group": 3, "schedule": "parts", "parts": 2}
    | {"tail": "dense"},
    "spbo_step": {"W": _W, "group": _GROUP, "keep": np.abs(_W) > 1, "S": _H}
    | {"config": _STEPWISE},
    "spbo_steps": {"W": _W, "mask": _W > -2, "masks": _NESTED, "S": _H, "order": 2}
    | {"config": _STEPWISE, "name": "all"},
    "standardized_importance": {"W": _W, "norms": _NORMS, "exponent": 0.5}
    | {"standardize": "after", "axis": "matrix"},
    "start_signs": {"rows": 2, "columns": 3, "seed": 1},
    "stbllm_block": {"W": _W, "S": _W**2, "alive": _PART, "kept": _W > 0}
    | {"config": _STRUCTURED, "salient": _SALIENT, "start": 0},
    "stbllm_layer": {"W": _W, "H": _H, "config": _STRUCTURED},
    "stbllm_parameter_bits": {"r": 0.5, "keep": 4, "group": 8},
    "stbllm_storage_bits": {"n": 2, "m": 4, "k": 2, "keep": 1, "group": 2},
    "stbllm_storing_bits": {"block_size": 4},
    "sweep_levels": {"W": _W, "H": _H, "layer": _LEVELED},
    "sweep_signs": {"W": _W, "H": _H, "layer": _PRODUCT},
    "threshold_mask": {"scores": _W, "sparsity": 0.5},
    "trace_objective": {"W": _W, "steps": [("start", _GROUP), ("end", _GROUP)], "S": _H}
    | {"entries": _W > 0},
    "trailing_saliency": {"W": _W, "U": _SQUARE},
    "trisection": {"key": np.abs(_W), "columns": _PART, "threshold": 1.0}
    | {"factor": 2.0, "closed": True},
    "trisection_search": {"target": _W, "columns": _PART, "thresholds": [0.5, 1.0]}
    | {"factor": 2.0, "orders": (1, 2, 1), "closed": True}
    | _MODE,
    "trisection_search_direct": {
        "target": _W,
        "columns": _PART,
        "thresholds": [1.0],
        "key": np.abs(_W),
    }
    | {"factor": 2.0, "orders": (1, 2, 1), "closed": False}
    | _MODE,
    "trisection_thresholds": {"thresholds": [0.5, 1.0, 1.5], "factor": 2.0},
    "two_means": {"W": _W, "mask": _W > 0, "name": "all"},
    "typed_groups_layer": {"W": _W, "H": _H, "config": _CODED},
    "unrank_patterns": {"ranks": np.array([[0, 3], [5, 1]]), "keep": 2, "group": 4},
    "wanda_importance": {"W": _W, "norms": _NORMS},
    "wanda_layer": {"W": _W, "H": _H, "config": reference.Wanda(keep=(1, 2))},
    "weight_error": {"W": _W, "Q": -_W},
}
"""A call of each function, with every argument by name."""


def _answer(function: Callable[..., Any], call: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return a function's answer; of a generator, all items."""
    found = function(**call)
    return list(found) if isinstance(found, Iterator) else found


def _refuses(function: Callable[..., Any], call: Mapping[str, Any], argument: str) -> str | None:
    """Say what is wrong with a refusal; None if it is correct."""
    try:
        with np.errstate(all="ignore"):
            _answer(function, call)
    except ValueError as error:
        return None if argument in str(error) else f"the error does not name it: {error}"
    except NotImplementedError:
        raise
    except Exception as error:  # noqa: BLE001  (anything else is a wrong refusal)
        return f"{type(error).__name__} is not a ValueError: {error}"
    return "the call succeeded"


def _demanded(name: str, call: Mapping[str, Any], argument: str) -> bool:
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _answer(getattr(reference, name), call)
    except ArgumentError as error:
        # A record's field is named after the record.
        return error.argument.partition(".")[0] == argument
    except Exception:  # noqa: BLE001  (not even the reference names the argument)
        return False
    return False


@cache
def bad_of(name: str) -> list[tuple[str, str, Any]]:
    """Return what a function has to refuse.

    Parameters
    ----------
    name : str
        The function.

    Returns
    -------
    list of tuple
        Argument, what is wrong, and the value.

    Examples
    --------
    >>> bad_of("sign")[0][:2]
    ('x', 'NaN')
    """
    kinds, call = protocol.PROTOCOL[name].contract.kinds, CALLS[name]
    # What the reference takes, or refuses for another argument, is not wrong about this one.
    return [
        (argument, what, wrong)
        for argument, value in call.items()
        if value is not None
        for what, wrong in wrong_for(kinds[argument], value)
        if _demanded(name, {**call, argument: wrong}, argument)
    ]


def _kind(value: Any) -> str:  # noqa: ANN401
    kind = host(value).dtype.kind
    return {"u": "whole", "i": "whole", "f": "floating", "b": "boolean"}.get(kind, kind)


def parts_of(value: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the numbers in an answer by their path.

    Parameters
    ----------
    value : object
        Arrays, records, numbers, and sequences of them.

    Returns
    -------
    dict of str to array or number
        Each with a dot after every step of its path.

    Examples
    --------
    >>> parts_of((1, [2]))
    {'0.': 1, '1.0.': 2}
    """
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in fields(value)}
    elif isinstance(value, tuple | list):
        named = {str(i): item for i, item in enumerate(value)}
    else:
        return {} if value is None or isinstance(value, str | slice) else {"": value}
    inner = {name: parts_of(item) for name, item in named.items()}
    return {f"{name}.{k}": v for name, parts in inner.items() for k, v in parts.items()}


def _types(judge: Judge, found: Any, wanted: Any) -> None:  # noqa: ANN401
    own, right = parts_of(found), parts_of(wanted)
    judge.form("parts of the answer", sorted(own), sorted(right))
    for place in own.keys() & right.keys():
        at = place.strip(".") or "answer"
        judge.form(f"kind of {at}", _kind(own[place]), _kind(right[place]))
        judge.form(f"shape of {at}", host(own[place]).shape, host(right[place]).shape)


def _examine(name: str) -> Callable[[Port, Judge, Draw], None]:
    def examine(port: Port, judge: Judge, draw: Draw) -> None:
        function, call = getattr(port, name), CALLS[name]
        if draw.seed == 0:
            draw.said["checking"] = "signature and types"
            reason = getattr(port, "NOT_ASKED", {}).get("signatures")
            if reason is None:
                judge.form("signature", "; ".join(protocol.differences(port, name)), "")
            else:
                judge.skip(1, f"signature: {reason}")
            found, wanted = _answer(function, call), _answer(getattr(reference, name), call)
            if name in protocol.CLASSES:
                own = [key for key in vars(type(wanted)) if not key.startswith("_")]
                judge.form("members", [key for key in own if hasattr(found, key)], own)
            else:
                _types(judge, found, wanted)
            return
        bad = bad_of(name)
        argument, what, value = bad[(draw.seed - 1) % len(bad)]
        draw.said |= {"argument": argument, "given": what}
        said = _refuses(function, {**call, argument: value}, argument)
        judge.true(f"an error that names `{argument}`; {said}", said is None)

    return examine


for _name in CALLS:
    operation(0, _name, name=f"interface_{_name}")(_examine(_name))


def cases_of(item: Operation) -> int:
    """Return the number of different cases of an interface.

    Parameters
    ----------
    item : Operation
        An operation of level 0.

    Returns
    -------
    int
        One for the signature, and one for each invalid argument.
    """
    return 1 + len(bad_of(item.needs[0]))
