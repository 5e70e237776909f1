"""Mutants of products of sign matrices: starts, factors, scales, sweeps, layers and bits."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np

from subbit import reference
from subbit.conformance.mutants.changes import (
    Change,
    Function,
    Mutant,
    always,
    answers,
    given,
    inside,
    single,
    switched,
)
from subbit.reference import ProductGroup, QuantizedLayer

GroupChange = Callable[[ProductGroup], ProductGroup]


def _of_product(change: GroupChange) -> Change:
    def changed(layer: QuantizedLayer) -> QuantizedLayer:
        (block,) = layer.blocks
        group = cast("ProductGroup", block.groups[0])
        return replace(layer, blocks=(replace(block, groups=(change(group),)),))

    return changed


def _product(layer: QuantizedLayer) -> ProductGroup:
    return cast("ProductGroup", layer.blocks[0].groups[0])


def _only(*fields: str) -> Function:
    """Sweep, and keep some fields of what was given."""

    def wrong(W: Any, H: Any, layer: Any) -> Any:  # noqa: ANN401
        kept = {field: getattr(_product(layer), field) for field in fields}
        made = reference.sweep_signs(W, H, layer)
        return _of_product(lambda group: replace(group, **kept))(made)

    return wrong


def _stale(_swept: Function) -> Function:
    """Decide all signs of a row from the products before the first flip."""

    def wrong(products: Any, K: Any, signs: Any) -> Any:  # noqa: ANN401
        wanted = signs * np.diag(K) + products
        return np.where(wanted >= 0.0, 1, -1).astype(np.int8)

    return wrong


def _backwards(swept: Function) -> Function:
    """Visit signs from right to left."""
    return lambda p, K, x: swept(p[::-1], K[::-1, ::-1], x[::-1])[::-1]


def _without_own(swept: Function) -> Function:
    """Forget that a sign's own share of the product is taken out before it is chosen again."""
    return lambda p, K, x: swept(p - x * np.diag(K), K, x)


def _alone(W: Any, H: Any, layer: Any) -> Any:  # noqa: ANN401
    """Fit each column scale as if the other columns had no error."""
    return reference.refit_column_scales(W, np.diag(np.diag(H)), layer)


def _zeros_where_nothing(name: str, field: str, scales: Change) -> Function:
    """Give a scale without a part in the error 0 instead of its own."""

    def wrong(W: Any, H: Any, layer: Any) -> Any:  # noqa: ANN401
        group, made = _product(layer), getattr(reference, name)(W, H, layer)
        own = np.where(scales(group), getattr(_product(made), field), 0.0)
        fields: Any = {field: own}
        return _of_product(lambda one: replace(one, **fields))(made)

    return wrong


def _some_columns(group: ProductGroup) -> Any:  # noqa: ANN401
    return np.any(group.product() * group.row_scale[:, None], axis=0)


def _always_some(group: ProductGroup) -> Any:  # noqa: ANN401
    return np.any(group.product() * group.column_scale, axis=1)


def _transposed(rows: int, columns: int, seed: int = 0) -> Any:  # noqa: ANN401
    return np.ascontiguousarray(reference.start_signs(columns, rows, seed).T)


def _projected(change: Callable[[Any, int], Any]) -> Function:
    def wrong(M: Any, steps: int = 5) -> Any:  # noqa: ANN401
        return change(np.asarray(M, dtype=np.float64), steps)

    return wrong


def _means(M: Any, _steps: int) -> Any:  # noqa: ANN401
    """Take means of rows and columns for the leading vectors."""
    size = np.abs(M)
    total = size.mean() or 1.0
    return np.where(M >= 0, 1, -1) * np.outer(size.mean(axis=1), size.mean(axis=0)) / total


def _unsigned(M: Any, steps: int) -> Any:  # noqa: ANN401
    return np.sign(M) * np.abs(reference.project_rank_one(M, steps))


def _halved(found: Any) -> Any:  # noqa: ANN401
    left, right, *duals = found
    return (left / 2.0, 2.0 * right, *duals)


def _wrong_duals(found: Any) -> Any:  # noqa: ANN401
    left, right, left_dual, right_dual = found
    return left, right, -left_dual, -right_dual


def _counted(name: str, more: Callable[[ProductGroup], float]) -> Function:
    def wrong(layer: Any, **how: Any) -> Any:  # noqa: ANN401
        found, extra = getattr(reference, name)(layer, **how), more(_product(layer))
        if name == "nominal_bits":
            return found + extra / np.prod(layer.shape)
        return replace(found, signs=found.signs + int(extra))

    return wrong


_FACTORS, _SWEEPS, _LAYER = "groups.factors", "groups.product_sweeps", "sign_product"
_layer = "sign_product_layer"
SPECIFIC: dict[str, dict[str, tuple[str, Function]]] = {
    "start_signs": {
        name: ("start_signs", function)
        for name, function in {
            "one seed": given("start_signs", "seed", lambda _: 0),
            "seeds modulo a million": given("start_signs", "seed", lambda s: s % 10**6),
            "by columns": _transposed,
            "the other sign": answers("start_signs", lambda s: -s),
            "without a hash": lambda rows, columns, seed=0: np.where(
                (np.arange(rows * columns).reshape(rows, columns) + seed) % 2, -1, 1
            ).astype(np.int8),
        }.items()
    },
    "project_rank_one": {
        name: ("project_rank_one", function)
        for name, function in {
            "five steps always": given("project_rank_one", "steps", lambda _: 5),
            "one step more": given("project_rank_one", "steps", lambda s: s + 1),
            "means for vectors": _projected(_means),
            "no magnitude where there is a zero": _projected(_unsigned),
            "without signs": answers("project_rank_one", np.abs),
            "the matrix itself": _projected(lambda M, _: M),
            "not of the transposed": _projected(lambda M, s: reference.project_rank_one(M.T, s).T),
            "lower precision than declared": given("project_rank_one", "M", single),
        }.items()
    },
    "admm_step": {
        name: ("admm_step", function)
        for name, function in {
            "always at once": given("admm_step", "solves", lambda _: "jacobi"),
            "always one after the other": given("admm_step", "solves", lambda _: "gauss-seidel"),
            "no ridge": given("admm_step", "ridge", lambda _: 1e-6),
            "no penalty": given("admm_step", "penalty", lambda _: 0.0),
            "duals of the other sign": answers("admm_step", _wrong_duals),
            "duals not looked at": given("admm_step", "left_dual", lambda x: 0.0 * np.asarray(x)),
            "factors not of length one": inside(
                "admm_step", _FACTORS, "_unit_rows", always(lambda X: X)
            ),
            "not projected": inside(
                "admm_step", _FACTORS, "project_rank_one", always(lambda M, _: M)
            ),
            "balanced in another way": answers("admm_step", _halved),
            "lower precision than declared": given("admm_step", "W", single),
        }.items()
    },
    "refit_row_scales": {
        name: ("refit_row_scales", function)
        for name, function in {
            "inputs alone": given("refit_row_scales", "H", lambda H: np.diag(np.diag(H))),
            "of the weights": given("refit_row_scales", "H", lambda H: np.eye(len(H))),
            "never negative": answers(
                "refit_row_scales",
                _of_product(lambda g: replace(g, row_scale=np.abs(g.row_scale))),
            ),
            "zero where nothing is": _zeros_where_nothing(
                "refit_row_scales", "row_scale", _always_some
            ),
            "not refitted": lambda W, H, layer: layer,  # noqa: ARG005
            "lower precision than declared": given("refit_row_scales", "W", single),
        }.items()
    },
    "refit_column_scales": {
        name: ("refit_column_scales", function)
        for name, function in {
            "each column by itself": _alone,
            "of the weights": given("refit_column_scales", "H", lambda H: np.eye(len(H))),
            "never negative": answers(
                "refit_column_scales",
                _of_product(lambda g: replace(g, column_scale=np.abs(g.column_scale))),
            ),
            "zero where nothing is": _zeros_where_nothing(
                "refit_column_scales", "column_scale", _some_columns
            ),
            "not refitted": lambda W, H, layer: layer,  # noqa: ARG005
            "damped once more": given(
                "refit_column_scales", "H", lambda H: H + 1e-3 * np.diag(H).mean() * np.eye(len(H))
            ),
            "lower precision than declared": given("refit_column_scales", "W", single),
        }.items()
    },
    "sweep_signs": {
        name: ("sweep_signs", function)
        for name, function in {
            "left signs alone": _only("right"),
            "right signs alone": _only("left"),
            "stale products": inside("sweep_signs", _SWEEPS, "_swept", _stale),
            "from right to left": inside("sweep_signs", _SWEEPS, "_swept", _backwards),
            "own share not taken out": inside("sweep_signs", _SWEEPS, "_swept", _without_own),
            "inputs alone": given("sweep_signs", "H", lambda H: np.diag(np.diag(H))),
            "scales in their signs": answers(
                "sweep_signs",
                _of_product(
                    lambda g: replace(
                        g, row_scale=np.abs(g.row_scale), column_scale=np.abs(g.column_scale)
                    )
                ),
            ),
            "right signs first": lambda W, H, layer: reference.sweep_signs(
                W, H, _only("left")(W, H, layer)
            ),
            "no sweep": lambda W, H, layer: layer,  # noqa: ARG005
        }.items()
    },
    _layer: {
        name: (_layer, function)
        for name, function in {
            "one component less": answers(
                _layer,
                _of_product(
                    lambda g: replace(g, left=g.left[:, 1:], right=g.right[1:]) if g.rank > 1 else g
                ),
            ),
            "never swept": switched(_layer, sweeps=0),
            "never refitted": switched(_layer, refit=False),
            "no iteration": switched(_layer, iterations=0),
            "twice the bits": given(
                _layer, "config", lambda c: c.changed(payload=min(64.0, 2.0 * c.payload))
            ),
            "without a metric": inside(
                _layer, _LAYER, "_metric", always(lambda diagonal, _: np.ones(len(diagonal)))
            ),
            "scales of no length": inside(
                _layer, _LAYER, "_magnitudes", lambda right: lambda A, B: right(A, B * 2.0)
            ),
            "another start": switched(_layer, seed=1),
            "ranks of any number": switched(_layer, rank_step=1),
            "swept without damping": inside(
                _layer,
                _LAYER,
                "sweep_signs",
                lambda sweep: lambda W, H, layer: sweep(W, np.diag(np.diag(H)), layer),
            ),
            "lower precision than declared": given(_layer, "W", single),
        }.items()
    },
    "bits_of_products": {
        "rank counted twice": (
            "payload_bits",
            _counted("payload_bits", lambda g: g.left.size + g.right.size),
        ),
        "right signs alone": ("payload_bits", _counted("payload_bits", lambda g: -g.left.size)),
        "a sign for each weight": (
            "payload_bits",
            _counted("payload_bits", lambda g: g.mask.size - g.left.size - g.right.size),
        ),
        "nominal of one bit": (
            "nominal_bits",
            _counted("nominal_bits", lambda g: g.mask.size - g.left.size - g.right.size),
        ),
        "nominal with scales": (
            "nominal_bits",
            _counted("nominal_bits", lambda g: 16 * len(g.mask)),
        ),
    },
}


def mutants() -> Iterator[Mutant]:
    """Iterate over the mutants of products.

    Yields
    ------
    Mutant
        Wrong ports.
    """
    for operation, named in SPECIFIC.items():
        for name, (function, wrong) in named.items():
            yield Mutant(operation, name, {function: wrong})
