"""Sweeps over products
====================

:mod:`subbit.reference.groups.product_sweeps` on a device. Signs are levels of one plane, so the
sweep of ``levels.cu`` visits them: the left ones in one launch, a row for each of theirs, the right
ones in a launch for each component, since what one moves is what the next one reads.
"""

from dataclasses import dataclass, replace
from typing import cast

from subbit import reference
from subbit.fast.device import Device
from subbit.fast.launches import linalg
from subbit.fast.launches.arrays import DeviceArray, to_host
from subbit.fast.launches.group import numbers
from subbit.fast.launches.levels import Scaling, sweep
from subbit.fast.mirror import mirrors
from subbit.reference.errors import ArgumentError
from subbit.reference.factored import ProductGroup
from subbit.reference.layer import QuantizedLayer
from subbit.reference.leveled import CODES
from subbit.reference.notation import Array


@dataclass
class _Product:
    """A product on the device."""

    device: Device
    group: ProductGroup

    def __post_init__(self) -> None:
        xp, group = self.device.xp, self.group
        self.left, self.right = xp.array(group.left), xp.array(group.right)
        self.rows = xp.asarray(group.row_scale, dtype=xp.float32)
        self.columns = xp.asarray(group.column_scale, dtype=xp.float32)

    def product(self) -> DeviceArray:
        """Return the product of both sign matrices, which is whole."""
        xp = self.device.xp
        return self.left.astype(xp.float32) @ self.right.astype(xp.float32)

    def decode(self) -> DeviceArray:
        """Return the values."""
        return self.rows[:, None] * self.product() * self.columns


def _check_diagonal(device: Device, H: DeviceArray) -> None:
    if not bool((device.xp.diagonal(H) > 0).all()):
        raise ArgumentError("H", "a positive diagonal", "another")


def _product(device: Device, layer: QuantizedLayer) -> _Product:
    return _Product(device, cast("ProductGroup", layer.blocks[0].groups[0]))


def _with(layer: QuantizedLayer, **fields: Array) -> QuantizedLayer:
    (block,) = layer.blocks
    group = replace(cast("ProductGroup", block.groups[0]), **fields)  # type: ignore[arg-type]
    return replace(layer, blocks=(replace(block, groups=(group,)),))


@mirrors(reference.refit_row_scales)
def refit_row_scales(
    device: Device, W: DeviceArray, H: DeviceArray, layer: QuantizedLayer
) -> QuantizedLayer:
    """Fit the row scales of a product to the calibrated error."""
    _check_diagonal(device, H)
    xp, made = device.xp, _product(device, layer)
    Z = made.product() * made.columns
    ZH = Z @ H
    dividend, divisor = xp.sum(W * ZH, axis=1), xp.sum(Z * ZH, axis=1)
    usable = divisor > 0
    scales = xp.where(usable, dividend / xp.where(usable, divisor, xp.float32(1)), made.rows)
    return _with(layer, row_scale=numbers(scales))


@mirrors(reference.refit_column_scales)
def refit_column_scales(
    device: Device, W: DeviceArray, H: DeviceArray, layer: QuantizedLayer
) -> QuantizedLayer:
    """Fit the column scales of a product to the calibrated error, all of them together."""
    _check_diagonal(device, H)
    xp, made = device.xp, _product(device, layer)
    Y = made.rows[:, None] * made.product()
    R, g = H * (Y.T @ Y), xp.sum(Y * (W @ H), axis=0)
    free = to_host(xp.diagonal(R) > 0)
    if not free.any():
        return layer
    places = xp.asarray(free.nonzero()[0])
    L = linalg.cholesky(device, "H", xp.ascontiguousarray(R[places][:, places]))
    half = linalg.solve_triangular(device, L, g[places][:, None], lower=True)
    scales = made.columns.copy()
    scales[places] = linalg.solve_triangular(device, L, half, lower=True, transposed=True)[:, 0]
    return _with(layer, column_scale=numbers(scales))


def _visit(
    device: Device, products: DeviceArray, K: DeviceArray, rows: DeviceArray, signs: DeviceArray
) -> None:
    """Visit signs row by row, in place."""
    xp, each = device.xp, device.xp.arange(len(K))
    # What has no diagonal has no part in the error either, and stays.
    diagonal = xp.diagonal(K)
    usable = diagonal > 0
    K = K.copy()
    K[each, each] = xp.where(usable, diagonal, xp.float32(1))
    products = xp.ascontiguousarray(xp.where(usable, products, xp.float32(0)))
    scaling = Scaling(CODES["1"], rows, xp.ones(len(K), dtype=xp.float32))
    sweep(device, products, K, scaling, signs)


def _sweep_left(made: _Product, W: DeviceArray, H: DeviceArray) -> None:
    N = made.right.astype(made.device.xp.float32) * made.columns
    products = ((W - made.decode()) @ H) @ N.T
    _visit(made.device, products, N @ H @ N.T, made.rows, made.left)


def _sweep_right(made: _Product, W: DeviceArray, H: DeviceArray) -> None:
    xp, c = made.device.xp, made.columns
    T = made.rows[:, None] * made.left.astype(xp.float32)
    K, gram = c[:, None] * H * c, T.T @ T
    products = T.T @ ((W - made.decode()) @ H) * c
    for k in range(len(gram)):
        one = slice(k, k + 1)
        signs = made.right[one].copy()
        _visit(made.device, products[one], K, xp.ascontiguousarray(gram[k, one]), signs)
        delta = signs.astype(xp.float32) - made.right[one].astype(xp.float32)
        products = products - gram[:, one] * (delta @ K)
        made.right[one] = signs


@mirrors(reference.sweep_signs)
def sweep_signs(
    device: Device, W: DeviceArray, H: DeviceArray, layer: QuantizedLayer
) -> QuantizedLayer:
    """Visit all signs of a product once: the left ones row by row, then the right ones."""
    _check_diagonal(device, H)
    made = _product(device, layer)
    _sweep_left(made, W, H)
    _sweep_right(made, W, H)
    return _with(layer, left=to_host(made.left), right=to_host(made.right))
