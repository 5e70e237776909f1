"""Mutants of importance scores and sparsity masks."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import Function, Mutant, answers, epsilon, given, single
from subbit.reference.notation import Array, Mask
from subbit.reference.pruning.sparsity import Tail

Named = dict[str, Function]


def _rearranged(there: Callable[[Array], Array], back: Callable[[Mask], Mask]) -> Function:
    """Choose in groups (n, g, M) of scores that are arranged wrongly."""

    def nm_mask(scores: Any, keep: int, group: int, *, tail: Tail = "error") -> Mask:  # noqa: ANN401
        mask = reference.nm_mask(scores, keep, group, tail=tail)
        n, whole = len(mask), mask.shape[1] // group * group
        groups = there(np.asarray(scores)[:, :whole].reshape(n, -1, group))
        if groups.size:
            kept = reference.nm_mask(groups.reshape(n, -1), keep, group).reshape(groups.shape)
            mask[:, :whole] = back(kept).reshape(n, whole)
        return mask

    return nm_mask


def _flipped(groups: Any) -> Any:  # noqa: ANN401
    return groups[..., ::-1]


def _strided(groups: Array) -> Array:
    n, count, size = groups.shape
    return groups.reshape(n, size, count).swapaxes(1, 2)


def _unstrided(kept: Mask) -> Mask:
    return kept.swapaxes(1, 2)


def _moved(by: int) -> Callable[[Any], Any]:
    return lambda groups: np.roll(groups.reshape(len(groups), -1), by, axis=1).reshape(groups.shape)


def _pruned_tail(scores: Any, keep: int, group: int, *, tail: Tail = "error") -> Mask:  # noqa: ANN401
    mask = reference.nm_mask(scores, keep, group, tail=tail)
    mask[:, mask.shape[1] // group * group :] = False
    return mask


def _pruned_to_kept(scores: Any, keep: int, group: int, *, tail: Tail = "error") -> Mask:  # noqa: ANN401
    return reference.nm_mask(scores, group - keep or group, group, tail=tail)


def _masks() -> Named:
    return {
        "pruned : group": _pruned_to_kept,
        "smallest kept": given("nm_mask", "scores", lambda s: -np.asarray(s)),
        "magnitudes of scores": given("nm_mask", "scores", np.abs),
        "ties to the higher column": _rearranged(_flipped, _flipped),
        "groups with a stride": _rearranged(_strided, _unstrided),
        "groups one column late": _rearranged(_moved(-1), _moved(1)),
        "one fewer kept": given("nm_mask", "keep", lambda keep: max(keep - 1, 1)),
        "last columns pruned": _pruned_tail,
        "scores in float32": given("nm_mask", "scores", single),
    }


def _rows() -> Named:
    return {
        "smallest kept": given("row_mask", "scores", lambda s: -np.asarray(s)),
        "ties to the higher column": lambda scores, sparsity: reference.row_mask(
            np.asarray(scores)[:, ::-1], sparsity
        )[:, ::-1],
        "all rows together": reference.threshold_mask,
        "rounded up": lambda scores, sparsity: reference.row_mask(
            scores, min(np.ceil(sparsity * np.shape(scores)[1]) / np.shape(scores)[1], 0.999)
        ),
        "threshold of each row": lambda scores, sparsity: np.concatenate(
            [reference.threshold_mask(row[None], sparsity) for row in np.asarray(scores)]
        ),
    }


def _thresholds() -> Named:
    return {
        "smallest kept": lambda scores, sparsity: ~reference.threshold_mask(scores, sparsity),
        "each row by itself": reference.row_mask,
        "threshold kept": lambda scores, sparsity: (
            scores >= np.sort(scores, axis=None)[int(np.size(scores) * sparsity)]
        ),
        "interpolated quantile": lambda scores, sparsity: scores > np.quantile(scores, sparsity),
    }


def _norms() -> Named:
    return {
        "no root": lambda H: np.diag(H) / 2,
        "not halved": lambda H: np.sqrt(np.diag(H)),
        "rows in place of the diagonal": lambda H: np.sqrt(np.abs(H).sum(axis=1) / 2),
        "eps": answers("input_norms", epsilon),
        "float32": answers("input_norms", single),
    }


def _wanda() -> Named:
    name = "wanda_importance"
    return {
        "squared norms": given(name, "norms", np.square),
        "norms ignored": given(name, "norms", np.ones_like),
        "signed": lambda W, norms: np.asarray(W) * norms,
        "eps": answers(name, epsilon),
        "lower precision than declared": given(name, "W", single),
    }


def _shares(name: str) -> Named:
    """Return functions that are wrong in the shares, or in the power of the norms."""
    return {
        "exponent one": given(name, "exponent", lambda _: 1.0),
        "squares of norms": given(name, "norms", np.square),
        "signed": given(name, "W", lambda W: np.maximum(W, 0.0)),
        "last row forgotten": given(name, "W", lambda W: np.where(_last(W), 0.0, W)),
        "scaled rows": given(name, "W", lambda W: W * np.arange(1.0, len(W) + 1)[:, None]),
        "lower precision than declared": given(name, "W", single),
        "eps": answers(name, epsilon),
    }


def _last(W: Array) -> Mask:
    return np.asarray(np.arange(len(W)) == len(W) - 1)[:, None]


def _of_row(W: Any, norms: Any, *, exponent: float = 0.5) -> Array:  # noqa: ANN401
    """Forget the sums of the columns."""
    share = reference.ria_importance(W, norms, exponent=exponent)
    total = np.abs(W).sum(axis=0)
    of_column = np.divide(np.abs(W), total, out=np.zeros(np.shape(W)), where=total > 0)
    return np.asarray(share - of_column * np.asarray(norms) ** exponent)


def _sample(W: Any, norms: Any, **switches: Any) -> Array:  # noqa: ANN401
    """Divide by one entry fewer."""
    scores = reference.standardized_importance(W, norms, **switches)
    count = np.size(W) if switches["axis"] == "matrix" else np.shape(W)[1]
    less = np.sqrt((count - 1) / count) if switches["standardize"] != "none" else 1.0
    return scores * less


def _standardized() -> Named:
    name = "standardized_importance"
    other = {"before": "after", "after": "before", "none": "none"}
    axes = {"row": "matrix", "matrix": "row"}
    return {
        "the other order": given(name, "standardize", other.__getitem__),
        "never": given(name, "standardize", lambda _: "none"),
        "over the other axis": given(name, "axis", axes.__getitem__),
        "deviation of a sample": _sample,
    }


def _of_importance() -> Iterator[tuple[str, str, Function]]:
    for name, function in _masks().items():
        if name != "scores in float32":
            yield name, "nm_mask", function
    yield "norms ignored", "wanda_importance", _wanda()["norms ignored"]
    yield "exponent one", "ria_importance", _shares("ria_importance")["exponent one"]
    for name in ("the other order", "never"):
        yield name, "standardized_importance", _standardized()[name]
    yield "signed", "magnitude_importance", reference.magnitude_saliency


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of scores and masks.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    functions: dict[str, Named] = {
        "nm_mask": _masks(),
        "row_mask": _rows(),
        "threshold_mask": _thresholds(),
        "magnitude_importance": {
            "signed": reference.magnitude_saliency,
            "squared": lambda W: np.asarray(W) ** 2,
            "eps": answers("magnitude_importance", epsilon),
            "lower precision than declared": given("magnitude_importance", "W", single),
        },
        "input_norms": _norms(),
        "wanda_importance": _wanda(),
        "ria_importance": _shares("ria_importance") | {"columns forgotten": _of_row},
        "standardized_importance": _shares("standardized_importance") | _standardized(),
    }
    for operation, named in functions.items():
        for name, function in named.items():
            yield Mutant(operation, name, {operation: function})
    for name, replaced, function in _of_importance():
        yield Mutant("nm_mask_of_importance", name, {replaced: function})
