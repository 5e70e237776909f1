"""Scales in the type they are stored in
======================================

Scales are rounded to their stored type before anything is measured. One that is beyond
the type's largest number is refused, since its weights would be infinite. Those below its
smallest normal number lose digits, down to all of them, and are counted.
"""

from collections.abc import Iterator

import numpy as np

from subbit.reference.errors import ArgumentError
from subbit.reference.factored import ProductGroup
from subbit.reference.haar import HaarGroup
from subbit.reference.layer import BinaryGroup, Group, QuantizedLayer, UniformGroup, ValueGroup
from subbit.reference.leveled import LevelGroup
from subbit.reference.notation import Array
from subbit.reference.storage.level_layout import place_of


def round_scales(layer: QuantizedLayer, scales: str) -> tuple[QuantizedLayer, int]:
    """Round a layer's scales and means to the type they are stored in.

    Parameters
    ----------
    layer : QuantizedLayer
        The layer.
    scales : {"float16", "float32", "float64"}
        The type.

    Returns
    -------
    layer : QuantizedLayer
        The layer as a file holds it.
    underflows : int
        Scales, not means, that are smaller than the type's normal numbers.

    Raises
    ------
    ArgumentError
        If a scale, a mean or a stored value is larger than the type's largest number; the
        message has their count.

    Examples
    --------
    >>> from subbit.reference import rtn_layer
    >>> round_scales(rtn_layer([[1e-7, -3e-7, 2.0], [1e-7, -3e-7, 2e-7]]), "float16")[1]
    1
    """
    limits = np.finfo(scales)
    numbers = list(_scales(layer))
    stored = numbers + list(_others(layer))
    with np.errstate(over="ignore"):
        overflows = sum(int(np.isinf(values.astype(scales)).sum()) for values in stored)
    if overflows:
        count = sum(values.size for values in stored)
        wider = "float64" if scales == "float32" else "float32"
        expected = f"a type that holds every scale and mean (try --scales {wider})"
        came = f"{scales}, with {overflows} of {count} beyond its largest number, {limits.max:.5g}"
        raise ArgumentError("scales", expected, came)
    underflows = sum(
        int(((values != 0) & (np.abs(values) < limits.tiny)).sum()) for values in numbers
    )
    return layer.with_scales(scales), underflows


def _groups(layer: QuantizedLayer) -> Iterator[Group]:
    for group in (group for block in layer.blocks for group in block.groups):
        if isinstance(group, HaarGroup):
            yield from (own for term in group.terms for own in term.groups)
        else:
            yield group


def _scales(layer: QuantizedLayer) -> Iterator[Array]:
    known: list[Array] = []
    for group in _groups(layer):
        match group:
            case BinaryGroup():
                for plane in group.planes:
                    yield plane.row_scale
                    if plane.column_scale is not None:
                        yield plane.column_scale
            case UniformGroup():
                yield group.scale
            case LevelGroup():
                # Groups that share references store them once.
                if place_of(group.reference, known) == len(known):
                    known.append(group.reference)
                    yield group.reference
                if group.column_scale is not None:
                    yield group.column_scale
            case ProductGroup():
                yield group.row_scale
                yield group.column_scale


def _others(layer: QuantizedLayer) -> Iterator[Array]:
    for group in _groups(layer):
        match group:
            case BinaryGroup():
                yield group.row_means
            case ValueGroup():
                yield group.values[group.mask]
