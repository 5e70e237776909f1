"""Values that a function has to refuse
====================================

Candidates by the kind of the argument, made from a valid value: what is no such thing at
all, and what a port might repair without a word. A case is only made of those that the
reference refuses.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from subbit import reference
from subbit.reference.contracts.kind import Kind
from subbit.reference.contracts.kinds import (
    Flags,
    Nested,
    Numbers,
    Part,
    Places,
    Several,
    Span,
    Spread,
    Symmetric,
    Tokens,
    Values,
    WholeNumbers,
)
from subbit.reference.contracts.scalars import Choice, Choices, Orders, Real, Share, Text, Whole
from subbit.reference.factored import ProductGroup
from subbit.reference.leveled import LevelGroup
from subbit.reference.records import Binary, BinaryBlock, Layer, PlaneNumber, Product

Wrong: TypeAlias = Iterator[tuple[str, Any]]
SLIGHTLY = 1e-4
"""Share of the largest entry by which a matrix is not symmetric, or not positive definite."""


def _wrong_numbers(value: Any) -> Wrong:  # noqa: ANN401
    numbers = np.array(value, dtype=np.float64)
    broken = numbers.copy()
    broken.flat[-1] = np.nan
    yield "NaN", broken
    yield "an infinity", np.where(np.isnan(broken), np.inf, broken)
    yield "an empty array", numbers[..., :0]
    yield "an extra axis", numbers[None]
    yield "a different width", np.concatenate([numbers, numbers], axis=-1)
    yield "complex numbers", numbers + 1j
    yield "text", numbers.astype(str)
    yield "a ragged list", [[1.0, 2.0], [3.0]]
    yield "negative numbers", -np.abs(numbers) - 1.0
    yield "zeros", np.zeros_like(numbers)
    yield "numbers beyond 1", np.abs(numbers) + 2.0
    yield "huge numbers", np.full_like(numbers, 1e200)
    if numbers.ndim > 1:
        yield "columns in another order", numbers[..., ::-1]
        yield "rows in another order", numbers[..., ::-1, :]


def _wrong_matrix(value: Any) -> Wrong:  # noqa: ANN401
    yield from _wrong_numbers(value)
    matrix = np.array(value, dtype=np.float64)
    largest = np.abs(matrix).max()
    for how, size in (("", 1.0), ("slightly ", SLIGHTLY)):
        changed = matrix.copy()
        changed[0, -1] += size * largest
        yield f"a matrix that is {how}asymmetric", changed
        negative = matrix.copy()
        negative[-1, -1] = -size * largest
        yield f"a matrix that is {how}indefinite", negative
    crossed = matrix.copy()
    crossed[0, -1] = crossed[-1, 0] = 4.0 * largest
    yield "an indefinite matrix with a positive diagonal", crossed
    yield "a matrix of rank one", np.ones_like(matrix)
    yield "no row of a matrix", matrix[:0]
    yield "a matrix that is not square", matrix[:-1]


def _wrong_mask(value: Any) -> Wrong:  # noqa: ANN401
    yield "a different width", value[..., :-1]
    yield "a different number of rows", value[..., :-1, :] if value.ndim > 1 else value[None, None]
    yield "numbers", value.astype(np.float64)
    yield "whole numbers", value.astype(np.int64)
    yield "nothing", None


def _wrong_nesting(value: Any) -> Wrong:  # noqa: ANN401
    yield from _wrong_mask(value)
    yield "masks that grow", np.stack([~value.any(axis=0), *value])
    yield "masks of other entries", np.stack([value[0], ~value[0]])
    last = value[-1].copy()
    last[np.nonzero(~value[0])[0][:1], np.nonzero(~value[0])[1][:1]] = True
    yield "an entry that comes back", np.stack([*value[:-1], last])


def _wrong_places(value: Any) -> Wrong:  # noqa: ANN401
    yield "an empty list", []
    yield "a negative number", [-1, *value]
    yield "NaN", [np.nan]
    yield "fractions", [x + 0.5 for x in np.ravel(value)]
    yield "a number twice", [*value, *value]
    yield "a number beyond the last", [*value, 10**6]
    yield "flags", [True, False]


def _wrong_scalar(value: Any) -> Wrong:  # noqa: ANN401, ARG001
    yield "a negative number", -1
    yield "a fraction", 1.5
    yield "NaN", np.nan
    yield "zero", 0
    yield "an infinity", np.inf
    yield "a huge number", 10**30
    yield "text", "1"
    yield "a list", [1, 1]


def _wrong_setting(value: Any) -> Wrong:  # noqa: ANN401, ARG001
    yield "no such setting", 7
    yield "text that is none", "no such setting"


def _wrong_settings(value: Any) -> Wrong:  # noqa: ANN401
    yield from _wrong_setting(value)
    yield "no setting at all", ()
    yield "one of them twice", (*value, value[0])
    yield "one that is none among them", (*value, "no such setting")
    yield "all of them in one text", "".join(value)


def _wrong_orders(value: Any) -> Wrong:  # noqa: ANN401
    yield from _wrong_setting(value)
    yield "one order less", value[:-1]
    yield "one order more", (*value, 1)
    yield "order zero", (0, *value[1:])
    yield "a fraction", (1.5, *value[1:])
    yield "an order too high", (9, *value[1:])


def _wrong_span(value: Any) -> Wrong:  # noqa: ANN401
    yield "something else", "something"
    yield "a step", slice(value.start, value.stop, 2)
    yield "an empty slice", slice(value.stop, value.stop)
    yield "columns beyond the last", slice(value.start, 10**6)
    yield "a negative start", slice(-1, value.stop)
    yield "its two ends", (value.start, value.stop)


def _wrong_group(value: Any) -> Wrong:  # noqa: ANN401
    plane = value.planes[0]
    rows = np.full(len(value.mask), np.nan)
    yield "something else", "something"
    yield "a mean that is NaN", replace(value, mean=rows)
    yield "a mean for other rows", replace(value, mean=np.zeros(len(rows) + 1))
    yield "a scale that is NaN", _with_plane(value, row_scale=rows)
    yield "a scale for other rows", _with_plane(value, row_scale=np.ones(len(rows) + 1))
    yield "signs beyond 1", _with_plane(value, sign=(2 * plane.sign).astype(np.int8))
    yield "signs outside the mask", _with_plane(value, sign=np.ones_like(plane.sign))
    yield "signs in a float type", _with_plane(value, sign=plane.sign + 0.5)
    yield "signs of other columns", _with_plane(value, sign=plane.sign[:, :-1])
    yield "a mask of numbers", replace(value, mask=value.mask.astype(np.float64))
    yield "a mask of other columns", replace(value, mask=value.mask[:, :-1])
    yield "no plane", replace(value, planes=())
    yield "four planes", replace(value, planes=(plane,) * 4)


def _with_plane(group: Any, **fields: Any) -> Any:  # noqa: ANN401
    return replace(group, planes=(replace(group.planes[0], **fields), *group.planes[1:]))


def _wrong_layer(value: Any) -> Wrong:  # noqa: ANN401
    yield from _wrong_thing(value)
    group = value.blocks[0].groups[0]
    if isinstance(group, LevelGroup | ProductGroup):
        (first, *rest) = value.blocks
        wrongs = _wrong_levels(group) if isinstance(group, LevelGroup) else _wrong_product(group)
        for what, fields in wrongs:
            wrong = replace(first, groups=(replace(group, **fields),))
            yield what, replace(value, blocks=(wrong, *rest))


def _wrong_product(group: ProductGroup) -> Wrong:
    rows = np.full(len(group.mask), np.nan)
    yield "a part of its columns", {"mask": ~group.mask}
    yield "signs of 0", {"left": 0 * group.left}
    yield "signs in a float type", {"right": group.right + 0.0}
    yield "no component", {"left": group.left[:, :0], "right": group.right[:0]}
    yield "factors of two ranks", {"left": np.hstack([group.left, group.left])}
    yield "a row scale that is NaN", {"row_scale": rows}
    yield "row scales for other rows", {"row_scale": np.ones(len(rows) + 1)}
    yield "column scales that are missing", {"column_scale": None}


def _wrong_levels(group: LevelGroup) -> Wrong:
    rows = np.full(len(group.mask), np.nan)
    yield from {
        "a code that is none": {"code": "5"},
        "even levels": {"levels": np.zeros_like(group.levels)},
        "levels beyond the code's": {"levels": np.full_like(group.levels, 17)},
        "levels in a float type": {"levels": group.levels + 0.0},
        "a part of its columns": {"mask": ~group.mask},
        "a reference that is NaN": {"reference": rows},
        "a reference for other rows": {"reference": np.ones(len(rows) + 1)},
        "an exponent in a float type": {"exponent": rows},
        "a column scale that is NaN": {"column_scale": np.full(group.mask.shape[1], np.nan)},
    }.items()


def _wrong_block(value: Any) -> Wrong:  # noqa: ANN401
    yield from _wrong_thing(value)
    group = value.groups[0]
    mask = np.ones_like(group.mask)
    yield "no group", replace(value, groups=())
    yield "other columns", replace(value, start=value.start + 1)
    yield "a group twice", replace(value, groups=(replace(group, mask=mask),) * 2)
    plain = reference.ValueGroup("plain", mask, np.ones(mask.shape))
    yield "a group without signs", replace(value, groups=(plain,))
    yield (
        "more groups than a byte counts",
        replace(value, groups=(replace(group, mask=~mask),) * 256),
    )
    for what, wrong in _wrong_group(group):
        yield what, replace(value, groups=(wrong,))


def _wrong_thing(value: Any) -> Wrong:  # noqa: ANN401, ARG001
    yield "something else", "something"
    yield "nothing", None
    yield "a number", 1.0
    yield "the configuration of another method", reference.RTN()


_WRONG: Mapping[type[Kind], Callable[[Any], Wrong]] = {
    Numbers: _wrong_numbers,
    Symmetric: _wrong_matrix,
    Spread: _wrong_numbers,
    Values: _wrong_numbers,
    Tokens: _wrong_numbers,
    Several: _wrong_thing,
    WholeNumbers: _wrong_places,
    Flags: _wrong_mask,
    Nested: _wrong_nesting,
    Part: _wrong_mask,
    Places: _wrong_places,
    Span: _wrong_span,
    Whole: _wrong_scalar,
    PlaneNumber: _wrong_scalar,
    Real: _wrong_scalar,
    Share: _wrong_scalar,
    Choice: _wrong_setting,
    Choices: _wrong_settings,
    Layer: _wrong_layer,
    Product: _wrong_layer,
    Orders: _wrong_orders,
    Text: _wrong_setting,
    Binary: _wrong_group,
    BinaryBlock: _wrong_block,
}


def wrong_for(kind: Kind, value: Any) -> Wrong:  # noqa: ANN401
    """Iterate over candidates for what an argument has to refuse.

    Parameters
    ----------
    kind : Kind
        The kind of the argument.
    value : object
        A valid value.

    Yields
    ------
    tuple
        What is wrong, in words, and the value.

    Examples
    --------
    >>> [what for what, _ in wrong_for(Text(text="A name."), "all")]
    ['no such setting', 'text that is none']
    """
    yield from _WRONG.get(type(kind), _wrong_thing)(value)
